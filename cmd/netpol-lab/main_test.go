package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// command runs one command line in this process.
func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, streams{strings.NewReader(""), &out, &out})
	return out.String(), err
}

func TestRun_help_and_version_are_no_errors(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {}, {"serve", "--help"}, {"version"}} {
		out, err := command(t, args...)
		if err != nil || !strings.Contains(out, "netpol-lab") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

func TestRun_an_unknown_flag_is_a_usage_error(t *testing.T) {
	var usage *usageError
	if _, err := command(t, "serve", "--nonsense"); !errors.As(err, &usage) {
		t.Errorf("got %v, want a usage error", err)
	}
	if _, err := command(t, "serve", "--sandbox", "cloud"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "auto") {
		t.Errorf("got %v, want a usage error that names the choices", err)
	}
	if _, err := command(t, "serve", "--trusted-proxies", "192.0.2.0/24,everybody"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "everybody") {
		t.Errorf("got %v, want a usage error that names what is no address", err)
	}
}

func TestServe_kind_without_docker_says_what_is_missing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := command(t, "serve", "--sandbox", "kind", "--data", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "Docker") {
		t.Errorf("got %v, want it to name Docker", err)
	}
}

func TestServe_kind_without_the_node_image_says_how_to_build_it(t *testing.T) {
	needDocker(t)
	_, err := command(t, "serve", "--sandbox", "kind", "--data", t.TempDir(), "--node-image", "netpol-lab/node:never-built")
	if err == nil || !strings.Contains(err.Error(), "make node-image") {
		t.Errorf("got %v, want it to name make node-image", err)
	}
}

func TestServe_a_taken_address_is_said(t *testing.T) {
	_, err := command(t, "serve", "--listen", "127.0.0.1:99999", "--data", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("got %v", err)
	}
}

func TestServe_ends_cleanly_when_told_to(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := &signalWriter{until: "The lab is at", reached: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, streams{strings.NewReader(""), out, os.Stderr})
	}()
	select {
	case <-out.reached:
	case err := <-done:
		t.Fatalf("it ended by itself: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("got %v, want a clean end", err)
	}
}

// signalWriter tells when a text has been written.
type signalWriter struct {
	text    bytes.Buffer // not embedded: its ReadFrom would pass Write by
	until   string
	reached chan struct{}
}

func (w *signalWriter) Write(p []byte) (int, error) {
	n, err := w.text.Write(p)
	if strings.Contains(w.text.String(), w.until) {
		close(w.reached)
		w.until = "\x00"
	}
	return n, err
}

// needDocker leaves the test out where there is no Docker, which make test names
// loudly and CI forbids. The node image need not be there.
func needDocker(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		if os.Getenv("NETPOL_LAB_REQUIRE") == "all" {
			t.Fatalf("docker version: %v: %s", err, out)
		}
		t.Skipf("docker version: %v", err)
	}
}
