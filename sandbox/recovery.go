package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// listLimit is how long the provider may take to list what is on the machine.
const listLimit = 30 * time.Second

// recover takes up what an earlier process has written down. What has become of it
// on the machine is for survey to find out; until then each may hold something.
func (m *Manager) recover() error {
	ctx, cancel := m.recording()
	defer cancel()
	records, err := m.opts.Records.All(ctx)
	if err != nil {
		return err
	}
	labs := make([]*Topology, len(records))
	for i, rec := range records {
		if labs[i], err = m.opts.Lab(ctx, rec.Owner, rec.Lab); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, rec := range records {
		lab := labs[i]
		switch {
		case lab == nil:
			m.opts.Log.Warn("there is no such lab any more, so its sandbox is removed", "sandbox", rec.ID, "lab", rec.Lab)
			lab, rec.State = &Topology{Name: rec.Lab}, Stopping
		case transitions[rec.State] == nil:
			m.opts.Log.Error("the record of a sandbox has a state that there is not, so the sandbox is removed", "sandbox", rec.ID, "state", rec.State)
			rec.State = Stopping
		case rec.State == Stopped:
			rec.State = Stopping
		case rec.State == Queued || rec.State == Creating:
			// What there is of its cluster is removed, as nobody's; it waits for another.
			rec.State, rec.Cluster = Queued, ""
		}
		in := m.found(rec, lab)
		switch rec.State {
		case Stopping:
			continue
		case Ready, Paused, Failed:
			// Who asks from the first moment on is told what is in force, or was last.
			in.recall(nil, false)
		case Queued:
			in.feed.history = in.written(nil)
			// Those who waited go on waiting, in the order of then: the addresses are not
			// written down, so each counts as one of their own.
			in.waiter = m.queue.waiter(in, "owner "+in.owner, nil)
			m.queue.add(in.waiter)
		}
		if old := m.current[in.owner]; old != nil { // of a server that stopped in between
			old.feed.become(Stopping, "A newer one took its place.")
			if old.waiter != nil {
				m.queue.leave(old.waiter) // No cluster is to be booted for it.
			}
		}
		m.current[in.owner] = in
	}
	for _, in := range m.instances {
		switch in.feed.state() {
		case Stopping:
			m.work.Go(in.end)
		case Queued:
			in.inBackground(in.run)
		}
	}
	return nil
}

// found makes an instance of what an earlier process has left.
func (m *Manager) found(rec Record, lab *Topology) *instance {
	// Numbers from before the restart must not be taken for ones of this log, so it
	// starts well above them.
	in := m.newInstance(rec, lab, time.Now().UnixMilli())
	if rec.Cluster != "" {
		in.member = m.pool.add(rec.Cluster, taken)
		in.member.owner, in.member.begun, in.member.used = rec.Owner, rec.Created, true
	}
	m.instances[in.id] = in
	return in
}

// survey asks the provider what is on the machine, until it says, and makes that
// and what is written down agree. What belongs to nobody is removed.
func (m *Manager) survey() {
	listed, patient, ok := m.list()
	if !ok {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	present := map[ClusterID]bool{}
	for _, id := range listed {
		present[id] = true
	}
	m.removeStrays(listed)
	for _, in := range m.instances {
		there := in.member != nil && present[in.member.id]
		switch state := in.feed.state(); {
		case state == Stopping || state == Queued:
			// In other hands.
		case there && (state == Ready || state == Paused):
			in.inBackground(func() { in.adopt(patient) })
		default:
			in.feed.become(Failed, fmt.Sprintf(reasonGone, "")) // where it was not already
			in.inBackground(func() { _ = in.save(); in.let() })
		}
	}
	close(m.surveyed)
	m.dispatch()
	m.work.Go(m.sweepBeside)
}

// removeStrays removes what is on the machine and nobody's. It needs m.mu.
func (m *Manager) removeStrays(listed []ClusterID) {
	for _, id := range listed {
		if m.pool.members[id] == nil {
			m.opts.Log.Warn("removing a cluster that is nobody's", "cluster", id)
			m.discard(m.pool.add(id, taken))
		}
	}
}

// sweepPace is the pause between two looks for what is nobody's.
const sweepPace = time.Hour

// sweep removes what has come to be on the machine and is nobody's: what another process
// had not made to the end when it was killed may appear later than the survey.
func (m *Manager) sweep() {
	if !m.Surveyed() {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, listLimit)
	listed, err := m.opts.Provider.List(ctx)
	cancel()
	if err != nil {
		m.opts.Log.Warn("what is nobody's cannot be looked for", "again in", sweepPace, "error", err)
		return
	}
	m.mu.Lock()
	if !m.closed {
		m.removeStrays(listed)
	}
	m.mu.Unlock()
	m.sweepBeside()
}

// sweepBeside removes what clusters that are gone have left beside them.
func (m *Manager) sweepBeside() {
	ctx, cancel := context.WithTimeout(m.ctx, removeLimit)
	defer cancel()
	if err := m.opts.Provider.Sweep(ctx); err != nil && m.ctx.Err() == nil {
		m.opts.Log.Warn("what clusters have left beside them is not removed", "again in", sweepPace, "error", err)
	}
}

// list is what the provider lists, once it does; false where the Manager closes
// first. Where the provider does not answer at first, whoever has a sandbox is told.
func (m *Manager) list() (listed []ClusterID, patient, ok bool) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ctx, cancel := context.WithTimeout(m.ctx, listLimit)
		listed, err := m.opts.Provider.List(ctx)
		cancel()
		switch {
		case err == nil:
			return listed, patient, true
		case m.ctx.Err() != nil:
			return nil, patient, false
		}
		m.opts.Log.Warn("sandboxes of an earlier run cannot be looked for yet; they are kept", "again in", pause, "error", err)
		if !patient {
			patient = true
			m.mu.Lock()
			for _, in := range m.current {
				if in.feed.state() == Ready {
					in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeWarning,
						Message: "The lab's server was started again and does not reach your sandbox yet. It is kept, with its policies; the lab keeps trying."}})
				}
			}
			m.mu.Unlock()
		}
		select {
		case <-m.ctx.Done():
			return nil, patient, false
		case <-time.After(pause):
		}
	}
}

// adopt takes over the sandbox of an earlier process; one that is paused only when
// somebody wants it. Where learners had to be patient, they are told that it is there
// again.
func (in *instance) adopt(patient bool) {
	if in.feed.state() == Paused && !in.awaitWanted() {
		return
	}
	cluster, err := in.adoptCluster()
	if err != nil {
		if in.ctx.Err() != nil {
			return // still running, for the next process
		}
		in.m.opts.Log.Error("sandbox not adopted", "sandbox", in.id, "error", err)
		in.fail(err)
		return
	}
	in.m.opts.Log.Info("sandbox adopted", "sandbox", in.id)
	ctx, cancel := context.WithTimeout(in.ctx, changeTimeout)
	policies, err := cluster.Policies(ctx)
	cancel()
	if err != nil {
		in.m.opts.Log.Error("policies of an adopted sandbox not read", "sandbox", in.id, "error", err)
	}
	applied := newInForce(policies)
	in.recall(applied.applied(), err == nil)
	in.connect(cluster, applied)
	if in.feed.state() == Paused && !in.become(Ready, "") {
		in.disconnect(cluster)
		return
	}
	if patient {
		in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeInfo, Message: "The lab's server reaches your sandbox again."}})
	}
	in.lookAfter(cluster)
}

// adoptCluster tries until the cluster is known to be gone, or until it could not be
// adopted for as long as it may take to boot one although the provider is in order.
func (in *instance) adoptCluster() (Cluster, error) {
	in.m.mu.Lock()
	mem := in.member
	in.m.mu.Unlock()
	begun := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		cluster, err := in.takeUp(mem)
		spent := time.Since(begun) >= in.m.opts.CreateTimeout && in.m.Available() == nil
		if err == nil || spent || errors.Is(err, ErrGone) || errors.Is(err, ErrNotLaid) || in.ctx.Err() != nil {
			return cluster, err
		}
		in.m.opts.Log.Warn("sandbox not adopted yet", "sandbox", in.id, "again in", pause, "error", err)
		select {
		case <-in.ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// takeUp tries once to adopt the cluster, with what is laid in it.
func (in *instance) takeUp(mem *member) (Cluster, error) {
	ctx, cancel := context.WithTimeout(in.ctx, in.m.opts.CreateTimeout)
	defer cancel()
	booted, err := in.m.opts.Provider.Adopt(ctx, mem.id)
	if err != nil {
		return nil, err
	}
	cluster, err := booted.Laid(ctx, in.topology)
	if err != nil {
		return nil, errors.Join(err, booted.Close())
	}
	in.m.mu.Lock()
	mem.booted = booted
	in.m.mu.Unlock()
	return cluster, nil
}
