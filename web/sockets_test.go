package web

import (
	"net/http"
	"testing"

	"github.com/gorilla/websocket"
)

func TestA_learner_may_open_sixteen_websockets_and_other_learners_theirs(t *testing.T) {
	l := newLab(t, setup{})
	v, other := l.learner(t), l.learner(t)
	id := v.start()
	var open []*websocket.Conn
	for range socketsPerLearner {
		conn := v.watch(id, "")
		next(t, conn)
		open = append(open, conn)
	}
	_, res, err := v.dial(id, "", http.Header{"Origin": {v.lab.URL}})
	if err == nil || res == nil || res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Fatalf("one more: %v, %+v, want 429 and when to come again", err, res)
	}
	// A page's script is not told why an upgrade fails, and asks without one.
	contains(t, refusal(t, v.send("GET", "/sandboxes/"+id+"/events", nil), http.StatusTooManyRequests), "16", "Close some")
	other.watch(other.create(), "")
	v.send("GET", "/sandboxes/"+id, nil)

	open[0].Close()
	v.until("a place is free again", func() bool {
		return v.send("GET", "/sandboxes/"+id+"/events", nil).status == http.StatusUpgradeRequired
	})
	next(t, v.watch(id, ""))
}

func TestThe_server_keeps_files_for_others_than_websockets(t *testing.T) {
	few := defaultLimits
	few.sockets = 3
	l := newLab(t, setup{limits: few})
	first, second := l.learner(t), l.learner(t)
	a, b := first.start(), second.create()
	first.watch(a, "")
	first.watch(a, "")
	conn := second.watch(b, "")
	_, res, err := second.dial(b, "", nil)
	if err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("one more than there may be: %v, %+v, want 503", err, res)
	}
	contains(t, refusal(t, first.send("GET", "/sandboxes/"+a+"/events", nil), http.StatusServiceUnavailable), "tries again")
	if status := l.learner(t).page("GET", "/", nil).status; status != http.StatusOK {
		t.Errorf("a page: status %d", status)
	}
	conn.Close()
	second.until("a place is free again", func() bool {
		return second.send("GET", "/sandboxes/"+b+"/events", nil).status == http.StatusUpgradeRequired
	})
	for files, want := range map[int]int{256: 128, 1024: 512, 1 << 20: socketsAtMost} {
		if got := socketsFor(files); got != want {
			t.Errorf("of %d files %d are for websockets, want %d", files, got, want)
		}
	}
}
