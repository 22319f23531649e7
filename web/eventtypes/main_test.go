package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

func TestTypeScript_has_the_events_of_Go(t *testing.T) {
	root := filepath.Join("..", "..")
	want, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what Go has: run `make generate`. It should be:\n%s", file, want)
	}
}

func TestTypeScript_has_the_answers_of_Go(t *testing.T) {
	root := filepath.Join("..", "..")
	want, err := answers(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, answersFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what Go has: run `make generate`. It should be:\n%s", answersFile, want)
	}
}

func TestTypeScript_has_the_sentences_of_Go_and_no_other_place_has_them(t *testing.T) {
	root := filepath.Join("..", "..")
	want, err := sentences()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, sentencesFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what Go has: run `make generate`. It should be:\n%s", sentencesFile, want)
	}
	scripts, err := filepath.Glob(filepath.Join(root, "web/frontend/src/*.ts"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("scripts: %v, %v", scripts, err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "web/views/*.templ"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("pages: %v, %v", pages, err)
	}
	// What both say is one text of the script's own, or a part of one, and stands in a
	// page too.
	quoted := regexp.MustCompile("[\"`]([^\"`\n]{12,})[\"`]")
	placeholder := regexp.MustCompile(`\$\{[^}]*\}`)
	for _, script := range scripts {
		if strings.HasSuffix(script, ".gen.ts") || strings.HasSuffix(script, ".test.ts") {
			continue
		}
		src, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(src), -1) {
			for _, part := range placeholder.Split(m[1], -1) {
				if part = strings.TrimSpace(part); strings.Count(part, " ") < 2 {
					continue
				}
				for _, page := range append(slices.Clone(pages), filepath.Join(root, "web/views/sentences.go")) {
					text, err := os.ReadFile(page)
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(string(text), part) {
						t.Errorf("%s and %s both say %q; put it into views.Said", script, page, part)
					}
				}
			}
		}
	}
}

func TestTypeScript_names_fields_as_JSON_does_and_lists_every_value(t *testing.T) {
	text, err := generate(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`export type State = "queued" | "creating" | "ready" | "paused" | "stopping" | "stopped" | "failed";`,
		"\n  namespace: string;\n  name: string;\n", // of an embedded struct
		"\n  reason?: string;\n", "\n  steps: Step[];\n", "\n  id: string;\n", "\n  notice?: Notice;\n",
		`  | { type: "settled"; settled: Settled }`,
		"export type SandboxEvent = { seq: number; time: string } & Body;",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	for f := range fields(reflect.TypeFor[sandbox.Event]()) {
		if f.Type.Kind() == reflect.Pointer && !strings.Contains(text, `type: "`+f.name+`";`) {
			t.Errorf("%s is no type of event", f.name)
		}
	}
}

func TestTypeScript_what_it_cannot_say_is_an_error(t *testing.T) {
	g := &generator{done: map[reflect.Type]bool{}}
	for _, v := range []any{
		struct{ Nameless int }{},
		struct {
			C chan int `json:"c"`
		}{},
	} {
		if text, err := g.structOf(reflect.TypeOf(v)); err == nil {
			t.Errorf("%T is %s", v, text)
		}
	}
}
