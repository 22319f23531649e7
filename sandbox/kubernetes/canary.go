package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// canary proves that policies are enforced, by a pod of its own and so whatever is laid
// in the cluster. The pod may talk to the cluster's DNS or to the API server, as its
// policy says, and not to both. A proof turns the policy from the one to the other: what
// was open until then is seen closed, and what was closed is seen open. A network that
// ignores policies, has stopped following their changes, or lets nothing through does
// neither.
type canary struct {
	*access
	prober *probe.Prober
	// targets are what it may talk to; none while they are not known.
	targets [2]netip.AddrPort
	// seen is the target that was seen open last, while the other was closed; -1 where
	// that is not known.
	seen int
	// limit is how long a proof may take, before patience.
	limit time.Duration
}

const (
	canaryName = "canary"
	// The canary's targets, by their place in canary.targets.
	canaryDNS, canaryAPI = 0, 1
	// canaryPort is the port by which the policy tells the two apart.
	canaryPort = 53
	// canaryTimeout is how long an answer is waited for at first; a busy machine gets
	// longer.
	canaryTimeout = 30 * time.Millisecond
	// canaryPause is the pause before a target is tried again.
	canaryPause = 5 * time.Millisecond
)

var canaryLabels = map[string]string{"app": canaryName}

func newCanary(a *access) canary {
	open := func(ctx context.Context, _ string) (io.ReadWriteCloser, error) {
		return a.dial(ctx, SystemNamespace, canaryName)
	}
	return canary{access: a, seen: -1, limit: proofLimit, prober: probe.NewProber(open, a.Log)}
}

// prepare makes what the canary's pod needs.
func (c *canary) prepare(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.createAccount(groupCtx, SystemNamespace, "default") })
	role, binding := roleObjects(SystemNamespace, ProberAccount)
	group.Go(func() error { return created(c.admin.create(groupCtx, roles, SystemNamespace, role)) })
	group.Go(func() error { return created(c.admin.create(groupCtx, roleBindings, SystemNamespace, binding)) })
	group.Go(func() error {
		policy := canaryPolicy(canaryDNS)
		return created(c.admin.create(groupCtx, networkPolicies, SystemNamespace, policy))
	})
	return group.Wait()
}

// start makes the canary's pod.
func (c *canary) start(ctx context.Context) error {
	pod := podObject(SystemNamespace, sandbox.Pod{Name: canaryName, Labels: canaryLabels}, c.PodImage, c.Node)
	return created(c.admin.create(ctx, pods, SystemNamespace, pod))
}

// canaryPolicy lets the canary talk to one of its targets.
func canaryPolicy(target int) *networkingv1.NetworkPolicy {
	tcp := corev1.ProtocolTCP
	ports := func(first, last int32) networkingv1.NetworkPolicyPort {
		port := intstr.FromInt32(first)
		return networkingv1.NetworkPolicyPort{Protocol: &tcp, Port: &port, EndPort: &last}
	}
	allowed := ports(canaryPort, canaryPort)
	if target == canaryAPI {
		allowed = ports(canaryPort+1, 65535)
	}
	return &networkingv1.NetworkPolicy{
		ObjectMeta: meta(SystemNamespace, canaryName),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: canaryLabels},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress:      []networkingv1.NetworkPolicyEgressRule{{Ports: []networkingv1.NetworkPolicyPort{allowed}}},
		},
	}
}

// locate reads where the targets are: two Services, which stay where they are.
func (c *canary) locate(ctx context.Context) error {
	for i, service := range []struct {
		namespace, name string
		port            uint16
	}{canaryDNS: {sandbox.DNSNamespace, sandbox.DNSName, canaryPort}, canaryAPI: {metav1.NamespaceDefault, "kubernetes", 443}} {
		if c.targets[i].IsValid() {
			continue
		}
		var found corev1.Service
		if err := c.admin.get(ctx, services, service.namespace, service.name, &found); err != nil {
			return err
		}
		addr, err := netip.ParseAddr(found.Spec.ClusterIP)
		if err != nil {
			return fmt.Errorf("the Service %s/%s has no address: %w", service.namespace, service.name, err)
		}
		c.targets[i] = netip.AddrPortFrom(addr, service.port)
	}
	return nil
}

// prove turns the policy and waits until the network has followed. Where it is seen not to
// have done so when the time is over, the caller's or its own, policies are not enforced.
func (c *canary) prove(ctx context.Context) error {
	limited, cancel := c.within(ctx, c.limit, "policies were not seen enforced")
	defer cancel()
	err := c.turnOver(limited)
	if !errors.Is(err, errOtherwise) || !errors.Is(limited.Err(), context.DeadlineExceeded) {
		return err
	}
	return &sandbox.Failure{
		Message: "This cluster's network does not enforce NetworkPolicies, so nothing could be learnt from it. The server needs Calico, or another network that enforces them.",
		Err:     fmt.Errorf("%w: %w", sandbox.ErrNotEnforced, err),
	}
}

// errOtherwise says that a target was measured, and was not as the policy wants it. Where
// nothing could be measured, or the API server does not answer, nothing is known.
var errOtherwise = errors.New("the policy is not followed")

func (c *canary) turnOver(ctx context.Context) error {
	if err := c.locate(ctx); err != nil {
		return err
	}
	if c.seen < 0 { // That it turns is to be seen.
		if err := c.awaitPod(ctx); err != nil {
			return err
		}
		if err := c.turn(ctx, canaryDNS); err != nil {
			return err
		}
	}
	return c.turn(ctx, 1-c.seen)
}

// awaitPod waits until the canary's pod is ready: to try until it can be asked would take
// longer.
func (c *canary) awaitPod(ctx context.Context) error {
	return watchUntil(ctx, metav1.ListOptions{},
		func(ctx context.Context, opts metav1.ListOptions) ([]corev1.Pod, string, error) {
			var list corev1.PodList
			err := c.admin.list(ctx, pods, SystemNamespace, opts, &list)
			return list.Items, list.ResourceVersion, err
		},
		func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return c.admin.watch(ctx, pods, SystemNamespace, opts)
		},
		func(pod *corev1.Pod) bool { return pod.Name == canaryName && podReady(pod) })
}

// turn lets the canary talk to that target alone, and waits until that is what is seen.
func (c *canary) turn(ctx context.Context, target int) error {
	c.seen = -1
	if err := c.admin.update(ctx, networkPolicies, SystemNamespace, canaryName, canaryPolicy(target)); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for i := range c.targets {
		wanted := probe.Blocked
		if i == target {
			wanted = probe.Open
		}
		group.Go(func() error { return c.await(groupCtx, c.targets[i], wanted) })
	}
	err := group.Wait()
	if err == nil {
		c.seen = target
	}
	return err
}

// await tries the target again and again until the verdict is as wanted.
func (c *canary) await(ctx context.Context, target netip.AddrPort, wanted probe.Verdict) error {
	request := []probe.Request{{Kind: probe.Connect, Address: target.String(), TimeoutMillis: canaryTimeout.Milliseconds()}}
	seen := probe.Response{Verdict: probe.Unknown}
	for {
		c.prober.Probe(ctx, canaryName, request, func(r probe.Response) {
			if ctx.Err() == nil { // else it was broken off
				seen = r
			}
		})
		if seen.Verdict == wanted {
			return nil
		}
		select {
		case <-time.After(canaryPause):
		case <-ctx.Done():
			err := fmt.Errorf("%w: %s is %s %s, not %s", context.Cause(ctx), target, seen.Verdict, seen.Detail, wanted)
			if seen.Verdict != probe.Unknown {
				err = fmt.Errorf("%w: %w", errOtherwise, err)
			}
			return err
		}
	}
}
