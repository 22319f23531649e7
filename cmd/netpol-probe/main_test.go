package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// freePort is a port that nobody listens on at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().(*net.TCPAddr).Port
}

// identity reads who answers on the port, as soon as somebody does.
func identity(t *testing.T, port int) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			defer conn.Close()
			line, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			return string(line)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestServe_takes_its_name_and_ports_from_flags_or_else_from_the_environment(t *testing.T) {
	env := func(name string, port int) func(string) string {
		return func(key string) string {
			return map[string]string{"NETPOL_PROBE_NAME": name, "NETPOL_PROBE_LISTEN": fmt.Sprintf("%d/TCP", port)}[key]
		}
	}
	port, other := freePort(t), freePort(t)
	for name, tt := range map[string]struct {
		args []string
		env  func(string) string
		want string
	}{
		"environment": {nil, env("monitoring/grafana", port), "netpol-probe monitoring/grafana\n"},
		"flags":       {[]string{"--name", "production/api", "--listen", fmt.Sprintf("%d/TCP", port)}, env("monitoring/grafana", other), "netpol-probe production/api\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- run(ctx, append([]string{"serve"}, tt.args...), tt.env, nil, io.Discard, io.Discard) }()
			if got := identity(t, port); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", other)); err == nil {
				conn.Close()
				t.Error("the environment's port is served beside the flags'")
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestA_command_line_that_makes_no_sense_gives_the_usage(t *testing.T) {
	none := func(string) string { return "" }
	for _, args := range [][]string{nil, {"listen"}, {"dial", "now"}, {"serve", "now"}, {"serve", "--port", "1"}} {
		if err := run(t.Context(), args, none, nil, io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, want the usage", args, err)
		}
	}
}

func TestServe_refuses_ports_that_make_no_sense(t *testing.T) {
	env := func(string) string { return "8080/ICMP" }
	if err := run(t.Context(), []string{"serve"}, env, nil, io.Discard, io.Discard); err == nil || errors.Is(err, errUsage) {
		t.Errorf("got %v", err)
	}
}

func TestDial_measures_what_its_input_asks_for(t *testing.T) {
	request := fmt.Sprintf(`{"id": 7, "kind": "tcp", "address": "127.0.0.1:%d", "timeoutMillis": 1000}`+"\n", freePort(t))
	var out bytes.Buffer
	if err := run(t.Context(), []string{"dial"}, nil, strings.NewReader(request), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	hello, answer, _ := strings.Cut(out.String(), "\n")
	if hello != `{"id":0,"verdict":"hello"}` || !strings.HasPrefix(answer, `{"id":7,"verdict":"refused"`) {
		t.Errorf("got %s", out.String())
	}
}

// A process that has not asked for SIGTERM dies of it, and as a container's first
// process is not even told.
func TestBoth_commands_end_cleanly_at_SIGTERM(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "netpol-probe")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port := freePort(t)
	for _, args := range [][]string{
		{"serve", "--name", "production/api", "--listen", fmt.Sprintf("%d/TCP", port)},
		{"serve", "--name", "development/shell"},
		{"dial"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			cmd := exec.Command(binary, args...)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			// Either command writes a line when it is ready: serve to one, dial to the other.
			ready, w := io.Pipe()
			cmd.Stdout, cmd.Stderr = w, w
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := ready.Read(make([]byte, 4096)); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, ready) }()
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
			defer late.Stop()
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
