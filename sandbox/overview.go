package sandbox

import (
	"cmp"
	"slices"
	"time"
)

// Overview is what a Manager has at one moment, for whoever runs it.
type Overview struct {
	Provider string `json:"provider"`
	// Surveyed says that it is known what is on the machine: until then nobody is given a
	// cluster.
	Surveyed bool `json:"surveyed"`
	// Sandboxes are all that there are, the oldest first.
	Sandboxes []Brief `json:"sandboxes"`
	// Clusters are those on the machine, by what becomes of them.
	Clusters ClusterCounts `json:"clusters"`
	// MaxSandboxes, MaxWaiting, PoolReserve and PoolMax are what the Options say.
	MaxSandboxes int `json:"maxSandboxes"`
	MaxWaiting   int `json:"maxWaiting"`
	PoolReserve  int `json:"poolReserve"`
	PoolMax      int `json:"poolMax"`
	// Waiting is how many wait for a cluster, those too who see one being booted.
	Waiting int `json:"waiting"`
	// Hits counts those who got a cluster of the reserve, and Misses those who had to wait
	// for one to be booted.
	Hits   int64 `json:"poolHits"`
	Misses int64 `json:"poolMisses"`
	// BootMillis is how long the last boots have taken, smoothed; 0 before the first.
	BootMillis int64 `json:"bootMillis,omitempty"`
}

// ClusterCounts are how many clusters are on the machine. Each takes a place until nothing
// is left of it.
type ClusterCounts struct {
	// Booting are those that are booted, or made ready for the reserve.
	Booting int `json:"booting"`
	// Reserved wait for whoever comes next, and Taken are a learner's each.
	Reserved int `json:"reserved"`
	Taken    int `json:"taken"`
	Removing int `json:"removing"`
}

// All is how many there are.
func (c ClusterCounts) All() int { return c.Booting + c.Reserved + c.Taken + c.Removing }

// Cost is what a cluster takes of the machine at one moment.
type Cost struct {
	// Memory is in bytes, Processor in thousandths of one.
	Memory    int64 `json:"memory"`
	Processor int64 `json:"processor"`
}

// Brief is a sandbox as whoever runs the lab sees it.
type Brief struct {
	ID     ID     `json:"id"`
	Owner  string `json:"owner"`
	Lab    string `json:"lab"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Cluster is its cluster, empty where it has none, or none yet.
	Cluster ClusterID `json:"cluster,omitempty"`
	Created time.Time `json:"created"`
	// Ends is when it is stopped at the latest; nothing where its end is nobody's but its
	// learner's and the operator's.
	Ends *time.Time `json:"ends,omitempty"`
	// Extendable says that [Manager.Extend] would put that off, by a minute at least.
	Extendable bool `json:"extendable,omitempty"`
	// Used is when somebody last did something with it, or watched it.
	Used     time.Time `json:"used"`
	Watchers int       `json:"watchers"`
	// Policies are how many are in force.
	Policies int `json:"policies"`
	// Disagreeing are how many flows have settled at another verdict than predicted.
	Disagreeing int `json:"disagreeing,omitempty"`
	// Place is its place in the queue, from 1; 0 where it is not in it.
	Place int `json:"place,omitempty"`
}

// Overview tells what there is now.
func (m *Manager) Overview() Overview {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := Overview{
		Provider: m.opts.Provider.Name(), Surveyed: m.Surveyed(),
		MaxSandboxes: m.opts.MaxSandboxes, MaxWaiting: m.opts.MaxWaiting, PoolReserve: m.opts.PoolReserve, PoolMax: m.opts.PoolMax,
		Waiting: len(m.queue.waiters), Hits: m.pool.hits, Misses: m.pool.misses, BootMillis: m.pool.took.Milliseconds(),
		Sandboxes: make([]Brief, 0, len(m.instances)),
	}
	for _, mem := range m.pool.members {
		switch mem.state {
		case booting:
			o.Clusters.Booting++
		case reserved:
			o.Clusters.Reserved++
		case taken:
			o.Clusters.Taken++
		case removing:
			o.Clusters.Removing++
		}
	}
	places := make(map[*instance]int, len(m.queue.waiters))
	for i, w := range m.queue.waiters {
		places[w.in] = i + 1
	}
	for _, in := range m.instances {
		b := in.brief()
		b.Place = places[in]
		if in.member != nil {
			b.Cluster = in.member.id
		}
		o.Sandboxes = append(o.Sandboxes, b)
	}
	slices.SortFunc(o.Sandboxes, func(a, b Brief) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return o
}

// brief is what the instance alone knows of itself.
func (in *instance) brief() Brief {
	b := Brief{ID: in.id, Owner: in.owner, Lab: in.topology.Name, Created: in.created}
	in.mu.Lock()
	ends := in.ends
	b.Used = in.touched
	in.mu.Unlock()
	if !in.m.opts.Supervised {
		b.Ends = &ends
	}
	f := in.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	b.State, b.Reason, b.Watchers, b.Policies = f.picture.State, f.picture.Reason, f.watchers, len(f.picture.Policies)
	b.Extendable = b.Ends != nil && b.State.live() && time.Until(ends) <= in.m.opts.Extension-janitorPace
	if d := f.picture.Disagreement; d != nil {
		b.Disagreeing = len(d.Flows)
	}
	if now := time.Now(); b.Watchers > 0 || b.Used.After(now) {
		b.Used = now
	}
	return b
}

// Surveyed reports whether it is known what is on the machine.
func (m *Manager) Surveyed() bool {
	select {
	case <-m.surveyed:
		return true
	default:
		return false
	}
}
