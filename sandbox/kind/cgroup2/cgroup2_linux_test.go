//go:build integration

package cgroup2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The images that the machine has; the variable is the server's, too.
var (
	nodeImage = cmp.Or(os.Getenv("NETPOL_LAB_NODE_IMAGE"), "netpol-lab/node:latest")
	podImage  = "netpol-lab/pod:latest"
)

// inside says that this process is in the emulated machine.
const inside = "NETPOL_LAB_CGROUP2_INSIDE"

// emulate boots a machine that runs the one test of the program, with the other programs
// beside it, and passes where that has passed within the limit.
func emulate(t *testing.T, limit time.Duration, programs map[string]string, program, test string) {
	m, err := newMachine(t.Context(), []string{nodeImage, podImage}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	lab := filepath.Join(m.cache, "lab")
	defer os.RemoveAll(lab)
	for to, from := range programs {
		if err := copyProgram(filepath.Join(lab, to), from); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(lab, "run"), fmt.Appendf(nil, "export %s=yes NETPOL_LAB_PATIENCE=3 NETPOL_LAB_NODE_IMAGE=%s\ncd /lab/%s\nexec ./%s -test.v -test.run '^%s$'\n",
		inside, nodeImage, filepath.Dir(program), filepath.Base(program), test), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("it was not over within %s", limit))
	defer cancel()
	began := time.Now()
	passed := false
	err = m.boot(ctx, lab, func(line string) {
		t.Logf("%4.0f s: %s", time.Since(began).Seconds(), line)
		passed = passed || strings.HasPrefix(line, "--- PASS: "+test+" ")
	})
	if err != nil {
		t.Fatal(err)
	}
	// A test that is skipped, or not there, ends well, too.
	if !passed {
		t.Fatalf("%s has not passed there", test)
	}
}

func copyProgram(to, from string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// TestEmulated_a_node_starts is the quick part: see TestNode below, which runs there.
func TestEmulated_a_node_starts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	emulate(t, 8*time.Minute, map[string]string{"cgroup2.test": self}, "cgroup2.test", "TestNode_reaches_its_target_and_its_containerd_answers")
}

// TestEmulated_a_sandbox_is_Ready_and_a_default_deny_settles is the whole: the server
// makes a sandbox, as TestKind_with_patience in cmd/netpol-lab has it.
func TestEmulated_a_sandbox_is_Ready_and_a_default_deny_settles(t *testing.T) {
	client := filepath.Join(t.TempDir(), "client")
	compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "integration", "-o", client, "../../../cmd/netpol-lab")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	emulate(t, time.Hour, map[string]string{"bin/netpol-lab": "../../../bin/netpol-lab", "cmd/netpol-lab/client": client},
		"cmd/netpol-lab/client", "TestKind_with_patience_a_slow_machine_gets_there")
}

// TestNode_reaches_its_target_and_its_containerd_answers runs in the emulated machine: a
// node starts as kind starts it.
func TestNode_reaches_its_target_and_its_containerd_answers(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("TestEmulated_a_node_starts runs this in the emulated machine")
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		t.Fatalf("no control groups of version 2 here: %v", err)
	}
	t.Logf("Docker %s", docker(t, "info", "--format", "{{.ServerVersion}}, control groups {{.CgroupVersion}}, driver {{.CgroupDriver}}"))
	docker(t, "run", "--detach", "--tty", "--name", "node", "--hostname", "node", "--privileged", "--cgroupns=private", "--network", "none",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--tmpfs", "/tmp", "--tmpfs", "/run",
		"--volume", "/var", "--volume", "/lib/modules:/lib/modules:ro", nodeImage)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("docker", "logs", "node").CombinedOutput()
			t.Logf("the node's log:\n%s", out)
		}
	})
	eventually(t, "systemd reaches its target", "docker logs node 2>&1 | grep 'Reached target .*Multi-User System'")
	eventually(t, "containerd answers and has the pods' image", "docker exec node ctr --namespace k8s.io images ls -q | grep '^netpol-lab.local/pod:'")
	if out := docker(t, "exec", "node", "cat", "/proc/1/cgroup"); out != "0::/init.scope" {
		t.Errorf("the node's systemd is in %q", out)
	}
	if out := docker(t, "exec", "node", "systemctl", "list-units", "--failed", "--plain", "--no-legend"); out != "" {
		t.Errorf("units have failed in the node:\n%s", out)
	}
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// eventually waits until the command succeeds; the emulated machine is given its own limit.
func eventually(t *testing.T, what, command string) {
	t.Helper()
	began := time.Now()
	for exec.Command("sh", "-c", command).Run() != nil {
		if time.Since(began) > 4*time.Minute {
			t.Fatalf("not within 4 minutes: %s", what)
		}
		time.Sleep(time.Second)
	}
	t.Logf("%s after %.0f s", what, time.Since(began).Seconds())
}
