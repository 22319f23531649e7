//go:build integration

package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

var everyFault = flag.Bool("faults", false, "let everything happen that may, which takes a quarter of an hour, and not only what is over in a minute")

// faulty is a server with one learner's sandbox, to which things happen. A docker command
// in front of the real one springs a trap when the server does what it waits for.
type faulty struct {
	*server
	dir  string
	real string
	id   sandbox.ID
}

const (
	// Of a trap: what happens before, and after, Docker has done what was asked.
	killsServer     = `kill -KILL $PPID; exit 1`
	doneKillsServer = `real "$@"; kill -KILL $PPID; exit 0`
)

func startFaulty(t *testing.T, flags ...string) *faulty {
	t.Helper()
	real, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
real() { %s "$@"; }
cd %s
if [ -e var ]; then # the node's disk is that folder
  last=
  for a; do
    [ "$last $a" != "--volume /var" ] || a=$PWD/disk:/var
    shift
    set -- "$@" "$a"
    last=$a
  done
fi
if [ -e trap ]; then
  pattern=$(cat trap)
  case "$*" in
  $pattern) if mv trap sprung 2>/dev/null; then . ./action; fi ;;
  esac
fi
exec %[1]s "$@"
`, real, dir)
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return &faulty{server: startServer(t, flags...), dir: dir, real: real}
}

// trap has the action, a shell's, happen when the server next runs a docker command that
// fits the pattern.
func (f *faulty) trap(pattern, action string) {
	f.t.Helper()
	for name, text := range map[string]string{"action": action, "trap": pattern} {
		if err := os.Remove(filepath.Join(f.dir, "sprung")); err != nil && !os.IsNotExist(err) {
			f.t.Fatal(err)
		}
		// The trap is there at once, and not before its action.
		if name == "trap" {
			defer func() {
				if err := os.Rename(filepath.Join(f.dir, "trap.tmp"), filepath.Join(f.dir, "trap")); err != nil {
					f.t.Fatal(err)
				}
			}()
			name = "trap.tmp"
		}
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
}

// sprung waits until the trap has sprung.
func (f *faulty) sprung(limit time.Duration) {
	f.t.Helper()
	f.until(limit, "the trap has sprung", func() bool {
		_, err := os.Stat(filepath.Join(f.dir, "sprung"))
		return err == nil
	})
}

func (f *faulty) until(limit time.Duration, what string, done func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(limit); !done(); time.Sleep(20 * time.Millisecond) { // the pause between two looks
		if time.Now().After(deadline) {
			f.t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// killed waits until the server has been, and starts it again.
func (f *faulty) killed(limit time.Duration) {
	f.t.Helper()
	select {
	case err := <-f.ended:
		if err == nil || !strings.Contains(err.Error(), "killed") {
			f.t.Fatalf("the server has ended with %v", err)
		}
	case <-time.After(limit):
		f.t.Fatalf("the server was not killed within %s", limit)
	}
	f.start(strings.TrimPrefix(f.base, "http://"))
}

// kill kills the server where it stands, and starts it again.
func (f *faulty) kill() {
	f.t.Helper()
	if err := f.cmd.Process.Kill(); err != nil {
		f.t.Fatal(err)
	}
	f.killed(time.Minute)
}

// wake has somebody look.
func (f *faulty) wake() {
	f.t.Helper()
	if code, _ := f.send("GET", "/workbench", "", "Accept", "text/html"); code != http.StatusOK {
		f.t.Fatalf("the page: %d", code)
	}
}

// sleeps waits until the sandbox is paused.
func (f *faulty) sleeps() {
	f.t.Helper()
	f.wait(f.id, 2*time.Minute, "it sleeps", func(s sandbox.Snapshot) bool { return s.State == sandbox.Paused })
}

var denied = verdicts(map[string]probe.Verdict{
	"production/web>production/api:8080/TCP":            probe.Blocked,
	"production/web>kube-system/kube-dns:53/UDP":        probe.Blocked,
	"development/shell>production/db:5432/TCP":          probe.Blocked,
	"monitoring/grafana>monitoring/prometheus:9090/TCP": probe.Open,
})

// isWhole waits until the sandbox is ready with its one policy in force, by what is told and by
// what is measured, and one cluster is there. Where it sleeps it is woken.
func (f *faulty) isWhole(limit time.Duration) {
	f.t.Helper()
	began, looked := time.Now(), time.Time{}
	f.wait(f.id, limit, "ready, with what was in force", func(s sandbox.Snapshot) bool {
		switch s.State {
		case sandbox.Paused:
			if time.Since(looked) > 5*time.Second {
				looked = time.Now()
				f.wake()
			}
		case sandbox.Failed:
			f.t.Fatalf("it has failed: %s", s.Reason)
		}
		return len(s.Policies) == 1 && denied(s)
	})
	f.t.Logf("whole after %s", time.Since(began).Round(100*time.Millisecond))
	if left := f.nodes(); len(left) != 1 {
		f.t.Errorf("the clusters are %q", left)
	}
	if left := f.folders(); len(left) > 0 {
		f.t.Errorf("folders are left: %q", left)
	}
}

// fails waits until the sandbox has failed, with a reason that offers a fresh one, and
// nothing is left of its cluster; then the fresh one is asked for, and is whole.
func (f *faulty) fails(limit time.Duration) {
	f.t.Helper()
	began := time.Now()
	s := f.wait(f.id, limit, "failed", func(s sandbox.Snapshot) bool { return s.State == sandbox.Failed })
	f.t.Logf("failed after %s: %s", time.Since(began).Round(100*time.Millisecond), s.Reason)
	if !strings.Contains(s.Reason, "Press Reset") {
		f.t.Errorf("no fresh one is offered: %s", s.Reason)
	}
	f.isRemoved()
	f.reset()
	f.isWhole(4 * time.Minute)
}

// reset asks for a fresh sandbox.
func (f *faulty) reset() {
	f.t.Helper()
	var fresh sandbox.Snapshot
	if code, body := f.ask("POST", "/sandboxes/"+string(f.id)+"/reset", "", "", &fresh); code != http.StatusAccepted {
		f.t.Fatalf("reset: %d %s", code, body)
	}
	f.id = fresh.ID
}

// deny puts the policy into force.
func (f *faulty) deny() {
	f.t.Helper()
	f.apply(f.id, fmt.Sprintf(policyHead, "default-deny-all")+"  podSelector: {}\n  policyTypes: [Ingress, Egress]\n")
}

// runs waits until the step of the sandbox's making is running. It reports false where that was
// over before it was seen.
func (f *faulty) runs(step string) bool {
	f.t.Helper()
	dialer := websocket.Dialer{Jar: f.learner.Jar}
	conn, _, err := dialer.DialContext(f.t.Context(), "ws"+strings.TrimPrefix(f.base, "http")+"/sandboxes/"+string(f.id)+"/events", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(4 * time.Minute)); err != nil {
		f.t.Fatal(err)
	}
	for {
		var events []sandbox.Event
		if err := conn.ReadJSON(&events); err != nil {
			f.t.Fatalf("before %q runs: %v", step, err)
		}
		for _, e := range events {
			state, steps := sandbox.State(""), []sandbox.Step(nil)
			switch {
			case e.Snapshot != nil:
				state, steps = e.Snapshot.State, e.Snapshot.Steps
			case e.State != nil:
				state = e.State.State
			case e.Step != nil:
				steps = []sandbox.Step{*e.Step}
			}
			for _, one := range steps {
				if one.Name == step && one.Status == sandbox.StepRunning {
					return true
				}
			}
			switch state {
			case sandbox.Ready:
				return false
			case sandbox.Failed:
				f.t.Fatalf("before %q runs, the sandbox has failed", step)
			}
		}
	}
}

// notedNode is the one node, whose volumes must be gone in the end.
func (f *faulty) notedNode() string {
	f.t.Helper()
	node := f.node()
	f.noteVolumes(node)
	return node
}

// fault is something that happens to a sandbox which is whole, and what it comes to.
type fault struct {
	name string
	long bool
	do   func(f *faulty)
}

var faults = []fault{
	{name: "the server is killed before it pauses", do: func(f *faulty) {
		f.trap("pause *", killsServer)
		f.wake()
		f.killed(2 * time.Minute)
		f.isWhole(time.Minute)
	}},
	{name: "the server is killed when it has paused", do: func(f *faulty) {
		f.trap("pause *", doneKillsServer)
		f.wake()
		f.killed(2 * time.Minute)
		f.isWhole(time.Minute)
	}},
	{name: "the server is killed before it wakes", do: func(f *faulty) {
		f.sleeps()
		f.trap("unpause *", killsServer)
		f.wake()
		f.killed(time.Minute)
		f.isWhole(time.Minute)
	}},
	{name: "the server is killed while it wakes", do: func(f *faulty) {
		f.sleeps()
		f.trap("unpause *", doneKillsServer)
		f.wake()
		f.killed(time.Minute)
		f.isWhole(time.Minute)
	}},
	{name: "the node is killed while the sandbox sleeps", long: true, do: func(f *faulty) {
		node := f.notedNode()
		f.sleeps()
		f.docker("unpause", node)
		f.docker("kill", node)
		f.isWhole(4 * time.Minute)
	}},
	{name: "the node is killed while the sandbox wakes", long: true, do: func(f *faulty) {
		f.sleeps()
		f.trap("unpause *", `real "$@"; real kill "$2" >/dev/null; exit 0`)
		f.wake()
		f.sprung(time.Minute)
		f.isWhole(4 * time.Minute)
	}},
	{name: "the node is killed and the server, too, while it starts it again", long: true, do: func(f *faulty) {
		f.trap("start *", doneKillsServer)
		f.wake()
		f.docker("kill", f.notedNode())
		f.killed(time.Minute)
		f.isWhole(4 * time.Minute)
	}},
	{name: "the machine starts anew", long: true, do: func(f *faulty) {
		if err := f.cmd.Process.Kill(); err != nil {
			f.t.Fatal(err)
		}
		for _, one := range f.all() {
			f.docker("kill", one)
		}
		f.killed(time.Minute)
		f.isWhole(4 * time.Minute)
	}},
	{name: "the cluster is gone while the server is", long: true, do: func(f *faulty) {
		node := f.notedNode()
		if err := f.cmd.Process.Kill(); err != nil {
			f.t.Fatal(err)
		}
		f.docker("rm", "--force", "--volumes", node)
		f.killed(time.Minute)
		f.fails(time.Minute)
	}},
	{name: "the API server does not come back", long: true, do: func(f *faulty) {
		f.docker("exec", f.notedNode(), "sh", "-c", "rm /etc/kubernetes/manifests/kube-apiserver.yaml && pkill -KILL -f '^(/usr/local/bin/)?kube-apiserver'")
		f.fails(6 * time.Minute)
	}},
	{name: "etcd's data is destroyed", long: true, do: func(f *faulty) {
		f.docker("exec", f.notedNode(), "sh", "-c", "rm -rf /var/lib/etcd/member; mkdir /var/lib/etcd/member; echo broken >/var/lib/etcd/member/snap; pkill -KILL -f '^(/usr/local/bin/)?etcd'")
		f.fails(6 * time.Minute)
	}},
}

// TestFaults lets everything happen to a sandbox and its server that may: it is ready
// again with its policy in force, or failed with a reason, and then the policy is in force
// in the fresh one. Afterwards nothing is left.
func TestFaults_a_sandbox_is_whole_again_or_failed_with_a_reason(t *testing.T) {
	f := startFaulty(t, "--pause-after", "20s")
	f.id = f.create("network-policies")
	f.wait(f.id, 4*time.Minute, "ready, and every flow open", allOpen)
	f.deny()
	f.isWhole(time.Minute)
	for _, one := range faults {
		t.Run(one.name, func(t *testing.T) {
			if one.long {
				needsEveryFault(t)
			}
			f.server.t = t
			one.do(f)
		})
		f.server.t = t
		if t.Failed() {
			return // Each begins with a sandbox that is whole.
		}
	}
}

func TestFaults_a_server_that_is_killed_at_every_step_goes_on_each_time(t *testing.T) {
	needsEveryFault(t)
	f := startFaulty(t)
	f.id = f.create("network-policies")
	for _, step := range f.get(f.id).Steps {
		// A short step may be over before it is seen.
		for !f.runs(step.Name) {
			f.reset()
		}
		t.Logf("killed in the step %q", step.Name)
		f.kill()
	}
	f.wait(f.id, 4*time.Minute, "ready, and every flow open", allOpen)
	if left := f.nodes(); len(left) != 1 || len(f.folders()) > 0 {
		t.Errorf("the clusters are %q, and folders %q", left, f.folders())
	}

	// And a node that is killed in each step of the lay.
	for _, step := range f.get(f.id).Steps[4:] {
		f.reset()
		for !f.runs(step.Name) {
			f.reset()
		}
		f.docker("kill", f.newest())
		s := f.wait(f.id, 6*time.Minute, "failed, or ready all the same", func(s sandbox.Snapshot) bool { return s.State == sandbox.Failed || allOpen(s) })
		t.Logf("the node is killed in the step %q: %s %s", step.Name, s.State, s.Reason)
		if s.State == sandbox.Failed && !strings.Contains(s.Reason, "tart again") {
			t.Errorf("no fresh one is offered: %s", s.Reason)
		}
	}
	f.reset()
	f.wait(f.id, 4*time.Minute, "ready, and every flow open", allOpen)
}

func TestFaults_a_server_that_is_killed_with_a_reserve_hands_out_what_is_in_order(t *testing.T) {
	needsEveryFault(t)
	f := startFaulty(t, "--pool-reserve", "1", "--pool-max", "1")
	f.trap("pause *", killsServer)
	f.killed(4 * time.Minute)
	f.trap("pause *", doneKillsServer)
	f.killed(4 * time.Minute)
	// What a server that is killed had in reserve is removed by the next.
	known := f.nodes()
	stocked := func() (reserved string) {
		f.until(4*time.Minute, "another one is in reserve", func() bool {
			paused := f.nodes("status=paused")
			if len(paused) != 1 || slices.Contains(known, paused[0]) {
				return false
			}
			reserved = paused[0]
			return true
		})
		known = append(known, reserved)
		return reserved
	}
	for _, action := range []string{killsServer, doneKillsServer} {
		reserved := stocked()
		f.trap("unpause *", action)
		f.id = f.create("network-policies")
		f.killed(time.Minute)
		f.wait(f.id, 4*time.Minute, "ready, and every flow open", allOpen)
		if nodes := f.nodes(); len(nodes) != 1 || nodes[0] == reserved {
			t.Errorf("the clusters are %q; %s was half handed out", nodes, reserved)
		}
		f.remove(f.id)
	}
	// One whose node is killed in the reserve, or while it is handed out, is replaced.
	for _, in := range []string{"reserve", "hands"} {
		reserved := stocked()
		if in == "reserve" {
			f.docker("unpause", reserved)
			f.docker("rm", "--force", "--volumes", reserved)
		} else {
			f.trap("unpause *", `real "$@"; real kill "$2" >/dev/null; exit 0`)
		}
		f.id = f.create("network-policies")
		f.wait(f.id, 6*time.Minute, "ready, and every flow open", allOpen)
		t.Logf("%s was lost in the %s; now there are %q", reserved, in, f.nodes())
		f.remove(f.id)
	}
}

// needsEveryFault leaves out what takes long, which make test names at its end.
func needsEveryFault(t *testing.T) {
	t.Helper()
	if !*everyFault {
		t.Skip("make test-faults has it, as part of make release-check")
	}
}

// all are the server's containers.
func (s *server) all() []string {
	s.t.Helper()
	return strings.Fields(s.docker("ps", "-a", "--filter", "name=^"+s.prefix(), "--format", "{{.Names}}"))
}

// newest is the node that was made last.
func (s *server) newest() string {
	s.t.Helper()
	nodes := s.nodes() // Docker has the newest first.
	if len(nodes) == 0 {
		s.t.Fatal("there is no node")
	}
	return nodes[0]
}

// TestFaults_a_full_disk_loses_nothing gives the node a small disk of its own, and
// fills it.
func TestFaults_a_full_disk_loses_nothing(t *testing.T) {
	needsEveryFault(t)
	if os.Getuid() != 0 {
		t.Fatal("only root can mount a small disk: run make test-faults as root")
	}
	f := startFaulty(t)
	disk := filepath.Join(f.dir, "disk")
	for _, command := range [][]string{
		{"truncate", "--size", "1000M", disk + ".img"}, {"mkfs.ext4", "-q", "-F", "-m", "0", disk + ".img"}, {"mkdir", disk}, {"mount", "-o", "loop", disk + ".img", disk},
		{"docker", "run", "--rm", "--volume", disk + ":/disk", "--entrypoint", "cp", "netpol-lab/node:latest", "-a", "/var/.", "/disk/"}, // as Docker fills a volume
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
	}
	t.Cleanup(func() {
		f.end(syscall.SIGTERM)
		if out, err := exec.Command(f.binary, "clean", "--data", f.data).CombinedOutput(); err != nil {
			t.Errorf("clean: %v\n%s", err, out)
		}
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
		f.start("127.0.0.1:0") // for the end that the others have
	})
	if err := os.WriteFile(filepath.Join(f.dir, "var"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.id = f.create("network-policies")
	f.wait(f.id, 4*time.Minute, "ready, and every flow open", func(s sandbox.Snapshot) bool {
		if s.State == sandbox.Failed {
			t.Fatalf("it has failed: %s", s.Reason)
		}
		return allOpen(s)
	})
	f.deny()
	f.isWhole(time.Minute)
	full := filepath.Join(disk, "full")
	if out, err := exec.Command("sh", "-c", "head -c 2G /dev/zero >"+full).CombinedOutput(); err == nil {
		t.Fatalf("the disk is not full: %s", out)
	}
	// What etcd has room for already is used up, too.
	node := f.node()
	used := `head -c 700000 /dev/zero | tr '\0' x >/dev/shm/big
export KUBECONFIG=/etc/kubernetes/admin.conf
for i in $(seq 200); do
  kubectl create configmap "big-$i" --request-timeout 10s --from-file /dev/shm/big >/dev/null || exit 0
done
exit 1`
	if out, err := exec.Command("docker", "exec", node, "sh", "-c", used).CombinedOutput(); err != nil {
		t.Fatalf("the full disk stops nothing: %s", out)
	} else {
		t.Logf("the API server says:\n%s", out)
	}
	code, body := f.ask("PUT", "/sandboxes/"+string(f.id)+"/policies", "application/yaml", fmt.Sprintf(policyHead, "another")+"  podSelector: {matchLabels: {app: nobody}}\n", nil)
	t.Logf("apply on a full disk: %d %s", code, body)
	if code == http.StatusOK || !strings.Contains(body, "disk") {
		t.Errorf("apply on a full disk: %d %s", code, body)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	// It answers again, or has failed meanwhile; what was in force is so in either case.
	f.until(6*time.Minute, "a policy is taken again, or it has failed", func() bool {
		code, body = f.ask("PUT", "/sandboxes/"+string(f.id)+"/policies", "application/yaml", fmt.Sprintf(policyHead, "another")+"  podSelector: {matchLabels: {app: nobody}}\n", nil)
		time.Sleep(time.Second) // the pause between two tries
		return code == http.StatusOK || f.get(f.id).State == sandbox.Failed
	})
	s := f.get(f.id)
	t.Logf("with room again it is %s (%s), with %d policies: %d %s", s.State, s.Reason, len(s.Policies), code, body)
	if s.State == sandbox.Failed {
		if err := os.Remove(filepath.Join(f.dir, "var")); err != nil {
			t.Fatal(err)
		}
		f.reset()
	}
	f.wait(f.id, 4*time.Minute, "whole again", func(s sandbox.Snapshot) bool {
		return denied(s) && slices.ContainsFunc(s.Policies, func(p sandbox.AppliedPolicy) bool { return p.Name == "default-deny-all" })
	})
}
