package sandboxtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

var _ sandbox.ShellCluster = (*Cluster)(nil)

// Shell is a shell that knows a handful of commands, and does with them what the real
// one does: "echo", "stty size", "probe", "yes", "exit". Control-C ends "yes".
type Shell struct {
	ctx     context.Context
	cancel  context.CancelFunc
	out     *io.PipeReader
	screen  *io.PipeWriter
	keys    *io.PipeWriter
	command sandbox.ProbeCommand

	mu   sync.Mutex
	size sandbox.TerminalSize
	stop context.CancelFunc // ends the command that runs
}

// OpenShell opens one, and ends the one before.
func (c *Cluster) OpenShell(ctx context.Context, size sandbox.TerminalSize, command sandbox.ProbeCommand) (sandbox.Shell, error) {
	s := &Shell{command: command, size: size}
	s.ctx, s.cancel = context.WithCancel(ctx)
	keys, typed := io.Pipe()
	s.keys = typed
	s.out, s.screen = io.Pipe()
	context.AfterFunc(s.ctx, func() {
		keys.CloseWithError(io.EOF)
		s.screen.CloseWithError(io.EOF)
	})
	c.mu.Lock()
	before := c.shell
	c.shell = s
	c.mu.Unlock()
	if before != nil {
		before.cancel()
	}
	go s.run(bufio.NewReader(keys))
	return s, nil
}

func (s *Shell) run(keys *bufio.Reader) {
	defer s.cancel()
	for {
		io.WriteString(s.screen, "lab$ ")
		line, err := keys.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(s.screen, strings.TrimSuffix(line, "\n")+"\r\n")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		ctx, stop := context.WithCancel(s.ctx)
		s.mu.Lock()
		s.stop = stop
		size := s.size
		s.mu.Unlock()
		switch words[0] {
		case "exit":
			stop()
			io.WriteString(s.screen, "exit\r\n")
			return
		case "echo":
			fmt.Fprintf(s.screen, "%s\r\n", strings.ReplaceAll(strings.Join(words[1:], " "), "''", ""))
		case "stty":
			fmt.Fprintf(s.screen, "%d %d\r\n", size.Rows, size.Columns)
		case "probe":
			answer := s.command(ctx, words[1:])
			io.WriteString(s.screen, strings.ReplaceAll(answer.Text, "\n", "\r\n"))
		case "yes":
			for ctx.Err() == nil {
				if _, err := io.WriteString(s.screen, strings.Repeat("y\r\n", 1000)); err != nil {
					break
				}
			}
			io.WriteString(s.screen, "^C\r\n")
		default:
			fmt.Fprintf(s.screen, "bash: %s: command not found\r\n", words[0])
		}
		stop()
	}
}

func (s *Shell) Read(p []byte) (int, error) { return s.out.Read(p) }

// Write types; a Control-C is not kept for whoever reads the line.
func (s *Shell) Write(p []byte) (int, error) {
	if bytes.ContainsRune(p, '\x03') {
		s.mu.Lock()
		stop := s.stop
		s.mu.Unlock()
		if stop != nil {
			stop()
		}
	}
	_, err := s.keys.Write(bytes.ReplaceAll(p, []byte{'\x03'}, nil))
	return len(p), err
}

// Resize notes the size.
func (s *Shell) Resize(size sandbox.TerminalSize) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = size
}

// Close ends the shell.
func (s *Shell) Close() error {
	s.cancel()
	return nil
}

// TestShell is what the shells of a cluster must do. What the real one writes on the
// screen besides is not looked at, so no command reads like what it writes.
func TestShell(t *testing.T, c sandbox.ShellCluster) {
	command := func(_ context.Context, args []string) probe.Answer {
		return probe.Answer{Text: fmt.Sprintf("asked for %d things\n", len(args))}
	}
	open := func(ctx context.Context) *typist {
		t.Helper()
		shell, err := c.OpenShell(ctx, sandbox.TerminalSize{Columns: 100, Rows: 30}, command)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := shell.Close(); err != nil {
				t.Error(err)
			}
		})
		p := &typist{t: t, shell: shell}
		go p.read()
		return p
	}
	first := open(t.Context())
	first.expect("", "lab$ ")
	first.expect("stty size\n", "30 100\r\n")
	first.shell.Resize(sandbox.TerminalSize{Columns: 77, Rows: 20})
	// The size takes another way to the shell than what is typed.
	first.expectInTheEnd("stty size\n", "20 77\r\n")
	first.expect("probe --from here\n", "asked for 2 things\r\n")
	first.expect("yes\n", "y\r\ny\r\ny\r\n")
	first.expect("\x03", "^C\r\n")
	first.expect("echo still he''re\n", "still here\r\n")

	second := open(t.Context())
	first.expectEnd()
	second.expect("echo an''other\n", "another\r\n")
	second.typed("exit\n")
	second.expectEnd()

	ctx, cancel := context.WithCancel(t.Context())
	third := open(ctx)
	third.expect("echo a th''ird\n", "a third\r\n")
	cancel()
	third.expectEnd()
}

// typist types into a shell and looks at what it writes.
type typist struct {
	t     *testing.T
	shell sandbox.Shell

	mu   sync.Mutex
	seen bytes.Buffer
	err  error
}

func (p *typist) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := p.shell.Read(buffer)
		p.mu.Lock()
		// A flood is not kept.
		if p.seen.Len() < 1<<20 {
			p.seen.Write(buffer[:n])
		}
		p.err = err
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *typist) typed(text string) {
	p.t.Helper()
	p.mu.Lock()
	p.seen.Reset()
	p.mu.Unlock()
	if _, err := p.shell.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// until waits for what must come.
func (p *typist) until(what string, passes func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		passed, seen := passes(), p.seen.String()
		p.mu.Unlock()
		if passed {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("no %s; the shell wrote %.2000q", what, seen)
		}
	}
}

func (p *typist) expect(text, want string) {
	p.t.Helper()
	if text != "" {
		p.typed(text)
	}
	p.until(fmt.Sprintf("%q", want), func() bool { return bytes.Contains(p.seen.Bytes(), []byte(want)) })
}

// expectInTheEnd types the command again until what it writes is as it must be.
func (p *typist) expectInTheEnd(text, want string) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		right := false
		p.typed(text)
		p.until("prompt", func() bool {
			right = bytes.Contains(p.seen.Bytes(), []byte(want))
			return right || bytes.HasSuffix(p.seen.Bytes(), []byte("lab$ "))
		})
		if right {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%q does not come to write %q", text, want)
		}
	}
}

func (p *typist) expectEnd() {
	p.t.Helper()
	p.until("end", func() bool { return p.err != nil })
	if !errors.Is(p.err, io.EOF) {
		p.t.Errorf("the shell ended with %v, want io.EOF", p.err)
	}
}
