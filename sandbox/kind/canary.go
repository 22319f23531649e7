package kind

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// probeTimeout is how long a flow's answer is waited for while the cluster is
// being proven. Within one node an answer takes less than a millisecond.
const probeTimeout = 500 * time.Millisecond

// canaryName is the policy that proves enforcement.
const canaryName = "netpol-lab-canary"

// awaitOpen measures the flows again and again until each was seen open.
func (c *cluster) awaitOpen(ctx context.Context, flows []sandbox.Flow, limit time.Duration) error {
	return c.awaitVerdict(ctx, flows, limit, func(o sandbox.Observation) bool { return o.Verdict == probe.Open })
}

// awaitVerdict measures the flows again and again until each was seen as wanted.
func (c *cluster) awaitVerdict(ctx context.Context, flows []sandbox.Flow, limit time.Duration, wanted func(sandbox.Observation) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not every flow was as it should be within %s", limit))
	defer cancel()
	for {
		var mu sync.Mutex
		seen := map[string]sandbox.Observation{}
		c.Probe(ctx, flows, probeTimeout, func(o sandbox.Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen[o.Flow] = o
		})
		var left []sandbox.Flow
		for _, flow := range flows {
			if !wanted(seen[flow.ID]) {
				left = append(left, flow)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if !pause(ctx) {
			last := seen[left[0].ID]
			return fmt.Errorf("%w: %d flows are left, the first is %s: %s %s", context.Cause(ctx), len(left), last.Flow, last.Verdict, last.Detail)
		}
		flows = left
	}
}

// canary proves that the cluster enforces policies: a flow that a policy denies
// stops while one that it does not concern goes on, and comes back when the
// policy is gone. A network that ignores policies, or has not begun to enforce
// them, would show the learner everything open.
func (c *cluster) canary(ctx context.Context, limit time.Duration) error {
	denied, allowed, err := canaryFlows(c.topology)
	if err != nil {
		return err
	}
	namespace, _ := splitName(denied.To)
	deny := policy.Policy{NetworkPolicy: networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: canaryName},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
	}}
	if err := c.Apply(ctx, []policy.Policy{deny}); err != nil {
		return err
	}
	err = c.awaitVerdict(ctx, []sandbox.Flow{denied}, limit, func(o sandbox.Observation) bool { return o.Verdict == probe.Blocked })
	if err == nil && len(allowed) > 0 {
		err = c.awaitOpen(ctx, allowed, limit)
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &sandbox.Failure{
			Message: "This cluster's network does not enforce NetworkPolicies, so nothing could be learnt from it. The server needs Calico, or another network that enforces them.",
			Err:     err,
		}
	}
	if err := c.Delete(ctx, []sandbox.PolicyRef{{Namespace: namespace, Name: canaryName}}); err != nil {
		return err
	}
	return c.awaitOpen(ctx, c.topology.Flows(), limit)
}

// canaryFlows picks a flow between two pods for the canary to deny, and those
// to other namespaces, which it leaves alone.
func canaryFlows(t *sandbox.Topology) (denied sandbox.Flow, allowed []sandbox.Flow, err error) {
	onHost := map[string]bool{}
	for _, ns := range t.Namespaces {
		for _, pod := range ns.Pods {
			onHost[ns.Name+"/"+pod.Name] = pod.HostNetwork
		}
	}
	for _, flow := range t.Flows() {
		// Policies do not reach pods in the node's network, and not the node's
		// own traffic.
		if flow.Via != sandbox.ViaIP || !strings.Contains(flow.To, "/") || onHost[flow.From] || onHost[flow.To] {
			continue
		}
		to, _ := splitName(flow.To)
		deniedTo, _ := splitName(denied.To)
		switch {
		case denied.ID == "":
			denied = flow
		case to != deniedTo:
			allowed = append(allowed, flow)
		}
	}
	if denied.ID == "" {
		return denied, nil, errors.New("the topology has no two pods between which policies could be proven")
	}
	return denied, allowed, nil
}

// splitName splits "namespace/name".
func splitName(full string) (namespace, name string) {
	namespace, name, _ = strings.Cut(full, "/")
	return namespace, name
}
