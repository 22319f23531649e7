package nodeimage

import (
	"fmt"
	"io"
	"time"
)

// progress prints numbered, named steps with the time each took:
//
//	[3/9] compile Kubernetes  2m14s
type progress struct {
	w     io.Writer
	total int
	n     int
	now   func() time.Time

	// Steps keeps what ran and how long, for the result.
	steps []Step
}

// Step is one step of a build that was carried out.
type Step struct {
	Name string
	Took time.Duration
}

// step runs f as the next step.
func (p *progress) step(name string, f func() error) error {
	p.n++
	began := p.now()
	fmt.Fprintf(p.w, "[%d/%d] %s ...\n", p.n, p.total, name)
	if err := f(); err != nil {
		fmt.Fprintf(p.w, "[%d/%d] %s  failed after %s\n", p.n, p.total, name, p.now().Sub(began).Round(time.Second))
		return fmt.Errorf("%s: %w", name, err)
	}
	took := p.now().Sub(began)
	fmt.Fprintf(p.w, "[%d/%d] %s  %s\n", p.n, p.total, name, elapsed(took))
	p.steps = append(p.steps, Step{Name: name, Took: took})
	return nil
}

// say tells how far the current step is.
func (p *progress) say(how string) { fmt.Fprintf(p.w, "      %s\n", how) }

func elapsed(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
