package probe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Dial is the pod's side of the protocol: it writes the hello, reads requests
// from in, one line of JSON each, measures up to 256 at the same time, and
// writes the responses to out as they are known. It returns when in has ended
// and everything has been answered, and fails where in or out does, or where a
// line is not a request.
func Dial(d *Dialer, in io.Reader, out io.Writer) error {
	answers := &answerWriter{out: out}
	if err := answers.write(helloLine, false); err != nil {
		return fmt.Errorf("probe: write: %w", err)
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxInFlight)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var r Request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("probe: malformed request %.100q: %w", lines.Bytes(), err)
		}
		slots <- struct{}{}
		wg.Go(func() {
			response := d.Measure(r)
			<-slots
			// A failure is found again when the loop ends.
			_ = answers.write(response, len(slots) > 0)
		})
		if err := answers.failure(); err != nil {
			return fmt.Errorf("probe: write: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("probe: read: %w", err)
	}
	wg.Wait()
	if err := answers.flush(); err != nil {
		return fmt.Errorf("probe: write: %w", err)
	}
	return nil
}

// gather is how long an answer waits for others to go with it. On its way to the
// server a line passes through five processes, each of which wakes up for it;
// most flows of a pod are answered within the same millisecond.
const gather = time.Millisecond

// answerWriter writes responses, those that come together in one go.
type answerWriter struct {
	mu      sync.Mutex
	out     io.Writer
	lines   []byte
	waiting bool // flush is about to be called
	err     error
}

// write writes the response: at once or, where more are to be expected, together
// with those that come soon.
func (w *answerWriter) write(r Response, more bool) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(append(w.lines, line...), '\n')
	if !more {
		return w.flushLocked()
	}
	if !w.waiting {
		w.waiting = true
		time.AfterFunc(gather, func() { _ = w.flush() }) // found again by the next write
	}
	return w.err
}

func (w *answerWriter) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flushLocked()
}

func (w *answerWriter) flushLocked() error {
	w.waiting = false
	if w.err == nil && len(w.lines) > 0 {
		_, w.err = w.out.Write(w.lines)
	}
	w.lines = w.lines[:0]
	return w.err
}

func (w *answerWriter) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
