package sandboxtest

import (
	"maps"
	"slices"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// trouble is what a Provider's methods fail with; nil where they work.
type trouble struct{ check, list, adopt, remove, lay, pause, wake error }

func (p *Provider) troubles() trouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

func (p *Provider) change(f func(*trouble)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.trouble)
}

// FailCheck makes Check fail with the error, or pass again where it is nil.
func (p *Provider) FailCheck(err error) { p.change(func(t *trouble) { t.check = err }) }

// FailList makes List fail with the error, or work again where it is nil.
func (p *Provider) FailList(err error) { p.change(func(t *trouble) { t.list = err }) }

// FailAdopt makes Adopt fail with the error, or work again where it is nil.
func (p *Provider) FailAdopt(err error) { p.change(func(t *trouble) { t.adopt = err }) }

// FailDelete makes Delete fail with the error and delete nothing, or work again where
// it is nil.
func (p *Provider) FailDelete(err error) { p.change(func(t *trouble) { t.remove = err }) }

// FailLay, FailPause and FailWake make that fail with the error, or work again where it
// is nil.
func (p *Provider) FailLay(err error)   { p.change(func(t *trouble) { t.lay = err }) }
func (p *Provider) FailPause(err error) { p.change(func(t *trouble) { t.pause = err }) }
func (p *Provider) FailWake(err error)  { p.change(func(t *trouble) { t.wake = err }) }

// make notes that a cluster is being made, until the returned function is called.
func (p *Provider) make(id sandbox.ClusterID) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.making == nil {
		p.making = map[sandbox.ClusterID]bool{}
	}
	p.making[id] = true
	p.count()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.making, id)
	}
}

// count needs p.mu.
func (p *Provider) count() {
	n := len(p.clusters)
	for id := range p.making {
		if p.clusters[id] == nil {
			n++
		}
	}
	p.most = max(p.most, n)
}

// Most is how many clusters there were at the same time at most, with those being
// made and those being deleted.
func (p *Provider) Most() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

// Live is how many clusters there are, with those being deleted.
func (p *Provider) Live() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.clusters)
}

// Paused is how many clusters are paused.
func (p *Provider) Paused() int {
	n := 0
	for _, c := range p.Clusters() {
		if c.Paused() {
			n++
		}
	}
	return n
}

// Clusters are all that there are, in no order.
func (p *Provider) Clusters() []*Cluster {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.clusters))
}
