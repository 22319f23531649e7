package web

import (
	"errors"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// dial connects to the sandbox's events as the learner's page does.
func (v *learner) dial(id, query string, header http.Header) (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{Jar: v.Jar, HandshakeTimeout: patience}
	return dialer.Dial("ws"+strings.TrimPrefix(v.lab.URL, "http")+"/sandboxes/"+id+"/events"+query, header)
}

// watch connects, and fails the test where that is refused.
func (v *learner) watch(id, query string) *websocket.Conn {
	v.t.Helper()
	conn, _, err := v.dial(id, query, http.Header{"Origin": {v.lab.URL}})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { conn.Close() })
	return conn
}

// next reads one message.
func next(t *testing.T, conn *websocket.Conn) []sandbox.Event {
	t.Helper()
	var events []sandbox.Event
	if err := errors.Join(conn.SetReadDeadline(time.Now().Add(patience)), conn.ReadJSON(&events)); err != nil {
		t.Fatal(err)
	}
	return events
}

// readUntil reads events until one is of the type, and returns all.
func readUntil(t *testing.T, conn *websocket.Conn, kind sandbox.EventType) []sandbox.Event {
	t.Helper()
	var all []sandbox.Event
	for {
		for _, e := range next(t, conn) {
			all = append(all, e)
			if e.Type == kind {
				return all
			}
		}
	}
}

// closeCode reads to the connection's end and returns the code of its close.
func closeCode(t *testing.T, conn *websocket.Conn) int {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			var closed *websocket.CloseError
			if !errors.As(err, &closed) {
				t.Fatalf("the connection ended without a close: %v", err)
			}
			return closed.Code
		}
	}
}

func TestA_connection_without_a_number_begins_with_a_snapshot(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	for _, query := range []string{"", "?after=0", "?after="} {
		first := next(t, v.watch(id, query))[0]
		if first.Type != sandbox.EventSnapshot || first.Snapshot.ID != sandbox.ID(id) || first.Seq == 0 {
			t.Errorf("%q: first event = %+v", query, first)
		}
	}
}

func TestA_number_that_the_log_does_not_have_begins_with_a_snapshot(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	first := next(t, v.watch(v.start(), "?after=999999999"))[0]
	if first.Type != sandbox.EventSnapshot || first.Seq >= 999999999 {
		t.Errorf("first event = %s, number %d", first.Type, first.Seq)
	}
}

func TestA_connection_goes_on_after_its_number_without_a_gap(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	conn := v.watch(id, "")
	last := next(t, conn)[0].Seq
	conn.Close()

	if a := v.put(id, denyAll); a.status != http.StatusOK {
		t.Fatalf("PUT: status %d: %s", a.status, a.body)
	}
	again := v.watch(id, "?after="+strconv.FormatInt(last, 10))
	var types []sandbox.EventType
	for _, e := range readUntil(t, again, sandbox.EventSettled) {
		if e.Seq != last+1 {
			t.Fatalf("event %d after %d", e.Seq, last)
		}
		last = e.Seq
		types = append(types, e.Type)
	}
	seen := map[sandbox.EventType]bool{}
	for _, kind := range types {
		seen[kind] = true
	}
	if seen[sandbox.EventSnapshot] || !seen[sandbox.EventPolicies] || !seen[sandbox.EventObservations] {
		t.Errorf("events = %v, want policies and observations and no snapshot", types)
	}
}

// In a class all but one wait for their turn: each of them must cost next to nothing.
func TestA_sandbox_that_waits_is_told_of_in_one_message(t *testing.T) {
	gate := make(chan struct{})
	l := newLab(t, setup{provider: sandboxtest.Slow(gate)})
	first := l.learner(t)
	first.await(first.create(), sandbox.Creating)
	v := l.learner(t)
	id := v.create()
	v.until("its place is known", func() bool { return v.snapshot(v.send("GET", "/sandboxes/"+id, nil)).Waiting != nil })
	conn := v.watch(id, "")
	message := next(t, conn)
	if e := message[0]; len(message) != 1 || e.Type != sandbox.EventSnapshot || e.Snapshot.State != sandbox.Queued || e.Snapshot.Waiting == nil {
		t.Fatalf("the first message is %+v, want a snapshot of a queued sandbox that knows its place", message)
	}
	close(gate)
	last := message[0].Seq
	for state := sandbox.Queued; state != sandbox.Ready; {
		for _, e := range next(t, conn) {
			if e.Type == sandbox.EventSnapshot || e.Seq != last+1 {
				t.Fatalf("%s is event %d, after event %d of a sandbox that waits", e.Type, e.Seq, last)
			}
			if last = e.Seq; e.State != nil {
				state = e.State.State
			}
		}
	}
}

func TestTwo_tabs_see_the_same_events(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	tabs := []*websocket.Conn{v.watch(id, ""), v.watch(id, "")}
	v.put(id, denyAll)
	var settled []int64
	for _, conn := range tabs {
		all := readUntil(t, conn, sandbox.EventSettled)
		settled = append(settled, all[len(all)-1].Seq)
	}
	if settled[0] != settled[1] {
		t.Errorf("settled is number %d in one tab and %d in the other", settled[0], settled[1])
	}
}

func TestA_stopped_sandbox_ends_with_code_1000(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	conn := v.watch(id, "")
	next(t, conn)
	v.send("DELETE", "/sandboxes/"+id, nil)
	for last := ""; last != string(sandbox.Stopped); {
		for _, e := range readUntil(t, conn, sandbox.EventState) {
			if e.State != nil {
				last = string(e.State.State)
			}
		}
	}
	if code := closeCode(t, conn); code != websocket.CloseNormalClosure {
		t.Errorf("code = %d, want 1000", code)
	}
}

func TestA_stopping_server_ends_connections_with_code_1001(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	conn := v.watch(v.start(), "")
	next(t, conn)
	v.lab.closing()
	if code := closeCode(t, conn); code != websocket.CloseGoingAway {
		t.Errorf("code = %d, want 1001", code)
	}
}

func TestAnother_sites_page_gets_no_events(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	_, res, err := v.dial(id, "", http.Header{"Origin": {"http://elsewhere.example"}})
	if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("error = %v, answer = %+v, want 403", err, res)
	}
}

func TestStrangers_are_answered_before_the_upgrade(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	id := v.start()
	for name, c := range map[string]struct {
		v      *learner
		id     string
		query  string
		status int
	}{
		"no such sandbox":       {v, "none", "", 404},
		"another learner's":     {l.learner(t), id, "", 404},
		"a number that is none": {v, id, "?after=many", 400},
		"a negative number":     {v, id, "?after=-1", 400},
	} {
		_, res, err := c.v.dial(c.id, c.query, nil)
		if err == nil || res == nil || res.StatusCode != c.status {
			t.Errorf("%s: error = %v, answer = %+v, want %d", name, err, res, c.status)
		}
	}
	contains(t, refusal(t, v.send("GET", "/sandboxes/"+id+"/events", nil), http.StatusUpgradeRequired), "websocket")
}

// quick makes the waiting for a silent or slow client short, and yet long enough
// for a machine that has much else to do.
var quick = timings{ping: 50 * time.Millisecond, silence: time.Second, write: 2 * time.Second, farewell: time.Second}

func TestA_client_that_answers_pings_stays(t *testing.T) {
	v := newLab(t, setup{timings: quick}).learner(t)
	id := v.start()
	conn := v.watch(id, "")
	pings := 0
	answer := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { pings++; return answer(data) })
	next(t, conn)
	// Reading is what answers pings; the change ends it well after the silence
	// that the server would bear.
	done := time.AfterFunc(2*quick.silence, func() { _, _ = v.lab.manager.DeletePolicies(t.Context(), sandbox.ID(id), nil) })
	defer done.Stop()
	readUntil(t, conn, sandbox.EventSettled)
	if pings < 4 {
		t.Errorf("%d pings in %s, want one each %s", pings, 2*quick.silence, quick.ping)
	}
}

func TestA_client_that_answers_no_ping_is_dropped(t *testing.T) {
	v := newLab(t, setup{timings: quick}).learner(t)
	conn := v.watch(v.start(), "")
	conn.SetPingHandler(func(string) error { return nil })
	begun := time.Now()
	for err := conn.SetReadDeadline(begun.Add(patience)); err == nil; _, _, err = conn.ReadMessage() {
	}
	if took := time.Since(begun); took < quick.silence/2 || took >= patience {
		t.Errorf("dropped after %s, want about %s", took, quick.silence)
	}
	v.watch(v.create(), "") // and may connect again
}

func TestA_long_message_from_the_client_ends_the_connection(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	conn := v.watch(v.start(), "")
	next(t, conn)
	if err := conn.WriteMessage(websocket.TextMessage, make([]byte, maxClientMessage+1)); err != nil {
		t.Fatal(err)
	}
	if code := closeCode(t, conn); code != websocket.CloseMessageTooBig {
		t.Errorf("code = %d, want 1009", code)
	}
}

// A client that does not read must cost the others nothing, and must be able to
// go on where it was.
func TestA_slow_reader_is_dropped_and_goes_on_later(t *testing.T) {
	slow := quick
	slow.silence = patience
	v := newLab(t, setup{timings: slow, smallBuffers: true}).learner(t)
	id := v.start()
	dialer := websocket.Dialer{Jar: v.Jar, NetDial: func(network, address string) (net.Conn, error) {
		conn, err := net.Dial(network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}}
	lazy, _, err := dialer.Dial("ws"+strings.TrimPrefix(v.lab.URL, "http")+"/sandboxes/"+id+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lazy.Close()
	last := next(t, lazy)[0].Seq

	// Each change is told with the policy's whole text: together more than what
	// the system keeps for the reader.
	dropped := func() bool {
		return strings.Contains(v.lab.log.String(), "path=/sandboxes/"+id+"/events")
	}
	big := denyAll + "# " + strings.Repeat("x", 100<<10)
	for i := range 8 {
		if a := v.put(id, big+strconv.Itoa(i)); a.status != http.StatusOK {
			t.Fatalf("PUT: status %d: %.200s", a.status, a.body)
		}
	}
	v.until("the slow reader is dropped", dropped)

	again := v.watch(id, "?after="+strconv.FormatInt(last, 10))
	for _, e := range next(t, again) {
		if e.Type == sandbox.EventSnapshot {
			break // so much has happened that it left the log
		}
		if e.Seq != last+1 {
			t.Fatalf("event %d after %d", e.Seq, last)
		}
		last = e.Seq
	}
}

// The protocol's document and the program must not drift apart.
func TestThe_examples_of_the_protocol_are_events_of_every_type(t *testing.T) {
	doc, err := os.ReadFile("EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[sandbox.EventType]bool{}
	for _, m := range regexp.MustCompile("(?s)### ([a-z]+)\n.*?```json\n(.*?)```").FindAllStringSubmatch(string(doc), -1) {
		var e sandbox.Event
		strict(t, m[2], &e)
		if string(e.Type) != m[1] || e.Seq == 0 || e.Time.IsZero() {
			t.Errorf("the example of %s is %+v", m[1], e)
		}
		bodies := map[sandbox.EventType]bool{
			sandbox.EventSnapshot: e.Snapshot != nil, sandbox.EventState: e.State != nil, sandbox.EventStep: e.Step != nil,
			sandbox.EventPolicies: e.Policies != nil, sandbox.EventObservations: e.Observations != nil,
			sandbox.EventSettled: e.Settled != nil, sandbox.EventNotice: e.Notice != nil,
			sandbox.EventPredictions: e.Predictions != nil, sandbox.EventDisagreement: e.Disagreement != nil,
		}
		for kind, present := range bodies {
			if present != (kind == e.Type) {
				t.Errorf("the example of %s has the field of %s: %v", m[1], kind, present)
			}
		}
		seen[e.Type] = true
	}
	for _, kind := range []sandbox.EventType{
		sandbox.EventSnapshot, sandbox.EventState, sandbox.EventStep, sandbox.EventPolicies,
		sandbox.EventObservations, sandbox.EventSettled, sandbox.EventNotice, sandbox.EventPredictions, sandbox.EventDisagreement,
	} {
		if !seen[kind] {
			t.Errorf("%s has no example", kind)
		}
	}
	for name, want := range map[string]bool{
		"pings every 20 seconds":  defaultTimings.ping == 20*time.Second,
		"for 45":                  defaultTimings.silence == 45*time.Second,
		"longer than 10 seconds":  defaultTimings.write == 10*time.Second,
		"512 bytes":               maxClientMessage == 512,
		"may have 16 connections": socketsPerLearner == 16,
	} {
		if text := strings.Join(strings.Fields(string(doc)), " "); !want || !strings.Contains(text, name) {
			t.Errorf("%q: the document and the program differ", name)
		}
	}
}
