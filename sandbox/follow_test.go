package sandbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// kubectl applies policies in the cluster itself, behind the lab's back.
func (l *lab) kubectl(id sandbox.ID, yaml string) {
	l.t.Helper()
	policies, err := policy.Parse([]byte(yaml), policy.ParseOptions{Namespaces: l.topology.NamespaceNames()})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.cluster(id).Apply(l.t.Context(), policies); err != nil {
		l.t.Fatal(err)
	}
}

// changes are the changes of policies that the events tell of.
func changes(events []sandbox.Event) []sandbox.PolicyChange {
	var all []sandbox.PolicyChange
	for _, e := range events {
		if e.Policies != nil {
			all = append(all, *e.Policies)
		}
	}
	return all
}

func TestFollow_what_kubectl_changes_is_predicted_measured_and_told_at_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		_, seq, _ := l.Get(id)
		sub := l.subscribe(id, seq)
		defer sub.Close()
		begun := time.Now()
		l.kubectl(id, denyAll)
		events := until(t, sub, ofType(sandbox.EventPolicies))
		if took := time.Since(begun); took > 0 {
			t.Errorf("it was told after %s, want at once", took)
		}
		if told := events[len(events)-1].Policies; told.Origin != sandbox.OriginCluster || told.Change != 1 || len(told.Added) != 1 {
			t.Errorf("told %+v, want change 1 of the cluster with one policy more", told)
		}
		if events[0].Predictions == nil || events[0].Predictions.Change != 1 {
			t.Errorf("first came %+v, want the predictions", events[0])
		}
		if left := l.get(id).Policies; len(left) != 1 || !strings.Contains(left[0].YAML, "default-deny-all") {
			t.Errorf("the policies are %+v", left)
		}
		settled := until(t, sub, ofType(sandbox.EventSettled))
		if s := settled[len(settled)-1].Settled; s.Change != 1 || s.Flips == 0 {
			t.Errorf("it settled with %+v, want flips of change 1", s)
		}
		b, err := l.Baseline(id)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := b.Why("production/web>production/api:8080/TCP"); err != nil || w.Verdict != probe.Blocked {
			t.Errorf("explained as %+v, %v", w, err)
		}

		if err := l.cluster(id).Delete(t.Context(), []sandbox.PolicyRef{{Namespace: "production", Name: "default-deny-all"}}); err != nil {
			t.Fatal(err)
		}
		events = until(t, sub, ofType(sandbox.EventPolicies))
		if told := events[len(events)-1].Policies; told.Origin != sandbox.OriginCluster || told.Change != 2 || len(told.Removed) != 1 {
			t.Errorf("told %+v, want change 2 of the cluster with one policy fewer", told)
		}
	})
}

func TestFollow_the_lab_s_own_changes_do_not_come_back_as_the_cluster_s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		_, seq, _ := l.Get(id)
		sub := l.subscribe(id, seq)
		defer sub.Close()
		for n := range int64(5) {
			if _, err := l.Replace(t.Context(), id, sandbox.OriginApply, []byte(denyAll+fmt.Sprint("# ", n))); err != nil {
				t.Fatal(err)
			}
			if _, err := l.DeletePolicies(t.Context(), id, nil); err != nil {
				t.Fatal(err)
			}
		}
		told := changes(until(t, sub, func(e sandbox.Event) bool { return e.Settled != nil && e.Settled.Change == 10 }))
		time.Sleep(time.Minute)
		synctest.Wait()
		if now := l.get(id).Change; now != 10 || len(told) != 10 {
			t.Fatalf("there were %d changes, %d told; want 10", now, len(told))
		}
		for i, c := range told {
			if want := []sandbox.Origin{sandbox.OriginApply, sandbox.OriginDelete}[i%2]; c.Origin != want {
				t.Errorf("change %d has the origin %s, want %s", c.Change, c.Origin, want)
			}
		}
	})
}

func TestFollow_a_storm_of_changes_is_told_as_few_and_the_last_is_among_them(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		_, seq, _ := l.Get(id)
		sub := l.subscribe(id, seq)
		defer sub.Close()
		const n = 1000
		for i := range n {
			l.kubectl(id, denyAll+fmt.Sprint("# ", i))
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		s := l.get(id)
		if want := fmt.Sprint("# ", n-1); len(s.Policies) != 1 || !strings.Contains(s.Policies[0].YAML, want) {
			t.Errorf("the policies are %+v, want the last", s.Policies)
		}
		if s.Change > 10 {
			t.Errorf("%d changes within 2 s were told, want at most 10", s.Change)
		}
	})
}

func TestFollow_what_kubectl_changed_a_moment_ago_is_not_overwritten_by_who_has_not_seen_it(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		l.kubectl(id, denyAll+"# the first")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		l.kubectl(id, denyAll+"# the second") // in the pause after the first
		var outdated *sandbox.OutdatedError
		if _, err := l.Replace(t.Context(), id, sandbox.OriginApply, []byte(denyAll+"# mine"), sandbox.OnTopOf(1)); !errors.As(err, &outdated) || outdated.Change != 2 || !strings.Contains(outdated.Policies[0].YAML, "the second") {
			t.Fatalf("got %v, want change 2 with the second text", err)
		}
		if _, err := l.Replace(t.Context(), id, sandbox.OriginApply, []byte(denyAll+"# mine"), sandbox.OnTopOf(2)); err != nil {
			t.Error(err)
		}
	})
}

func TestFollow_more_policies_than_the_lab_follows_are_said_to_be_and_nothing_is_predicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		var many strings.Builder
		var refs []sandbox.PolicyRef
		for i := range sandbox.MaxPolicies + 1 {
			name := fmt.Sprint("p", i)
			many.WriteString(strings.Replace(denyAll, "default-deny-all", name, 1) + "---\n")
			refs = append(refs, sandbox.PolicyRef{Namespace: "production", Name: name})
		}
		l.kubectl(id, many.String())
		time.Sleep(20 * time.Second)
		synctest.Wait()
		s := l.get(id)
		if s.Notice == nil || s.Notice.Level != sandbox.NoticeWarning || len(s.Predictions.Expected) != 0 || s.Disagreement != nil {
			t.Errorf("the notice is %+v, the predictions %+v, the disagreement %+v", s.Notice, s.Predictions, s.Disagreement)
		}
		if err := l.cluster(id).Delete(t.Context(), refs[1:]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if s = l.get(id); s.Notice != nil || len(s.Policies) != 1 || len(s.Predictions.Expected) == 0 {
			t.Errorf("afterwards: notice %+v, policies %+v, predictions %+v", s.Notice, s.Policies, s.Predictions)
		}
	})
}
