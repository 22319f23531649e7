package probe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Dial is the pod's side of the protocol: it writes the hello, reads requests
// from in, one line of JSON each, measures up to 256 at the same time, and
// writes the responses to out as they are known. It returns when in has ended
// and everything has been answered, and fails where in or out does, or where a
// line is not a request.
func Dial(d *Dialer, in io.Reader, out io.Writer) error {
	var mu sync.Mutex
	var failed error
	enc := json.NewEncoder(out)
	answer := func(r Response) error {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = enc.Encode(r)
		}
		return failed
	}
	if err := answer(helloLine); err != nil {
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
			defer func() { <-slots }()
			// A failure is found again when the loop ends.
			_ = answer(d.Measure(r))
		})
		mu.Lock()
		err := failed
		mu.Unlock()
		if err != nil {
			return fmt.Errorf("probe: write: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("probe: read: %w", err)
	}
	wg.Wait()
	if failed != nil {
		return fmt.Errorf("probe: write: %w", failed)
	}
	return nil
}
