package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestLabs_are_kept_with_their_learner_and_go_with_them(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	s := openFile(t, path)
	one := Lab{Name: "own-1", Title: "My shop", YAML: "name: My shop\n", At: at(1)}
	two := Lab{Name: "own-2", Title: "Grüße", YAML: "name: Grüße\n", At: at(2)}
	must(t, s.SaveLab(t.Context(), ann, one))
	must(t, s.SaveLab(t.Context(), ann, two))
	must(t, s.SaveLab(t.Context(), bob, one))
	must(t, s.Close())
	s = openFile(t, path)
	all, err := s.Labs(t.Context(), ann)
	if err != nil || len(all) != 2 || all[0] != two || all[1] != one {
		t.Errorf("Ann has %+v, %v", all, err)
	}
	if got, there, err := s.Lab(t.Context(), ann, "own-1"); err != nil || !there || got != one {
		t.Errorf("the lab is %+v, %v, %v", got, there, err)
	}
	if _, there, err := s.Lab(t.Context(), bob, "own-2"); err != nil || there {
		t.Errorf("Bob has Ann's lab: %v, %v", there, err)
	}
	one.Title, one.At = "My new shop", at(3)
	must(t, s.SaveLab(t.Context(), ann, one))
	if r, err := s.Export(t.Context(), ann); err != nil || len(r.Labs) != 2 || r.Labs[0] != one {
		t.Errorf("the record has %+v, %v", r.Labs, err)
	}
	must(t, s.DeleteLab(t.Context(), ann, "own-1"))
	must(t, s.DeleteLab(t.Context(), ann, "own-1"))
	if all, err := s.Labs(t.Context(), ann); err != nil || len(all) != 1 || all[0] != two {
		t.Errorf("Ann has %+v, %v", all, err)
	}
	must(t, s.Forget(t.Context(), ann))
	if all, err := s.Labs(t.Context(), ann); err != nil || len(all) != 0 {
		t.Errorf("after she was forgotten Ann has %+v, %v", all, err)
	}
	if all, err := s.Labs(t.Context(), bob); err != nil || len(all) != 1 {
		t.Errorf("Bob has %+v, %v", all, err)
	}
}

func TestLabs_are_bounded_in_number_and_length(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "lab.db"))
	lab := func(n int) Lab { return Lab{Name: fmt.Sprint("own-", n), Title: "x", YAML: "name: x\n", At: at(n)} }
	for n := range MaxLabs {
		must(t, s.SaveLab(t.Context(), ann, lab(n)))
	}
	var refused *InputError
	if err := s.SaveLab(t.Context(), ann, lab(MaxLabs)); !errors.As(err, &refused) {
		t.Errorf("one more: %v", err)
	}
	must(t, s.SaveLab(t.Context(), ann, lab(3))) // takes the place of one
	long := lab(0)
	long.YAML = strings.Repeat("x", MaxLab+1)
	if err := s.SaveLab(t.Context(), ann, long); !errors.As(err, &refused) {
		t.Errorf("a long one: %v", err)
	}
	if all, err := s.Labs(t.Context(), ann); err != nil || len(all) != MaxLabs {
		t.Errorf("there are %d, %v", len(all), err)
	}
}
