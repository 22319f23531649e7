package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// noting is a provider whose clusters note what is probed, and can move.
type noting struct {
	*sandboxtest.Provider
	mu     sync.Mutex
	rounds [][]string // the flows of each Probe and Peek
	node   netip.Addr // in the place of the planned one where it is set
}

// provider is the provider itself, as a Manager sees it.
func (p *noting) provider() sandbox.Provider {
	return sandboxtest.Wrapping{Provider: p.Provider, Wrap: func(c sandbox.Cluster) sandbox.Cluster { return notingCluster{c, p} }}
}

type notingCluster struct {
	sandbox.Cluster
	p *noting
}

func (c notingCluster) Probe(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	c.p.note(flows)
	c.Cluster.Probe(ctx, flows, timeout, report)
}

func (c notingCluster) Peek(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	c.p.note(flows)
	c.Cluster.Peek(ctx, flows, timeout, report)
}

func (p *noting) note(flows []sandbox.Flow) {
	var ids []string
	for _, f := range flows {
		ids = append(ids, f.ID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rounds = append(p.rounds, ids)
}

func (c notingCluster) Addresses() sandbox.Addresses {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	a := c.Cluster.Addresses()
	if c.p.node.IsValid() {
		a.Node = c.p.node
	}
	return a
}

func observed(s sandbox.Snapshot) map[string]probe.Verdict {
	out := map[string]probe.Verdict{}
	for _, o := range s.Observations {
		out[o.Flow] = o.Verdict
	}
	return out
}

func TestApply_every_flow_is_predicted_before_any_is_observed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{Reaction: 30 * time.Millisecond})
		defer l.Close()
		id := l.ready("ann")
		s, seq, _ := l.Get(id)
		all := len(l.topology.Flows())
		for flow, v := range s.Predictions.Verdicts() {
			if v != probe.Open {
				t.Errorf("without policies %s is predicted %s", flow, v)
			}
		}
		sub := l.subscribe(id, seq)
		defer sub.Close()
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		var types []sandbox.EventType
		for _, e := range until(t, sub, ofType(sandbox.EventSettled)) {
			types = append(types, e.Type)
			if p := e.Predictions; p != nil {
				reason := p.Expected[0].Why[0]
				if p.Change != 1 || len(p.Verdicts()) != all || reason.Because != "not-admitted" || p.Policies[reason.Policies[0]].String() != "production/default-deny-all" {
					t.Errorf("predicted %+v", p)
				}
			}
		}
		if types[0] != sandbox.EventPredictions || slices.Contains(types, sandbox.EventDisagreement) || slices.Contains(types[1:], sandbox.EventPredictions) {
			t.Errorf("told %v, want the predictions once, first, and no disagreement", types)
		}
		s, _, _ = l.Get(id)
		for flow, v := range observed(s) {
			if want := s.Predictions.Verdicts()[flow]; v != want {
				t.Errorf("%s is %s, predicted %s", flow, v, want)
			}
		}
	})
}

func TestApply_what_is_beyond_a_limit_changes_and_predicts_nothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		_, before, _ := l.Get(id)
		var many strings.Builder
		for range sandbox.MaxPolicyParts + 1 {
			many.WriteString("{},")
		}
		text := strings.Replace(denyAll, "  policyTypes", "  ingress: ["+many.String()+"{}]\n  policyTypes", 1)
		_, err := l.Apply(t.Context(), id, []byte(text))
		var limit *sandbox.LimitError
		if !errors.As(err, &limit) || !strings.Contains(limit.Message, "2000") || !strings.Contains(limit.Message, "Delete") {
			t.Errorf("%v, want the limit and how to get below it", err)
		}
		long := strings.Replace(denyAll, "default-deny-all", strings.Repeat("a", sandbox.MaxPolicyName+1), 1)
		if _, err := l.Apply(t.Context(), id, []byte(long)); !errors.As(err, &limit) || !strings.Contains(limit.Message, "63") {
			t.Errorf("%v, want the longest name", err)
		}
		if s, after, _ := l.Get(id); after != before || s.Predictions.Change != 0 || len(s.Policies) != 0 {
			t.Errorf("%d events, predictions of change %d, policies %v", after-before, s.Predictions.Change, s.Policies)
		}
	})
}

func TestBurst_looks_first_at_the_flows_that_are_predicted_to_turn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &noting{Provider: &sandboxtest.Provider{Reaction: 100 * time.Millisecond}}
		l := newLab(t, p.Provider, func(o *sandbox.Options) { o.Provider = p.provider() })
		defer l.Close()
		id := l.ready("ann")
		for _, change := range []func() (sandbox.PolicyChange, error){
			func() (sandbox.PolicyChange, error) { return l.Apply(t.Context(), id, []byte(denyAll)) },
			func() (sandbox.PolicyChange, error) { return l.DeletePolicies(t.Context(), id, nil) },
		} {
			before, _, _ := l.Get(id)
			p.mu.Lock()
			p.rounds = nil
			p.mu.Unlock()
			begun := time.Now()
			done, err := change()
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(begun.Add(90 * time.Millisecond))) // nothing has turned yet
			p.mu.Lock()
			scouts := map[string]bool{}
			for _, flows := range p.rounds {
				for _, f := range flows {
					scouts[f] = true
				}
			}
			p.mu.Unlock()
			if len(scouts) == 0 || len(scouts) > 4 {
				t.Errorf("%d flows were looked at before any has turned, want a few", len(scouts))
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			s, _, _ := l.Get(id)
			p.mu.Lock()
			first := map[string]bool{}
			for _, flows := range p.rounds {
				if len(flows) > 1 {
					break // Now all are looked at.
				}
				first[flows[0]] = true
			}
			for flow, v := range s.Predictions.Verdicts() {
				if turns := v != observed(before)[flow]; turns != first[flow] {
					t.Errorf("change %d: %s is predicted %s, and looked at first: %v", done.Change, flow, v, first[flow])
				}
			}
			p.mu.Unlock()
			if s.Settled.Change != done.Change || s.Settled.TookMillis >= sandbox.DefaultPace.Settle.Milliseconds() {
				t.Errorf("settled %+v, want at once when all has turned that was to", s.Settled)
			}
		}
	})
}

// On a busy machine the silence of one flow takes seconds to tell from slowness.
func TestBurst_a_flow_that_takes_long_keeps_no_other_waiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &sandboxtest.Provider{Reaction: 50 * time.Millisecond}
		slow := sandboxtest.Wrapping{Provider: fake, Wrap: func(c sandbox.Cluster) sandbox.Cluster { return slowCluster{c} }}
		l := newLab(t, fake, func(o *sandbox.Options) { o.Provider = slow })
		defer l.Close()
		id := l.ready("ann")
		begun := time.Now()
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(begun.Add(250 * time.Millisecond)))
		s, _, _ := l.Get(id)
		for flow, v := range s.Predictions.Verdicts() {
			if late := strings.HasSuffix(flow, "/UDP"); observed(s)[flow] != v && !late {
				t.Errorf("%s is still %s", flow, observed(s)[flow])
			}
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s, _, _ = l.Get(id)
		for flow, v := range s.Predictions.Verdicts() {
			if observed(s)[flow] != v {
				t.Errorf("at the end %s is %s, want %s", flow, observed(s)[flow], v)
			}
		}
		// The two looks at each of these are at the same time, nearly.
		if s.Settled == nil || s.Settled.Change != 1 || s.Settled.TookMillis > 2500 {
			t.Errorf("settled %+v", s.Settled)
		}
	})
}

// slowCluster is one on a machine on which the silence of UDP means nothing for two seconds.
type slowCluster struct{ sandbox.Cluster }

func (c slowCluster) Probe(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	c.Cluster.Probe(ctx, flows, timeout, func(o sandbox.Observation) {
		if o.Verdict != probe.Open && strings.HasSuffix(o.Flow, "/UDP") {
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
				return
			}
		}
		report(o)
	})
}

func TestDisagreement_is_told_after_settling_and_is_gone_when_they_agree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		_, seq, _ := l.Get(id)
		sub := l.subscribe(id, seq)
		defer sub.Close()
		flow := l.topology.Flows()[0].ID
		l.cluster(id).Lie(flow, 1<<30)
		if _, err := l.Apply(t.Context(), id, []byte(strings.Replace(denyAll, "production", "development", 1))); err != nil {
			t.Fatal(err)
		}
		events := until(t, sub, ofType(sandbox.EventDisagreement))
		d := events[len(events)-1].Disagreement
		want := sandbox.Disagreed{Flow: flow, Predicted: probe.Open, Observed: probe.Blocked}
		if d.Change != 1 || len(d.Flows) != 1 || d.Flows[0] != want {
			t.Errorf("told %+v, want %+v", d, want)
		}
		if before := events[len(events)-2]; before.Type != sandbox.EventSettled || before.Settled.TookMillis < 2000 {
			t.Errorf("before it came %s %+v, want settled, after more patience than for others", before.Type, before.Settled)
		}
		if s, _, _ := l.Get(id); s.Disagreement == nil || !slices.Equal(s.Disagreement.Flows, d.Flows) {
			t.Errorf("one who comes now is told %+v", s.Disagreement)
		}
		synctest.Wait() // for the log, which is told after the watchers
		if !strings.Contains(l.log.String(), `level=WARN msg="flows are not as predicted"`) {
			t.Error("the log has no warning")
		}
		l.cluster(id).Lie(flow, 0)
		events = until(t, sub, ofType(sandbox.EventDisagreement))
		if d := events[len(events)-1].Disagreement; len(d.Flows) != 0 {
			t.Errorf("told %+v, want that they agree again", d)
		}
		if s, _, _ := l.Get(id); s.Disagreement != nil {
			t.Errorf("the snapshot still has %+v", s.Disagreement)
		}
		l.cluster(id).Lie(flow, 1<<30)
		until(t, sub, ofType(sandbox.EventDisagreement))
		l.cluster(id).LoseNode()
		until(t, sub, func(e sandbox.Event) bool { return e.State != nil && e.State.State == sandbox.Failed })
		if s, _, _ := l.Get(id); s.Disagreement != nil {
			t.Errorf("of a sandbox that has failed it is still said: %+v", s.Disagreement)
		}
	})
}

// slow is a cluster in which policies are in force for a while before it has answered.
type slow struct {
	sandbox.Cluster
	answer time.Duration
}

func (s slow) Apply(ctx context.Context, policies []policy.Policy) error {
	err := s.Cluster.Apply(ctx, policies)
	time.Sleep(s.answer)
	return err
}

// Sweeps that fall into a change see what it has done, when what is predicted is still of
// the change before.
func TestDisagreement_a_change_that_is_at_work_is_none(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) {
			o.Provider = sandboxtest.Wrapping{Provider: o.Provider, Wrap: func(c sandbox.Cluster) sandbox.Cluster { return slow{c, 4 * sandbox.DefaultPace.Sweep} }}
		})
		defer l.Close()
		id := l.ready("ann")
		_, seq, _ := l.Get(id)
		sub := l.subscribe(id, seq)
		defer sub.Close()
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		events := until(t, sub, ofType(sandbox.EventSettled))
		if !slices.ContainsFunc(events, func(e sandbox.Event) bool { return e.Observations != nil && e.Observations.Change == 0 }) {
			t.Fatal("no sweep saw the change while it was at work")
		}
		if slices.ContainsFunc(events, ofType(sandbox.EventDisagreement)) {
			t.Error("what the change has done was told as a disagreement with what was before")
		}
	})
}

func TestPredictions_follow_a_clusters_addresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &noting{Provider: &sandboxtest.Provider{}}
		l := newLab(t, p.Provider, func(o *sandbox.Options) { o.Provider = p.provider() })
		defer l.Close()
		id := l.ready("ann")
		_, seq, _ := l.Get(id)
		p.mu.Lock()
		p.node = netip.MustParseAddr("172.18.0.99")
		p.mu.Unlock()
		sub := l.subscribe(id, seq) // and so it is looked at
		defer sub.Close()
		events := until(t, sub, ofType(sandbox.EventPredictions))
		if e := events[len(events)-1]; e.Predictions.Change != 0 || len(e.Predictions.Verdicts()) != len(l.topology.Flows()) {
			t.Errorf("told %+v", e.Predictions)
		}
	})
}

// Predictions go to every watcher and stay in the log, so they are bounded whatever the
// policies are called; the verdicts are told in any case.
func TestPredictions_whose_reasons_are_too_long_tell_the_verdicts(t *testing.T) {
	var texts []string
	for i := range 90 {
		name := fmt.Sprintf("p%02d%s", i, strings.Repeat("x", 60))
		texts = append(texts, shopPolicy(name, fmt.Sprintf("  podSelector: {}\n  policyTypes: [Ingress, Egress]\n  ingress: [{ports: [{port: %d}]}]\n", 1000+i)))
	}
	flows := shop(t).Flows()
	var many []sandbox.Flow // each with a reason of its own
	for i := range 90 {
		f := flows[0]
		f.ID, f.Port = fmt.Sprintf("shop/web>shop/api:%d/TCP", 1000+i), 1000+i
		f.From = "other/shell"
		many = append(many, f)
	}
	p := predictor(t, shopAddresses, texts...)
	short, long := p.Expect(1, many[:10]), p.Expect(1, many)
	if len(short.Expected) != 10 || len(short.Policies) != 10 || short.Expected[0].Why == nil {
		t.Errorf("few flows are told as %+v", short)
	}
	text, err := json.Marshal(long)
	if err != nil || len(text) > 20<<10 || len(long.Expected) != 1 || long.Expected[0].Why != nil || len(long.Verdicts()) != len(many) {
		t.Errorf("many flows are told in %d bytes: %.300s (%v)", len(text), text, err)
	}
	if text, err = json.Marshal(short); err != nil || len(text) > 20<<10 {
		t.Errorf("few flows take %d bytes (%v)", len(text), err)
	}
}

func TestA_machine_that_is_slow_is_looked_at_more_seldom(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		65 * time.Millisecond:   2 * time.Second,
		740 * time.Millisecond:  2 * time.Second, // The timeout, and a quarter of a second of work.
		1500 * time.Millisecond: 8 * time.Second,
		time.Minute:             16 * time.Second,
	} {
		if got := sandbox.DefaultPace.Rest(took); got != want {
			t.Errorf("after a sweep of %v there is a pause of %v, want %v", took, got, want)
		}
	}
}

func TestSweeps_of_many_sandboxes_take_turns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, span, most = 20, time.Minute, 4
		p := &noting{Provider: &sandboxtest.Provider{}}
		l := newLab(t, p.Provider, func(o *sandbox.Options) {
			o.Provider, o.MaxSandboxes, o.Pace = p.provider(), many, sandbox.DefaultPace
			o.Pace.Sweeps = most
		})
		defer l.Close()
		for i := range many {
			sub := l.subscribe(l.ready(fmt.Sprint("learner-", i)), 0)
			defer sub.Close()
		}
		time.Sleep(10 * time.Second) // in which those who have just come are swept at once
		p.mu.Lock()
		p.rounds = nil
		p.mu.Unlock()
		time.Sleep(span)
		p.mu.Lock()
		defer p.mu.Unlock()
		if n, want := len(p.rounds), most*int(span/time.Second); n < want*9/10 || n > want+1 {
			t.Errorf("%d sweeps in %v, want %d", n, span, want)
		}
	})
}
