package web

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/go-chi/httprate"

	"github.com/netpol-lab/netpol-lab/sandbox/capacity"
)

// connectionsAtMost is how many connections the server has open, however many files it
// may: as many for pages as for websockets.
const connectionsAtMost = 2 * socketsAtMost

// openFiles is how many files the process may have open. The runtime has raised that to
// what the system allows; where nobody says, it is taken for what the most websockets need.
func openFiles() int {
	if files := capacity.OpenFiles().Total; files > 0 {
		return int(min(files, 1<<30))
	}
	return 2 * socketsAtMost
}

// BoundConnections has the listener give out three quarters as many connections as the
// process may open files, and to one address half of these, whether anything is asked for
// over them or not: nobody keeps the others out, and what the lab itself opens has room.
// A connection beyond that is closed at once. All clients of a trusted proxy have its
// address, so of these only the whole is bounded. This machine's own address is as any
// other: a proxy here that is not named as trusted is not told from somebody's script.
func BoundConnections(listener net.Listener, trustedProxies []netip.Prefix) net.Listener {
	all := min(openFiles()/4*3, connectionsAtMost)
	return &boundedListener{Listener: listener, trusted: trustedProxies, all: all, each: all / 2, by: map[string]int{}}
}

type boundedListener struct {
	net.Listener
	trusted   []netip.Prefix
	all, each int

	mu    sync.Mutex
	total int
	by    map[string]int
}

// Accept waits for a connection that there is room for.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if leave, ok := l.enter(addrOf(conn.RemoteAddr().String())); ok {
			return &boundConn{Conn: conn, leave: sync.OnceFunc(leave)}, nil
		}
		conn.Close()
	}
}

// enter takes a place for one more connection of the address, which leave gives back.
func (l *boundedListener) enter(addr netip.Addr) (leave func(), ok bool) {
	who := httprate.CanonicalizeIP(addr.String()) // as requests are counted, see addressKey
	counted := !slices.ContainsFunc(l.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.all || counted && l.by[who] >= l.each {
		return nil, false
	}
	l.total++
	l.by[who]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.total--
		if l.by[who]--; l.by[who] == 0 {
			delete(l.by, who)
		}
	}, true
}

// boundConn gives its place back when it is closed.
type boundConn struct {
	net.Conn
	leave func()
}

func (c *boundConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
