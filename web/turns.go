package web

import (
	"context"
	"net/http"
	"sync"
)

const (
	// atOnce is how many requests of one learner are dealt with at a time, and
	// atOnceOfAddress how many of all who are not known yet and have one address. What
	// comes beyond that waits, with its body unread. A browser sends six at a time.
	atOnce          = 8
	atOnceOfAddress = 64
)

// everybody is whose turn it is where all take turns with one another.
const everybody = ""

// turns lets each learner have so many things done at a time: who asks for more waits
// for their own, and not everybody else.
type turns struct {
	most int

	mu sync.Mutex
	by map[string]*queue
}

// queue is there as long as somebody has a turn, or waits for one.
type queue struct {
	places chan struct{}
	users  int
}

func newTurns(most int) *turns { return &turns{most: most, by: map[string]*queue{}} }

// take waits for a turn, which done gives back. The error is the context's.
func (t *turns) take(ctx context.Context, who string) (done func(), err error) {
	t.mu.Lock()
	q := t.by[who]
	if q == nil {
		q = &queue{places: make(chan struct{}, t.most)}
		t.by[who] = q
	}
	q.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if q.users--; q.users == 0 {
			delete(t.by, who)
		}
	}
	select {
	case q.places <- struct{}{}:
		return func() { <-q.places; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// inTurn bounds what one learner, or one address of whom nothing is known, makes the
// server hold at a time: a form may be long and slow, and so may who reads a page be.
func (s *server) inTurn(next http.Handler) http.Handler {
	learners, strangers := newTurns(atOnce), newTurns(atOnceOfAddress)
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		turns, who := strangers, addressKey(r)
		if v := visitorOf(r.Context()); v.known {
			turns, who = learners, v.owner
		}
		done, err := turns.take(r.Context(), who)
		if err != nil {
			return err
		}
		defer done()
		next.ServeHTTP(w, r)
		return nil
	})
}
