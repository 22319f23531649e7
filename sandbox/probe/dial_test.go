package probe

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newTestDialer(t testing.TB) *Dialer {
	t.Helper()
	d, err := NewDialer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// tcpServer handles connections on a loopback port and returns its address.
func tcpServer(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	lis, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return lis.Addr().String()
}

// udpServer answers datagrams on a loopback port with the answers, and returns
// its address.
func udpServer(t testing.TB, answers func(datagram []byte) [][]byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, a := range answers(buf[:n]) {
				_, _ = conn.WriteTo(a, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// holdsOpen keeps a connection without a word until the other end goes.
func holdsOpen(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// closedPort is an address that nobody listens on, for as long as the test runs.
func closedPort(t testing.TB) string {
	t.Helper()
	// Taken, so that no server of another test gets it: by a UDP socket that hears
	// somebody else alone, and by a TCP socket that does not listen.
	loopback := net.IPv4(127, 0, 0, 1)
	for range 100 {
		udp, err := net.DialUDP("udp4", &net.UDPAddr{IP: loopback}, &net.UDPAddr{IP: loopback, Port: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { udp.Close() })
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Close(fd) })
		addr := udp.LocalAddr().(*net.UDPAddr)
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: addr.Port})
		if err == nil {
			return addr.String()
		} else if err != syscall.EADDRINUSE { // else somebody has this number for TCP
			t.Fatal(err)
		}
	}
	t.Fatal("no port is free")
	return ""
}

// dnsAnswer is a DNS server's answer to a question, made of the flags, the
// response code and the address, if there is one.
func dnsAnswer(q []byte, flags, code byte, addresses ...string) []byte {
	a := append([]byte{}, q...)
	a[2] |= 0x80 | flags
	a[3] = 0x80 | code
	binary.BigEndian.PutUint16(a[6:], uint16(len(addresses)))
	for _, address := range addresses {
		a = append(a, 0xc0, 12, 0, typeA, 0, classIN, 0, 0, 0, 30, 0, 4)
		a = append(a, netip.MustParseAddr(address).AsSlice()...)
	}
	return a
}

// dnsUDP is a DNS server that answers over UDP as answer says.
func dnsUDP(t testing.TB, answer func(q []byte) []byte) string {
	return udpServer(t, func(q []byte) [][]byte {
		if a := answer(q); a != nil {
			return [][]byte{a}
		}
		return nil
	})
}

// dnsOverTCP handles a connection as a DNS server that answers as answer says.
func dnsOverTCP(answer func(q []byte) []byte) func(net.Conn) {
	return func(conn net.Conn) {
		size := make([]byte, 2)
		if _, err := io.ReadFull(conn, size); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size))
		if _, err := io.ReadFull(conn, q); err != nil {
			return
		}
		a := answer(q)
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
	}
}

func TestVerdicts_are_never_mapped_to_one_another(t *testing.T) {
	d := newTestDialer(t)
	greet := func(conn net.Conn) { fmt.Fprint(conn, "netpol-probe production/api\n") }
	const host = "api.production.svc.cluster.local."
	finds := func(q []byte) []byte { return dnsAnswer(q, 0, 0, "127.0.0.1") }
	_, port, _ := net.SplitHostPort(tcpServer(t, greet))

	// The same port over both transports, for an answer that is cut short.
	var truncating string
	for truncating == "" {
		lis, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.ListenPacket("udp4", lis.Addr().String())
		if err != nil {
			lis.Close()
			continue
		}
		t.Cleanup(func() { lis.Close(); conn.Close() })
		truncating = lis.Addr().String()
		go func() {
			buf := make([]byte, maxDatagram)
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(dnsAnswer(buf[:n], 0x02, 0), from)
			tcp, err := lis.Accept()
			if err != nil {
				return
			}
			defer tcp.Close()
			dnsOverTCP(finds)(tcp)
		}()
	}

	tests := []struct {
		name    string
		request Request
		want    Response
	}{
		{"TCP, a server of the lab", Request{Kind: DialTCP, Address: tcpServer(t, greet)}, Response{Verdict: Open, Server: "production/api"}},
		{"TCP, nobody listens", Request{Kind: DialTCP, Address: closedPort(t)}, Response{Verdict: Refused, Detail: detailRefused}},
		{"TCP, a server that says nothing", Request{Kind: DialTCP, Address: tcpServer(t, holdsOpen)}, Response{Verdict: Unknown, Detail: detailSilent}},
		{"TCP, a server that hangs up", Request{Kind: DialTCP, Address: tcpServer(t, func(net.Conn) {})}, Response{Verdict: Unknown, Detail: detailBroken}},
		{"TCP, another server", Request{Kind: DialTCP, Address: tcpServer(t, func(c net.Conn) { fmt.Fprint(c, "220 mail\n") })}, Response{Verdict: Unknown, Detail: detailStrange}},
		{"TCP, a name without end", Request{Kind: DialTCP, Address: tcpServer(t, func(c net.Conn) { fmt.Fprint(c, greeting+strings.Repeat("x", 2*maxIdentity)+"\n") })}, Response{Verdict: Unknown, Detail: detailStrange}},
		{"UDP, a server of the lab", Request{Kind: DialUDP, Address: udpServer(t, func(in []byte) [][]byte {
			return [][]byte{append([]byte("netpol-probe monitoring/prometheus\n"), in...)}
		})}, Response{Verdict: Open, Server: "monitoring/prometheus"}},
		{"UDP, an answer to an earlier datagram comes first", Request{Kind: DialUDP, Address: udpServer(t, func(in []byte) [][]byte {
			return [][]byte{[]byte("netpol-probe old/pod\n0123456789abcdef"), append([]byte("netpol-probe new/pod\n"), in...)}
		})}, Response{Verdict: Open, Server: "new/pod"}},
		{"UDP, nobody listens", Request{Kind: DialUDP, Address: closedPort(t)}, Response{Verdict: Refused, Detail: detailRefused}},
		{"UDP, no answer", Request{Kind: DialUDP, Address: udpServer(t, func([]byte) [][]byte { return nil })}, Response{Verdict: Blocked}},
		{"UDP, another server", Request{Kind: DialUDP, Address: udpServer(t, func([]byte) [][]byte { return [][]byte{[]byte("what?")} })}, Response{Verdict: Unknown, Detail: detailStrange}},

		{"by name", Request{Kind: DialTCP, Address: ":" + port, Host: host, Resolver: dnsUDP(t, finds)}, Response{Verdict: Open, Server: "production/api"}},
		{"by name, the answer is cut short and asked for over TCP", Request{Kind: DialTCP, Address: ":" + port, Host: host, Resolver: truncating}, Response{Verdict: Open, Server: "production/api"}},
		{"by name, there is no such name", Request{Kind: DialTCP, Address: ":" + port, Host: host, Resolver: dnsUDP(t, func(q []byte) []byte { return dnsAnswer(q, 0, 3) })}, Response{Verdict: DNSFailed, Detail: "the DNS service says that there is no name api.production.svc.cluster.local"}},
		{"by name, the service fails", Request{Kind: DialTCP, Address: ":" + port, Host: host, Resolver: dnsUDP(t, func(q []byte) []byte { return dnsAnswer(q, 0, 2) })}, Response{Verdict: DNSFailed, Detail: "the DNS service answered with the error SERVFAIL"}},
		{"by name, there is no address", Request{Kind: DialTCP, Address: ":" + port, Host: host, Resolver: dnsUDP(t, func(q []byte) []byte { return dnsAnswer(q, 0, 0) })}, Response{Verdict: DNSFailed, Detail: "the DNS service knows no IPv4 address of api.production.svc.cluster.local"}},
		{"by name, no answer", Request{Kind: DialTCP, Address: ":" + port, Host: host, Resolver: dnsUDP(t, func([]byte) []byte { return nil })}, Response{Verdict: DNSFailed, Detail: "no answer from the DNS service"}},
		{"by name, no DNS service", Request{Kind: DialTCP, Address: ":" + port, Host: host, Resolver: closedPort(t)}, Response{Verdict: DNSFailed, Detail: "nobody listens at the DNS service's address"}},

		{"DNS over UDP", Request{Kind: AskDNSUDP, Host: host, Address: dnsUDP(t, finds)}, Response{Verdict: Open, Server: "kube-system/kube-dns"}},
		{"DNS over UDP, no such name is an answer", Request{Kind: AskDNSUDP, Host: host, Address: dnsUDP(t, func(q []byte) []byte { return dnsAnswer(q, 0, 3) })}, Response{Verdict: Open, Server: "kube-system/kube-dns"}},
		{"DNS over UDP, no answer", Request{Kind: AskDNSUDP, Host: host, Address: dnsUDP(t, func([]byte) []byte { return nil })}, Response{Verdict: Blocked}},
		{"DNS over UDP, an answer to another question", Request{Kind: AskDNSUDP, Host: host, Address: dnsUDP(t, func(q []byte) []byte { q[0]++; return dnsAnswer(q, 0, 0) })}, Response{Verdict: Unknown, Detail: detailStrange}},
		{"DNS over TCP", Request{Kind: AskDNSTCP, Host: host, Address: tcpServer(t, dnsOverTCP(finds))}, Response{Verdict: Open, Server: "kube-system/kube-dns"}},
		{"DNS over TCP, nobody listens", Request{Kind: AskDNSTCP, Host: host, Address: closedPort(t)}, Response{Verdict: Refused, Detail: detailRefused}},
		{"DNS over TCP, no answer on the connection", Request{Kind: AskDNSTCP, Host: host, Address: tcpServer(t, holdsOpen)}, Response{Verdict: Unknown, Detail: "the connection to the DNS service was made, but it did not answer"}},
		{"DNS over TCP, the connection breaks off", Request{Kind: AskDNSTCP, Host: host, Address: tcpServer(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 512)) })}, Response{Verdict: Unknown, Detail: "the connection to the DNS service was made, but broke off before it answered"}},
		{"DNS over TCP, nonsense", Request{Kind: AskDNSTCP, Host: host, Address: tcpServer(t, dnsOverTCP(func([]byte) []byte { return []byte("hello") }))}, Response{Verdict: Unknown, Detail: "the DNS service's answer makes no sense"}},

		{"a connection alone, the server says nothing", Request{Kind: Connect, Address: tcpServer(t, holdsOpen)}, Response{Verdict: Open}},
		{"a connection alone, nobody listens", Request{Kind: Connect, Address: closedPort(t)}, Response{Verdict: Refused, Detail: detailRefused}},

		{"no such kind", Request{Kind: "icmp", Address: "127.0.0.1:1"}, Response{Verdict: Unknown, Detail: `this probe does not know requests of the kind "icmp"`}},
		{"no port", Request{Kind: DialTCP, Address: "127.0.0.1"}, Response{Verdict: Unknown, Detail: `the request's address "127.0.0.1" is not an address and a port`}},
		{"a name without its dot", Request{Kind: DialTCP, Address: ":1", Host: "api", Resolver: "127.0.0.1:1"}, Response{Verdict: Unknown, Detail: `the request's host "api" is not a full DNS name with a final dot`}},
		{"no resolver", Request{Kind: DialTCP, Address: ":1", Host: host}, Response{Verdict: Unknown, Detail: `the request's resolver "" is not an address and a port`}},
		{"no timeout", Request{Kind: DialTCP, Address: "127.0.0.1:1", TimeoutMillis: -1}, Response{Verdict: Unknown, Detail: "the request's timeout of -1 ms is not between 1 and 60000"}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.request.ID = uint64(i + 1)
			if tt.request.TimeoutMillis == 0 {
				tt.request.TimeoutMillis = 100
			}
			got := d.Measure(tt.request)
			if answered := tt.want.Verdict == Open || tt.want.Verdict == Refused; answered != (got.LatencyMicros > 0) {
				t.Errorf("latency %d µs with the verdict %s", got.LatencyMicros, got.Verdict)
			}
			tt.want.ID, tt.want.LatencyMicros = tt.request.ID, got.LatencyMicros
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestSilence_is_not_blocked_before_the_timeout(t *testing.T) {
	d := newTestDialer(t)
	silent := udpServer(t, func([]byte) [][]byte { return nil })
	for _, millis := range []int64{1, 50, 300} {
		r := Request{Kind: DialUDP, Address: silent, TimeoutMillis: millis}
		start := time.Now()
		got := d.Measure(r)
		took := time.Since(start)
		if got.Verdict != Blocked || took < time.Duration(millis)*time.Millisecond {
			t.Errorf("timeout %d ms: %s after %v", millis, got.Verdict, took)
		}
	}
}

func TestA_hurried_request_waits_for_its_timeout_and_takes_silence_for_nothing(t *testing.T) {
	d := newTestDialer(t)
	silent := udpServer(t, func([]byte) [][]byte { return nil })
	for name, r := range map[string]Request{
		"udp":     {Kind: DialUDP, Address: silent},
		"dns":     {Kind: AskDNSUDP, Address: silent, Host: "web.production.svc.cluster.local."},
		"by name": {Kind: DialTCP, Address: ":80", Host: "web.production.svc.cluster.local.", Resolver: silent},
	} {
		r.TimeoutMillis, r.Hurried = 1, true
		if got := d.Measure(r); got.Verdict != Silent {
			t.Errorf("%s: %+v, want silent", name, got)
		}
	}
	d.pulse.mu.Lock()
	defer d.pulse.mu.Unlock()
	if n := len(d.pulse.waiters); n > 0 {
		t.Errorf("the pulse beats for %d of them", n)
	}
}

// An answer that is in the socket when the wait ends counts, though this process
// has not read it.
func TestAn_answer_that_has_arrived_counts_however_late_it_is_read(t *testing.T) {
	d := newTestDialer(t)
	release := make(chan struct{})
	err := d.await(20*time.Millisecond, needsKernel, func(sent func()) error {
		sent()
		<-release
		return nil
	}, func() bool {
		close(release) // The wait is over; only now is the answer read.
		return true
	}, func() {})
	if err != nil {
		t.Errorf("got %v, want the answer", err)
	}
}

// A process that is kept from the processor may come to send only after the timeout, and the
// answer takes its time from then on.
func TestA_wait_begins_when_the_packet_is_sent(t *testing.T) {
	d := newTestDialer(t)
	const timeout, late = 20 * time.Millisecond, 60 * time.Millisecond
	start := time.Now()
	release := make(chan struct{})
	err := d.await(timeout, needsKernel, func(sent func()) error {
		time.Sleep(late) // as long as it is kept from the processor
		sent()
		<-release
		return errDeadline
	}, func() bool { return false }, func() { close(release) })
	if took := time.Since(start); err != errSilent || took < late+timeout {
		t.Errorf("%v after %v, want %v, and not before %v", err, took, errSilent, late+timeout)
	}
}

func TestBeats_come_as_often_as_the_shortest_timeout_needs(t *testing.T) {
	const ms = time.Millisecond
	for want, timeouts := range map[time.Duration][]time.Duration{
		0:       nil,
		5 * ms:  {500 * ms, 20 * ms},
		10 * ms: {80 * ms, 200 * ms},
		25 * ms: {500 * ms, time.Second},
	} {
		p := &pulse{waiters: map[*wait]struct{}{}, wake: make(chan struct{}, 1)}
		for _, timeout := range timeouts {
			p.wait(time.Now(), timeout, needsKernel)
		}
		if got := p.next(); got != want {
			t.Errorf("timeouts %v: a beat every %v, want %v", timeouts, got, want)
		}
	}
}

func TestA_short_wait_does_not_wait_for_a_long_one(t *testing.T) {
	d := newTestDialer(t)
	long := d.pulse.wait(time.Now(), maxTimeout, needsKernel)
	defer d.pulse.end(long)
	time.Sleep(20 * time.Millisecond) // so that the pause for the long one has begun
	short := d.pulse.wait(time.Now(), 20*time.Millisecond, needsKernel)
	select {
	case err := <-short.C:
		if err != errSilent {
			t.Errorf("got %v, want %v", err, errSilent)
		}
	case err := <-long.C:
		t.Errorf("the long one is over first: %v", err)
	}
}

func TestA_busy_machine_gives_no_verdict(t *testing.T) {
	p := &pulse{waiters: map[*wait]struct{}{}}
	w := &wait{C: make(chan error, 1), start: time.Now().Add(-mostWait(50 * time.Millisecond)), timeout: 50 * time.Millisecond}
	p.waiters[w] = struct{}{}
	p.judge(time.Now().Add(-time.Second), 0, true)
	select {
	case err := <-w.C:
		if err != errBusy {
			t.Errorf("got %v, want %v", err, errBusy)
		}
	default:
		t.Error("the wait did not end")
	}
}

func TestSilence_means_something_only_after_enough_beats_and_a_multiple_of_the_slowest(t *testing.T) {
	tests := []struct {
		name        string
		needs       needs
		waited      time.Duration
		beats, calm int
		slowest     time.Duration
		want        error
	}{
		{"all is well", needsKernel, 60 * time.Millisecond, 3, 0, time.Millisecond, errSilent},
		{"too early", needsKernel, 40 * time.Millisecond, 3, 3, time.Millisecond, nil},
		{"too few beats", needsKernel, 60 * time.Millisecond, 2, 2, time.Millisecond, nil},
		{"slow beats", needsKernel, 60 * time.Millisecond, 3, 3, 20 * time.Millisecond, nil},
		{"slow beats, and a long wait", needsKernel, 90 * time.Millisecond, 3, 3, 20 * time.Millisecond, errSilent},
		{"a process must answer, and none was calm", needsProcess, 60 * time.Millisecond, 3, 0, time.Millisecond, nil},
		{"a process must answer, and had a calm moment", needsProcess, 60 * time.Millisecond, 3, 3, time.Millisecond, errSilent},
		{"a process must answer, and the longest wait is over", needsProcess, 2 * time.Second, 9, 0, time.Millisecond, errSilent},
		{"the longest wait is over without enough beats", needsProcess, 2 * time.Second, 2, 2, time.Millisecond, errBusy},
		{"the longest wait is over and the beats were slow", needsKernel, 2 * time.Second, 9, 9, time.Second, errBusy},
	}
	for _, tt := range tests {
		w := &wait{timeout: 50 * time.Millisecond, needs: tt.needs, beats: tt.beats, calm: tt.calm, slowest: tt.slowest}
		if got := w.verdict(tt.waited); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestUDP_source_ports_come_in_sequence(t *testing.T) {
	s := newPortSequence()
	to := netip.MustParseAddrPort("127.0.0.1:9")
	seen := map[int]bool{}
	for range 2000 {
		conn, err := s.dial(to)
		if err != nil {
			t.Fatal(err)
		}
		port := conn.LocalAddr().(*net.UDPAddr).Port
		conn.Close()
		if seen[port] {
			t.Fatalf("port %d came again after %d others", port, len(seen))
		}
		seen[port] = true
	}
}

func FuzzDNSAnswer(f *testing.F) {
	q, err := newQuestion("api.production.svc.cluster.local.")
	if err != nil {
		f.Fatal(err)
	}
	q[0], q[1] = 0, 1
	f.Add(dnsAnswer(q, 0, 0, "10.0.0.1"))
	f.Add(dnsAnswer(q, 0, 3))
	f.Add(dnsAnswer(q, 2, 0)[:len(q)])
	f.Add(append(dnsAnswer(q, 0, 0, "10.0.0.1"), 0xff)[:len(q)+3])
	f.Fuzz(func(t *testing.T, msg []byte) {
		a, ok := q.parse(msg)
		if !ok && a != (answer{}) {
			t.Errorf("a message that is no answer says %+v", a)
		}
	})
}

func TestA_DNS_answer_follows_an_alias(t *testing.T) {
	q, err := newQuestion("www.example.")
	if err != nil {
		t.Fatal(err)
	}
	msg := dnsAnswer(q, 0, 0)
	msg[7] = 2
	msg = append(msg, 0xc0, 12, 0, 5, 0, classIN, 0, 0, 0, 30, 0, 5, 3, 'a', 'b', 'c', 0)
	msg = append(msg, 3, 'a', 'b', 'c', 0, 0, typeA, 0, classIN, 0, 0, 0, 30, 0, 4, 10, 1, 2, 3)
	a, ok := q.parse(msg)
	if !ok || a.address != netip.MustParseAddr("10.1.2.3") {
		t.Errorf("got %+v, %v", a, ok)
	}
}

// serveOnLoopback runs a Server and returns its TCP and UDP addresses.
func serveOnLoopback(t testing.TB, name string) (tcp, udp string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ended := make(chan error, 1)
	// A free port may be taken before the server has it: then the next.
	for range 20 {
		lis, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := lis.Addr().String()
		port := lis.Addr().(*net.TCPAddr).Port
		lis.Close()
		go func() {
			s := Server{Name: name, Log: slog.New(slog.DiscardHandler)}
			ended <- s.Serve(ctx, []Listen{{port, "tcp"}, {port, "udp"}})
		}()
		for {
			conn, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				conn.Close()
				t.Cleanup(func() {
					cancel()
					if err := <-ended; err != nil {
						t.Error(err)
					}
				})
				return address, address
			}
			select {
			case <-ended:
			default:
				continue
			}
			break
		}
	}
	t.Fatal("no port to serve on")
	return "", ""
}

func TestThe_server_answers_garbage_and_goes_on(t *testing.T) {
	tcp, udp := serveOnLoopback(t, "production/api")
	d := newTestDialer(t)
	for _, garbage := range []string{"", "\x00\xff", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", 60_000)} {
		if conn, err := net.Dial("tcp", tcp); err != nil {
			t.Fatal(err)
		} else {
			_, _ = io.WriteString(conn, garbage)
			conn.Close()
		}
		conn, err := net.Dial("udp", udp)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, garbage)
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 100_000)
		n, err := conn.Read(buf)
		conn.Close()
		if want := "netpol-probe production/api\n" + garbage[:min(len(garbage), maxEcho)]; err != nil || string(buf[:n]) != want {
			t.Errorf("to %.20q: got %q, %v", garbage, buf[:n], err)
		}
		for _, r := range []Request{{Kind: DialTCP, Address: tcp, TimeoutMillis: 1000}, {Kind: DialUDP, Address: udp, TimeoutMillis: 1000}} {
			if got := d.Measure(r); got.Verdict != Open || got.Server != "production/api" {
				t.Errorf("after %.20q: %+v", garbage, got)
			}
		}
	}
}

func TestA_port_that_is_taken_is_an_error_at_once(t *testing.T) {
	tcp, _ := serveOnLoopback(t, "a/b")
	s := Server{Name: "c/d", Log: slog.New(slog.DiscardHandler)}
	port := int(netip.MustParseAddrPort(tcp).Port())
	if err := s.Serve(t.Context(), []Listen{{port, "tcp"}}); err == nil {
		t.Error("the port was taken twice")
	}
}

func TestA_server_needs_a_name(t *testing.T) {
	for _, name := range []string{"", "a\nb", strings.Repeat("x", maxIdentity)} {
		s := Server{Name: name, Log: slog.New(slog.DiscardHandler)}
		if err := s.Serve(t.Context(), nil); err == nil {
			t.Errorf("%.20q was taken", name)
		}
	}
}

func TestParseListen_reads_ports_and_refuses_the_rest(t *testing.T) {
	got, err := ParseListen("8080/TCP, 8125/udp,")
	if want := fmt.Sprint([]Listen{{8080, "tcp"}, {8125, "udp"}}); err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"8080", "0/TCP", "65536/TCP", "80/SCTP", "x/TCP", "80/TCP/x"} {
		if _, err := ParseListen(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestDial_answers_every_request_and_ends_with_its_input(t *testing.T) {
	tcp, _ := serveOnLoopback(t, "production/api")
	d := newTestDialer(t)
	var in strings.Builder
	const n = 2 * maxInFlight
	for i := range n {
		fmt.Fprintf(&in, `{"id": %d, "kind": "tcp", "address": %q, "timeoutMillis": 5000}`+"\n", i+1, tcp)
	}
	var out strings.Builder
	if err := Dial(d, strings.NewReader(in.String()), &out); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(strings.NewReader(out.String()))
	if lines.Scan(); lines.Text() != `{"id":0,"verdict":"hello"}` {
		t.Errorf("the first line is %s", lines.Text())
	}
	seen := map[uint64]bool{}
	for lines.Scan() {
		var r Response
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || r.Verdict != Open || seen[r.ID] {
			t.Errorf("%s: %v", lines.Text(), err)
		}
		seen[r.ID] = true
	}
	if len(seen) != n {
		t.Errorf("%d answers, want %d", len(seen), n)
	}
}

// brokenPipe takes the hello and no more.
type brokenPipe struct{ lines int }

func (b *brokenPipe) Write(p []byte) (int, error) {
	if b.lines++; b.lines > 1 {
		return 0, errors.New("broken pipe")
	}
	return len(p), nil
}

func TestDial_fails_where_its_input_or_output_does(t *testing.T) {
	d := newTestDialer(t)
	request := `{"id": 1, "kind": "tcp", "address": "` + closedPort(t) + `", "timeoutMillis": 100}` + "\n"
	for name, in := range map[string]string{"no JSON": "hello\n", "a line without end": strings.Repeat("x", maxLine+1)} {
		if err := Dial(d, strings.NewReader(in), io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := Dial(d, strings.NewReader(request), &brokenPipe{}); err == nil {
		t.Error("output: no error")
	}
}

// BenchmarkSweep measures 99 flows to a server on the loopback interface: through
// the whole protocol, and, as the baseline, with net.Dial alone.
func BenchmarkSweep(b *testing.B) {
	const flows = 99
	tcp, _ := serveOnLoopback(b, "production/api")
	b.Run("Prober", func(b *testing.B) {
		d := newTestDialer(b)
		p := NewProber(func(context.Context, string) (io.ReadWriteCloser, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				_ = Dial(d, there, there)
			}()
			return here, nil
		}, slog.New(slog.DiscardHandler))
		defer p.Close()
		sweep := make([]Request, flows)
		for i := range sweep {
			sweep[i] = Request{ID: uint64(i), Kind: DialTCP, Address: tcp, TimeoutMillis: 1000}
		}
		for b.Loop() {
			p.Probe(b.Context(), "ns/pod", sweep, func(r Response) {
				if r.Verdict != Open {
					b.Errorf("%+v", r)
				}
			})
		}
	})
	b.Run("net.Dial", func(b *testing.B) {
		for b.Loop() {
			done := make(chan error, flows)
			for range flows {
				go func() {
					conn, err := net.DialTimeout("tcp", tcp, 5*time.Second)
					if err == nil {
						_, err = bufio.NewReader(conn).ReadString('\n')
						_ = conn.(*net.TCPConn).SetLinger(0)
						conn.Close()
					}
					done <- err
				}()
			}
			for range flows {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
		}
	})
}
