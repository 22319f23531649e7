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

func TestRestart_ready_sandbox_is_adopted_with_its_policies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		id := l.ready("ann")
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		_, seq, _ := l.Get(id)
		l.Close()
		if !l.cluster(id).Closed() {
			t.Error("the connections were not closed")
		}
		l.start()
		defer l.Close()
		sub := l.subscribe(id, seq)
		defer sub.Close()
		events := until(t, sub, ofType(sandbox.EventObservations))
		if events[0].Type != sandbox.EventSnapshot {
			t.Errorf("a number of the old log gave %s first, want a snapshot", events[0].Type)
		}
		s := l.get(id)
		if s.State != sandbox.Ready || len(s.Policies) != 1 {
			t.Errorf("state %s, policies %v", s.State, s.Policies)
		}
		if _, err := l.DeletePolicies(t.Context(), id, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestRestart_who_was_being_served_is_served_again_and_what_was_half_made_is_removed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, state := range []sandbox.State{sandbox.Queued, sandbox.Creating} {
			p := &sandboxtest.Provider{}
			l := newLab(t, p)
			l.Close()
			// What a server that was killed has left.
			half := p.Leave("half")
			rec := sandbox.Record{ID: "mine", Cluster: "half", Owner: "ann", Lab: "small", State: state, Created: time.Now()}
			if err := l.records.Save(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			l.start()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			s := l.get("mine")
			if s.State != sandbox.Ready || l.cluster("mine") == half || p.Live() != 1 {
				t.Errorf("%s: it is %s (%s), %d clusters", state, s.State, s.Reason, p.Live())
			}
			l.Close()
		}
	})
}

func TestRestart_those_who_wait_go_on_waiting_in_their_order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{BootTime: 10 * time.Second}, func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		ids := map[string]sandbox.ID{}
		for _, owner := range []string{"ann", "bob", "cid", "dan"} {
			ids[owner] = l.create(owner)
			time.Sleep(time.Second)
		}
		l.Close()
		if l.provider.Live() != 0 {
			t.Error("a cluster that was being booted is left")
		}
		l.start(func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		defer l.Close()
		for _, owner := range []string{"ann", "bob", "cid", "dan"} {
			time.Sleep(15 * time.Second)
			synctest.Wait()
			if s := l.get(ids[owner]); s.State != sandbox.Ready {
				t.Fatalf("%s's is %s, waiting %+v", owner, s.State, s.Waiting)
			}
			if err := l.Stop(ids[owner]); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRestart_what_no_record_names_is_removed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sandboxtest.Provider{}
		p.Leave("stray")
		l := newLab(t, p)
		defer l.Close()
		synctest.Wait()
		if p.Cluster("stray") != nil {
			t.Error("the stray cluster is still there")
		}
	})
}

func TestRestart_vanished_cluster_fails_the_sandbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		id := l.ready("ann")
		l.Close()
		if err := l.provider.Delete(t.Context(), l.recorded()[0].Cluster); err != nil {
			t.Fatal(err)
		}
		l.start()
		defer l.Close()
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Failed {
			t.Errorf("state %s, want failed", s.State)
		}
	})
}

func TestRestart_what_cannot_be_listed_yet_is_kept_and_adopted_later(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		id := l.ready("ann")
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		l.Close()
		l.provider.FailList(errors.New("Docker does not answer"))
		l.start()
		time.Sleep(10 * time.Minute)
		s := l.get(id)
		if s.State != sandbox.Ready || s.Notice == nil || !strings.Contains(s.Notice.Message, "It is kept") {
			t.Errorf("meanwhile it is %s, notice %+v", s.State, s.Notice)
		}
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); !errors.Is(err, sandbox.ErrNotReady) {
			t.Errorf("apply meanwhile: %v, want ErrNotReady", err)
		}
		// A server that is stopped meanwhile forgets nothing either.
		l.Close()
		l.start()
		defer l.Close()
		time.Sleep(time.Minute)
		l.provider.FailList(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		s = l.get(id)
		if s.State != sandbox.Ready || s.Notice != nil || len(s.Policies) != 1 {
			t.Errorf("afterwards it is %s, notice %+v, policies %v", s.State, s.Notice, s.Policies)
		}
		if _, err := l.DeletePolicies(t.Context(), id, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestRestart_nothing_is_made_before_it_is_known_what_is_there(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sandboxtest.Provider{}
		p.Leave("stray")
		p.FailList(errors.New("Docker does not answer"))
		l := newLab(t, p, func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		defer l.Close()
		id := l.create("ann")
		time.Sleep(time.Minute)
		if s := l.get(id); s.State != sandbox.Queued || s.Notice == nil {
			t.Errorf("it is %s, notice %+v; want queued, and why", s.State, s.Notice)
		}
		p.FailList(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Ready || s.Notice != nil || p.Cluster("stray") != nil {
			t.Errorf("it is %s, notice %+v, the stray one %v", s.State, s.Notice, p.Cluster("stray"))
		}
	})
}

func TestRestart_one_that_does_not_answer_at_first_is_adopted_later(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		id := l.ready("ann")
		l.Close()
		l.provider.FailAdopt(errors.New("the API does not answer"))
		l.provider.FailCheck(errors.New("Docker does not answer"))
		l.start()
		defer l.Close()
		time.Sleep(time.Hour)
		if s := l.get(id); s.State != sandbox.Ready || l.cluster(id) == nil {
			t.Fatalf("while Docker does not answer it is %s (%s)", s.State, s.Reason)
		}
		l.provider.FailAdopt(nil)
		l.provider.FailCheck(nil)
		time.Sleep(2 * time.Minute)
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Error(err)
		}
	})
}

func TestRestart_one_that_cannot_be_adopted_though_all_is_well_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		id := l.ready("ann")
		l.Close()
		l.provider.FailAdopt(errors.New("its file is broken"))
		l.start()
		defer l.Close()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Failed || l.cluster(id) != nil {
			t.Errorf("it is %s, its cluster %v", s.State, l.cluster(id))
		}
	})
}

func TestRestart_a_removal_that_failed_goes_on(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		id := l.ready("ann")
		l.provider.FailDelete(errors.New("device busy"))
		if err := l.Stop(id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		l.Close()
		l.start(func(o *sandbox.Options) { o.MaxSandboxes = 1 })
		defer l.Close()
		bob := l.create("bob")
		time.Sleep(time.Minute)
		if s := l.get(bob); s.State != sandbox.Queued {
			t.Errorf("a start beside what is left is %s", s.State)
		}
		l.provider.FailDelete(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if left := l.recorded(); len(left) != 1 || left[0].ID != bob || left[0].State != sandbox.Ready || l.provider.Live() != 1 {
			t.Errorf("these records are left: %+v; %d clusters", left, l.provider.Live())
		}
	})
}

func TestRestart_of_two_of_one_owner_the_newer_stays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sandboxtest.Provider{}
		l := newLab(t, p)
		newer := l.ready("ann")
		l.Close()
		p.Leave("of older")
		older := sandbox.Record{ID: "older", Cluster: "of older", Owner: "ann", Lab: "small", State: sandbox.Ready, Created: time.Now().Add(-time.Hour)}
		if err := l.records.Save(t.Context(), older); err != nil {
			t.Fatal(err)
		}
		l.start()
		defer l.Close()
		synctest.Wait()
		if s, _, ok := l.ByOwner("ann"); !ok || s.ID != newer || s.State != sandbox.Ready {
			t.Errorf("ann has %s (%s), want %s", s.ID, s.State, newer)
		}
		if p.Cluster("of older") != nil {
			t.Error("the older one is still there")
		}
	})
}

func TestRestart_a_record_that_makes_no_sense_is_named_and_costs_nobody_else_anything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		id := l.ready("ann")
		l.Close()
		for id, lab := range map[sandbox.ID]string{"resting": "small", "homeless": "no such lab"} {
			l.provider.Leave(sandbox.ClusterID("of " + id))
			rec := sandbox.Record{ID: id, Cluster: sandbox.ClusterID("of " + id), Owner: "owner of " + string(id), Lab: lab, State: "resting", Created: time.Now()}
			if err := l.records.Save(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
		l.start()
		defer l.Close()
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Ready {
			t.Errorf("ann's is %s", s.State)
		}
		if left := l.recorded(); len(left) != 1 || l.provider.Live() != 1 {
			t.Errorf("%d clusters and these records are left: %+v", l.provider.Live(), left)
		}
		for _, want := range []string{"sandbox=resting state=resting", `sandbox=homeless lab="no such lab"`} {
			if !strings.Contains(l.log.String(), want) {
				t.Errorf("the log does not say %s", want)
			}
		}
	})
}

func TestRecords_what_cannot_be_written_down_is_not_made(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		l.records.Fail(errors.New("no space left"))
		id := l.create("ann")
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Failed || !strings.Contains(s.Reason, "write down") || l.provider.Most() != 0 {
			t.Errorf("it is %s (%s), %d clusters were made", s.State, s.Reason, l.provider.Most())
		}
		l.records.Fail(nil)
		l.ready("ann")
	})
}
