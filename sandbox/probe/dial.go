package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// What a learner reads where a flow was refused or could not be measured.
const (
	detailRefused = "the host answered that nobody listens on this port"
	detailSilent  = "the connection was made, but the server did not say who it is"
	detailBroken  = "the connection was made, but broke off before the server said who it is"
	detailStrange = "something answered that is not of this lab"
)

// maxTimeout bounds a request's timeout.
const maxTimeout = time.Minute

// limit is the longest time that the probe takes for the request.
func (r Request) limit() time.Duration {
	most := mostWait(min(time.Duration(r.TimeoutMillis)*time.Millisecond, maxTimeout))
	if r.resolves() {
		return 2 * most
	}
	return most
}

// resolves reports whether the request is a dial by name.
func (r Request) resolves() bool {
	return r.Host != "" && (r.Kind == DialTCP || r.Kind == DialUDP)
}

// A Dialer measures flows from where it runs.
type Dialer struct {
	pulse *pulse // nil where silence is not to be told from slowness
	ports *portSequence
}

// NewDialer makes a Dialer. It fails where the loopback interface cannot be
// used. Close must be called at the end.
func NewDialer() (*Dialer, error) {
	p, err := newPulse()
	if err != nil {
		return nil, err
	}
	return &Dialer{pulse: p, ports: newPortSequence()}, nil
}

// Close lets go of the Dialer's sockets. No Measure may be under way.
func (d *Dialer) Close() { d.pulse.close() }

// Measure measures the request's flow over a fresh connection.
//
// Silence counts as Blocked after the request's timeout, and later where the
// machine is busy: after at most ten times the timeout, or two seconds where that
// is more. Where the machine is so busy that even then silence means nothing, the verdict
// is Unknown. A hurried request's is Silent after its timeout. An answer that has reached
// the socket counts, however late this process comes to read it.
func (d *Dialer) Measure(r Request) Response {
	out := Response{ID: r.ID}
	start := time.Now()
	if r.Hurried {
		d = &Dialer{ports: d.ports}
	}
	server, err := d.measure(r)
	var dns *resolutionError
	switch {
	case err == nil:
		out.Verdict, out.Server = Open, server
		out.LatencyMicros = max(1, time.Since(start).Microseconds())
	case errors.As(err, &dns):
		out.Verdict, out.Detail = DNSFailed, dns.Error()
	case err == errSilent:
		out.Verdict = Blocked
	case err == errHurried:
		out.Verdict = Silent
	case errors.Is(err, syscall.ECONNREFUSED):
		out.Verdict, out.Detail = Refused, detailRefused
		out.LatencyMicros = max(1, time.Since(start).Microseconds())
	default:
		out.Verdict, out.Detail = Unknown, explain(err)
	}
	return out
}

// explain says what an error of the network means.
func explain(err error) string {
	switch {
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "the destination's host cannot be found on the network; its pod may be gone"
	case errors.Is(err, syscall.ENETUNREACH):
		return "the pod has no route to the destination"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return "a firewall on the pod's own host refused to send"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "the pod has no sockets left to measure with"
	}
	return err.Error()
}

func (d *Dialer) measure(r Request) (server string, err error) {
	timeout := time.Duration(r.TimeoutMillis) * time.Millisecond
	if timeout <= 0 || timeout > maxTimeout {
		return "", fmt.Errorf("the request's timeout of %d ms is not between 1 and %d", r.TimeoutMillis, maxTimeout.Milliseconds())
	}
	address := r.Address
	if r.resolves() {
		ip, err := d.resolve(r.Resolver, r.Host, timeout)
		if err != nil {
			return "", err
		}
		address = ip.String() + r.Address
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil || to.Port() == 0 {
		return "", fmt.Errorf("the request's address %q is not an address and a port", r.Address)
	}
	switch r.Kind {
	case DialTCP:
		return d.dialTCP(to, timeout)
	case DialUDP:
		return d.dialUDP(to, timeout)
	case Connect:
		conn, err := d.connect(to, timeout)
		if err != nil {
			return "", err
		}
		return "", conn.Close()
	case AskDNSUDP, AskDNSTCP:
		q, err := newQuestion(r.Host)
		if err != nil {
			return "", err
		}
		ask := d.askUDP
		if r.Kind == AskDNSTCP {
			ask = d.askTCP
		}
		if _, err := ask(to, q, timeout); err != nil {
			return "", err
		}
		return "kube-system/kube-dns", nil
	}
	return "", fmt.Errorf("this probe does not know requests of the kind %q", r.Kind)
}

// greeting is what a server of the lab says first, before its name.
const greeting = "netpol-probe "

// dialTCP connects and reads the identity line.
func (d *Dialer) dialTCP(to netip.AddrPort, timeout time.Duration) (string, error) {
	start := time.Now()
	conn, err := d.connect(to, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// What follows cannot be Blocked any more: the other end has answered.
	_ = conn.SetReadDeadline(start.Add(mostWait(timeout)))
	line, err := bufio.NewReaderSize(io.LimitReader(conn, maxIdentity), maxIdentity).ReadString('\n')
	name, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), greeting)
	switch {
	case err == nil && ok && name != "":
		return name, nil
	case errors.Is(err, errDeadline):
		return "", errors.New(detailSilent)
	case err == nil, err == io.EOF && line != "":
		return "", errors.New(detailStrange)
	}
	return "", errors.New(detailBroken)
}

// connect makes a TCP connection that Close resets: neither end keeps anything
// of it, so the next connection is a new one for every connection table between.
func (d *Dialer) connect(to netip.AddrPort, timeout time.Duration) (*net.TCPConn, error) {
	var raw syscall.RawConn
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var conn net.Conn
	err := d.await(timeout, needsKernel, func(sent func()) (err error) {
		dialer := net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
			raw = c
			// The dialer would begin the connection after this, and tell nobody when. It
			// takes one that has begun as it would take its own.
			if err := begin(c, to); err != nil {
				return err
			}
			sent()
			return nil
		}}
		conn, err = dialer.DialContext(ctx, "tcp", to.String())
		return err
	}, func() bool { return ready(raw, writable) }, cancel)
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	_ = tcp.SetLinger(0)
	return tcp, nil
}

// begin sends the first packet of a connection from the socket, which does not block.
func begin(c syscall.RawConn, to netip.AddrPort) (err error) {
	var address syscall.Sockaddr = &syscall.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
	if to.Addr().Is4() {
		address = &syscall.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	}
	if gone := c.Control(func(fd uintptr) { err = syscall.Connect(int(fd), address) }); gone != nil {
		return gone
	}
	if errors.Is(err, syscall.EINPROGRESS) || errors.Is(err, syscall.EINTR) {
		return nil
	}
	return err
}

// dialUDP sends a datagram and reads the identity that answers it.
func (d *Dialer) dialUDP(to netip.AddrPort, timeout time.Duration) (server string, err error) {
	nonce := make([]byte, 8)
	_, _ = rand.Read(nonce) // It never fails.
	payload := hex.AppendEncode(nil, nonce)
	err = d.exchange(to, payload, timeout, func(answer []byte) bool {
		// Anything else is no answer to this datagram.
		line, echo, _ := bytes.Cut(answer, []byte("\n"))
		name, ok := bytes.CutPrefix(line, []byte(greeting))
		server = string(name)
		return ok && server != "" && bytes.Equal(echo, payload)
	})
	return server, err
}

// exchange sends one datagram from a source port of its own, and reads until
// an answer is accepted.
func (d *Dialer) exchange(to netip.AddrPort, payload []byte, timeout time.Duration, accept func(answer []byte) bool) error {
	conn, err := d.ports.dial(to)
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	strange := false
	err = d.await(timeout, needsProcess, func(sent func()) error {
		if _, err := conn.Write(payload); err != nil {
			return err
		}
		sent()
		buf := make([]byte, maxDatagram)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return err
			}
			if accept(buf[:n]) {
				return nil
			}
			strange = true
		}
	}, func() bool { return ready(raw, readable) }, func() { conn.Close() })
	if err == errSilent && strange {
		return errors.New(detailStrange)
	}
	return err
}

// errHurried says that no answer came in a time in which there need not have been one.
var errHurried = errors.New("no answer came in a hurry")

// await runs do, which sends something, calls sent, and waits on the network. It returns when
// do has ended, or when the pulse says that silence since then means something, or the time is
// over where there is none, and the kernel says that nothing has arrived. stop makes do return.
//
// The wait begins when the packet is on its way and not before: a process that is kept from
// sending it would else take its own slowness for silence.
func (d *Dialer) await(timeout time.Duration, needs needs, do func(sent func()) error, arrived func() bool, stop func()) error {
	done, sent := make(chan error, 1), make(chan time.Time, 1)
	go func() {
		done <- do(func() {
			select {
			case sent <- time.Now():
			default: // It is the dialer's second attempt.
			}
		})
	}()
	var start time.Time
	select {
	case err := <-done:
		return err
	case start = <-sent:
	}
	over, end := d.silence(start, timeout, needs)
	select {
	case err := <-done:
		end()
		return err
	case silence := <-over:
		if arrived() {
			// The answer is here; only this process has not come to it. The
			// bound is for a stream of datagrams that are no answer.
			late := time.NewTimer(time.Until(start.Add(mostWait(timeout))))
			defer late.Stop()
			select {
			case err := <-done:
				return err
			case <-late.C:
				silence = errBusy
			}
		}
		stop()
		// An answer that comes at the very last moment is an answer.
		if err := <-done; err == nil || errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
		return silence
	}
}

// silence gives a channel on which comes, once, what silence since start means. end is for
// where an answer has come first.
func (d *Dialer) silence(start time.Time, timeout time.Duration, needs needs) (over <-chan error, end func()) {
	if d.pulse != nil {
		w := d.pulse.wait(start, timeout, needs)
		return w.C, func() { d.pulse.end(w) }
	}
	hurried := make(chan error, 1)
	timer := time.AfterFunc(timeout, func() { hurried <- errHurried })
	return hurried, func() { timer.Stop() }
}
