package probe

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// portSequence hands out UDP source ports one after the other. The kernel picks
// them at random, and so now and then picks one that was in use a moment ago;
// connection tracking would then take the datagram for one of the earlier,
// admitted flow and let it pass whatever the policies say by now. In sequence, a
// port comes again only after all the others.
type portSequence struct {
	first, count int

	mu   sync.Mutex
	next int
}

func newPortSequence() *portSequence {
	s := &portSequence{first: 32768, count: 28232}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var first, last int
		if n, _ := fmt.Sscan(string(b), &first, &last); n == 2 && first > 0 && last > first && last < 1<<16 {
			s.first, s.count = first, last-first+1
		}
	}
	// An earlier process may have used the beginning just now.
	s.next = rand.IntN(s.count)
	return s
}

// dial makes a UDP socket from the next free port.
func (s *portSequence) dial(to netip.AddrPort) (*net.UDPConn, error) {
	for range s.count {
		s.mu.Lock()
		port := s.first + s.next
		s.next = (s.next + 1) % s.count
		s.mu.Unlock()
		conn, err := net.DialUDP("udp", &net.UDPAddr{Port: port}, net.UDPAddrFromAddrPort(to))
		if !errors.Is(err, syscall.EADDRINUSE) {
			return conn, err
		}
	}
	return nil, syscall.EADDRNOTAVAIL
}
