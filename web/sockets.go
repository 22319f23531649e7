package web

import (
	"net/http"
	"sync"
)

const (
	// socketsPerLearner is how many websockets one learner may have open: a page has
	// one, and nobody looks at more pages at once.
	socketsPerLearner = 16
	// socketsAtMost is how many the server has open, however many files it may.
	socketsAtMost = 10_000
	// socketBuffer is how much the system may keep for a client that does not read, in
	// bytes; Linux takes twice that.
	socketBuffer = 16 << 10
)

// sockets counts the open websockets.
type sockets struct {
	// limit is how many there may be in all.
	limit   int
	metrics Metrics

	mu    sync.Mutex
	total int
	by    map[string]int
}

func newSockets(limit int, metrics Metrics) *sockets {
	return &sockets{limit: limit, metrics: metrics, by: map[string]int{}}
}

// socketsFor leaves half of the files that the process may open to everything else:
// pages, the streams into the clusters, the learners' records.
func socketsFor(files int) int { return min(files/2, socketsAtMost) }

// open takes a place for one more websocket of the learner, which done gives back.
// Its error is the refusal.
func (s *sockets) open(learner string) (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.by[learner] >= socketsPerLearner:
		return nil, refuse(http.StatusTooManyRequests, "You have the lab open in %d places already, which is as many as go at once. Close some of its tabs, and this page goes on.", socketsPerLearner)
	case s.total >= s.limit:
		return nil, refuse(http.StatusServiceUnavailable, "So many pages watch the lab that this one has to wait. It tries again by itself.")
	}
	s.by[learner]++
	s.total++
	s.metrics.Sockets(s.total)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		s.metrics.Sockets(s.total)
		if s.by[learner]--; s.by[learner] == 0 {
			delete(s.by, learner)
		}
	}, nil
}
