// Package kubernetes lays a topology in a Kubernetes cluster, and works with what it has
// laid there: policies, probes, the terminal. It knows the cluster's API alone, and not
// what the cluster runs on.
package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/klog/v2"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Surroundings is what stands beside a cluster's API: its node, and the outside hosts.
// Whoever runs the cluster knows them.
type Surroundings interface {
	// Ensure makes sure that the outside hosts run and that the lab's pods reach them,
	// and says where the node is.
	Ensure(ctx context.Context, hosts []sandbox.External) (node netip.Addr, err error)
}

// Options says what a Lab is laid in.
type Options struct {
	// Topology is what is laid.
	Topology *sandbox.Topology
	// Node is the name of the cluster's node, which all pods run on.
	Node string
	// TerminalImage is the image of the terminal's pod, as the node has it.
	TerminalImage string
	Surroundings  Surroundings
	Log           *slog.Logger
}

// Lab is a topology in a cluster: its pods with their probes, its policies, its terminal.
// But for Health it is a [sandbox.Cluster].
type Lab struct {
	surroundings  Surroundings
	node          string
	terminalImage string
	topology      *sandbox.Topology
	log           *slog.Logger

	// admin sets the lab up and fetches the accounts' tokens; nothing that a
	// learner asks for is done with it.
	admin *api
	// policies acts as the policies account, pods as the prober account.
	policies     *api
	pods         *api
	proberConfig *rest.Config
	prober       *probe.Prober

	mu     sync.RWMutex
	addrs  sandbox.Addresses
	opened map[string]bool // The pods whose stream was asked for before.

	// opening is held while a shell is opened or ended.
	opening sync.Mutex
	shell   *shell // the last one, until it has ended

	// surround has one goroutine at a time read again what all pods share.
	surround singleflight.Group
}

// New makes a lab's clients, for the cluster whose administrator has the config, without
// using them.
func New(config *rest.Config, o Options) (*Lab, error) {
	c := &Lab{
		surroundings:  o.Surroundings,
		node:          o.Node,
		terminalImage: o.TerminalImage,
		topology:      o.Topology,
		log:           o.Log,
		addrs:         sandbox.Addresses{Pods: map[string]netip.Addr{}},
		opened:        map[string]bool{},
	}
	config = rest.CopyConfig(config)
	config.Wrap(bounded(maxWrites))
	var err error
	if c.admin, err = newAPI(config); err != nil {
		return nil, err
	}
	if c.policies, err = newAPI(newAccount(c.admin, PoliciesAccount).config(config)); err != nil {
		return nil, err
	}
	c.proberConfig = newAccount(c.admin, ProberAccount).config(config)
	if c.pods, err = newAPI(c.proberConfig); err != nil {
		return nil, err
	}
	c.prober = probe.NewProber(c.open, c.log)
	return c, nil
}

func (c *Lab) setPod(name string, addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addrs.Pods[name] = addr
}

// Locate reads where the Services and the DNS pods are, and notes it with where the
// node and the outside hosts are.
func (c *Lab) Locate(ctx context.Context, node netip.Addr) error {
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
	c.addrs.Node, c.addrs.DNS = node, found[sandbox.DNSNamespace+"/"+sandbox.DNSName]
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
	return c.LocateDNSPods(ctx)
}

// LocateDNSPods reads where the DNS pods are. Where there is none at the moment,
// the last ones are not forgotten.
func (c *Lab) LocateDNSPods(ctx context.Context) error {
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
		request.ID = uint64(len(b.flows))
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
	return c.exec(ctx, namespace, name, &corev1.PodExecOptions{
		Container: probeContainer, Command: []string{"/netpol-probe", "dial"}, Stdin: true, Stdout: true, Stderr: true,
	}, nil)
}

// exec runs a command in a pod. With a terminal, sizes tells how large it is.
func (c *Lab) exec(ctx context.Context, namespace, pod string, opts *corev1.PodExecOptions, sizes remotecommand.TerminalSizeQueue) (*execStream, error) {
	url := c.pods.execURL(namespace, pod, opts)
	executor, err := remotecommand.NewWebSocketExecutor(c.proberConfig, "GET", url)
	if err != nil {
		return nil, err
	}
	// client-go would write the end of every stream to the standard error in
	// many lines; whoever reads the stream is told once.
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, klog.Logger{}))
	stdinReader, stdin := io.Pipe()
	stdout, stdoutWriter := io.Pipe()
	stderr := &tail{}
	streams := remotecommand.StreamOptions{Stdin: stdinReader, Stdout: stdoutWriter, Tty: opts.TTY, TerminalSizeQueue: sizes}
	if opts.Stderr {
		streams.Stderr = stderr
	}
	go func() {
		err := executor.StreamWithContext(ctx, streams)
		if err == nil {
			err = io.EOF
		}
		if said := stderr.String(); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		_ = stdinReader.CloseWithError(err) // Closing a pipe cannot fail.
		_ = stdoutWriter.CloseWithError(err)
		cancel()
	}()
	return &execStream{stdin, stdout, cancel}, nil
}

// refresh reads the pod's address again, and finds all that stands beside the pods.
func (c *Lab) refresh(ctx context.Context, name string) error {
	namespace, pod := splitName(name)
	var found corev1.Pod
	if err := c.pods.get(ctx, pods, namespace, pod, &found); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(found.Status.PodIP)
	if err != nil {
		return fmt.Errorf("pod %s has no address yet", name)
	}
	c.setPod(name, addr)
	return c.Surround(ctx)
}

// Surround finds all that stands beside the pods, and makes sure of it. After a restart
// all pods come here at about the same time.
func (c *Lab) Surround(ctx context.Context) error {
	_, err, _ := c.surround.Do("", func() (any, error) {
		node, err := c.surroundings.Ensure(ctx, c.topology.External)
		if err != nil {
			return nil, err
		}
		return nil, c.Locate(ctx, node)
	})
	return err
}

// execStream is an exec's standard input and output.
type execStream struct {
	stdin  *io.PipeWriter
	stdout *io.PipeReader
	cancel context.CancelFunc
}

func (s *execStream) Read(p []byte) (int, error)  { return s.stdout.Read(p) }
func (s *execStream) Write(p []byte) (int, error) { return s.stdin.Write(p) }

func (s *execStream) Close() error {
	s.cancel()
	return errors.Join(s.stdin.Close(), s.stdout.Close())
}

// tail keeps the end of what is written to it, for an error's text.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const limit = 1 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	t.buf = t.buf[max(0, len(t.buf)-limit):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}

// Ready fails where the API server is not ready. Where it is, the cluster's DNS pods are
// looked for again: they may be others by now.
func (c *Lab) Ready(ctx context.Context) error {
	if err := apiReady(ctx, c.policies); err != nil {
		return err
	}
	return c.LocateDNSPods(ctx)
}

// Close closes the streams to the probes. The cluster goes on running.
func (c *Lab) Close() error { return c.prober.Close() }
