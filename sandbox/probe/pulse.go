package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// beatsInTimeout is how many beats there are about in the shortest timeout that is
	// waited for, where the pause between them is within the bounds: each takes a little
	// of the processor, which others wait for.
	beatsInTimeout = 8
	leastPause     = 5 * time.Millisecond
	mostPause      = 25 * time.Millisecond
	// minBeats is how many beats must pass before silence means something.
	minBeats = 3
	// beatMargin is how many times the slowest beat a wait lasts at least.
	beatMargin = 4
)

var (
	// errSilent says that no answer came although one had every chance to.
	errSilent = errors.New("no answer came")
	// errBusy says that no answer came, which means nothing, because the
	// machine is too busy to have brought one.
	errBusy = errors.New("the machine is too busy to tell whether an answer would have come")
)

// mostWait is the longest wait for an answer where timeout was asked for and
// the machine is slow.
func mostWait(timeout time.Duration) time.Duration { return max(10*timeout, 2*time.Second) }

// needs says what an answer needs at the flow's other end.
type needs int

const (
	// needsKernel: the kernel answers by itself, as to a TCP connect.
	needsKernel needs = iota
	// needsProcess: a process has to be woken and given the processor.
	needsProcess
)

// pulse tells whether silence means anything. A timer alone cannot: on a busy
// machine the timer may fire before the packet's receiver, or this process, was
// given the processor at all. So while anybody waits, the pulse sends a datagram
// to a thread of its own and back over the loopback interface, which no policy
// governs, again and again. Every beat has to pass the same kernel's network
// queues and scheduler as an answer would. A wait ends in silence only when
// enough beats have begun and ended during it, and when it has lasted a multiple
// of the slowest.
//
// That is no proof that another process, which has to answer, was given the
// processor too: now and then one is left waiting while others run. It is proved
// by a calm moment, in which the machine has no more threads that want to run than
// it has processors. Where no moment is calm, the longest wait must do.
type pulse struct {
	loadavg *os.File
	echo    int
	conn    *net.UDPConn
	closed  chan struct{}
	done    sync.WaitGroup
	wake    chan struct{}

	mu      sync.Mutex
	waiters map[*wait]struct{}
	pause   time.Duration // the pause before the next beat; 0 where nobody waits for one
}

// wait is one wait for an answer. C receives errSilent or errBusy once.
type wait struct {
	C       chan error
	start   time.Time
	timeout time.Duration
	needs   needs
	beats   int
	calm    int // How many of the beats ended in a calm moment.
	slowest time.Duration
}

func newPulse() (*pulse, error) {
	echo, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return nil, fmt.Errorf("probe: socket: %w", err)
	}
	var to syscall.Sockaddr
	if err = syscall.Bind(echo, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		to, err = syscall.Getsockname(echo)
	}
	if err != nil {
		syscall.Close(echo)
		return nil, fmt.Errorf("probe: bind to the loopback interface: %w", err)
	}
	conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: to.(*syscall.SockaddrInet4).Port})
	if err != nil {
		syscall.Close(echo)
		return nil, fmt.Errorf("probe: %w", err)
	}
	// Without it no moment is known to be calm, and waits are long.
	loadavg, _ := os.Open("/proc/loadavg")
	p := &pulse{loadavg: loadavg, echo: echo, conn: conn, closed: make(chan struct{}), wake: make(chan struct{}, 1), waiters: map[*wait]struct{}{}}
	p.done.Go(p.answer)
	p.done.Go(p.run)
	return p, nil
}

// answer sends every beat back. It blocks in the kernel, on a thread of its
// own, so that the kernel has to wake and schedule it as it has to wake the
// process at a flow's other end.
func (p *pulse) answer() {
	runtime.LockOSThread()
	buf := make([]byte, 64)
	for {
		n, from, err := syscall.Recvfrom(p.echo, buf, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return
		}
		select {
		case <-p.closed:
			return
		default:
		}
		_ = syscall.Sendto(p.echo, buf[:n], 0, from) // A lost beat is a beat that does not count.
	}
}

// wait begins a wait whose timeout counts from start.
func (p *pulse) wait(start time.Time, timeout time.Duration, needs needs) *wait {
	w := &wait{C: make(chan error, 1), start: start, timeout: timeout, needs: needs}
	p.mu.Lock()
	p.waiters[w] = struct{}{}
	sooner := p.pause == 0 || w.pause() < p.pause
	p.mu.Unlock()
	if sooner {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return w
}

// pause is how long there need not be a beat for this wait.
func (w *wait) pause() time.Duration {
	return min(max(w.timeout/beatsInTimeout, leastPause), mostPause)
}

// end ends a wait whose answer has come. A wait that has received from C needs no end.
func (p *pulse) end(w *wait) {
	p.mu.Lock()
	delete(p.waiters, w)
	p.mu.Unlock()
}

func (p *pulse) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	last := time.Now()
	for seq := uint64(1); ; {
		pause := p.next()
		var due <-chan time.Time
		if pause > 0 {
			timer.Reset(time.Until(last.Add(pause)))
			due = timer.C
		}
		select {
		case <-due:
		case <-p.wake:
			last = time.Now() // A beat is not late where nobody needed it.
			continue
		case <-p.closed:
			return
		}
		began := time.Now()
		late := began.Sub(last.Add(pause))
		if p.next() > 0 {
			ok := p.beat(seq)
			p.judge(began, late, ok)
			seq++
		}
		last = time.Now()
	}
}

// next is the pause before the next beat, the shortest that anybody who waits needs; 0
// where nobody does.
func (p *pulse) next() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = 0
	for w := range p.waiters {
		if pause := w.pause(); p.pause == 0 || pause < p.pause {
			p.pause = pause
		}
	}
	return p.pause
}

// beat goes there and back once.
func (p *pulse) beat(seq uint64) bool {
	buf := make([]byte, 8)
	binary.BigEndian.PutUint64(buf, seq)
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := p.conn.Write(buf); err != nil {
		return false
	}
	for {
		n, err := p.conn.Read(buf)
		if err != nil {
			return false
		}
		if n == 8 && binary.BigEndian.Uint64(buf) == seq {
			return true
		}
	}
}

// calm reports whether no thread of the machine has to wait for a processor.
func (p *pulse) calm() bool {
	if p.loadavg == nil {
		return false
	}
	buf := make([]byte, 64)
	n, _ := p.loadavg.ReadAt(buf, 0)
	var running int
	// "0.20 0.18 0.12 1/80 11206": the fourth is how many threads run or want to.
	if _, err := fmt.Sscanf(string(buf[:n]), "%f %f %f %d/", new(float64), new(float64), new(float64), &running); err != nil {
		return false
	}
	return running <= runtime.NumCPU()
}

// judge counts a beat that has ended and ends the waits that are over.
func (p *pulse) judge(began time.Time, late time.Duration, ok bool) {
	calm := p.calm()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for w := range p.waiters {
		if ok && began.After(w.start) {
			w.beats++
			if calm {
				w.calm++
			}
		}
		w.slowest = max(w.slowest, now.Sub(began)+max(late, 0))
		if err := w.verdict(now.Sub(w.start)); err != nil {
			w.C <- err
			delete(p.waiters, w)
		}
	}
}

// verdict says what silence means after having waited; nil where it is too early
// to tell.
func (w *wait) verdict(waited time.Duration) error {
	over := waited >= mostWait(w.timeout)
	fair := w.beats >= minBeats && waited >= max(w.timeout, beatMargin*w.slowest)
	switch {
	case fair && (over || w.needs == needsKernel || w.calm >= minBeats):
		return errSilent
	case over:
		return errBusy
	}
	return nil
}

func (p *pulse) close() {
	close(p.closed)
	_, _ = p.conn.Write([]byte{0}) // Wakes the echo's thread, which then ends.
	p.conn.Close()
	p.done.Wait()
	syscall.Close(p.echo)
	if p.loadavg != nil {
		p.loadavg.Close()
	}
}
