package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// asProgram makes this test's binary the program itself, with the same arguments.
const asProgram = "NETPOL_LAB_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if size, err := strconv.ParseUint(os.Getenv(onFullDisk), 10, 64); err == nil {
			limitFiles(size)
		}
		main()
	}
	os.Exit(m.Run())
}

// program is the program in a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	t.Cleanup(func() {
		if c.Process != nil && c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	return c
}

// lineWith reads lines until one has the text.
func lineWith(t *testing.T, lines *bufio.Scanner, text string) string {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return lines.Text()
		}
	}
	t.Fatalf("the program said nothing of %q and ended: %v", text, lines.Err())
	return ""
}

func TestStop_a_request_in_hand_is_broken_off_and_is_no_failure(t *testing.T) {
	for name, obeys := range map[string]bool{"that ends when told to": true, "that does not": false} {
		t.Run(name, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan struct{})
			over := make(chan struct{})
			defer close(over)
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				if obeys {
					<-r.Context().Done() // as a check does that waits for a sandbox
				} else {
					<-over
				}
				close(ended)
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, told := io.Pipe()
			c := &serveCmd{Listen: "127.0.0.1:0", patience: patience{requests: 20 * time.Millisecond, end: 200 * time.Millisecond}}
			if obeys {
				c.patience.end = time.Minute
			}
			done := make(chan error, 1)
			go func() {
				done <- c.serve(ctx, handler, machine{}, "", told, slog.New(slog.NewTextHandler(io.Discard, nil)))
			}()
			url := regexp.MustCompile(`http://\S+`).FindString(lineWith(t, bufio.NewScanner(out), "The lab is at"))
			go func() {
				if resp, err := http.Get(url); err == nil {
					resp.Body.Close()
				}
			}()
			<-begun
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the end is a failure: %v", err)
			}
			if obeys {
				<-ended
			}
		})
	}
}

func TestStop_by_a_signal_exits_0_and_a_second_one_ends_at_once(t *testing.T) {
	for name, signals := range map[string]int{"one": 1, "two": 2} {
		t.Run(name, func(t *testing.T) {
			c := program(t, "serve", "--sandbox", "simulated", "--listen", "127.0.0.1:0", "--data", t.TempDir())
			stdout, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			stderr, err := c.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			host := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(lineWith(t, bufio.NewScanner(stdout), "The lab is at"))
			if signals == 2 {
				// A request that is never sent whole keeps the first from being enough.
				conn, err := net.Dial("tcp", host)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, "POST /me/name HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				lineWith(t, bufio.NewScanner(conn), "100 Continue") // It is in hand: its body is waited for.
			}
			log := bufio.NewScanner(stderr)
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			lineWith(t, log, "msg=\"stopping;")
			if signals == 2 {
				if err := c.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
			for log.Scan() { // to the program's end
			}
			err = c.Wait()
			var exit *exec.ExitError
			switch {
			case signals == 1 && err != nil:
				t.Errorf("it ended with %v, want exit code 0", err)
			case signals == 2 && (!errors.As(err, &exit) || exit.ExitCode() != exitAtOnce):
				t.Errorf("it ended with %v, want exit code %d", err, exitAtOnce)
			}
		})
	}
}
