package policy

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEvery_repair_makes_it_better applies each fix of each problem that the cases have:
// the problem must be gone, and the text must not be worse off.
func TestEvery_repair_makes_it_better(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	repaired, all := 0, 0
	for _, file := range files {
		for _, c := range problemCases(t, file) {
			var before *Error
			if _, err := Parse([]byte(c.src), inLab); !errors.As(err, &before) {
				t.Fatalf("%s: %v", c.name, err)
			}
			for _, p := range before.Problems {
				all++
				if len(p.Fixes) == 0 {
					if strings.Contains(p.Message, "did you mean") {
						t.Errorf("%s: %s: there is no fix for it", c.name, p)
					}
					continue
				}
				repaired++
				for _, fix := range p.Fixes {
					src, err := Edited(c.src, fix.Edits)
					if err != nil {
						t.Errorf("%s: %s: %q: %v", c.name, p, fix.Title, err)
						continue
					}
					if _, err = Parse([]byte(src), inLab); err == nil {
						continue
					}
					var after *Error
					if !errors.As(err, &after) {
						t.Fatal(err)
					}
					if slices.ContainsFunc(after.Problems, func(q Problem) bool { return q.Position == p.Position && q.Message == p.Message }) {
						t.Errorf("%s: %q does nothing about it: %s\n%s", c.name, fix.Title, p, src)
					}
					// What could not be read before may have problems of its own.
					left := slices.DeleteFunc(slices.Clone(after.Problems), func(q Problem) bool {
						// A policy that has a namespace at last may be there twice.
						return q.Field == p.Field || q.Field == "metadata.name"
					})
					if p.Field != "" && len(left) > len(before.Problems) {
						t.Errorf("%s: %q makes it worse: %v\n%s", c.name, fix.Title, after, src)
					}
				}
			}
		}
	}
	t.Logf("%d of %d problems have a fix", repaired, all)
	if repaired == 0 {
		t.Error("no problem has a fix")
	}
}
