package web

import (
	"errors"
	"fmt"
	"testing"
)

func TestRecent_makes_a_thing_once_as_long_as_it_is_asked_for(t *testing.T) {
	r, made := newRecent[string, string](10), map[string]int{}
	get := func(key string) {
		if v, err := r.get(key, 1, func() (string, error) { made[key]++; return "of " + key, nil }); err != nil || v != "of "+key {
			t.Errorf("%q, %v", v, err)
		}
	}
	for i := range 100 {
		get("often")
		get(fmt.Sprint(i))
	}
	if made["often"] != 1 {
		t.Errorf("it was made %d times", made["often"])
	}
	if n := len(r.fresh) + len(r.stale); n > 10 {
		t.Errorf("it keeps %d things", n)
	}
	if get("0"); made["0"] != 2 {
		t.Errorf("what nobody asked for was made %d times", made["0"])
	}
}

func TestRecent_keeps_no_failure(t *testing.T) {
	r := newRecent[string, int](10)
	if _, err := r.get("a", 1, func() (int, error) { return 0, errors.New("no") }); err == nil {
		t.Error("the failure is not told")
	}
	if v, err := r.get("a", 1, func() (int, error) { return 1, nil }); err != nil || v != 1 {
		t.Errorf("%d, %v", v, err)
	}
}
