package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dockerScript runs .ci/docker with a dockerd and a docker that only play theirs:
// docker answers while the file "up" is there, which dockerd makes.
type dockerScript struct {
	*testing.T
	dir string
	env []string
}

func newDockerScript(t *testing.T, dockerd string) *dockerScript {
	t.Helper()
	d := &dockerScript{T: t, dir: t.TempDir()}
	bin := filepath.Join(d.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"docker":      `[ -e "$DIR/up" ] || { echo "no daemon" >&2; exit 1; }; echo 99.9`,
		"dockerd":     dockerd,
		"debootstrap": "exit 1",
		"iptables":    "exit 1",
		"runc":        "exit 1",
		"apt-get":     `echo "$@" >>"$DIR/apt"`,
		"id":          "echo 0",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.env = append(os.Environ(), "DIR="+d.dir, "PATH="+bin+":/usr/bin:/bin",
		"NETPOL_LAB_DOCKER_STATE="+d.path("state"), "NETPOL_LAB_DOCKER_RUN="+d.path("run"), "NETPOL_LAB_DOCKER_DEADLINE=5")
	t.Cleanup(func() { d.run("stop") })
	return d
}

func (d *dockerScript) path(name string) string { return filepath.Join(d.dir, name) }

func (d *dockerScript) run(args ...string) (string, error) {
	d.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", append([]string{"../../.ci/docker"}, args...)...)
	cmd.Env = d.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (d *dockerScript) must(args ...string) string {
	d.Helper()
	out, err := d.run(args...)
	if err != nil {
		d.Fatalf("%v: %v: %s", args, err, out)
	}
	return out
}

// daemon is the process that start has started; 0 where its file is not there.
func (d *dockerScript) daemon() int {
	text, err := os.ReadFile(d.path("state/dockerd.pid"))
	if err != nil {
		return 0
	}
	pid, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.Atoi(pid)
	if err != nil {
		d.Fatal(err)
	}
	return n
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// playing is a dockerd that comes up and ends when it is told to.
const playing = `touch "$DIR/up"; trap 'rm -f "$DIR/up"; exit 0' TERM; while :; do sleep 0.05; done`

func TestDockerScript_start_and_stop(t *testing.T) {
	d := newDockerScript(t, playing)
	if out, err := d.run("check"); err == nil || !strings.Contains(out, "no daemon answers") {
		t.Errorf("check before: %v: %s", err, out)
	}
	d.must("start")
	pid := d.daemon()
	if pid == 0 || !alive(pid) {
		t.Fatalf("no daemon runs: process %d", pid)
	}
	if out := d.must("check"); !strings.Contains(out, "server 99.9") {
		t.Errorf("check: %s", out)
	}
	d.must("start")
	if d.daemon() != pid {
		t.Error("a second start began a second daemon")
	}
	d.must("stop")
	if alive(pid) || d.daemon() != 0 {
		t.Errorf("process %d goes on after stop", pid)
	}
	d.must("stop") // of nothing is no error
}

func TestDockerScript_a_docker_that_answers_is_left_alone(t *testing.T) {
	d := newDockerScript(t, `touch "$DIR/started"`)
	if err := os.WriteFile(d.path("up"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.must("start")
	d.must("stop")
	for _, name := range []string{"started", "apt", "state"} {
		if _, err := os.Stat(d.path(name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
}

func TestDockerScript_a_stale_pid_file_is_no_obstacle(t *testing.T) {
	// Like the real one, it refuses to start beside a pid file of a living process.
	d := newDockerScript(t, `[ -e "$DIR/run/docker.pid" ] && kill -0 "$(cat "$DIR/run/docker.pid")" && exit 1; `+playing)
	if err := os.Mkdir(d.path("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.path("run/docker.pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	d.must("start")
}

func TestDockerScript_stop_spares_a_process_that_took_over_the_number(t *testing.T) {
	d := newDockerScript(t, playing)
	d.must("start")
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	daemon := d.daemon()
	file := d.path("state/dockerd.pid")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, born, _ := strings.Cut(string(text), " ")
	if err := os.WriteFile(file, []byte(strconv.Itoa(other.Process.Pid)+" "+born), 0o600); err != nil {
		t.Fatal(err)
	}
	d.must("stop")
	if !alive(other.Process.Pid) {
		t.Error("stop ended a process that it had not started")
	}
	if err := syscall.Kill(daemon, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func TestDockerScript_a_daemon_that_fails_says_why(t *testing.T) {
	for name, dockerd := range map[string]string{
		"ended at once":  `echo "no overlay here"; exit 1`,
		"did not answer": `echo "no overlay here"; trap 'exit 0' TERM; while :; do sleep 0.05; done`,
	} {
		t.Run(name, func(t *testing.T) {
			d := newDockerScript(t, dockerd)
			out, err := d.run("start")
			if err == nil || !strings.Contains(out, name) || !strings.Contains(out, "no overlay here") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func TestDockerScript_asks_first_and_takes_silence_for_no(t *testing.T) {
	d := newDockerScript(t, playing)
	out, err := d.run("start", "--ask") // No terminal: nobody can agree.
	if err == nil || !strings.Contains(out, "no terminal to ask") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(d.path("apt")); err == nil || d.daemon() != 0 {
		t.Error("something was done all the same")
	}
}
