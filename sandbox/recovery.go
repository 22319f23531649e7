package sandbox

import (
	"context"
	"sort"
	"time"
)

// recover goes through what an earlier process has written down and through
// what is on the machine, and makes them agree.
func (m *Manager) recover() error {
	records, err := m.opts.Records.All()
	if err != nil {
		return err
	}
	// Nobody could use what is on the machine while the provider is out of
	// order; what is missing is said where a sandbox is asked for.
	listed, err := m.opts.Provider.List(m.ctx)
	if err != nil {
		m.opts.Log.Warn("sandboxes of an earlier run not looked for", "error", err)
		return nil
	}
	present := map[ID]bool{}
	for _, id := range listed {
		present[id] = true
	}
	sort.Slice(records, func(i, j int) bool { return records[i].Created.Before(records[j].Created) })
	for _, rec := range records {
		lab, known := m.opts.Labs[rec.Lab]
		// Numbers from before the restart must not be taken for ones of this
		// log, so it starts well above them.
		seq := time.Now().UnixMilli()
		switch {
		case !known || rec.State == Stopping || rec.State == Stopped:
			if err := m.opts.Records.Delete(rec.ID); err != nil {
				return err
			}
			continue // and what is left of it is deleted below
		case rec.State == Ready && present[rec.ID]:
			delete(present, rec.ID)
			in := m.newInstance(rec, lab, seq)
			m.instances[in.id] = in
			in.background.Add(1)
			m.work.Go(func() {
				defer in.background.Done()
				in.adopt()
			})
			continue
		case rec.State == Ready:
			rec.State, rec.Reason = Failed, reasonGone
		case rec.State == Queued || rec.State == Creating:
			rec.State, rec.Reason = Failed, reasonRestarted
		}
		in := m.newInstance(rec, lab, seq)
		m.instances[in.id] = in
		if err := in.save(); err != nil {
			return err
		}
	}
	for id := range present {
		m.opts.Log.Info("removing what an earlier run has left", "sandbox", id)
		m.work.Go(func() { (&instance{m: m, id: id}).remove() })
	}
	return nil
}

// adopt takes over the running sandbox of an earlier process.
func (in *instance) adopt() {
	ctx, cancel := context.WithTimeout(in.ctx, in.m.opts.CreateTimeout)
	defer cancel()
	cluster, err := in.m.opts.Provider.Adopt(ctx, Spec{ID: in.id, Topology: in.topology})
	if err != nil {
		if in.ctx.Err() != nil {
			return // still running, for the next process
		}
		in.m.opts.Log.Error("sandbox not adopted", "sandbox", in.id, "error", err)
		if in.become(Failed, reasonGone) {
			in.remove()
		}
		return
	}
	in.m.opts.Log.Info("sandbox adopted", "sandbox", in.id)
	if applied, err := appliedPolicies(ctx, cluster); err == nil {
		in.feed.emit(Event{Type: EventPolicies, Policies: &PolicyChange{Change: in.feed.change(), Policies: applied}})
	}
	in.connect(cluster)
	in.observe(cluster)
}
