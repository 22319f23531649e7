package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

func TestEnd_is_told_before_it_comes_and_can_be_put_off_also_over_a_restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := func(o *sandbox.Options) { o.MaxAge, o.Warning, o.Extension = time.Hour, 10*time.Minute, 30*time.Minute }
		l := newLab(t, &sandboxtest.Provider{}, short)
		id := l.ready("ann")
		began := time.Now()
		sub := l.subscribe(id, 0)
		until(t, sub, ofType(sandbox.EventSnapshot))
		time.Sleep(45 * time.Minute)
		if s := l.get(id); s.Ends != nil {
			t.Errorf("the end is told after 45 minutes: %+v", s.Ends)
		}
		time.Sleep(7 * time.Minute)
		s := l.get(id)
		if s.Ends == nil || s.Ends.At.Sub(began) < 59*time.Minute || s.Ends.At.Sub(began) > time.Hour {
			t.Fatalf("told is %+v, want an hour after %s", s.Ends, began)
		}
		for range 2 { // twice is once
			ending, err := l.Extend(id)
			if left := time.Until(ending.At); err != nil || !ending.Extended || left != 30*time.Minute {
				t.Errorf("extended to %s from now, %v", left, err)
			}
		}
		if s := l.get(id); s.Ends != nil {
			t.Errorf("it is still said to end: %+v", s.Ends)
		}
		synctest.Wait()
		sub.Close()
		l.Close()
		l.start(short)
		defer l.Close()
		sub = l.subscribe(id, 0)
		defer sub.Close()
		time.Sleep(15 * time.Minute)
		if s := l.get(id); s.State != sandbox.Ready {
			t.Fatalf("15 minutes later it is %s", s.State)
		}
		until(t, sub, ofType(sandbox.EventSnapshot))
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if _, _, err := l.Get(id); !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("35 minutes after it was put off by 30: %v", err)
		}
	})
}

func TestEnd_cannot_be_put_off_while_others_wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		defer l.Close()
		id := l.ready("ann")
		l.create("bob")
		synctest.Wait()
		if _, err := l.Extend(id); !errors.Is(err, sandbox.ErrWaitedFor) {
			t.Errorf("got %v, want ErrWaitedFor", err)
		}
	})
}

func TestSupervised_nothing_is_stopped_by_itself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) {
			o.Supervised, o.MaxSandboxes, o.Named = true, 1, func(context.Context, string) (bool, error) { return false, nil }
		})
		defer l.Close()
		id := l.ready("ann")
		l.create("bob")
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Ready || s.Ends != nil {
			t.Errorf("after two days it is %s, %+v", s.State, s.Ends)
		}
	})
}

// Whose page is closed, and who gave no name, may never come back; who waits is there.
func TestOrphans_give_way_to_those_who_wait_the_longest_left_alone_first(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		named := func(_ context.Context, owner string) (bool, error) { return strings.HasPrefix(owner, "named"), nil }
		l := newLab(t, &sandboxtest.Provider{}, resting, func(o *sandbox.Options) { o.MaxSandboxes, o.Named = 4, named })
		defer l.Close()
		ids := map[string]sandbox.ID{}
		for _, owner := range []string{"named", "first", "second", "watching"} {
			ids[owner] = l.ready(owner)
			time.Sleep(time.Minute)
		}
		sub := l.subscribe(ids["watching"], 0)
		defer sub.Close()
		time.Sleep(time.Hour)
		for _, id := range ids {
			l.get(id) // Nobody waits, so all are there.
		}
		var waiting []sandbox.ID
		for i := range 3 {
			waiting = append(waiting, l.create(fmt.Sprint("waiting ", i)))
			time.Sleep(time.Second)
		}
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if _, _, err := l.Get(ids["first"]); !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("the longest left alone: %v", err)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		for owner, there := range map[string]bool{"named": true, "first": false, "second": false, "watching": true} {
			if _, _, err := l.Get(ids[owner]); (err == nil) != there {
				t.Errorf("%s's: %v", owner, err)
			}
		}
		// Those who got a place, and left at once, are the next.
		if s := l.get(waiting[2]); s.State != sandbox.Ready && s.State != sandbox.Paused {
			t.Errorf("the last who waits is %s", s.State)
		}
	})
}
