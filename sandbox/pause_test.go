package sandbox_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

func resting(o *sandbox.Options) { o.PauseAfter = 5 * time.Minute }

// asleep makes a sandbox with a policy, and leaves it alone until it is paused.
func (l *lab) asleep(owner string) sandbox.ID {
	l.t.Helper()
	id := l.ready(owner)
	if _, err := l.Apply(l.t.Context(), id, []byte(denyAll)); err != nil {
		l.t.Fatal(err)
	}
	time.Sleep(6 * time.Minute)
	synctest.Wait()
	if s := l.get(id); s.State != sandbox.Paused || !l.cluster(id).Paused() {
		l.t.Fatalf("it is %s, its cluster paused: %t", s.State, l.cluster(id).Paused())
	}
	return id
}

// awake expects the sandbox to be as it was before it slept.
func (l *lab) awake(id sandbox.ID) {
	l.t.Helper()
	time.Sleep(5 * time.Second)
	synctest.Wait()
	s := l.get(id)
	if s.State != sandbox.Ready || len(s.Policies) != 1 || s.Policies[0].YAML != denyAll || l.cluster(id).Paused() {
		l.t.Fatalf("it is %s with %v, its cluster paused: %t", s.State, s.Policies, l.cluster(id).Paused())
	}
	if blocked(s) == 0 || s.Settled == nil || s.Settled.Change != s.Change {
		l.t.Errorf("%d flows are blocked, settled %+v", blocked(s), s.Settled)
	}
}

func blocked(s sandbox.Snapshot) (n int) {
	for _, v := range observed(s) {
		if v == "blocked" {
			n++
		}
	}
	return n
}

func TestPause_what_nobody_watches_sleeps_and_the_first_look_wakes_it(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{WakeTime: 300 * time.Millisecond}, resting)
		defer l.Close()
		id := l.asleep("ann")
		probed := l.cluster(id).Probed()
		time.Sleep(30 * time.Minute)
		if l.cluster(id).Probed() != probed {
			t.Error("it is probed while it sleeps")
		}
		if rec := l.recorded()[0]; rec.State != sandbox.Paused {
			t.Errorf("written down is %s", rec.State)
		}
		_, seq, _ := l.Get(id)
		sub := l.subscribe(id, seq)
		defer sub.Close()
		began := time.Now()
		until(t, sub, func(e sandbox.Event) bool { return e.State != nil && e.State.State == sandbox.Ready })
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("it woke after %s", took)
		}
		l.awake(id)
	})
}

func TestPause_a_change_wakes_what_sleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{WakeTime: 300 * time.Millisecond}, resting)
		defer l.Close()
		id := l.asleep("ann")
		change, err := l.DeletePolicies(t.Context(), id, nil)
		if err != nil || len(change.Removed) != 1 {
			t.Fatalf("%+v, %v", change, err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Ready || blocked(s) != 0 {
			t.Errorf("it is %s, %d flows are blocked", s.State, blocked(s))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Paused {
			t.Errorf("left alone it is %s", s.State)
		}
	})
}

func TestPause_a_terminal_wakes_what_sleeps_and_keeps_it_awake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, resting)
		defer l.Close()
		id := l.asleep("ann")
		view, err := l.Terminal(t.Context(), id, sandbox.TerminalSize{Columns: 80, Rows: 24})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		if s := l.get(id); s.State != sandbox.Ready {
			t.Errorf("with a terminal that somebody has open it is %s", s.State)
		}
		view.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Paused {
			t.Errorf("an hour after the terminal was closed it is %s", s.State)
		}
	})
}

func TestPause_what_is_watched_does_not_sleep_and_an_onlooker_wakes_nothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, resting)
		defer l.Close()
		watched := l.ready("ann")
		sub := l.subscribe(watched, 0)
		defer sub.Close()
		other := l.asleep("bob")
		time.Sleep(time.Hour)
		onlooker, err := l.Subscribe(other, 0, sandbox.AsOnlooker)
		if err != nil {
			t.Fatal(err)
		}
		defer onlooker.Close()
		time.Sleep(time.Minute)
		if s := l.get(watched); s.State != sandbox.Ready {
			t.Errorf("what is watched is %s", s.State)
		}
		if s := l.get(other); s.State != sandbox.Paused {
			t.Errorf("what only an onlooker sees is %s", s.State)
		}
	})
}

func TestPause_one_that_fails_leaves_the_sandbox_awake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, resting)
		defer l.Close()
		id := l.ready("ann")
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		l.provider.FailPause(errors.New("the freezer is not there"))
		time.Sleep(7 * time.Minute)
		l.awake(id)
		if n := strings.Count(l.log.String(), "sandbox not paused"); n != 1 {
			t.Errorf("%d tries", n)
		}
		l.provider.FailPause(nil)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Paused {
			t.Errorf("later it is %s", s.State)
		}
	})
}

func TestWake_what_does_not_wake_at_once_is_tried_again_and_what_is_gone_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, resting)
		defer l.Close()
		slow, gone := l.asleep("ann"), l.asleep("bob")
		l.provider.FailWake(errors.New("Docker does not answer"))
		for _, id := range []sandbox.ID{slow, gone} {
			if err := l.Wake(id); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if s := l.get(slow); s.State != sandbox.Paused {
			t.Errorf("it is %s", s.State)
		}
		l.cluster(gone).LoseNode()
		l.provider.FailWake(nil)
		time.Sleep(time.Minute)
		l.awake(slow)
		if s := l.get(gone); s.State != sandbox.Failed || !strings.Contains(s.Reason, "Press Reset") {
			t.Errorf("what is gone is %s (%s)", s.State, s.Reason)
		}
		if l.provider.Live() != 1 {
			t.Errorf("%d clusters are left", l.provider.Live())
		}
	})
}

func TestPause_outlives_a_restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, resting)
		id := l.asleep("ann")
		l.Close()
		l.start(resting)
		defer l.Close()
		time.Sleep(10 * time.Minute)
		if s := l.get(id); s.State != sandbox.Paused || !l.cluster(id).Paused() {
			t.Errorf("after a restart it is %s", s.State)
		}
		if err := l.Wake(id); err != nil {
			t.Fatal(err)
		}
		l.awake(id)
	})
}

func TestPause_what_sleeps_can_be_stopped_reset_and_used_for_another_lab(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, resting)
		defer l.Close()
		ann, bob, cid := l.asleep("ann"), l.asleep("bob"), l.asleep("cid")
		kept := l.cluster(cid)
		if err := l.Stop(ann); err != nil {
			t.Fatal(err)
		}
		fresh, _, err := l.Reset(bob)
		if err != nil {
			t.Fatal(err)
		}
		other := *l.topology
		other.Name = "other"
		second, _, err := l.Create("cid", &other)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, _, err := l.Get(ann); !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("ann's: %v", err)
		}
		if s := l.get(fresh.ID); s.State != sandbox.Ready || len(s.Policies) != 0 {
			t.Errorf("bob's is %s with %v", s.State, s.Policies)
		}
		if s := l.get(second.ID); s.State != sandbox.Ready || len(s.Policies) != 0 || l.cluster(second.ID) != kept || kept.Paused() {
			t.Errorf("cid's is %s with %v", s.State, s.Policies)
		}
		if l.provider.Live() != 2 {
			t.Errorf("%d clusters, want 2", l.provider.Live())
		}
	})
}

func TestJanitor_stops_what_has_slept_for_long(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, resting, func(o *sandbox.Options) { o.Idle = 2 * time.Hour })
		defer l.Close()
		id := l.asleep("ann")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if _, _, err := l.Get(id); !errors.Is(err, sandbox.ErrNotFound) || l.provider.Live() != 0 {
			t.Errorf("it is still there: %v, %d clusters", err, l.provider.Live())
		}
	})
}
