package probe_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// skip leaves a test out for a reason, which is a failure where everything is
// required.
func skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("NETPOL_LAB_REQUIRE") == "all" {
		t.Fatal("NETPOL_LAB_REQUIRE=all: " + reason)
	}
	t.Skip(reason)
}

// A network is two hosts with a wire between them, made of network namespaces.
// The server runs a real netpol-probe on the ports 8080/TCP and 8125/UDP,
// which are open, and on 9000/TCP, 9001/UDP, which its firewall drops.
type network struct {
	t              testing.TB
	binary         string
	client, server string // The names of the namespaces.
}

const serverIP = "10.199.0.2"

func newNetwork(t testing.TB) *network {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "network namespaces need root")
	}
	for _, tool := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			skip(t, "network namespaces need the command "+tool)
		}
	}
	if out, err := exec.Command("unshare", "--net", "true").CombinedOutput(); err != nil {
		skip(t, fmt.Sprintf("this machine allows no network namespaces: %s", out))
	}
	id := strconv.Itoa(os.Getpid())
	n := &network{t: t, client: "probe-c-" + id, server: "probe-s-" + id, binary: filepath.Join(t.TempDir(), "netpol-probe")}
	build := exec.Command("go", "build", "-o", n.binary, "../../cmd/netpol-probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build netpol-probe: %v\n%s", err, out)
	}
	for _, ns := range []string{n.client, n.server} {
		n.run("ip", "netns", "add", ns)
		t.Cleanup(func() { n.run("ip", "netns", "del", ns) })
		n.run("ip", "-n", ns, "link", "set", "lo", "up")
	}
	n.run("ip", "-n", n.client, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", n.server)
	n.run("ip", "-n", n.client, "addr", "add", "10.199.0.1/24", "dev", "eth0")
	n.run("ip", "-n", n.server, "addr", "add", serverIP+"/24", "dev", "eth0")
	n.run("ip", "-n", n.client, "link", "set", "eth0", "up")
	n.run("ip", "-n", n.server, "link", "set", "eth0", "up")
	// A host answers only about one datagram a second with "nobody listens", and
	// all together not many more; here, every one.
	n.run("ip", "netns", "exec", n.server, "sysctl", "-q", "-e", "-w", "net.ipv4.icmp_ratelimit=0",
		"net.ipv4.icmp_msgs_per_sec=1000000", "net.ipv4.icmp_msgs_burst=100000")
	// As in a cluster: established flows pass, whatever the rules say by now.
	n.firewall("-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
	n.firewall("-A", "INPUT", "-p", "tcp", "--dport", "9000", "-j", "DROP")
	n.firewall("-A", "INPUT", "-p", "udp", "--dport", "9001", "-j", "DROP")
	n.serve()
	return n
}

func (n *network) run(command ...string) {
	n.t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}

func (n *network) firewall(args ...string) {
	n.t.Helper()
	n.run(append([]string{"ip", "netns", "exec", n.server, "iptables", "-w"}, args...)...)
}

// serve starts the server and waits until it serves.
func (n *network) serve() {
	n.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", n.server, n.binary, "serve", "--name", "there/server",
		"--listen", "8080/TCP", "--listen", "8125/UDP", "--listen", "9000/TCP", "--listen", "9001/UDP")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line := make([]byte, 4096)
	read, err := stderr.Read(line)
	if err != nil || !bytes.Contains(line[:read], []byte("serving")) {
		n.t.Fatalf("the server did not start: %v\n%s", err, line[:read])
	}
}

// prober makes a Prober whose only pod is the client's host, and waits until its
// stream is up.
func (n *network) prober() *probe.Prober {
	p := probe.NewProber(func(ctx context.Context, pod string) (io.ReadWriteCloser, error) {
		cmd := exec.CommandContext(ctx, "ip", "netns", "exec", n.client, n.binary, "dial")
		return newProcess(cmd)
	}, slog.New(slog.DiscardHandler))
	n.t.Cleanup(func() { p.Close() })
	up := make(chan struct{}, 1)
	p.OnState = func(_ string, err error) {
		if err == nil {
			select {
			case up <- struct{}{}:
			default:
			}
		}
	}
	p.Start("here/client")
	select {
	case <-up:
	case <-time.After(time.Minute):
		n.t.Fatal("the probe did not say hello within a minute")
	}
	return p
}

// process is a stream to a process's standard input and output.
type process struct {
	io.WriteCloser
	io.Reader
	cmd *exec.Cmd
}

func newProcess(cmd *exec.Cmd) (*process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	return &process{in, out, cmd}, cmd.Start()
}

func (p *process) Close() error {
	_ = p.WriteCloser.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	return nil
}

func TestEvery_verdict_is_measured_on_a_real_network(t *testing.T) {
	n := newNetwork(t)
	p := n.prober()
	tests := []struct {
		kind    probe.Kind
		address string
		want    probe.Response
	}{
		{probe.DialTCP, serverIP + ":8080", probe.Response{Verdict: probe.Open, Server: "there/server"}},
		{probe.DialUDP, serverIP + ":8125", probe.Response{Verdict: probe.Open, Server: "there/server"}},
		{probe.DialTCP, serverIP + ":9000", probe.Response{Verdict: probe.Blocked}},
		{probe.DialUDP, serverIP + ":9001", probe.Response{Verdict: probe.Blocked}},
		{probe.DialTCP, serverIP + ":81", probe.Response{Verdict: probe.Refused, Detail: "the host answered that nobody listens on this port"}},
		{probe.DialUDP, serverIP + ":81", probe.Response{Verdict: probe.Refused, Detail: "the host answered that nobody listens on this port"}},
		{probe.DialTCP, "10.200.0.1:80", probe.Response{Verdict: probe.Unknown, Detail: "the pod has no route to the destination"}},
		{probe.AskDNSUDP, serverIP + ":9001", probe.Response{Verdict: probe.Blocked}},
		{probe.AskDNSTCP, serverIP + ":9000", probe.Response{Verdict: probe.Blocked}},
		{probe.Connect, serverIP + ":8080", probe.Response{Verdict: probe.Open}},
		{probe.Connect, serverIP + ":9000", probe.Response{Verdict: probe.Blocked}},
	}
	requests := make([]probe.Request, len(tests))
	for i, tt := range tests {
		requests[i] = probe.Request{ID: uint64(i), Kind: tt.kind, Address: tt.address, TimeoutMillis: 200}
		if tt.kind == probe.AskDNSUDP || tt.kind == probe.AskDNSTCP {
			requests[i].Host = "kubernetes.default.svc.cluster.local."
		}
	}
	p.Probe(t.Context(), "here/client", requests, func(got probe.Response) {
		want := tests[got.ID].want
		if (want.Verdict == probe.Open) != (got.LatencyMicros > 0) && want.Verdict != probe.Refused {
			t.Errorf("%v: latency %d µs", requests[got.ID], got.LatencyMicros)
		}
		want.ID, want.LatencyMicros = got.ID, got.LatencyMicros
		if got != want {
			t.Errorf("%v:\n got %+v\nwant %+v", requests[got.ID], got, want)
		}
	})
}

// TestNo_verdict_is_wrong_on_a_loaded_machine keeps every core busy with four threads,
// and probes with a short timeout.
func TestNo_verdict_is_wrong_on_a_loaded_machine(t *testing.T) {
	if testing.Short() {
		skip(t, "takes a minute")
	}
	n := newNetwork(t)
	p := n.prober()
	for range 4 * runtime.NumCPU() {
		load := exec.Command("sh", "-c", "while :; do :; done")
		load.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := load.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = load.Process.Kill()
			_ = load.Wait()
		})
	}
	var mu sync.Mutex
	var probed, wrong, unknown int
	took := map[flow][]time.Duration{}
	// burst probes every flow n times at the same time.
	burst := func(flows []flow, n int) {
		var requests []probe.Request
		for range n {
			for _, f := range flows {
				requests = append(requests, probe.Request{ID: uint64(len(requests)), Kind: f.kind, Address: fmt.Sprintf("%s:%d", serverIP, f.port), TimeoutMillis: 50})
			}
		}
		start := time.Now()
		p.Probe(t.Context(), "here/client", requests, func(r probe.Response) {
			mu.Lock()
			defer mu.Unlock()
			f := flows[int(r.ID)%len(flows)]
			took[f] = append(took[f], time.Since(start))
			probed++
			switch r.Verdict {
			case f.want:
			case probe.Unknown:
				unknown++
				t.Logf("%v: %+v", f, r)
			default:
				wrong++
				t.Errorf("%v after %v: %+v", f, time.Since(start), r)
			}
		})
	}
	const total = 10_000
	began := time.Now()
	var done atomic.Bool
	var wg sync.WaitGroup
	// What must not be taken for blocked, while what is blocked is waited for.
	wg.Go(func() {
		for i := 0; i < total; i += 24 {
			burst([]flow{{probe.DialTCP, 8080, probe.Open}, {probe.DialUDP, 8125, probe.Open}, {probe.DialTCP, 81, probe.Refused}, {probe.DialUDP, 81, probe.Refused}}, 6)
		}
		done.Store(true)
	})
	wg.Go(func() {
		for !done.Load() {
			burst([]flow{{probe.DialTCP, 9000, probe.Blocked}, {probe.DialUDP, 9001, probe.Blocked}}, 10)
		}
	})
	wg.Wait()
	t.Logf("%d probes in %v: %d wrong, %d unknown", probed, time.Since(began).Round(time.Second), wrong, unknown)
	for f, d := range took {
		slices.Sort(d)
		t.Logf("%-20v %5d times: p50 %v, p95 %v, p99 %v, most %v", f, len(d), d[len(d)/2], d[len(d)*95/100], d[len(d)*99/100], d[len(d)-1])
	}
	if out, err := exec.Command("ip", "netns", "exec", n.server, "grep", "^Icmp:", "/proc/net/snmp").Output(); err == nil {
		t.Logf("the server's ICMP counters, for what it did not send:\n%s", out)
	}
	if unknown > probed/100 {
		t.Errorf("%d of %d could not be measured", unknown, probed)
	}
}

// flow is a kind of probe to a port of the server, and what must come of it.
type flow struct {
	kind probe.Kind
	port int
	want probe.Verdict
}
