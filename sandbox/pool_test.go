package sandbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// slowly is a provider that takes about as long as kind does.
func slowly() *sandboxtest.Provider {
	return &sandboxtest.Provider{BootTime: 20 * time.Second, LayTime: 2 * time.Second, WakeTime: 300 * time.Millisecond, Removal: 3 * time.Second}
}

// reserving keeps n clusters in reserve, in which the lab is laid.
func reserving(l *sandbox.Topology, n, most int) func(*sandbox.Options) {
	return func(o *sandbox.Options) {
		o.PoolReserve, o.MaxSandboxes, o.Likeliest = n, most, l
	}
}

// stocked waits until the reserve is full.
func (l *lab) stocked(n int) {
	l.t.Helper()
	time.Sleep(time.Duration(n) * 40 * time.Second)
	synctest.Wait()
	if paused := l.provider.Paused(); paused != n {
		l.t.Fatalf("%d clusters are paused, want %d in reserve", paused, n)
	}
}

func TestPool_from_the_reserve_a_sandbox_is_ready_at_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), reserving(small(t), 2, 8))
		defer l.Close()
		l.stocked(2)
		began := time.Now()
		id := l.create("ann")
		sub := l.subscribe(id, 0)
		defer sub.Close()
		until(t, sub, func(e sandbox.Event) bool { return e.Settled != nil })
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
		s := l.get(id)
		for _, step := range s.Steps {
			if step.Status != sandbox.StepDone {
				t.Errorf("step %q is %s", step.Name, step.Status)
			}
		}
		if l.cluster(id).Paused() {
			t.Error("its cluster is still paused")
		}
	})
}

func TestPool_another_lesson_is_laid_in_what_is_in_reserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), reserving(small(t), 1, 8))
		defer l.Close()
		l.stocked(1)
		other := *l.topology
		other.Name = "other"
		s, _, err := l.Create("ann", &other)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if s := l.get(s.ID); s.State != sandbox.Ready || s.Lab != "other" {
			t.Errorf("after 3 s it is %s", s.State)
		}
	})
}

func TestPool_what_does_not_wake_is_replaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), reserving(small(t), 2, 8))
		defer l.Close()
		l.stocked(2)
		for _, c := range l.provider.Clusters() {
			c.LoseNode()
		}
		id := l.create("ann")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Ready {
			t.Errorf("it is %s (%s)", s.State, s.Reason)
		}
		if !strings.Contains(l.log.String(), "not fit for a sandbox") {
			t.Error("the log says nothing of it")
		}
		l.stocked(2) // and the reserve is filled again
	})
}

// Thirty press Start in the same minute.
func TestPool_a_class_gets_what_there_is_each_a_cluster_of_their_own(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const reserve, most, class = 5, 12, 30
		l := newLab(t, slowly(), reserving(small(t), reserve, most), func(o *sandbox.Options) { o.MaxCreating = 2 })
		defer l.Close()
		l.stocked(reserve)
		var ids []sandbox.ID
		for i := range class {
			ids = append(ids, l.create(fmt.Sprint("learner ", i)))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		count := func(state sandbox.State) (n int) {
			for _, id := range ids {
				if l.get(id).State == state {
					n++
				}
			}
			return n
		}
		if n := count(sandbox.Ready); n != reserve {
			t.Errorf("after a second %d are ready, want %d", n, reserve)
		}
		if n := count(sandbox.Creating); n != 2 {
			t.Errorf("%d see the steps of theirs, want 2", n)
		}
		last := l.get(ids[class-1]).Waiting
		if last == nil || last.Place != class-reserve || last.Of != class-reserve || last.Full || last.Seconds < 200 || last.Seconds > 300 {
			t.Errorf("the last is told %+v", last)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := count(sandbox.Ready); n != most || l.provider.Most() != most {
			t.Errorf("%d are ready, up to %d clusters, want %d", n, l.provider.Most(), most)
		}
		if w := l.get(ids[class-1]).Waiting; w == nil || !w.Full || w.Place != class-most {
			t.Errorf("the last is told %+v", w)
		}
		owners := map[sandbox.ClusterID]string{}
		for _, rec := range l.recorded() {
			if rec.Cluster != "" && owners[rec.Cluster] != "" {
				t.Errorf("%s and %s have the same cluster", rec.Owner, owners[rec.Cluster])
			}
			owners[rec.Cluster] = rec.Owner
		}
		// Those who go make room for those who wait, in their order.
		for _, id := range ids[:3] {
			if err := l.Stop(id); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for i, id := range ids[most : most+4] {
			if s := l.get(id); (s.State == sandbox.Ready) != (i < 3) {
				t.Errorf("number %d is %s", most+i, s.State)
			}
		}
	})
}

func TestPool_is_filled_only_once_nobody_asks_any_more(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), reserving(small(t), 3, 20))
		defer l.Close()
		l.stocked(3)
		for i := range 6 {
			l.create(fmt.Sprint("learner ", i))
			time.Sleep(5 * time.Second)
		}
		synctest.Wait()
		if n := l.provider.Paused(); n != 0 {
			t.Errorf("%d are in reserve while people come", n)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n, live := l.provider.Paused(), l.provider.Live(); n != 3 || live != 9 {
			t.Errorf("%d in reserve, %d clusters, want 3 and 9", n, live)
		}
	})
}

func TestPool_a_reserve_larger_than_the_machine_leaves_room_for_nobody_and_is_given_to_all(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), reserving(small(t), 100, 4))
		defer l.Close()
		l.stocked(4)
		if l.provider.Most() != 4 {
			t.Errorf("there were up to %d clusters, want 4", l.provider.Most())
		}
		for i := range 4 {
			l.create(fmt.Sprint("learner ", i))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, rec := range l.recorded() {
			if rec.State != sandbox.Ready {
				t.Errorf("%s's is %s", rec.Owner, rec.State)
			}
		}
	})
}

func TestPool_max_leaves_places_to_those_who_come(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), reserving(small(t), 3, 8), func(o *sandbox.Options) { o.PoolMax = 2 })
		defer l.Close()
		time.Sleep(5 * time.Minute)
		if n := l.provider.Live(); n != 2 {
			t.Errorf("%d clusters were booted for the reserve, want 2", n)
		}
		l.create("ann")
		l.create("bob")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := l.provider.Live(); n != 2 {
			t.Errorf("beside the two that are used %d more were booted", n-2)
		}
	})
}

func TestPool_a_boot_for_the_reserve_that_fails_fails_nobody_and_is_not_tried_all_the_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sandboxtest.FailsOnBoot(errors.New("no space left on device"))
		l := newLab(t, p, reserving(small(t), 2, 8))
		defer l.Close()
		time.Sleep(10 * time.Minute)
		if n := strings.Count(l.log.String(), "cluster not booted"); n < 5 || n > 11 {
			t.Errorf("%d tries in ten minutes", n)
		}
		if p.Live() != 0 {
			t.Error("something is left")
		}
	})
}

func TestPool_who_stops_before_their_cluster_is_there_leaves_it_to_the_next(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly())
		defer l.Close()
		ann := l.create("ann")
		time.Sleep(time.Second)
		bob := l.create("bob")
		time.Sleep(14 * time.Second)
		if err := l.Stop(ann); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := l.get(bob); s.State != sandbox.Creating || s.Steps[0].Status != sandbox.StepDone {
			t.Errorf("bob's is %s, its first step %s", s.State, s.Steps[0].Status)
		}
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if s := l.get(bob); s.State != sandbox.Ready || l.provider.Most() != 1 {
			t.Errorf("bob's is %s; up to %d clusters", s.State, l.provider.Most())
		}
	})
}

func TestPool_what_one_learner_has_had_no_other_gets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), reserving(small(t), 1, 3))
		defer l.Close()
		l.stocked(1)
		id := l.create("ann")
		time.Sleep(2 * time.Second)
		had := l.cluster(id)
		if err := l.Stop(id); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			bob := l.create(fmt.Sprint("bob ", i))
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if l.cluster(bob) == nil || l.cluster(bob) == had {
				t.Error("what ann has had is bob's")
			}
			if err := l.Stop(bob); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestPool_after_a_restart_the_reserve_is_another(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), reserving(small(t), 2, 8))
		l.stocked(2)
		before := l.provider.Clusters()
		l.Close()
		if l.provider.Live() != 0 {
			t.Error("what was kept for nobody is left")
		}
		l.provider.Leave("of a server that was killed")
		l.start(reserving(l.topology, 2, 8))
		defer l.Close()
		l.stocked(2)
		for _, c := range l.provider.Clusters() {
			if c == before[0] || c == before[1] {
				t.Error("a cluster of which nothing is written down was kept")
			}
		}
	})
}

func TestPool_a_reset_while_the_cluster_is_booted_gets_that_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly())
		defer l.Close()
		id := l.create("ann")
		for range 11 {
			time.Sleep(time.Second)
			s, _, err := l.Reset(id)
			if err != nil {
				t.Fatal(err)
			}
			id = s.ID
		}
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Ready || l.provider.Most() != 1 {
			t.Errorf("it is %s; up to %d clusters", s.State, l.provider.Most())
		}
	})
}
