package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const (
	// proofTimeout is how long a flow's answer is waited for while a cluster is
	// being proven. Within one node an answer takes less than a millisecond.
	proofTimeout = 500 * time.Millisecond
	// proofPause is the pause between two looks at flows that are not yet as they
	// should be.
	proofPause = 50 * time.Millisecond
	// canaryName is the policy that proves enforcement.
	canaryName = "netpol-lab-canary"
)

// ErrNotEnforced says that a cluster does not carry policies out.
var ErrNotEnforced = errors.New("policies are not enforced")

// Network is what a proof needs of a [Cluster].
type Network interface {
	Apply(ctx context.Context, policies []policy.Policy) error
	Delete(ctx context.Context, refs []PolicyRef) error
	Probe(ctx context.Context, flows []Flow, timeout time.Duration, report func(Observation))
}

// AwaitVerdict measures the flows again and again until each was seen as wanted.
// Its error names those that were not within the limit, ten at most.
func AwaitVerdict(ctx context.Context, c Network, flows []Flow, wanted probe.Verdict, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not every flow was %s within %s", wanted, limit))
	defer cancel()
	for {
		var mu sync.Mutex
		seen := make(map[string]Observation, len(flows))
		c.Probe(ctx, flows, proofTimeout, func(o Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen[o.Flow] = o
		})
		var left []Flow
		for _, flow := range flows {
			if seen[flow.ID].Verdict != wanted {
				left = append(left, flow)
			}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-time.After(proofPause):
		case <-ctx.Done():
			said := make([]string, min(len(left), 10))
			for i := range said {
				o := seen[left[i].ID]
				said[i] = strings.TrimSpace(fmt.Sprintf("%s: %s %s", left[i].ID, o.Verdict, o.Detail))
			}
			return fmt.Errorf("%w: %d flows are left: %s", context.Cause(ctx), len(left), strings.Join(said, "; "))
		}
		flows = left
	}
}

// ProveEnforced proves that the cluster carries policies out: a flow that a
// policy denies stops while those that it does not concern go on, and comes back
// when the policy is gone. A network that ignores policies, or has not begun to
// enforce them, would show the learner everything open; that is
// [ErrNotEnforced]. limit is for each of these three.
func ProveEnforced(ctx context.Context, c Network, t *Topology, limit time.Duration) error {
	denied, allowed, err := canaryFlows(t)
	if err != nil {
		return err
	}
	namespace, _, _ := strings.Cut(denied.To, "/")
	deny := policy.Policy{NetworkPolicy: networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: canaryName},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
	}}
	if err := c.Apply(ctx, []policy.Policy{deny}); err != nil {
		return err
	}
	err = AwaitVerdict(ctx, c, []Flow{denied}, probe.Blocked, limit)
	if err == nil {
		err = AwaitVerdict(ctx, c, allowed, probe.Open, limit)
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%w: %w", ErrNotEnforced, err)
	}
	if err := c.Delete(ctx, []PolicyRef{{Namespace: namespace, Name: canaryName}}); err != nil {
		return err
	}
	return AwaitVerdict(ctx, c, t.Flows(), probe.Open, limit)
}

// canaryFlows picks a flow between two pods for the canary to deny, and those
// to other namespaces, which it leaves alone.
func canaryFlows(t *Topology) (denied Flow, allowed []Flow, err error) {
	onHost := map[string]bool{}
	for _, ns := range t.Namespaces {
		for _, pod := range ns.Pods {
			onHost[ns.Name+"/"+pod.Name] = pod.HostNetwork
		}
	}
	deniedTo := ""
	for _, flow := range t.Flows() {
		// Policies do not reach pods in the node's network, and not the node's
		// own traffic.
		if flow.Via != ViaIP || flow.ToDNS() || !strings.Contains(flow.To, "/") || onHost[flow.From] || onHost[flow.To] {
			continue
		}
		to, _, _ := strings.Cut(flow.To, "/")
		switch {
		case denied.ID == "":
			denied, deniedTo = flow, to
		case to != deniedTo:
			allowed = append(allowed, flow)
		}
	}
	if denied.ID == "" {
		return denied, nil, errors.New("the topology has no two pods between which policies could be proven")
	}
	return denied, allowed, nil
}
