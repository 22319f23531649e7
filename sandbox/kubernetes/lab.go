package kubernetes

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Lab is a topology in a cluster: its pods with their probes, its policies, its terminal.
// But for Health it is a [sandbox.Cluster].
type Lab struct {
	*access
	topology *sandbox.Topology
	prober   *probe.Prober
	closed   atomic.Bool

	mu     sync.RWMutex
	addrs  sandbox.Addresses
	since  time.Time       // when the node started
	opened map[string]bool // The pods whose stream was asked for before.

	// opening is held while a shell is opened or ended.
	opening sync.Mutex
	shell   *shell // the last one, until it has ended

	// surround has one goroutine at a time read again what all pods share.
	surround singleflight.Group
}

func newLab(a *access, t *sandbox.Topology) *Lab {
	c := &Lab{access: a, topology: t, addrs: sandbox.Addresses{Pods: map[string]netip.Addr{}}, opened: map[string]bool{}}
	c.prober = probe.NewProber(c.open, a.Log)
	return c
}

func (c *Lab) setPod(name string, addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addrs.Pods[name] = addr
}

// locate reads where the Services and the DNS pods are, and notes it with where the
// node and the outside hosts are.
func (c *Lab) locate(ctx context.Context, node Node) error {
	var list corev1.ServiceList
	if err := c.admin.list(ctx, services, "", metav1.ListOptions{}, &list); err != nil {
		return err
	}
	found := map[string]netip.Addr{}
	for _, s := range list.Items {
		addr, err := netip.ParseAddr(s.Spec.ClusterIP)
		if err == nil { // A headless Service has none, and none of the lab's is one.
			found[s.Namespace+"/"+s.Name] = addr
		}
	}
	c.mu.Lock()
	c.since = node.Started
	c.addrs.Node, c.addrs.DNS = node.Address, found[sandbox.DNSNamespace+"/"+sandbox.DNSName]
	c.addrs.External, c.addrs.Services = map[string]netip.Addr{}, map[string]netip.Addr{}
	for _, x := range c.topology.External {
		c.addrs.External[x.Name] = x.Address
	}
	for _, ns := range c.topology.Namespaces {
		for _, s := range ns.Services {
			if addr, ok := found[ns.Name+"/"+s.Name]; ok {
				c.addrs.Services[ns.Name+"/"+s.Name] = addr
			}
		}
	}
	c.mu.Unlock()
	return c.locateDNSPods(ctx)
}

// locateDNSPods reads where the DNS pods are. Where there is none at the moment,
// the last ones are not forgotten.
func (c *Lab) locateDNSPods(ctx context.Context) error {
	var list corev1.PodList
	if err := c.admin.list(ctx, pods, sandbox.DNSNamespace, metav1.ListOptions{LabelSelector: sandbox.DNSPodSelector}, &list); err != nil {
		return err
	}
	var found []netip.Addr
	for _, pod := range list.Items {
		addr, err := netip.ParseAddr(pod.Status.PodIP)
		if err == nil && pod.DeletionTimestamp == nil && podReady(&pod) {
			found = append(found, addr)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(found) > 0 {
		c.addrs.DNSPods = found
	}
	return nil
}

// Addresses are those that the cluster's objects had when they were last read.
func (c *Lab) Addresses() sandbox.Addresses {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.addrs.Clone()
}

// Probe measures each flow once, all at the same time.
func (c *Lab) Probe(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	c.measure(ctx, flows, timeout, false, report)
}

// Peek looks which of the flows are open by now.
func (c *Lab) Peek(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	c.measure(ctx, flows, timeout, true, func(o sandbox.Observation) {
		if o.Verdict != probe.Silent {
			report(o)
		}
	})
}

func (c *Lab) measure(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, hurried bool, report func(sandbox.Observation)) {
	type batch struct {
		flows    []sandbox.Flow
		requests []probe.Request
	}
	batches := map[string]*batch{}
	var unknown []sandbox.Observation
	c.mu.RLock()
	for _, flow := range flows {
		request, err := requestFor(flow, c.addrs, timeout)
		if err != nil {
			unknown = append(unknown, sandbox.Observation{Flow: flow.ID, Verdict: probe.Unknown, Detail: err.Error()})
			continue
		}
		b := batches[flow.From]
		if b == nil {
			b = &batch{}
			batches[flow.From] = b
		}
		request.ID, request.Hurried = uint64(len(b.flows)), hurried
		b.flows = append(b.flows, flow)
		b.requests = append(b.requests, request)
	}
	c.mu.RUnlock()

	var wg sync.WaitGroup
	for pod, b := range batches {
		wg.Go(func() {
			c.prober.Probe(ctx, pod, b.requests, func(r probe.Response) {
				report(sandbox.Observation{
					Flow: b.flows[r.ID].ID, Verdict: r.Verdict, LatencyMicros: r.LatencyMicros, Server: r.Server, Detail: r.Detail,
				})
			})
		})
	}
	for _, o := range unknown {
		report(o)
	}
	wg.Wait()
}

// askFor is the name that a flow to the DNS service asks for. Every cluster has it.
const askFor = "kubernetes.default.svc." + sandbox.ClusterDomain + "."

// requestFor says to a pod's probe what to measure for the flow. Its error is a
// sentence for the learner.
func requestFor(flow sandbox.Flow, addrs sandbox.Addresses, timeout time.Duration) (probe.Request, error) {
	request := probe.Request{Kind: probe.DialTCP, TimeoutMillis: timeout.Milliseconds()}
	if flow.Protocol == sandbox.UDP {
		request.Kind = probe.DialUDP
	}
	dns := netip.AddrPortFrom(addrs.DNS, 53).String()
	switch flow.Via {
	case sandbox.ViaDNS:
		request.Kind = probe.AskDNSTCP
		if flow.Protocol == sandbox.UDP {
			request.Kind = probe.AskDNSUDP
		}
		request.Address, request.Host = dns, askFor
		return request, needs(addrs.DNS, "the cluster's DNS service")
	case sandbox.ViaName:
		request.Address = ":" + strconv.Itoa(flow.ServicePort)
		request.Host, request.Resolver = flow.ServiceHost(), dns
		return request, needs(addrs.DNS, "the cluster's DNS service")
	}
	if flow.ToDNS() {
		request.Kind, request.Address = probe.Connect, netip.AddrPortFrom(addrs.DNS, uint16(flow.Port)).String()
		return request, needs(addrs.DNS, "the cluster's DNS service")
	}
	addr, ok := addrs.Pods[flow.To]
	if !ok {
		addr = addrs.External[flow.To]
	}
	request.Address = netip.AddrPortFrom(addr, uint16(flow.Port)).String()
	return request, needs(addr, flow.To)
}

func needs(addr netip.Addr, of string) error {
	if !addr.IsValid() {
		return fmt.Errorf("the address of %s is not known", of)
	}
	return nil
}

// open opens the stream to a pod's probe: one exec of "netpol-probe dial". It is
// a [probe.OpenFunc]. When a stream is opened again, something has restarted,
// and addresses may have changed: they are read again first.
func (c *Lab) open(ctx context.Context, pod string) (io.ReadWriteCloser, error) {
	c.mu.Lock()
	again := c.opened[pod]
	c.opened[pod] = true
	c.mu.Unlock()
	if again {
		if err := c.refresh(ctx, pod); err != nil {
			return nil, err
		}
	}
	namespace, name := splitName(pod)
	return c.dial(ctx, namespace, name)
}

// dial runs "netpol-probe dial" in a pod of the lab's.
func (a *access) dial(ctx context.Context, namespace, pod string) (io.ReadWriteCloser, error) {
	return a.exec(ctx, namespace, pod, &corev1.PodExecOptions{
		Container: probeContainer, Command: []string{"/netpol-probe", "dial"}, Stdin: true, Stdout: true, Stderr: true,
	}, nil)
}

// splitName splits "namespace/name".
func splitName(full string) (namespace, name string) {
	namespace, name, _ = strings.Cut(full, "/")
	return namespace, name
}

// refresh finds all that stands beside the pods, and reads the pod's address again.
func (c *Lab) refresh(ctx context.Context, name string) error {
	if err := c.Surround(ctx); err != nil {
		return err
	}
	namespace, pod := splitName(name)
	var found corev1.Pod
	if err := c.pods.get(ctx, pods, namespace, pod, &found); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(found.Status.PodIP)
	if err != nil || !c.runs(&found) {
		return fmt.Errorf("pod %s has not started again yet", name)
	}
	c.setPod(name, addr)
	return nil
}

// runs reports whether the pod is ready, and was started since its node was.
func (c *Lab) runs(pod *corev1.Pod) bool {
	c.mu.RLock()
	since := c.since.Truncate(time.Second) // as exact as the API is
	c.mu.RUnlock()
	for _, container := range pod.Status.ContainerStatuses {
		if container.State.Running == nil || container.State.Running.StartedAt.Time.Before(since) {
			return false
		}
	}
	return podReady(pod)
}

// Surround finds all that stands beside the pods, and makes sure of it. After a restart
// all pods come here at about the same time.
func (c *Lab) Surround(ctx context.Context) error {
	_, err, _ := c.surround.Do("", func() (any, error) {
		node, err := c.Surroundings.Ensure(ctx, c.topology.External)
		if err != nil {
			return nil, err
		}
		return nil, c.locate(ctx, node)
	})
	return err
}

// Ready fails where the API server is not ready. Where it is, the cluster's DNS pods are
// looked for again: they may be others by now.
func (c *Lab) Ready(ctx context.Context) error {
	if err := c.apiReady(ctx, c.policies); err != nil {
		return err
	}
	return c.locateDNSPods(ctx)
}

// Close closes the streams to the probes. The cluster goes on running.
func (c *Lab) Close() error {
	c.closed.Store(true)
	return c.prober.Close()
}
