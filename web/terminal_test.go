package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// terminal is a learner's terminal on the page.
type terminal struct {
	t    testing.TB
	conn *websocket.Conn
	seen string
}

// dialTerminal connects to the sandbox's terminal as the learner's page does.
func (v *learner) dialTerminal(id string, header http.Header) (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{Jar: v.Jar, HandshakeTimeout: patience}
	return dialer.Dial("ws"+strings.TrimPrefix(v.lab.URL, "http")+"/sandboxes/"+id+"/terminal", header)
}

// terminal opens the sandbox's terminal, and fails the test where that is refused.
func (v *learner) terminal(id string) *terminal {
	v.t.Helper()
	conn, _, err := v.dialTerminal(id, http.Header{"Origin": {v.lab.URL}})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { conn.Close() })
	x := &terminal{t: v.t, conn: conn}
	x.resize(80, 24)
	return x
}

func (x *terminal) resize(columns, rows int) {
	x.t.Helper()
	if err := x.conn.WriteJSON(sandbox.TerminalSize{Columns: columns, Rows: rows}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) typed(text string) {
	x.t.Helper()
	if err := x.conn.WriteMessage(websocket.BinaryMessage, []byte(text)); err != nil {
		x.t.Fatal(err)
	}
}

// sees reads until the terminal shows the text.
func (x *terminal) sees(want string) {
	x.t.Helper()
	for !strings.Contains(x.seen, want) {
		if err := x.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			x.t.Fatal(err)
		}
		kind, message, err := x.conn.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage {
			x.t.Fatalf("no %q: message %q, %v; there is %q", want, message, err, x.seen)
		}
		x.seen += string(message)
	}
}

// end reads to the last message, and returns it with the code of the close.
func (x *terminal) end() (end terminalEnd, code int) {
	x.t.Helper()
	if err := x.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		x.t.Fatal(err)
	}
	for {
		kind, message, err := x.conn.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			return end, closed.Code
		case err != nil:
			x.t.Fatal(err)
		case kind == websocket.TextMessage:
			if err := json.Unmarshal(message, &end); err != nil {
				x.t.Fatal(err)
			}
		}
	}
}

func TestA_terminal_shows_what_the_shell_writes_and_takes_what_is_typed(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	x := v.terminal(v.start())
	x.sees("lab$ ")
	x.typed("stty size\n")
	x.sees("24 80\r\n")
	x.resize(100, 30)
	x.typed("stty size\n")
	x.sees("30 100\r\n")
	x.typed("probe --from production/web production/api 8080\n")
	x.sees("open: production/web to production/api:8080/TCP")
	x.typed("exit\n")
	if end, code := x.end(); end.End != "ended" || end.Message == "" || code != websocket.CloseNormalClosure {
		t.Errorf("it ends with %+v and %d", end, code)
	}
}

func TestA_terminal_that_is_left_is_found_again_as_it_was(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	first := v.terminal(id)
	first.typed("echo fir''st\n")
	first.sees("first\r\nlab$ ")
	first.conn.Close() // without a word, as when the network goes
	again := v.terminal(id)
	again.sees("first\r\nlab$ ")
	again.typed("echo sec''ond\n")
	again.sees("second\r\nlab$ ")

	other := v.terminal(id)
	other.sees("second\r\nlab$ ")
	if end, code := again.end(); end.End != "elsewhere" || code != websocket.CloseNormalClosure {
		t.Errorf("the place before is told %+v and %d", end, code)
	}
}

func TestA_terminal_ends_with_its_sandbox_and_with_the_server(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	id := v.start()
	x := v.terminal(id)
	x.sees("lab$ ")
	if a := v.send("DELETE", "/sandboxes/"+id, nil); a.status >= 300 {
		t.Fatalf("the sandbox is not stopped: %d", a.status)
	}
	if end, code := x.end(); end.End != "failed" || code != websocket.CloseNormalClosure {
		t.Errorf("the sandbox's end is told as %+v and %d", end, code)
	}
	other := l.learner(t)
	y := other.terminal(other.start())
	y.sees("lab$ ")
	l.closing()
	if end, code := y.end(); end.End != "" || code != websocket.CloseGoingAway {
		t.Errorf("the server's end is told as %+v and %d", end, code)
	}
}

func TestA_terminal_is_for_the_sandboxs_learner_from_the_labs_own_page(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	id := v.start()
	refused := func(who *learner, id string, origin string, status int) {
		t.Helper()
		conn, answer, err := who.dialTerminal(id, http.Header{"Origin": {origin}})
		if err == nil {
			conn.Close()
			t.Fatal("the connection was made")
		}
		if answer == nil || answer.StatusCode != status {
			t.Errorf("got %v, %v; want %d", answer, err, status)
		}
	}
	refused(l.learner(t), id, l.URL, http.StatusNotFound)
	refused(v, "nonesuch", l.URL, http.StatusNotFound)
	refused(v, id, "https://elsewhere.example", http.StatusForbidden)
	contains(t, refusal(t, v.send("GET", "/sandboxes/"+id+"/terminal", nil), http.StatusUpgradeRequired), "websocket")
	for range socketsPerLearner {
		v.watch(id, "")
	}
	refused(v, id, l.URL, http.StatusTooManyRequests)
}

func TestA_terminal_is_refused_before_the_sandbox_is_ready_and_in_the_simulator(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	v := newLab(t, setup{provider: sandboxtest.Slow(gate)}).learner(t)
	refusal(t, v.send("GET", "/sandboxes/"+v.create()+"/terminal", nil), http.StatusConflict)

	simulated := newLab(t, setup{provider: named{&sandboxtest.Provider{}, sandbox.Simulated}}).learner(t)
	contains(t, refusal(t, simulated.send("GET", "/sandboxes/"+simulated.start()+"/terminal", nil), http.StatusConflict), "simulated")
}

// named is a provider by another name.
type named struct {
	sandbox.Provider
	name string
}

func (p named) Name() string { return p.name }

func TestA_terminal_closes_on_a_client_that_makes_no_sense_and_keeps_the_shell(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	first := v.terminal(id)
	first.typed("echo fir''st\n")
	first.sees("first\r\nlab$ ")
	for name, sent := range map[string]func(c *websocket.Conn) error{
		"no size": func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, []byte("large")) },
		"too much": func(c *websocket.Conn) error {
			return c.WriteMessage(websocket.BinaryMessage, make([]byte, maxTyped+1))
		},
	} {
		x := v.terminal(id)
		x.sees("first\r\nlab$ ")
		if err := sent(x.conn); err != nil {
			t.Fatal(err)
		}
		if err := x.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for {
			if _, _, err := x.conn.ReadMessage(); err != nil {
				if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
					t.Errorf("%s: the connection stays", name)
				}
				break
			}
		}
	}
	v.terminal(id).sees("first\r\nlab$ ")
}

func TestA_terminal_whose_client_does_not_read_costs_the_shell_a_wait_and_nothing_else(t *testing.T) {
	short := defaultTimings
	short.write = 200 * time.Millisecond
	v := newLab(t, setup{timings: short, smallBuffers: true}).learner(t)
	id := v.start()
	slow := v.terminal(id)
	slow.sees("lab$ ")
	slow.typed("yes\n")
	slow.sees("y\r\n") // so it has begun; and then it reads nothing more
	again := v.terminal(id)
	again.sees("y\r\ny\r\n")
	again.typed("\x03")
	again.sees("^C\r\n")
	again.typed("echo aga''in\n")
	again.sees("again\r\nlab$ ")
}
