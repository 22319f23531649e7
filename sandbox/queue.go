package sandbox

import (
	"slices"
	"time"
)

// queue are the sandboxes that wait for a cluster, in the order in which they get one.
// Who asks from one address stands in for the next who asks from there, so each address
// gets its turn, however many ask from another: a start-time fair queue. Manager.mu
// guards it.
type queue struct {
	waiters []*waiter
	// turn is that of whom was served last; finish is the turn after the last one of each
	// address that waits.
	turn   int
	finish map[string]int
	asked  int64
}

// waiter is a sandbox in the queue.
type waiter struct {
	in *instance
	// from is the address that it was asked for from.
	from  string
	turn  int
	asked int64
	// entered says that it is in the queue or has been.
	entered bool
	// boot is what the learner sees the steps of: the cluster that will be theirs if
	// all goes as it does now.
	boot *member
	told Waiting
	// got has the cluster once there is one, or the reason why there is none.
	got chan grant
}

// grant is what a waiter gets.
type grant struct {
	member *member
	source Source
	err    error
}

// waiter makes a place for the sandbox, which is asked for from the address. Where its
// owner has waited already, with another, it is that one's.
func (q *queue) waiter(in *instance, from string, place *waiter) *waiter {
	w := &waiter{in: in, from: from, got: make(chan grant, 1)}
	if place != nil {
		w.from, w.turn, w.asked = place.from, place.turn, place.asked
		return w
	}
	if q.finish == nil {
		q.finish = map[string]int{}
	}
	w.turn = max(q.turn, q.finish[from])
	q.finish[from] = w.turn + 1
	q.asked++
	w.asked = q.asked
	return w
}

// add lets it wait.
func (q *queue) add(w *waiter) {
	w.entered = true
	q.waiters = append(q.waiters, w)
	q.sort()
}

// sort keeps those in front who see a boot's steps already: nobody goes backwards from there.
func (q *queue) sort() {
	slices.SortStableFunc(q.waiters, func(a, b *waiter) int {
		switch {
		case (a.boot != nil) != (b.boot != nil):
			if a.boot != nil {
				return -1
			}
			return 1
		case a.turn != b.turn:
			return a.turn - b.turn
		default:
			return int(a.asked - b.asked)
		}
	})
}

// leave takes the waiter out. It reports false where it does not wait any more.
func (q *queue) leave(w *waiter) bool {
	i := slices.Index(q.waiters, w)
	if i < 0 {
		return false
	}
	q.waiters = slices.Delete(q.waiters, i, i+1)
	if !slices.ContainsFunc(q.waiters, func(other *waiter) bool { return other.from == w.from }) {
		delete(q.finish, w.from) // It would be in no turn's way, only in memory.
	}
	return true
}

// first is who is next of those that may be; nil where there is nobody.
func (q *queue) first(may func(*waiter) bool) *waiter {
	for _, w := range q.waiters {
		if may(w) {
			return w
		}
	}
	return nil
}

// take takes out whose turn it is.
func (q *queue) take(w *waiter) {
	q.turn = max(q.turn, w.turn)
	q.leave(w)
}

// of is the waiter of the sandbox, or nil.
func (q *queue) of(in *instance) *waiter {
	for _, w := range q.waiters {
		if w.in == in {
			return w
		}
	}
	return nil
}

// yields is who has to give way to somebody from the address where the queue is full:
// the last of the address that has the most in it, provided that has two more than the
// one that asks, for else nothing would be won. It is nil where nobody has to.
func (q *queue) yields(from string) *waiter {
	count := map[string]int{}
	for _, w := range q.waiters {
		count[w.from]++
	}
	var last *waiter
	for _, w := range q.waiters {
		if w.boot == nil && count[w.from] > count[from]+1 && (last == nil || count[w.from] > count[last.from] || w.from == last.from) {
			last = w
		}
	}
	return last
}

// tell tells every waiter where they stand. boots are the clusters on their way, the
// oldest first; took is how long one takes, 0 where that is not known.
func (q *queue) tell(boots []*member, slots int, full bool, took time.Duration) {
	for i, w := range q.waiters {
		if i < len(boots) {
			w.watch(boots[i])
			continue
		}
		now := Waiting{Place: i + 1, Of: len(q.waiters), Full: full}
		if !full && took > 0 {
			// Those before are served as many at a time as there are slots.
			rounds := i/max(1, slots) + 1
			now.Seconds = int((time.Duration(rounds) * took).Round(time.Second) / time.Second)
		}
		if now != w.told {
			w.told = now
			w.in.feed.emit(Event{Type: EventWaiting, Waiting: &now})
		}
	}
}

// watch shows the learner the steps of the cluster that is being booted.
func (w *waiter) watch(boot *member) {
	if w.boot == boot {
		return
	}
	w.boot = boot
	w.in.feed.become(Creating, "") // where it was Queued
	for _, s := range boot.steps {
		w.in.feed.emit(Event{Type: EventStep, Step: &s})
	}
}
