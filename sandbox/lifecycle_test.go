package sandbox_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

func TestCreate_goes_through_the_steps_to_ready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.create("ann")
		sub := l.subscribe(id, 0)
		defer sub.Close()
		until(t, sub, ofType(sandbox.EventObservations))
		s := l.get(id)
		if s.State != sandbox.Ready {
			t.Errorf("state %s, want ready", s.State)
		}
		for _, step := range s.Steps {
			if step.Status != sandbox.StepDone {
				t.Errorf("step %q is %s, want done", step.Name, step.Status)
			}
		}
	})
}

func TestCreate_failure_has_words_for_the_learner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, sandboxtest.FailsOnBoot(&sandbox.Failure{Message: "The disk is full.", Err: errors.New("write /x: no space left on device")}))
		defer l.Close()
		id := l.create("ann")
		synctest.Wait()
		s := l.get(id)
		if s.State != sandbox.Failed || s.Reason != "The disk is full." {
			t.Errorf("state %s, reason %q", s.State, s.Reason)
		}
		if s.Steps[1].Status != sandbox.StepFailed {
			t.Errorf("the second step is %s, want failed", s.Steps[1].Status)
		}
		if l.provider.Live() != 0 {
			t.Error("something is left of it")
		}
		if again := l.create("ann"); again == id {
			t.Error("a new start gave the failed sandbox back")
		}
	})
}

func TestCreate_takes_too_long_and_is_given_up(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, sandboxtest.Never(), func(o *sandbox.Options) { o.CreateTimeout = time.Minute })
		defer l.Close()
		id := l.create("ann")
		time.Sleep(61 * time.Second)
		if s := l.get(id); s.State != sandbox.Failed || !strings.Contains(s.Reason, "not ready after 1 minute,") {
			t.Errorf("state %s, reason %q", s.State, s.Reason)
		}
	})
}

func TestStop_while_creating_cleans_up_and_ends_the_subscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, sandboxtest.Never())
		defer l.Close()
		id := l.create("ann")
		sub := l.subscribe(id, 0)
		defer sub.Close()
		until(t, sub, ofType(sandbox.EventSnapshot))
		synctest.Wait()
		if err := l.Stop(id); err != nil {
			t.Fatal(err)
		}
		until(t, sub, func(e sandbox.Event) bool { return e.State != nil && e.State.State == sandbox.Stopped })
		if _, err := sub.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("after stopped: %v, want EOF", err)
		}
		synctest.Wait()
		if d := l.provider.Deleted(); len(d) != 1 || l.provider.Live() != 0 {
			t.Errorf("deleted %v, want the one that was being booted", d)
		}
		if _, _, err := l.Get(id); !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("after stopped: %v", err)
		}
	})
}

func TestReset_gives_a_fresh_sandbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		old := l.cluster(id)
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		s, _, err := l.Reset(id)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		fresh := l.get(s.ID)
		if s.ID == id || fresh.State != sandbox.Ready || len(fresh.Policies) != 0 {
			t.Errorf("reset of %s gave %s, %s, policies %v", id, s.ID, fresh.State, fresh.Policies)
		}
		if l.cluster(s.ID) == old || l.provider.Live() != 1 {
			t.Error("the old cluster is still there")
		}
	})
}

func TestHealth_lost_node_fails_the_sandbox_and_says_what_to_do(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		l.cluster(id).LoseNode()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s := l.get(id)
		if s.State != sandbox.Failed || !strings.Contains(s.Reason, "Press Reset") {
			t.Errorf("state %s, reason %q", s.State, s.Reason)
		}
		for _, o := range s.Observations {
			if o.Verdict != probe.Unknown {
				t.Errorf("%s is still said to be %s", o.Flow, o.Verdict)
			}
		}
		if d := l.provider.Deleted(); len(d) != 1 {
			t.Errorf("deleted %v, want what is left of %s", d, id)
		}
	})
}

func TestHealth_disturbance_is_told_once_and_its_end_too(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		sub := l.subscribe(id, 0)
		defer sub.Close()
		until(t, sub, ofType(sandbox.EventSnapshot))
		l.cluster(id).Disturb(errors.New("connection refused"))
		time.Sleep(30 * time.Second)
		if s := l.get(id); s.Notice == nil {
			t.Error("one who comes now is told nothing")
		}
		l.cluster(id).Disturb(nil)
		notices := 0
		for _, e := range until(t, sub, func(e sandbox.Event) bool { return e.Notice != nil && e.Notice.Level == sandbox.NoticeInfo }) {
			if e.Notice != nil {
				notices++
			}
		}
		if notices != 2 {
			t.Errorf("%d notices, want 2", notices)
		}
		if s := l.get(id); s.State != sandbox.Ready || s.Notice != nil {
			t.Errorf("state %s, notice %v; want ready and none", s.State, s.Notice)
		}
	})
}

// As in the page's script: who loads the page is told the same as who has it open.
func TestHealth_a_notice_ends_with_the_state_that_it_is_about(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		l.cluster(id).Disturb(errors.New("connection refused"))
		time.Sleep(10 * time.Second)
		if l.get(id).Notice == nil {
			t.Fatal("nothing is said of the disturbance")
		}
		l.cluster(id).LoseNode()
		time.Sleep(10 * time.Second)
		if s := l.get(id); s.State != sandbox.Failed || s.Notice != nil {
			t.Errorf("it is %s, and still said is %+v", s.State, s.Notice)
		}
	})
}

func TestReset_eleven_at_once_are_one(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{Removal: 3 * time.Second}, func(o *sandbox.Options) { o.MaxCreating = 20 })
		defer l.Close()
		id := l.ready("ann")
		var resets sync.WaitGroup
		given := make([]sandbox.ID, 11)
		for i := range given {
			resets.Go(func() {
				s, _, err := l.Reset(id)
				if err != nil {
					t.Error(err)
				}
				given[i] = s.ID
			})
		}
		resets.Wait()
		if one := slices.Compact(given); len(one) != 1 || one[0] == id {
			t.Errorf("the resets of %s gave %v, want one other sandbox", id, one)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if l.provider.Live() != 1 || l.provider.Most() > 2 {
			t.Errorf("%d clusters are left, there were up to %d, want 1, and the one that goes beside the one that comes", l.provider.Live(), l.provider.Most())
		}
		if s := l.get(given[0]); s.State != sandbox.Ready {
			t.Errorf("the fresh one is %s", s.State)
		}
	})
}

func TestReset_one_after_the_other_waits_for_a_place(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{Removal: 3 * time.Second}, func(o *sandbox.Options) { o.MaxSandboxes, o.MaxCreating = 1, 20 })
		defer l.Close()
		id := l.ready("ann")
		for range 11 {
			s, _, err := l.Reset(id)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if s = l.get(s.ID); s.ID == id || s.State != sandbox.Queued || s.Waiting == nil || !s.Waiting.Full || s.Waiting.Place != 1 {
				t.Errorf("the reset of %s gave %s, %s, waiting %+v", id, s.ID, s.State, s.Waiting)
			}
			id = s.ID
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Ready || l.provider.Live() != 1 || l.provider.Most() != 1 {
			t.Errorf("the last is %s; %d clusters, up to %d at once", s.State, l.provider.Live(), l.provider.Most())
		}
		if left := l.recorded(); len(left) != 1 {
			t.Errorf("%d records are left: %+v", len(left), left)
		}
	})
}

func TestCreate_another_lab_keeps_the_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{BootTime: 20 * time.Second, LayTime: time.Second})
		defer l.Close()
		old := l.create("ann")
		time.Sleep(30 * time.Second)
		cluster := l.cluster(old)
		if _, err := l.Apply(t.Context(), old, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		other := *l.topology
		other.Name = "other"
		fresh, _, err := l.Create("ann", &other)
		if err != nil || fresh.Lab != "other" || fresh.State != sandbox.Queued {
			t.Fatalf("got %s, %s, %v", fresh.Lab, fresh.State, err)
		}
		if now, _, ok := l.ByOwner("ann"); !ok || now.ID != fresh.ID {
			t.Errorf("ann has %s, want %s", now.ID, fresh.ID)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s := l.get(fresh.ID)
		if s.State != sandbox.Ready || len(s.Policies) != 0 || l.provider.Most() != 1 || l.cluster(fresh.ID) != cluster {
			t.Errorf("the new one is %s with the policies %v; up to %d clusters at once", s.State, s.Policies, l.provider.Most())
		}
		if _, _, err := l.Get(old); !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("the old one: %v", err)
		}
	})
}

func TestCreate_another_lab_while_the_cluster_is_lost_takes_another(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		old := l.ready("ann")
		l.cluster(old).LoseNode()
		other := *l.topology
		other.Name = "other"
		fresh, _, err := l.Create("ann", &other)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := l.get(fresh.ID); s.State != sandbox.Ready || l.provider.Live() != 1 {
			t.Errorf("the new one is %s (%s), %d clusters", s.State, s.Reason, l.provider.Live())
		}
	})
}

// Everybody does everything at once, and some removals fail: there are never more
// clusters than there may be.
func TestMaxSandboxes_is_never_exceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3
		l := newLab(t, &sandboxtest.Provider{Removal: 2 * time.Second}, func(o *sandbox.Options) { o.MaxSandboxes, o.MaxCreating = most, 20 })
		defer l.Close()
		other := *l.topology
		other.Name = "other"
		var learners sync.WaitGroup
		for i := range 8 {
			learners.Go(func() {
				owner := fmt.Sprint("learner ", i)
				for n := range 40 {
					var err error
					now, _, has := l.ByOwner(owner)
					switch {
					case !has, n%7 == 0:
						_, _, err = l.Create(owner, l.topology)
					case n%3 == 0:
						_, _, err = l.Create(owner, &other)
					case n%5 == 0:
						err = l.Stop(now.ID)
					case n%11 == 0:
						err = l.StopOwner(owner)
					default:
						_, _, err = l.Reset(now.ID)
					}
					if err != nil && !errors.Is(err, sandbox.ErrBusy) && !errors.Is(err, sandbox.ErrNotFound) {
						t.Error(err)
					}
					time.Sleep(time.Duration(100*(i+1)) * time.Millisecond)
				}
			})
		}
		for range 10 {
			l.provider.FailDelete(errors.New("device busy"))
			time.Sleep(time.Second)
			l.provider.FailDelete(nil)
			time.Sleep(2 * time.Second)
		}
		learners.Wait()
		if n := l.provider.Most(); n != most {
			t.Errorf("there were up to %d clusters at once, want %d", n, most)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		owners := map[string]bool{}
		for _, rec := range l.recorded() {
			if owners[rec.Owner] {
				t.Errorf("%s has more than one sandbox", rec.Owner)
			}
			owners[rec.Owner] = true
		}
		if n := l.provider.Live(); n > most {
			t.Errorf("%d clusters are left", n)
		}
	})
}

func TestStop_what_is_being_removed_is_not_changed_any_more(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{Removal: 3 * time.Second})
		defer l.Close()
		id := l.ready("ann")
		if err := l.Stop(id); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := l.Apply(t.Context(), id, []byte(denyAll)); !errors.Is(err, sandbox.ErrNotReady) {
				t.Errorf("apply: %v, want ErrNotReady", err)
			}
			time.Sleep(time.Second)
		}
		if err := l.Stop(id); err != nil && !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("a second stop: %v", err)
		}
	})
}

func TestStop_a_failed_removal_is_tried_again_and_counts_meanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		defer l.Close()
		id := l.ready("ann")
		l.provider.FailDelete(errors.New("device busy"))
		if err := l.Stop(id); err != nil {
			t.Fatal(err)
		}
		bob := l.create("bob")
		time.Sleep(10 * time.Minute)
		if s := l.get(bob); s.State != sandbox.Queued || s.Waiting == nil || !s.Waiting.Full {
			t.Errorf("a start beside what is left is %s, waiting %+v", s.State, s.Waiting)
		}
		if n := strings.Count(l.log.String(), "cluster not removed"); n < 5 || n > 20 {
			t.Errorf("the log speaks of %d failed tries in ten minutes", n)
		}
		l.provider.FailDelete(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := l.get(bob); s.State != sandbox.Ready || s.Waiting != nil || l.provider.Most() != 1 {
			t.Errorf("afterwards it is %s, waiting %+v; up to %d clusters at once", s.State, s.Waiting, l.provider.Most())
		}
	})
}

func TestHealth_what_is_left_of_a_lost_sandbox_takes_a_place_until_it_is_removed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		defer l.Close()
		id := l.ready("ann")
		l.provider.FailDelete(errors.New("device busy"))
		l.cluster(id).LoseNode()
		time.Sleep(time.Minute)
		if s := l.get(id); s.State != sandbox.Failed {
			t.Fatalf("state %s", s.State)
		}
		bob := l.create("bob")
		time.Sleep(time.Minute)
		if s := l.get(bob); s.State != sandbox.Queued {
			t.Errorf("a start beside what is left is %s", s.State)
		}
		l.provider.FailDelete(nil)
		time.Sleep(2 * time.Minute)
		if s := l.get(bob); s.State != sandbox.Ready {
			t.Errorf("afterwards it is %s", s.State)
		}
		if s := l.get(id); s.State != sandbox.Failed {
			t.Errorf("ann is no longer told what has happened: %s", s.State)
		}
	})
}

func TestStopOwner_stops_what_the_owner_has(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id, other := l.ready("ann"), l.ready("bob")
		for _, owner := range []string{"ann", "nobody"} {
			if err := l.StopOwner(owner); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if _, _, ok := l.ByOwner("ann"); ok || l.cluster(id) != nil {
			t.Error("ann's is still there")
		}
		if s := l.get(other); s.State != sandbox.Ready {
			t.Errorf("bob's is %s", s.State)
		}
	})
}
