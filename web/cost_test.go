// Where races are looked for, everything costs more memory and much more time.

//go:build !race

package web

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/simulated"
)

// unread opens the sandbox's events and never reads them. It takes the client's side
// of a connection and no more, so that what is measured is the server's.
func (v *learner) unread(id string) {
	v.t.Helper()
	address, err := url.Parse(v.lab.URL)
	if err != nil {
		v.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address.Host)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		v.t.Fatal(err)
	}
	request := fmt.Sprintf("GET /sandboxes/%s/events HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", id, address.Host)
	for _, c := range v.Jar.Cookies(address) {
		request += "Cookie: " + c.String() + "\r\n"
	}
	if _, err := conn.Write([]byte(request + "\r\n")); err != nil {
		v.t.Fatal(err)
	}
	status, err := bufio.NewReaderSize(conn, 16).ReadString(' ')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1") {
		v.t.Fatalf("%q, %v", status, err)
	}
}

// inUse is what is kept: it looks until nothing is on its way any more, such as a history
// that is written down or an answer that is compressed.
func inUse(t *testing.T) int64 {
	t.Helper()
	look := func() int64 {
		var m runtime.MemStats
		for range 5 { // each halves the stacks that are too large
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	const same, looks = 16 << 10, 5
	last, alike := look(), 1
	for range 500 {
		now := look()
		if max(now-last, last-now) > same {
			alike = 0
		}
		if last, alike = now, alike+1; alike == looks {
			return now
		}
	}
	t.Fatalf("what is in use does not come to rest at %d bytes", last)
	return 0
}

// Learners apply as much as may be over and over, and read none of it with any of the
// websockets that they may have; each websocket begins at another state.
func TestA_websocket_that_is_not_read_costs_at_most_64_kilobytes(t *testing.T) {
	patient := defaultTimings
	patient.write, patient.silence, patient.ping = time.Hour, time.Hour, time.Hour
	provider, err := simulated.New(t.TempDir()) // which probes nothing meanwhile
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, setup{provider: provider, timings: patient})
	const learners = 2
	var names strings.Builder
	policies := func(n int) string {
		names.Reset()
		for i := range sandbox.MaxPolicies {
			name := fmt.Sprintf("p%02d-%d-%s", i, n, strings.Repeat("x", sandbox.MaxPolicyName-6))
			fmt.Fprintf(&names, "%s  # %s\n---\n", strings.Replace(denyAll, "default-deny-all", name, 1), strings.Repeat("y", 2000))
		}
		return names.String()
	}
	apply := func(v *learner, id string, n int) {
		t.Helper()
		if a := v.send("PUT", "/sandboxes/"+id+"/policies?prune=true", strings.NewReader(policies(n)), "Content-Type", "application/yaml"); a.status != http.StatusOK {
			t.Fatalf("PUT: status %d: %.300s", a.status, a.body)
		}
		v.until("it has settled", func() bool {
			s := v.snapshot(v.send("GET", "/sandboxes/"+id, nil))
			return s.Settled != nil && s.Settled.Change == s.Change
		})
	}
	var all []*learner
	var ids []string
	for range learners {
		v := l.learner(t)
		all, ids = append(all, v), append(ids, v.start())
		apply(v, ids[len(ids)-1], 0)
		apply(v, ids[len(ids)-1], 1)
	}
	l.log.clear()
	before := inUse(t)
	for n := range socketsPerLearner {
		for i, v := range all {
			v.unread(ids[i])
			apply(v, ids[i], n%2)
		}
	}
	l.log.clear() // what the test keeps of the log is no cost of the server's
	each := (inUse(t) - before) / (learners * socketsPerLearner)
	t.Logf("%d kB a websocket", each/1000)
	if each > 64_000 {
		t.Errorf("a websocket costs %d bytes, more than 64 kB", each)
	}
	runtime.KeepAlive(l)
}
