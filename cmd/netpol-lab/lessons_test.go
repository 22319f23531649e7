package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkLessons runs one command line and gives what it wrote and its exit code.
func checkLessons(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	err := run(t.Context(), append([]string{"lessons", "check"}, args...), streams{strings.NewReader(""), &out, &errs})
	code = report(&errs, err)
	return out.String(), errs.String(), code
}

func TestLessonsCheck_lists_what_the_binarys_lessons_have(t *testing.T) {
	out, errs, code := checkLessons(t, "../../lessons/content")
	if code != 0 || errs != "" {
		t.Fatalf("code %d, errors %q", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) < 5 || strings.Join(strings.Fields(lines[0]), " ") != "LESSON MINUTES SECTIONS EXERCISES CHECKS PICTURES WALK-THROUGH SNIPPETS" ||
		!strings.HasPrefix(lines[1], "network-policies ") || !strings.HasSuffix(lines[len(lines)-1], " minutes.") {
		t.Errorf("got\n%s", out)
	}
}

func TestLessonsCheck_says_each_problem_on_a_line_that_begins_with_its_place(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../lessons/content")); err != nil {
		t.Fatal(err)
	}
	// in is a file in the folder of the lesson, whatever its number.
	in := func(lesson string, file ...string) string {
		found, err := filepath.Glob(filepath.Join(dir, "*-"+lesson))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %q, %v", lesson, found, err)
		}
		return filepath.Join(append(found, file...)...)
	}
	file, missing := in("tenants", "exercises", "own-tenant", "checks.yaml"), in("shop-challenge", "topology.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("title:"), []byte("titel:"), 1)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(missing); err != nil {
		t.Fatal(err)
	}
	out, errs, code := checkLessons(t, dir)
	problems := strings.Split(strings.TrimSuffix(errs, "\n"), "\n")
	slices.Sort(problems)
	want := []string{missing + ": is missing; a lesson that shares another's says so in its front matter: topology: that-lessons-slug", file + ":1: titel: is not a field here"}
	slices.Sort(want)
	if code != 1 || out != "" || !slices.Equal(problems, want) {
		t.Errorf("code %d, output %q, errors\n%s\nwant\n%s", code, out, errs, strings.Join(want, "\n"))
	}
}

func TestLessonsCheck_an_empty_folder_has_no_lessons(t *testing.T) {
	_, errs, code := checkLessons(t, t.TempDir())
	if code != 1 || !strings.Contains(errs, "there are none: each is a folder with a name like 01-network-policies") {
		t.Errorf("code %d, errors %q", code, errs)
	}
}

func TestLessonsCheck_without_a_folder_is_a_usage_error(t *testing.T) {
	for _, args := range [][]string{nil, {filepath.Join(t.TempDir(), "nowhere")}, {"a", "b"}} {
		if _, _, code := checkLessons(t, args...); code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, code)
		}
	}
}

func TestLessonsCheck_an_output_that_cannot_be_written_is_a_failure(t *testing.T) {
	err := run(t.Context(), []string{"lessons", "check", "../../lessons/content"}, streams{strings.NewReader(""), closed{}, io.Discard})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// closed is an output that nobody reads any more.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
