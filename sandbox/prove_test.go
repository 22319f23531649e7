package sandbox_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// answering is a cluster whose flows come to what answer says, given the names of
// the policies in force.
type answering struct {
	sandbox.Cluster
	policies []string
	answer   func(f sandbox.Flow, policies []string) probe.Verdict
}

func (c *answering) Apply(_ context.Context, policies []policy.Policy) error {
	for _, p := range policies {
		c.policies = append(c.policies, p.Namespace+"/"+p.Name)
	}
	return nil
}

func (c *answering) Delete(_ context.Context, refs []sandbox.PolicyRef) error {
	for _, r := range refs {
		c.policies = slices.DeleteFunc(c.policies, func(name string) bool { return name == r.Namespace+"/"+r.Name })
	}
	return nil
}

func (c *answering) Probe(_ context.Context, flows []sandbox.Flow, _ time.Duration, report func(sandbox.Observation)) {
	for _, f := range flows {
		report(sandbox.Observation{Flow: f.ID, Verdict: c.answer(f, c.policies)})
	}
}

func TestProveEnforced_passes_only_a_network_that_denies_exactly_what_it_should(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(f sandbox.Flow, policies []string) probe.Verdict
		want   error
	}{
		"ignores policies":    {func(sandbox.Flow, []string) probe.Verdict { return probe.Open }, sandbox.ErrNotEnforced},
		"denies everything":   {func(sandbox.Flow, []string) probe.Verdict { return probe.Blocked }, sandbox.ErrNotEnforced},
		"cannot be measured":  {func(sandbox.Flow, []string) probe.Verdict { return probe.Unknown }, sandbox.ErrNotEnforced},
		"carries it out":      {enforcing, nil},
		"denies far too much": {tooMuch, sandbox.ErrNotEnforced},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := &answering{answer: c.answer}
				err := sandbox.ProveEnforced(t.Context(), cluster, withShell(t), time.Second)
				if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if err == nil && len(cluster.policies) > 0 {
					t.Errorf("%v are left in force", cluster.policies)
				}
			})
		})
	}
}

// enforcing blocks what leads to a pod of its own network in a namespace with a policy.
func enforcing(f sandbox.Flow, policies []string) probe.Verdict {
	for _, p := range policies {
		if namespace, _, _ := strings.Cut(p, "/"); strings.HasPrefix(f.To, namespace+"/") {
			return probe.Blocked
		}
	}
	return probe.Open
}

// tooMuch blocks everything as soon as there is any policy.
func tooMuch(_ sandbox.Flow, policies []string) probe.Verdict {
	if len(policies) > 0 {
		return probe.Blocked
	}
	return probe.Open
}

func TestProveEnforced_denies_a_flow_that_policies_reach(t *testing.T) {
	probed := map[string]bool{}
	cluster := &answering{answer: func(f sandbox.Flow, policies []string) probe.Verdict {
		if len(policies) > 0 {
			probed[f.ID] = true
		}
		return enforcing(f, policies)
	}}
	if err := sandbox.ProveEnforced(t.Context(), cluster, withShell(t), time.Second); err != nil {
		t.Fatal(err)
	}
	// Nothing of the node's, nothing outside.
	want := map[string]bool{"shop/web>shop/api:8080/TCP": true, "shop/web>other/shell:80/TCP": true, "shop/api>other/shell:80/TCP": true}
	for id := range want {
		if !probed[id] {
			t.Errorf("%s was not looked at", id)
		}
	}
	if len(probed) != len(want) {
		t.Errorf("%v were looked at under the canary's policy, want %v", probed, want)
	}
}

// withShell is the shop, with a port on the shell to which flows lead.
func withShell(t *testing.T) *sandbox.Topology {
	t.Helper()
	topology := shop(t)
	pods := topology.Namespaces[1].Pods
	pods[len(pods)-1].Ports = []sandbox.Port{{Port: 80, Protocol: sandbox.TCP}}
	return topology
}

func TestProveEnforced_needs_two_pods_that_policies_reach(t *testing.T) {
	topology := withShell(t)
	topology.Namespaces = topology.Namespaces[1:]
	err := sandbox.ProveEnforced(t.Context(), &answering{}, topology, time.Second)
	if err == nil || errors.Is(err, sandbox.ErrNotEnforced) {
		t.Errorf("got %v, want to be told that it cannot be proven", err)
	}
}

func TestAwaitVerdict_looks_again_until_every_flow_is_as_wanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = "shop/web>kube-system/kube-dns:53/UDP"
		looks := map[string]int{}
		cluster := &answering{answer: func(f sandbox.Flow, _ []string) probe.Verdict {
			if looks[f.ID]++; f.ID == slow && looks[f.ID] < 3 {
				return probe.Refused
			}
			return probe.Open
		}}
		flows := shop(t).Flows()
		if err := sandbox.AwaitVerdict(t.Context(), cluster, flows, probe.Open, time.Second); err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			want := 1
			if f.ID == slow {
				want = 3
			}
			if looks[f.ID] != want {
				t.Errorf("%s was looked at %d times, want %d: until it was open", f.ID, looks[f.ID], want)
			}
		}
	})
}

func TestAwaitVerdict_names_a_flow_that_stays_as_it_is(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &answering{answer: func(f sandbox.Flow, _ []string) probe.Verdict {
			if f.Protocol == sandbox.UDP && f.To == "shop/api" {
				return probe.Refused
			}
			return probe.Open
		}}
		err := sandbox.AwaitVerdict(t.Context(), cluster, shop(t).Flows(), probe.Open, time.Second)
		if err == nil || !strings.Contains(err.Error(), ">shop/api:9090/UDP: refused") {
			t.Errorf("got %v, want the flow to be named", err)
		}
	})
}
