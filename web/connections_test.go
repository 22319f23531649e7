package web

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"
)

// bounded serves one page over connections of which there may be so many.
func bounded(t *testing.T, all, each int, trusted ...netip.Prefix) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "here") }))
	server.Listener = &boundedListener{Listener: server.Listener, trusted: trusted, all: all, each: each, by: map[string]int{}}
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// dialFrom opens a connection from one of this machine's addresses.
func dialFrom(t *testing.T, source, to string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: patience}
	conn, err := dialer.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answered reports whether a request over the connection is answered.
func answered(t *testing.T, conn net.Conn) bool {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	b, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("a connection is neither answered nor closed")
	}
	return len(b) > 0
}

func TestConnections_those_of_one_address_keep_no_other_out(t *testing.T) {
	const idle = 1100
	to := bounded(t, 1000, 500)
	var open []net.Conn
	for range idle {
		open = append(open, dialFrom(t, "127.0.0.2", to))
	}
	if !answered(t, dialFrom(t, "127.0.0.1", to)) {
		t.Fatalf("%d idle connections of one address keep another out", idle)
	}
	if answered(t, dialFrom(t, "127.0.0.2", to)) {
		t.Error("one address has more connections than it may")
	}
	for _, conn := range open {
		conn.Close()
	}
	for end := time.Now().Add(patience); !answered(t, dialFrom(t, "127.0.0.2", to)); {
		if time.Now().After(end) {
			t.Fatal("connections that were closed still take places")
		}
	}
}

func TestConnections_a_trusted_proxy_is_bounded_by_the_whole_alone(t *testing.T) {
	to := bounded(t, 6, 2, netip.MustParsePrefix("127.0.0.2/32"))
	var last net.Conn
	for range 6 {
		last = dialFrom(t, "127.0.0.2", to)
	}
	if answered(t, dialFrom(t, "127.0.0.1", to)) {
		t.Error("there are more connections than there may be")
	}
	if !answered(t, last) {
		t.Error("a trusted proxy has no more connections than anybody")
	}
}

func TestConnections_leave_room_for_what_the_lab_itself_opens(t *testing.T) {
	listener := BoundConnections(nil, nil).(*boundedListener)
	if listener.each < 1 || listener.each > listener.all/2 || listener.all > openFiles()-openFiles()/4 {
		t.Errorf("%d connections, %d of one address, with %d files", listener.all, listener.each, openFiles())
	}
}
