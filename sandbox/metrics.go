package sandbox

import (
	"errors"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Metrics is told what a Manager does, for whoever counts it. Its methods are called from
// many goroutines, some of which hold locks, so each returns at once and asks the Manager
// nothing.
type Metrics interface {
	// Stepped tells of a step of a boot or a lay that has ended.
	Stepped(step string, took time.Duration, failed bool)
	// Proved tells of a canary: whether a cluster was seen to enforce policies.
	Proved(enforced bool)
	// Waited tells how long somebody has waited for the cluster that they are given now.
	Waited(waited time.Duration, of Source)
	// Started tells how long after it was asked for a sandbox is ready.
	Started(took time.Duration, of Source)
	// Woke tells how long a paused sandbox took to be one that is ready again.
	Woke(took time.Duration)
	// Parsed tells how long it took to read policies that are to be applied.
	Parsed(took time.Duration)
	// Measured tells that so many flows were measured with the verdict.
	Measured(verdict probe.Verdict, flows int)
	// Settled tells that the flows have settled after a change that the lab was asked for:
	// how long it took from then to the first flip, 0 where there was none, and to the end.
	Settled(flip, all time.Duration)
	// Disagreed tells that so many flows have settled at other verdicts than predicted.
	Disagreed(flows int)
}

// Source is where a sandbox's cluster comes from.
type Source string

// The sources.
const (
	// FromBoot was booted while somebody waited for it.
	FromBoot Source = "boot"
	// FromReserve was there.
	FromReserve Source = "reserve"
	// FromOwn is the learner's own, which had another lab laid in it.
	FromOwn Source = "own"
)

// source is where the cluster comes from for whoever is given it. It needs Manager.mu.
func (mem *member) source() Source {
	switch {
	case mem.used:
		return FromOwn
	case mem.state == reserved:
		return FromReserve
	}
	return FromBoot
}

// uncounted is what is told where nobody counts.
type uncounted struct{}

func (uncounted) Stepped(string, time.Duration, bool)  {}
func (uncounted) Proved(bool)                          {}
func (uncounted) Waited(time.Duration, Source)         {}
func (uncounted) Started(time.Duration, Source)        {}
func (uncounted) Woke(time.Duration)                   {}
func (uncounted) Parsed(time.Duration)                 {}
func (uncounted) Measured(probe.Verdict, int)          {}
func (uncounted) Settled(time.Duration, time.Duration) {}
func (uncounted) Disagreed(int)                        {}

// tellStep tells the metrics of a step that has ended.
func (m *Manager) tellStep(s Step) {
	if s.Status == StepDone || s.Status == StepFailed {
		m.opts.Metrics.Stepped(s.Name, time.Duration(s.ElapsedMillis)*time.Millisecond, s.Status == StepFailed)
	}
}

// tellProof tells the metrics of the canary in which a boot or a wake ends, where err says
// that it came so far.
func (m *Manager) tellProof(err error) {
	if err == nil || errors.Is(err, ErrNotEnforced) {
		m.opts.Metrics.Proved(err == nil)
	}
}

// tally counts verdicts.
type tally [6]int

func (t *tally) add(v probe.Verdict) { t[codeOf(v)]++ }

func (t *tally) tell(m Metrics) {
	for code, flows := range t {
		if flows > 0 && code > 0 {
			m.Measured(verdictCodes[code], flows)
		}
	}
}
