package sandbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// A room behind one router must not keep those out who come from elsewhere, and nobody
// else the room.
func TestQueue_each_address_gets_its_turn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		defer l.Close()
		l.create("first")
		time.Sleep(30 * time.Second)
		ask := func(owner, from string) {
			if _, _, err := l.Manager.Create(owner, from, l.topology); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		for i := range 4 {
			ask(fmt.Sprint("room ", i), "198.51.100.1")
		}
		ask("ann", "203.0.113.1")
		ask("bob", "203.0.113.2")
		ask("ann's brother", "203.0.113.1")
		var order []string
		for range 8 {
			for _, rec := range l.recorded() {
				if rec.State != sandbox.Ready {
					continue
				}
				order = append(order, rec.Owner)
				if err := l.Stop(rec.ID); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		want := []string{"first", "room 0", "ann", "bob", "room 1", "ann's brother", "room 2", "room 3"}
		if !slices.Equal(order, want) {
			t.Errorf("the order was %q, want %q", order, want)
		}
	})
}

func TestQueue_one_address_that_fills_it_gives_way_to_others(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), func(o *sandbox.Options) { o.MaxSandboxes, o.MaxWaiting = 1, 6 })
		defer l.Close()
		l.create("first")
		time.Sleep(30 * time.Second)
		for i := range 10 {
			_, _, err := l.Manager.Create(fmt.Sprint("flood ", i), "198.51.100.1", l.topology)
			if (err != nil) != (i >= 6) || err != nil && !errors.Is(err, sandbox.ErrBusy) {
				t.Errorf("number %d: %v", i, err)
			}
			synctest.Wait()
		}
		for i := range 3 {
			if _, _, err := l.Manager.Create(fmt.Sprint("ann ", i), "203.0.113.1", l.topology); err != nil {
				t.Errorf("ann %d: %v", i, err)
			}
			synctest.Wait()
		}
		// Now both have three.
		if _, _, err := l.Manager.Create("ann 3", "203.0.113.1", l.topology); !errors.Is(err, sandbox.ErrBusy) {
			t.Errorf("ann 3: %v, want ErrBusy", err)
		}
		yielded := 0
		for i := range 6 {
			s, _, ok := l.ByOwner(fmt.Sprint("flood ", i))
			if ok && s.State == sandbox.Failed && strings.Contains(s.Reason, "gave your place") {
				yielded++
				if i < 3 {
					t.Errorf("flood %d, who came early, gave way", i)
				}
			}
		}
		if yielded != 3 {
			t.Errorf("%d gave way, want 3", yielded)
		}
	})
}

func TestQueue_who_leaves_it_is_waited_for_no_longer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		defer l.Close()
		l.create("first")
		time.Sleep(30 * time.Second)
		ids := map[string]sandbox.ID{}
		for _, owner := range []string{"ann", "bob", "cid"} {
			ids[owner] = l.create(owner)
			time.Sleep(time.Second)
		}
		if err := l.Stop(ids["ann"]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w := l.get(ids["bob"]).Waiting; w == nil || w.Place != 1 || w.Of != 2 {
			t.Errorf("bob is told %+v", w)
		}
		if _, _, err := l.Get(ids["ann"]); !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("ann's: %v", err)
		}
		// Start again for another lab keeps bob's place.
		other := *l.topology
		other.Name = "other"
		s, _, err := l.Create("bob", &other)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w := l.get(s.ID).Waiting; w == nil || w.Place != 1 || w.Of != 2 {
			t.Errorf("bob is told %+v", w)
		}
	})
}
