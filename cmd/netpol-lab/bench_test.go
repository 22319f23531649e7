//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// BenchmarkKind measures one sandbox as a learner and as the one who runs the
// server would: how long its start takes, how fast a change of policies is seen,
// and what it costs. The baseline of "seen" is the answer to the same request;
// that of the start is in sandbox/kind.
func BenchmarkKind(b *testing.B) {
	b.Setenv("NETPOL_LAB_PAUSE_AFTER", "100s") // longer than idle takes, from Start on
	b.Setenv("NETPOL_LAB_POOL_RESERVE", "0")   // A second cluster would be measured, too.
	s := startServer(b)
	begun := time.Now()
	id := s.create("network-policies")
	s.wait(id, 4*time.Minute, "ready", func(snap sandbox.Snapshot) bool { return snap.State == sandbox.Ready })
	start := time.Since(begun)
	s.wait(id, time.Minute, "every flow open", allOpen)

	b.Run("start", func(b *testing.B) {
		b.ReportMetric(start.Seconds(), "s/ready")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("change", func(b *testing.B) { benchmarkChange(b, s, id) })
	node := s.node()
	b.Run("idle", func(b *testing.B) { benchmarkCost(b, s, node) })
	b.Run("watched", func(b *testing.B) {
		defer s.reads(b, id)()
		benchmarkCost(b, s, node)
	})
	b.Run("at-work", func(b *testing.B) {
		defer s.reads(b, id)()
		defer s.applies(b, id, 10*time.Second)()
		benchmarkCost(b, s, node)
	})
	b.Run("paused", func(b *testing.B) {
		s.wait(id, 3*time.Minute, "paused", func(snap sandbox.Snapshot) bool { return snap.State == sandbox.Paused })
		benchmarkPaused(b, s, node)
	})
}

// reads reads what comes from the sandbox, as a page does, until stop.
func (s *server) reads(b *testing.B, id sandbox.ID) (stop func()) {
	conn := s.watch(b, id)
	go func() {
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}()
	return func() { conn.Close() }
}

// applies applies a default deny and deletes it again, one of these every so often,
// until stop.
func (s *server) applies(b *testing.B, id sandbox.ID, every time.Duration) (stop func()) {
	deny := fmt.Sprintf(policyHead, "default-deny-all") + "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n"
	path := "/sandboxes/" + string(id) + "/policies"
	ticker, ended, done := time.NewTicker(every), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for method, body := "PUT", deny; ; {
			if code, answer := s.ask(method, path, "application/yaml", body, nil); code != http.StatusOK {
				b.Errorf("%s: %d %s", method, code, answer)
			}
			select {
			case <-ticker.C:
			case <-ended:
				return
			}
			if method == "PUT" {
				method, body = "DELETE", ""
			} else {
				method, body = "PUT", deny
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(ended)
		<-done
	}
}

// benchmarkChange applies a default deny and deletes it, 30 times each.
func benchmarkChange(b *testing.B, s *server, id sandbox.ID) {
	conn := s.watch(b, id)
	defer conn.Close()
	deny := fmt.Sprintf(policyHead, "default-deny-all") + "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n"
	path := "/sandboxes/" + string(id) + "/policies"
	took := map[string][]time.Duration{}
	change := int64(0)
	for range 30 {
		for _, way := range []string{"deny", "allow"} {
			change++
			begun := time.Now()
			answered := make(chan time.Duration, 1)
			go func() {
				method, body := "PUT", deny
				if way == "allow" {
					method, body = "DELETE", ""
				}
				if code, answer := s.ask(method, path, "application/yaml", body, nil); code != http.StatusOK {
					b.Errorf("%s: %d %s", way, code, answer)
				}
				answered <- time.Since(begun)
			}()
			seen := time.Duration(0)
			want := map[string]probe.Verdict{"deny": probe.Blocked, "allow": probe.Open}[way]
			for settled := false; !settled; {
				if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
					b.Fatal(err)
				}
				var events []sandbox.Event
				if err := conn.ReadJSON(&events); err != nil {
					b.Fatalf("%s: %v", way, err)
				}
				for _, e := range events {
					if e.Observations != nil && seen == 0 && slices.ContainsFunc(e.Observations.Flows, func(o sandbox.Observation) bool { return o.Verdict == want }) {
						seen = time.Since(begun)
					}
					settled = settled || e.Settled != nil && e.Settled.Change == change
				}
			}
			took[way+"-seen"] = append(took[way+"-seen"], seen)
			took["settled"] = append(took["settled"], time.Since(begun))
			took["answered"] = append(took["answered"], <-answered)
		}
	}
	for name, all := range took {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(all[len(all)*95/100].Microseconds())/1000, name+"-p95-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// benchmarkCost measures what the sandbox takes over half a minute.
func benchmarkCost(b *testing.B, s *server, node string) {
	const span = 30 * time.Second
	nodeBefore, serverBefore := cpuOf(b, node), s.cpu()
	time.Sleep(span) // what is measured
	b.ReportMetric(100*(cpuOf(b, node)-nodeBefore)/span.Seconds(), "node-%core")
	b.ReportMetric(100*(s.cpu()-serverBefore)/span.Seconds(), "server-%core")
	b.ReportMetric(memoryOf(b, node)/(1<<20), "node-MiB")
	b.ReportMetric(diskOf(b, node)/(1<<20), "disk-MiB")
	b.ReportMetric(number(b, inside(b, node, "ls -d /proc/[0-9]*/task/[0-9]* | wc -l")), "node-threads")
	// Those that count for root's limit; the others have users of their own.
	b.ReportMetric(number(b, inside(b, node, `find /proc/[0-9]*/fd -uid 0 -lname anon_inode:inotify 2>/dev/null | wc -l`)), "node-inotify-instances")
	b.ReportMetric(number(b, inside(b, node, `find /proc/[0-9]*/fdinfo -uid 0 -type f -exec cat {} + 2>/dev/null | grep -c "^inotify wd"`)), "node-inotify-watches")
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(files)), "server-files")
	b.ReportMetric(0, "ns/op")
}

// benchmarkPaused measures what a paused sandbox takes over ten seconds: nothing in it
// can be asked.
func benchmarkPaused(b *testing.B, s *server, node string) {
	const span = 10 * time.Second
	before := s.cpu()
	time.Sleep(span) // what is measured
	b.ReportMetric(100*(s.cpu()-before)/span.Seconds(), "server-%core")
	b.ReportMetric(memoryOf(b, node)/(1<<20), "node-MiB")
	b.ReportMetric(0, "ns/op")
}

// watch opens the events of the sandbox and reads the first message.
func (s *server) watch(tb testing.TB, id sandbox.ID) *websocket.Conn {
	tb.Helper()
	dialer := websocket.Dialer{Jar: s.learner.Jar}
	conn, _, err := dialer.Dial("ws"+strings.TrimPrefix(s.base, "http")+"/sandboxes/"+string(id)+"/events", nil)
	if err != nil {
		tb.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		tb.Fatal(err)
	}
	return conn
}

// cpu is the processor time that the server has used, in whole seconds.
func (s *server) cpu() float64 {
	out, err := exec.Command("ps", "-o", "cputimes=", "-p", strconv.Itoa(s.cmd.Process.Pid)).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	return number(s.t, string(out))
}

// cpuOf is the processor time that a container has used, in seconds; cgroup v2
// and v1 keep it in different places.
func cpuOf(tb testing.TB, container string) float64 {
	return number(tb, inside(tb, container, "if [ -f /sys/fs/cgroup/cpu.stat ]; then awk '/usage_usec/ {print $2/1e6}' /sys/fs/cgroup/cpu.stat; else awk '{print $1/1e9}' /sys/fs/cgroup/cpuacct/cpuacct.usage; fi"))
}

// memoryOf is a container's memory as docker stats counts it, in bytes.
func memoryOf(tb testing.TB, container string) float64 {
	tb.Helper()
	out, err := exec.Command("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", container).Output()
	if err != nil {
		tb.Fatal(err)
	}
	text, _, _ := strings.Cut(string(out), " ")
	for unit, factor := range map[string]float64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			return number(tb, n) * factor
		}
	}
	tb.Fatalf("docker stats said %q", out)
	return 0
}

// diskOf is what a container has written, in bytes: its volume and its own layer.
func diskOf(tb testing.TB, container string) float64 {
	tb.Helper()
	out, err := exec.Command("docker", "inspect", "--size", "--format", "{{json .SizeRw}}", container).Output()
	if err != nil {
		tb.Fatal(err)
	}
	var layer float64
	if err := json.Unmarshal(out, &layer); err != nil {
		tb.Fatal(err)
	}
	return layer + number(tb, inside(tb, container, "du -sx --block-size=1 /var | cut -f1"))
}

func inside(tb testing.TB, container, script string) string {
	tb.Helper()
	out, err := exec.Command("docker", "exec", container, "sh", "-c", script).Output()
	if err != nil {
		tb.Fatalf("in %s: %s: %v", container, script, err)
	}
	return string(out)
}

func number(tb testing.TB, text string) float64 {
	tb.Helper()
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
