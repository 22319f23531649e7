package sandbox_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// lost makes a sandbox with the policy in force, whose cluster then fails.
func (l *lab) lost(owner string) sandbox.ID {
	l.t.Helper()
	id := l.ready(owner)
	if _, err := l.Apply(l.t.Context(), id, []byte(denyAll)); err != nil {
		l.t.Fatal(err)
	}
	l.cluster(id).LoseNode()
	time.Sleep(10 * time.Second)
	synctest.Wait()
	if s := l.get(id); s.State != sandbox.Failed || len(s.Policies) != 1 {
		l.t.Fatalf("without its cluster it is %s, with the policies %v", s.State, s.Policies)
	}
	return id
}

// isDenied checks that the policy, and nothing else, is in force in the sandbox: by what is told,
// by what the cluster has, and by what is measured.
func (l *lab) isDenied(id sandbox.ID) {
	l.t.Helper()
	s := l.get(id)
	if s.State != sandbox.Ready || len(s.Policies) != 1 || s.Policies[0].YAML != denyAll {
		l.t.Fatalf("it is %s (%s), with the policies %v", s.State, s.Reason, s.Policies)
	}
	there, err := l.cluster(id).Policies(l.t.Context())
	if err != nil || len(there) != 1 || there[0].Source != denyAll {
		l.t.Errorf("the cluster has %v, %v", there, err)
	}
	if h, err := l.History(id); err != nil || len(h.Entries) != 1 || h.Entries[0].Origin != sandbox.OriginApply {
		l.t.Errorf("the history is %+v, %v; want the one change", h, err)
	}
	if s.Disagreement != nil {
		l.t.Errorf("measured is otherwise than predicted: %+v", s.Disagreement)
	}
	if n := len(s.Observations); n == 0 || s.Predictions == nil || len(s.Predictions.Policies) != 1 {
		l.t.Errorf("%d flows are measured; predicted is %+v", n, s.Predictions)
	}
}

func TestFailed_what_was_in_force_is_in_force_again_in_the_fresh_one_and_that_is_told(t *testing.T) {
	for name, again := range map[string]func(l *lab, id sandbox.ID) (sandbox.Snapshot, int64, error){
		"reset": func(l *lab, id sandbox.ID) (sandbox.Snapshot, int64, error) { return l.Reset(id) },
		"start": func(l *lab, _ sandbox.ID) (sandbox.Snapshot, int64, error) { return l.Create("ann", l.topology) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, &sandboxtest.Provider{})
				defer l.Close()
				s, seq, err := again(l, l.lost("ann"))
				if err != nil {
					t.Fatal(err)
				}
				if len(s.Policies) != 0 {
					t.Errorf("before there is a cluster, in force are %v", s.Policies)
				}
				sub := l.subscribe(s.ID, seq)
				defer sub.Close()
				events := until(t, sub, ofType(sandbox.EventNotice))
				ready := slices.IndexFunc(events, func(e sandbox.Event) bool { return e.State != nil && e.State.State == sandbox.Ready })
				inForce := slices.IndexFunc(events, func(e sandbox.Event) bool { return e.Policies != nil && len(e.Policies.Added) == 1 })
				if notice := events[len(events)-1].Notice; inForce < 0 || ready < inForce || notice.Level != sandbox.NoticeInfo || !strings.Contains(notice.Message, "in force again") {
					t.Errorf("ready is event %d, the policy %d; told is %+v", ready, inForce, notice)
				}
				time.Sleep(5 * time.Second)
				l.isDenied(s.ID)
				change, err := l.DeletePolicies(t.Context(), s.ID, nil)
				if err != nil || change.Change != 2 {
					t.Errorf("the next change is number %d, %v", change.Change, err)
				}
			})
		})
	}
}

func TestFailed_what_was_in_force_outlives_restarts_of_the_server_at_any_point(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{BootTime: time.Second})
		id := l.lost("ann")
		l.Close()
		l.start()
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Failed || len(s.Policies) != 1 {
			t.Fatalf("after a restart it is %s, with the policies %v", s.State, s.Policies)
		}
		l.provider.BootTime = time.Minute
		s, _, err := l.Reset(id)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // while it waits, or is made
			time.Sleep(10 * time.Second)
			l.Close()
			if left := l.recorded(); len(left) != 1 {
				t.Fatalf("the records are %+v", left)
			}
			l.start()
		}
		defer l.Close()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		sub := l.subscribe(s.ID, 0)
		defer sub.Close()
		time.Sleep(5 * time.Second)
		l.isDenied(s.ID)
	})
}

func TestFailed_twice_loses_nothing_either(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.lost("ann")
		l.provider.FailLay(errors.New("no room"))
		s, _, err := l.Reset(id)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s = l.get(s.ID); s.State != sandbox.Failed {
			t.Fatalf("it is %s", s.State)
		}
		l.provider.FailLay(nil)
		if s, _, err = l.Create("ann", l.topology); err != nil {
			t.Fatal(err)
		}
		sub := l.subscribe(s.ID, 0)
		defer sub.Close()
		time.Sleep(5 * time.Second)
		l.isDenied(s.ID)
	})
}

func TestFailed_policies_that_the_fresh_cluster_does_not_take_are_kept_in_its_history_and_that_is_told(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{LayTime: 5 * time.Second})
		defer l.Close()
		l.provider.LayTime = 0
		id := l.lost("ann")
		l.provider.LayTime = 5 * time.Second
		s, _, err := l.Reset(id)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		l.cluster(s.ID).Refuse(errors.New("the API server is asleep"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s = l.get(s.ID)
		if s.State != sandbox.Ready || len(s.Policies) != 0 || s.Notice == nil || s.Notice.Level != sandbox.NoticeWarning || !strings.Contains(s.Notice.Message, "history") {
			t.Fatalf("it is %s, policies %v, notice %+v", s.State, s.Policies, s.Notice)
		}
		l.cluster(s.ID).Refuse(nil)
		if _, err := l.Restore(t.Context(), s.ID, 1); err != nil {
			t.Fatal(err)
		}
		if s = l.get(s.ID); len(s.Policies) != 1 {
			t.Errorf("restored are %v", s.Policies)
		}
	})
}

func TestReset_of_one_that_runs_and_another_lesson_begin_with_nothing_in_force(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		other := *l.topology
		other.Name = "other"
		id := l.ready("ann")
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		reset, _, err := l.Reset(id)
		if err != nil {
			t.Fatal(err)
		}
		l.lost("bob")
		switched, _, err := l.Create("bob", &other)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, id := range []sandbox.ID{reset.ID, switched.ID} {
			s := l.get(id)
			if there, err := l.cluster(id).Policies(t.Context()); s.State != sandbox.Ready || len(s.Policies) != 0 || len(there) != 0 || err != nil {
				t.Errorf("%s is %s with %v, in the cluster %v (%v)", s.Lab, s.State, s.Policies, there, err)
			}
		}
	})
}

// A page that is open while the server starts again comes back before the sandbox is
// adopted.
func TestRestart_who_looks_before_the_sandbox_is_adopted_is_told_all_that_is_in_force(t *testing.T) {
	for name, behind := range map[string]bool{"nothing happened meanwhile": false, "something was applied in the cluster meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, &sandboxtest.Provider{})
				id := l.ready("ann")
				if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
					t.Fatal(err)
				}
				l.Close()
				want := map[sandbox.PolicyRef]bool{{Namespace: "production", Name: "default-deny-all"}: true}
				if behind {
					other := sandbox.PolicyRef{Namespace: "development", Name: "default-deny-all"}
					want[other] = true
					policies, err := policy.Parse([]byte(strings.ReplaceAll(denyAll, "production", "development")), policy.ParseOptions{})
					if err != nil {
						t.Fatal(err)
					}
					if err := l.provider.Cluster(l.recorded()[0].Cluster).Apply(t.Context(), policies); err != nil {
						t.Fatal(err)
					}
				}
				l.provider.FailAdopt(errors.New("the API does not answer yet"))
				l.start()
				defer l.Close()
				synctest.Wait()
				sub := l.subscribe(id, 0)
				defer sub.Close()
				seen := map[sandbox.PolicyRef]bool{}
				for _, e := range until(t, sub, ofType(sandbox.EventSnapshot)) {
					if e.Snapshot != nil {
						for _, p := range e.Snapshot.Policies {
							seen[p.PolicyRef] = true
						}
					}
				}
				if len(seen) != 1 {
					t.Errorf("before it is adopted, in force are %v", seen)
				}
				l.provider.FailAdopt(nil)
				for _, e := range until(t, sub, ofType(sandbox.EventObservations)) {
					if p := e.Policies; p != nil {
						for _, ref := range p.Added {
							seen[ref] = true
						}
						for _, ref := range p.Removed {
							delete(seen, ref)
						}
					}
				}
				if !maps.Equal(seen, want) {
					t.Errorf("told is %v, in force are %v", seen, want)
				}
			})
		})
	}
}

func TestSweep_what_appears_and_is_nobody_s_is_removed_within_the_hour_and_nothing_else(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), func(o *sandbox.Options) { o.PoolReserve, o.MaxSandboxes = 1, 5 })
		defer l.Close()
		sub := l.subscribe(l.create("ann"), 0)
		defer sub.Close()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := l.provider.Live(); n != 2 {
			t.Fatalf("there are %d clusters, want ann's and one in reserve", n)
		}
		before := l.provider.Deleted()
		// A "docker run" that another process had begun may come to its end late.
		l.provider.Leave("late")
		swept := l.provider.Swept()
		l.provider.FailList(errors.New("Docker does not answer"))
		time.Sleep(time.Hour)
		if l.provider.Cluster("late") == nil {
			t.Error("it is removed without a look at what is there")
		}
		l.provider.FailList(nil)
		for range 60 { // with a boot, a pause or a removal under way at times
			time.Sleep(time.Minute)
			if s, _, ok := l.ByOwner("ann"); !ok || s.State != sandbox.Ready {
				t.Fatalf("ann's is %s (%s)", s.State, s.Reason)
			}
		}
		synctest.Wait()
		if gone := l.provider.Deleted()[len(before):]; len(gone) != 1 || gone[0] != "late" || l.provider.Live() != 2 {
			t.Errorf("removed are %v, and left are %d", gone, l.provider.Live())
		}
		if n := l.provider.Swept(); n != swept+1 {
			t.Errorf("what is beside the clusters was swept %d times, want once", n-swept)
		}
	})
}

// The machine's clock was put forward or back while the server did not run, or time has
// just passed: that cannot be told apart.
func TestEnd_is_not_come_without_the_warning_whatever_the_clock_has_done(t *testing.T) {
	short := func(o *sandbox.Options) { o.MaxAge, o.Warning, o.Extension = 12*time.Hour, 15*time.Minute, 2*time.Hour }
	for name, c := range map[string]struct {
		created, ends time.Duration // as written down, from now
		left          time.Duration
	}{
		"a clock hours ahead":                      {created: -20 * time.Hour, left: 15 * time.Minute},
		"a clock years ahead, and it was extended": {created: -9000 * time.Hour, ends: -8999 * time.Hour, left: 15 * time.Minute},
		"a clock years behind":                     {created: 9000 * time.Hour, left: 12 * time.Hour},
		"a clock that is right":                    {created: -11 * time.Hour, left: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, &sandboxtest.Provider{}, short)
				id := l.ready("ann")
				l.Close()
				rec := l.recorded()[0]
				rec.Created = time.Now().Add(c.created)
				if c.ends != 0 {
					rec.Ends = time.Now().Add(c.ends)
				}
				if err := l.records.Save(t.Context(), rec); err != nil {
					t.Fatal(err)
				}
				l.start(short)
				defer l.Close()
				sub := l.subscribe(id, 0)
				defer sub.Close()
				warned := c.left - 15*time.Minute
				time.Sleep(warned + 2*time.Minute)
				if s := l.get(id); s.State != sandbox.Ready || s.Ends == nil || time.Until(s.Ends.At) != c.left-warned-2*time.Minute {
					t.Fatalf("it is %s (%s), and told is %+v", s.State, s.Reason, s.Ends)
				}
				time.Sleep(c.left - warned)
				synctest.Wait()
				if _, _, err := l.Get(id); !errors.Is(err, sandbox.ErrNotFound) {
					t.Errorf("it does not end: %v", err)
				}
			})
		})
	}
}

// A clock that is set, or a machine that sleeps, while the server runs: Go's times have this
// process's own time beside the clock's, and reckon with it where both have it. Made-up
// time has none, so this takes the real one.
func TestTimes_are_reckoned_by_this_process_s_own_time(t *testing.T) {
	l := newLab(t, &sandboxtest.Provider{})
	defer func() { l.Close() }()
	id := l.create("ann")
	check := func(when string) {
		t.Helper()
		touched, ends := l.TimesOf(id)
		for what, at := range map[string]time.Time{"touched": touched, "ends": ends} {
			if !strings.Contains(at.String(), " m=") {
				t.Errorf("%s: %s %s is the clock's alone", when, what, at)
			}
		}
	}
	check("at first")
	if _, err := l.Extend(id); err != nil {
		t.Fatal(err)
	}
	check("put off")
	l.Close()
	l.start()
	check("after a restart")
}

func TestFailed_why_the_cluster_does_not_answer_is_told_where_that_is_known(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		const full = "The disk is full: free some space."
		why := &sandbox.Failure{Message: full, Err: errors.New("etcdserver: no space left")}
		l.cluster(id).Refuse(why)
		var failure *sandbox.Failure
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); !errors.As(err, &failure) || !strings.Contains(failure.Message, full) || !strings.Contains(failure.Message, "Your text is kept") {
			t.Errorf("apply: %v", err)
		}
		l.cluster(id).Disturb(why)
		time.Sleep(10 * time.Second)
		if s := l.get(id); s.State != sandbox.Ready || s.Notice == nil || !strings.Contains(s.Notice.Message, full) {
			t.Errorf("it is %s, notice %+v", s.State, s.Notice)
		}
		l.cluster(id).Disturb(errors.Join(sandbox.ErrGone, why))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Failed || !strings.Contains(s.Reason, full+" Press Reset") {
			t.Errorf("it is %s (%s)", s.State, s.Reason)
		}
	})
}
