package probe

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	typeA     = 1
	classIN   = 1
	maxAnswer = 64 << 10
	dnsHeader = 12
)

var errDeadline = os.ErrDeadlineExceeded

// resolutionError says why a name has no address.
type resolutionError struct{ detail string }

func (e *resolutionError) Error() string { return e.detail }

// resolve asks the resolver for the host's IPv4 address. A single question: no
// search list, no other record type, no cache.
func (d *Dialer) resolve(resolver, host string, timeout time.Duration) (netip.Addr, error) {
	server, err := netip.ParseAddrPort(resolver)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the request's resolver %q is not an address and a port", resolver)
	}
	q, err := newQuestion(host)
	if err != nil {
		return netip.Addr{}, err
	}
	answer, err := d.askUDP(server, q, timeout)
	if err == nil && answer.truncated {
		answer, err = d.askTCP(server, q, timeout)
	}
	switch {
	case err == errHurried:
		return netip.Addr{}, err
	case err == errSilent:
		return netip.Addr{}, &resolutionError{"no answer from the DNS service"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return netip.Addr{}, &resolutionError{"nobody listens at the DNS service's address"}
	case err != nil:
		return netip.Addr{}, fmt.Errorf("the DNS service could not be asked: %s", explain(err))
	case answer.code == 3:
		return netip.Addr{}, &resolutionError{fmt.Sprintf("the DNS service says that there is no name %s", strings.TrimSuffix(host, "."))}
	case answer.code != 0:
		return netip.Addr{}, &resolutionError{fmt.Sprintf("the DNS service answered with the error %s", codeName(answer.code))}
	case !answer.address.IsValid():
		return netip.Addr{}, &resolutionError{fmt.Sprintf("the DNS service knows no IPv4 address of %s", strings.TrimSuffix(host, "."))}
	}
	return answer.address, nil
}

// askUDP asks one question in one datagram.
func (d *Dialer) askUDP(server netip.AddrPort, q question, timeout time.Duration) (a answer, err error) {
	err = d.exchange(server, q, timeout, func(msg []byte) bool {
		var ok bool
		a, ok = q.parse(msg)
		return ok
	})
	return a, err
}

// askTCP asks one question over a connection of its own.
func (d *Dialer) askTCP(server netip.AddrPort, q question, timeout time.Duration) (answer, error) {
	start := time.Now()
	conn, err := d.connect(server, timeout)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	// What follows cannot be Blocked any more: the other end has answered.
	_ = conn.SetDeadline(start.Add(mostWait(timeout)))
	msg := binary.BigEndian.AppendUint16(nil, uint16(len(q)))
	if _, err = conn.Write(append(msg, q...)); err == nil {
		size := make([]byte, 2)
		if _, err = io.ReadFull(conn, size); err == nil {
			msg = make([]byte, binary.BigEndian.Uint16(size))
			_, err = io.ReadFull(conn, msg)
		}
	}
	if errors.Is(err, errDeadline) {
		return answer{}, errors.New("the connection to the DNS service was made, but it did not answer")
	}
	if err != nil {
		return answer{}, errors.New("the connection to the DNS service was made, but broke off before it answered")
	}
	a, ok := q.parse(msg)
	if !ok {
		return answer{}, errors.New("the DNS service's answer makes no sense")
	}
	return a, nil
}

// question is a DNS message that asks for a name's A records.
type question []byte

// newQuestion asks for the host with a random ID.
func newQuestion(host string) (question, error) {
	bad := fmt.Errorf("the request's host %q is not a full DNS name with a final dot", host)
	name, ok := strings.CutSuffix(host, ".")
	if !ok || name == "" || len(name) > 253 {
		return nil, bad
	}
	q := make(question, dnsHeader, dnsHeader+len(host)+5)
	_, _ = rand.Read(q[:2])              // It never fails.
	q[2] = 1                             // Recursion desired.
	binary.BigEndian.PutUint16(q[4:], 1) // One question.
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return nil, bad
		}
		q = append(q, byte(len(label)))
		q = append(q, label...)
	}
	return append(q, 0, 0, typeA, 0, classIN), nil
}

// answer is what the lab wants to know of a DNS answer.
type answer struct {
	code      int
	truncated bool
	address   netip.Addr // The first A record's; the zero Addr where there is none.
}

// parse reads the answer to the question. It reports whether msg is well formed
// and answers this very question.
func (q question) parse(msg []byte) (a answer, ok bool) {
	const response, truncated = 0x80, 0x02
	// The ID and the question come back; a server may leave the latter out when it
	// could not read it.
	if len(msg) < dnsHeader || msg[0] != q[0] || msg[1] != q[1] || msg[2]&response == 0 {
		return answer{}, false
	}
	a.code = int(msg[3] & 0x0f)
	a.truncated = msg[2]&truncated != 0
	rest := msg[dnsHeader:]
	switch binary.BigEndian.Uint16(msg[4:]) {
	case 0:
		if a.code == 0 {
			return answer{}, false
		}
	case 1:
		asked := q[dnsHeader:]
		if len(rest) < len(asked) || !equalFold(rest[:len(asked)], asked) {
			return answer{}, false
		}
		rest = rest[len(asked):]
	default:
		return answer{}, false
	}
	if a.truncated {
		return a, true // What is left may end anywhere.
	}
	for range binary.BigEndian.Uint16(msg[6:]) {
		if rest, ok = skipName(rest); !ok || len(rest) < 10 {
			return answer{}, false
		}
		kind, class := binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
		size := int(binary.BigEndian.Uint16(rest[8:]))
		if rest = rest[10:]; len(rest) < size {
			return answer{}, false
		}
		// The record may belong to an alias of the name: the address is the
		// same to whoever dials.
		if kind == typeA && class == classIN && size == 4 && !a.address.IsValid() {
			a.address = netip.AddrFrom4([4]byte(rest[:4]))
		}
		rest = rest[size:]
	}
	return a, true
}

// skipName returns what follows a name.
func skipName(b []byte) ([]byte, bool) {
	for len(b) > 0 {
		switch n := int(b[0]); {
		case n == 0:
			return b[1:], true
		case n >= 0xc0: // A pointer ends the name.
			if len(b) < 2 {
				return nil, false
			}
			return b[2:], true
		case n > 63 || len(b) < 1+n:
			return nil, false
		default:
			b = b[1+n:]
		}
	}
	return nil, false
}

// equalFold compares as DNS does: ASCII letters match in either case.
func equalFold(a, b []byte) bool {
	for i := range a {
		x, y := a[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x += 'a' - 'A'
		}
		if 'A' <= y && y <= 'Z' {
			y += 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}

func codeName(code int) string {
	switch code {
	case 1:
		return "FORMERR"
	case 2:
		return "SERVFAIL"
	case 4:
		return "NOTIMP"
	case 5:
		return "REFUSED"
	}
	return fmt.Sprint(code)
}
