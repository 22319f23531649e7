package policy

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the messages in testdata/problems as they are now")

// problemCase is an input and the message that it gets.
type problemCase struct{ name, src, want string }

// problemCases reads a file of them. Each begins with a line "=== NAME", then
// comes the input, a line ">>>", and the message.
func problemCases(t *testing.T, file string) []problemCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []problemCase
	for _, part := range strings.Split("\n"+string(text), "\n=== ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		src, want, found := strings.Cut("\n"+rest, "\n>>>\n")
		if !found {
			t.Fatalf("%s: the case %q has no line >>>", file, name)
		}
		cases = append(cases, problemCase{name, strings.TrimPrefix(src, "\n") + "\n", strings.TrimSuffix(want, "\n")})
	}
	return cases
}

// TestEvery_problem_says_where_and_what_to_do holds the messages that a learner reads.
func TestEvery_problem_says_where_and_what_to_do(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			cases := problemCases(t, file)
			seen := map[string]bool{}
			for i := range cases {
				c := &cases[i]
				if seen[c.name] {
					t.Errorf("%q is here twice", c.name)
				}
				seen[c.name] = true
				t.Run(c.name, func(t *testing.T) {
					got := problemsOf(t, c.src)
					if *update {
						c.want = got
					}
					if got != c.want {
						t.Errorf("got\n%s\nwant\n%s", got, c.want)
					}
				})
			}
			if !*update {
				return
			}
			var out strings.Builder
			for i, c := range cases {
				if i > 0 {
					out.WriteString("\n")
				}
				out.WriteString("=== " + c.name + "\n" + c.src + ">>>\n" + c.want + "\n")
			}
			if err := os.WriteFile(file, []byte(out.String()), 0o666); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What cannot be written into a file of cases.
func TestUnprintable_and_endless_inputs_say_what_is_wrong(t *testing.T) {
	for _, c := range []problemCase{
		{"nothing", "", `line 1, column 1: there is no policy here: a policy begins with apiVersion: networking.k8s.io/v1`},
		{"too much", strings.Repeat("#", MaxBytes+1), `line 1, column 1: this is 257 KiB of YAML; the lab takes at most 256 KiB at once`},
		{"far too much", strings.Repeat("*", 50_000_000), `line 1, column 1: this is 48 MiB of YAML; the lab takes at most 256 KiB at once`},
		{"control character", head + "spec: \x01\n", `line 6, column 1: there is a character here that is no text; type the line anew`},
		{"no UTF-8", head + "spec: \xff\n", `line 6, column 1: there is a character here that is no text; type the line anew`},
		{"nested without end", strings.Repeat("[", 20000), `line 1, column 101: this is nested too deeply: the lab takes at most 100 levels`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := problemsOf(t, c.src); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// problemsOf parses an input that must have problems and returns its message.
func problemsOf(t *testing.T, src string) string {
	t.Helper()
	policies, err := Parse([]byte(src), inLab)
	if policies != nil {
		t.Errorf("policies came with the error")
	}
	var all *Error
	if !errors.As(err, &all) {
		t.Fatalf("got error %v, want a *policy.Error", err)
	}
	return err.Error()
}
