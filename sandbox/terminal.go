package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// TerminalSize is what a terminal shows.
type TerminalSize struct {
	Columns int `json:"columns"`
	Rows    int `json:"rows"`
}

// maxColumns and maxRows are the most that a shell is told of.
const maxColumns, maxRows = 500, 300

// bounded is the size with what is out of bounds brought back into them.
func (s TerminalSize) bounded() TerminalSize {
	return TerminalSize{Columns: min(max(s.Columns, 1), maxColumns), Rows: min(max(s.Rows, 1), maxRows)}
}

// ProbeCommand answers what the command "probe" in a terminal was given as arguments.
type ProbeCommand func(ctx context.Context, args []string) probe.Answer

// ShellCluster is a [Cluster] in which a learner can have a shell.
type ShellCluster interface {
	// OpenShell starts a shell in a pod of the lab's own, which is made when it is first
	// asked for. The shell's account may read the lab and handle its NetworkPolicies, and
	// nothing else is in its reach. A shell that was opened before ends. The shell ends
	// with ctx.
	OpenShell(ctx context.Context, size TerminalSize, command ProbeCommand) (Shell, error)
}

// Shell is a running shell: Read gives what it writes, and fails with io.EOF when it
// has ended; Write gives it what was typed. Read, Write and Resize may be called
// concurrently.
type Shell interface {
	io.ReadWriteCloser
	Resize(TerminalSize)
}

// The ways in which a terminal ends for whoever looks at it.
var (
	// ErrNoTerminal: the sandbox's provider has no terminals.
	ErrNoTerminal = errors.New("there is no terminal in this sandbox")
	// ErrTerminalElsewhere: the terminal was opened at another place.
	ErrTerminalElsewhere = errors.New("the terminal was opened at another place")
	// ErrTerminalEnded: the shell has ended, or was ended because nobody used it.
	ErrTerminalEnded = errors.New("the shell has ended")
	// ErrTerminalIdle is an ErrTerminalEnded: nobody used it.
	ErrTerminalIdle = fmt.Errorf("%w: nobody has used it for a long time", ErrTerminalEnded)
)

const (
	// scrollback is how much of a shell's output is kept for whoever opens the terminal
	// again, in bytes.
	scrollback = 256 << 10
	// outputAhead is how far a shell may write ahead of who looks at it, in bytes.
	outputAhead = 64 << 10
	// outputRate is how much a shell may write in a second, in bytes: more than anybody
	// reads, and little work for the server.
	outputRate = 512 << 10
	// inputWaiting is how many pieces of input may wait for the shell to read them.
	inputWaiting = 64
	// openLimit is how long it may take until a shell runs.
	openLimit = time.Minute
	// terminalAlone is how long a shell stays without anybody who looks at it, and
	// terminalUntouched how long it is looked at without anything being typed.
	terminalAlone, terminalUntouched = 10 * time.Minute, time.Hour
)

// terminal is the one shell of a sandbox, which outlives who looks at it for a while.
type terminal struct {
	shell Shell
	input chan []byte
	ended chan struct{} // closed when err is set
	touch func()

	mu sync.Mutex
	// changed is closed when anything below changes, and then replaced.
	changed chan struct{}
	// kept is the end of what the shell has written, and written how much that was.
	kept    []byte
	written int64
	view    *TerminalView
	err     error
	timer   *time.Timer
}

// Terminal opens the sandbox's terminal. There is one in a sandbox, so a server has no
// more shells than sandboxes: who opens it at a second place takes it from the first,
// and finds the shell as it was left. It waits until the shell runs.
func (m *Manager) Terminal(ctx context.Context, id ID, size TerminalSize) (*TerminalView, error) {
	in, err := m.find(id)
	if err != nil {
		return nil, err
	}
	select {
	case in.opening <- struct{}{}:
		defer func() { <-in.opening }()
	case <-ctx.Done():
		return nil, fmt.Errorf("sandbox %s: %w", id, ctx.Err())
	}
	in.touch()
	if err := in.awake(ctx); err != nil {
		return nil, err
	}
	in.mu.Lock()
	cluster, t := in.cluster, in.terminal
	in.mu.Unlock()
	if state := in.feed.state(); cluster == nil || state != Ready {
		return nil, fmt.Errorf("sandbox %s is %s: %w", id, state, ErrNotReady)
	}
	if t != nil {
		if view := t.attach(size); view != nil {
			return view, nil
		}
	}
	shells, ok := cluster.(ShellCluster)
	if !ok {
		return nil, fmt.Errorf("sandbox %s: %w", id, ErrNoTerminal)
	}
	if t, err = in.openTerminal(shells, cluster, size.bounded()); err != nil {
		return nil, fmt.Errorf("sandbox %s: terminal: %w", id, err)
	}
	if view := t.attach(size); view != nil {
		return view, nil
	}
	return nil, fmt.Errorf("sandbox %s: terminal: %w", id, t.cause())
}

// openTerminal starts a shell that ends with the sandbox. It needs in.opening.
func (in *instance) openTerminal(shells ShellCluster, cluster Cluster, size TerminalSize) (*terminal, error) {
	ctx, cancel := context.WithCancel(in.ctx)
	limit := time.AfterFunc(openLimit, cancel)
	command := &probeCommand{topology: in.topology, cluster: cluster, rate: rate.NewLimiter(probeRate, probeBurst)}
	shell, err := shells.OpenShell(ctx, size, command.answer)
	if err == nil && !limit.Stop() {
		err = errors.Join(errors.New("it took too long"), shell.Close())
	}
	if err != nil {
		cancel()
		return nil, err
	}
	t := newTerminal(shell, in.touch)

	in.m.mu.Lock()
	defer in.m.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.m.closed || in.cluster != cluster || in.feed.state() != Ready {
		cancel()
		t.end(ErrNotReady)
		return nil, errors.Join(ErrNotReady, shell.Close())
	}
	in.terminal = t
	in.inBackground(func() {
		defer cancel()
		t.run(ctx)
	})
	return t, nil
}

// newTerminal has that shell; touch is called when something is typed.
func newTerminal(shell Shell, touch func()) *terminal {
	t := &terminal{
		shell: shell, input: make(chan []byte, inputWaiting), ended: make(chan struct{}), changed: make(chan struct{}),
		touch: touch,
	}
	t.timer = time.AfterFunc(terminalAlone, func() { t.end(ErrTerminalIdle) })
	return t
}

// run passes on what the shell writes and what it is given, until it ends.
func (t *terminal) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { t.end(ErrNotReady) })()
	var typing sync.WaitGroup
	typing.Go(func() {
		for {
			select {
			case <-t.ended:
				return
			case p := <-t.input:
				if _, err := t.shell.Write(p); err != nil {
					t.end(ErrTerminalEnded)
					return
				}
			}
		}
	})
	limiter := rate.NewLimiter(outputRate, outputAhead)
	buffer := make([]byte, 16<<10)
	for {
		n, err := t.shell.Read(buffer)
		t.keep(buffer[:n])
		if err == nil {
			err = limiter.WaitN(ctx, n)
		}
		if err == nil {
			err = t.awaitReader()
		}
		if err != nil && ctx.Err() != nil {
			err = ErrNotReady // the sandbox's end is the shell's, and may be seen there first
		} else if err != nil {
			err = ErrTerminalEnded
		}
		if err != nil {
			t.end(err)
			break
		}
	}
	typing.Wait()
}

// notify tells all who wait that something has changed. It needs t.mu.
func (t *terminal) notify() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *terminal) keep(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(p) == 0 {
		return
	}
	t.written += int64(len(p))
	t.kept = append(t.kept, p...)
	// Cut now and then, so that not every piece is copied again and again.
	if len(t.kept) > 2*scrollback {
		t.kept = append(make([]byte, 0, 3*scrollback), t.kept[len(t.kept)-scrollback:]...)
	}
	t.notify()
}

// awaitReader waits until who looks at the terminal has nearly caught up.
func (t *terminal) awaitReader() error {
	for {
		t.mu.Lock()
		err, changed := t.err, t.changed
		behind := t.view != nil && t.written-t.view.read > outputAhead
		t.mu.Unlock()
		if err != nil || !behind {
			return err
		}
		<-changed
	}
}

// end ends the terminal, the first time with the cause.
func (t *terminal) end(cause error) {
	t.mu.Lock()
	if t.err != nil {
		t.mu.Unlock()
		return
	}
	t.err = cause
	t.timer.Stop()
	close(t.ended)
	t.notify()
	t.mu.Unlock()
	_ = t.shell.Close() // What is left of it ends with its pod.
}

// isOver reports whether the shell has ended.
func (t *terminal) isOver() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

func (t *terminal) cause() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// attach takes the terminal from who has looked at it before; nil where it has ended.
func (t *terminal) attach(size TerminalSize) *TerminalView {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return nil
	}
	kept := t.kept[max(0, len(t.kept)-scrollback):]
	v := &TerminalView{t: t, read: t.written - int64(len(kept))}
	t.view = v
	t.timer.Reset(terminalUntouched)
	t.notify()
	t.shell.Resize(size.bounded())
	return v
}

// TerminalView is a terminal as one looks at it. Its methods may be called
// concurrently.
type TerminalView struct {
	t *terminal
	// read is how much of what was written has been read; t.mu guards it.
	read int64
}

// Next returns more of what the shell has written, first what is kept from before. It
// waits for it until ctx ends. An error says why there will be no more.
func (v *TerminalView) Next(ctx context.Context) ([]byte, error) {
	const most = 32 << 10
	t := v.t
	for {
		t.mu.Lock()
		changed := t.changed
		switch {
		case t.view != v:
			t.mu.Unlock()
			return nil, ErrTerminalElsewhere
		case v.read < t.written:
			rest := t.kept[max(0, int64(len(t.kept))-(t.written-v.read)):]
			out := append([]byte(nil), rest[:min(len(rest), most)]...)
			v.read = t.written - int64(len(rest)-len(out))
			t.notify()
			t.mu.Unlock()
			return out, nil
		case t.err != nil:
			defer t.mu.Unlock()
			return nil, t.err
		}
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Type gives the shell what was typed, waiting until there is room for it.
func (v *TerminalView) Type(ctx context.Context, p []byte) error {
	t := v.t
	t.mu.Lock()
	ours, err := t.view == v, t.err
	if ours && err == nil {
		t.timer.Reset(terminalUntouched)
	}
	t.mu.Unlock()
	switch {
	case !ours:
		return ErrTerminalElsewhere
	case err != nil:
		return err
	}
	t.touch()
	select {
	case t.input <- p:
		return nil
	case <-t.ended:
		return t.cause()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Resize tells the shell how large the terminal is.
func (v *TerminalView) Resize(size TerminalSize) {
	v.t.mu.Lock()
	ours := v.t.view == v && v.t.err == nil
	v.t.mu.Unlock()
	if ours {
		v.t.shell.Resize(size.bounded())
	}
}

// Close leaves the terminal. The shell waits for a while to be looked at again.
func (v *TerminalView) Close() {
	t := v.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.view != v {
		return
	}
	t.view = nil
	if t.err == nil {
		t.timer.Reset(terminalAlone)
	}
	t.notify()
}
