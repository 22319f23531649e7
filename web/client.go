package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// client is the other end of a request, as far as this server can believe it.
type client struct {
	// addr is the client's address; not valid where the request came over something
	// that has none.
	addr netip.Addr
	// encrypted says that the client speaks TLS, to this server or to a proxy that it
	// trusts.
	encrypted bool
}

type clientKey struct{}

func clientOf(r *http.Request) client {
	c, _ := r.Context().Value(clientKey{}).(client)
	return c
}

// findClient finds out who the client is. What a trusted proxy says of it counts, and
// what anybody else says does not.
func (s *server) findClient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := client{addr: addrOf(r.RemoteAddr), encrypted: r.TLS != nil}
		if s.trusts(c.addr) {
			c.encrypted = c.encrypted || strings.EqualFold(last(r.Header.Values("X-Forwarded-Proto")), "https")
			c.addr = s.forwardedFor(c.addr, r.Header.Values("X-Forwarded-For"))
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, c)))
	})
}

func (s *server) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(s.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// forwardedFor is the address farthest from this server that only trusted proxies vouch
// for: each appends the address that it was asked by.
func (s *server) forwardedFor(proxy netip.Addr, header []string) netip.Addr {
	addr := proxy
	hops := strings.Split(strings.Join(header, ","), ",")
	for _, hop := range slices.Backward(hops) {
		next := addrOf(strings.TrimSpace(hop))
		if !next.IsValid() {
			break
		}
		if addr = next; !s.trusts(addr) {
			break
		}
	}
	return addr
}

// last is the last of a header's values: the one that the nearest proxy has written.
func last(values []string) string {
	all := strings.Split(strings.Join(values, ","), ",")
	return strings.TrimSpace(all[len(all)-1])
}

// addrOf reads an address, with a port or without; not valid where it is none.
func addrOf(s string) netip.Addr {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	addr, _ := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr.Unmap().WithZone("")
}
