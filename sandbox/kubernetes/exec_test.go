package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// fakeExec is an executor whose API server hands every websocket to serve.
func fakeExec(t *testing.T, serve func(*websocket.Conn)) *executor {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{"v5.channel.k8s.io"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "status": {"token": "secret"}}`)
			return
		}
		if got, want := r.URL.Path, "/api/v1/namespaces/shop/pods/web/exec"; got != want || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("asked for %s as %s, want %s with the account's token", got, r.Header.Get("Authorization"), want)
		}
		if serve == nil {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "it may not")
			return
		}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		serve(conn)
	}))
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL, QPS: -1}
	client, err := newAPI(config)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newExecutor(config, client, newAccount(client, ProberAccount), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func opened(t *testing.T, e *executor, sizes <-chan sandbox.TerminalSize) *execStream {
	t.Helper()
	s, err := e.exec(t.Context(), "shop", "web", &corev1.PodExecOptions{Stdin: true, Stdout: true, Stderr: true}, sizes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func send(t *testing.T, conn *websocket.Conn, channel byte, text string) {
	if err := conn.WriteMessage(websocket.BinaryMessage, append([]byte{channel}, text...)); err != nil {
		t.Error(err)
	}
}

func TestExec_passes_on_what_is_written_in_order_and_in_pieces(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 10_000)
	s := opened(t, fakeExec(t, func(conn *websocket.Conn) {
		for got := 0; got < len(long); {
			_, p, err := conn.ReadMessage()
			if err != nil || p[0] != 0 || len(p) > execBuffer+1 {
				t.Errorf("message of channel %d with %d bytes, %v", p[0], len(p), err)
				return
			}
			got += len(p) - 1
			send(t, conn, 1, string(p[1:]))
		}
		send(t, conn, 3, `{"status":"Success"}`)
	}), nil)
	if n, err := s.Write(long); n != len(long) || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, long) {
		t.Errorf("read %d bytes, %v; want the %d that were written", len(got), err, len(long))
	}
}

func TestExec_tells_how_the_command_has_failed(t *testing.T) {
	for name, test := range map[string]struct {
		serve func(*websocket.Conn)
		says  []string
	}{
		"a code": {func(c *websocket.Conn) { send(t, c, 3, `{"status":"Failure","message":"command terminated with 7"}`) }, []string{"terminated with 7"}},
		"what it said": {func(c *websocket.Conn) {
			send(t, c, 2, "no such file\n")
			send(t, c, 3, `{"status":"Failure","message":"ended"}`)
		}, []string{"ended: no such file"}},
		"broken off":             {func(c *websocket.Conn) { send(t, c, 2, "killed\n") }, []string{"killed", "EOF"}},
		"a status that is none":  {func(c *websocket.Conn) { send(t, c, 3, `{`) }, []string{"EOF"}},
		"a message without data": {func(c *websocket.Conn) { _ = c.WriteMessage(websocket.BinaryMessage, nil) }, []string{"without a channel"}},
		"a message of text":      {func(c *websocket.Conn) { _ = c.WriteMessage(websocket.TextMessage, []byte("x")) }, []string{"unexpected"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := io.ReadAll(opened(t, fakeExec(t, test.serve), nil))
			for _, says := range test.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want %q in it", err, says)
				}
			}
		})
	}
	_, err := fakeExec(t, nil).exec(t.Context(), "shop", "web", &corev1.PodExecOptions{Stdout: true}, nil)
	if err == nil || !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), "it may not") {
		t.Errorf("refused: got %v", err)
	}
}

func TestExec_tells_the_terminal_s_size(t *testing.T) {
	told := make(chan string, 1)
	sizes := make(chan sandbox.TerminalSize, 1)
	sizes <- sandbox.TerminalSize{Columns: 120, Rows: 40}
	s := opened(t, fakeExec(t, func(conn *websocket.Conn) {
		_, p, err := conn.ReadMessage()
		if err != nil || p[0] != 4 {
			t.Errorf("a message of channel %v, %v", p, err)
			return
		}
		told <- string(p[1:])
	}), sizes)
	_, _ = io.ReadAll(s)
	var size struct{ Width, Height int }
	if err := json.Unmarshal([]byte(<-told), &size); err != nil || size.Width != 120 || size.Height != 40 {
		t.Errorf("told %+v, %v", size, err)
	}
}

// As in a cluster that is frozen: the connection stays, and nobody answers.
func TestExec_ends_when_it_is_closed_or_its_time_is_over_though_nobody_answers(t *testing.T) {
	frozen := make(chan struct{})
	defer close(frozen)
	e := fakeExec(t, func(*websocket.Conn) { <-frozen })
	for name, end := range map[string]func(*execStream, context.CancelFunc){
		"closed": func(s *execStream, _ context.CancelFunc) { s.Close() },
		"over":   func(_ *execStream, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := e.exec(ctx, "shop", "web", &corev1.PodExecOptions{Stdin: true, Stdout: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 2)
			go func() {
				_, err := s.Read(make([]byte, 1))
				ended <- err
			}()
			go func() {
				var err error
				for p := make([]byte, 1<<20); err == nil; {
					_, err = s.Write(p) // until nothing more goes in
				}
				ended <- err
			}()
			time.Sleep(20 * time.Millisecond) // Both wait, or nearly.
			end(s, cancel)
			for range 2 {
				select {
				case err := <-ended:
					if err == nil || errors.Is(err, io.EOF) && name == "over" {
						t.Errorf("it ended with %v", err)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("it hangs")
				}
			}
			s.Close()
		})
	}
}
