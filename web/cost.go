package web

import (
	"context"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

const (
	// costsFor is how long it holds what the clusters were seen to take, and costsOld when
	// that says nothing any more.
	costsFor = 5 * time.Second
	costsOld = time.Minute
	// costsLimit is how long Docker may take to say it.
	costsLimit = 15 * time.Second
)

// Costs are what clusters take of the machine.
type Costs interface {
	// Now is what was last known, and when, at once; no time where that is nothing, or too
	// long ago to say anything.
	Now() (map[sandbox.ClusterID]sandbox.Cost, time.Time)
}

// Meter knows what clusters took when that was last asked: in the background, when somebody
// looks, and once at a time, since Docker takes seconds to say.
type Meter struct {
	// Ask asks what they take now.
	Ask func(ctx context.Context) (map[sandbox.ClusterID]sandbox.Cost, error)
	// Closing ends when nobody is to ask any more.
	Closing context.Context
	// Failed is told why they are not known. That is no request's matter.
	Failed func(error)

	mu     sync.Mutex
	asking bool
	asked  time.Time // when an answer, or none, came last
	at     time.Time // when costs were known
	costs  map[sandbox.ClusterID]sandbox.Cost
}

var _ Costs = (*Meter)(nil)

// Now is what was last known. Where that does not hold any more it is asked anew, for the
// next who looks.
func (m *Meter) Now() (map[sandbox.ClusterID]sandbox.Cost, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.asking && time.Since(m.asked) >= costsFor && m.Closing.Err() == nil {
		m.asking = true
		go m.ask()
	}
	if m.at.IsZero() || time.Since(m.at) > costsOld {
		return nil, time.Time{}
	}
	return m.costs, m.at
}

func (m *Meter) ask() {
	ctx, cancel := context.WithTimeout(m.Closing, costsLimit)
	defer cancel()
	costs, err := m.Ask(ctx)
	if err != nil && m.Closing.Err() == nil {
		m.Failed(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asking, m.asked = false, time.Now()
	if err == nil {
		m.costs, m.at = costs, m.asked
	}
}
