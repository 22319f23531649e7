package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web"
)

// operatorsToken is what the operator of the stories shows.
const operatorsToken = "the token of the storybook's operator"

// class is what the operator of a story sees.
type class struct {
	overview sandbox.Overview
	names    map[string]string
	costs    map[sandbox.ClusterID]sandbox.Cost
}

var (
	_ web.AllSandboxes = (*class)(nil)
	_ web.Costs        = (*class)(nil)
)

// operator is whoever runs the story's lab.
func (c *class) operator() *web.Operator {
	return &web.Operator{
		Token: web.HashToken(operatorsToken), Sandboxes: c, Metrics: http.NotFoundHandler(),
		Names: func(context.Context, []string) (map[string]string, error) { return c.names, nil },
		Costs: c,
	}
}

// Overview is the story's.
func (c *class) Overview() sandbox.Overview { return c.overview }

// StopFor stops nothing: what is seen stays as it is.
func (c *class) StopFor(sandbox.ID, string) error { return nil }

// Extend extends nothing.
func (c *class) Extend(sandbox.ID) (sandbox.Ending, error) { return sandbox.Ending{}, nil }

// Now are the costs of the story; of no cluster none are known yet.
func (c *class) Now() (map[sandbox.ClusterID]sandbox.Cost, time.Time) {
	if c.costs == nil {
		return nil, time.Time{}
	}
	return c.costs, ago(0)
}

// aClass is a class at work, with somebody in every state.
func aClass() *class {
	c := &class{names: map[string]string{}, costs: map[sandbox.ClusterID]sandbox.Cost{"one in reserve": {Memory: 561 << 20}}, overview: sandbox.Overview{
		Provider: "kind", Surveyed: true, MaxSandboxes: 12, MaxWaiting: 200, PoolReserve: 2, PoolMax: 12,
		Clusters: sandbox.ClusterCounts{Booting: 1, Reserved: 1, Taken: 6, Removing: 1}, Waiting: 2, Hits: 5, Misses: 3, BootMillis: 21_800,
	}}
	add := func(name string, state sandbox.State, minutes int, tweak func(*sandbox.Brief)) {
		i := len(c.overview.Sandboxes)
		b := sandbox.Brief{
			ID: sandbox.ID(fmt.Sprintf("k7q2m9x%03d", i)), Owner: fmt.Sprintf("%08x5d0c", 0x9f31c0de+i*0x01010101), Lab: lab, State: state,
			Created: ago(minutes), Used: ago(0),
		}
		if state == sandbox.Ready || state == sandbox.Paused {
			ends := ago(minutes).Add(12*time.Hour + time.Second)
			b.Cluster, b.Ends = sandbox.ClusterID(fmt.Sprintf("c4t8w1z%03d", i)), &ends
			c.costs[b.Cluster] = sandbox.Cost{Memory: int64(598+11*i) << 20}
			if state == sandbox.Ready {
				c.costs[b.Cluster] = sandbox.Cost{Memory: int64(598+11*i) << 20, Processor: int64(130 + 40*i)}
			}
		}
		if name != "" {
			c.names[b.Owner] = name
		}
		if tweak != nil {
			tweak(&b)
		}
		b.Extendable = b.Ends != nil && time.Until(*b.Ends) < 2*time.Hour
		c.overview.Sandboxes = append(c.overview.Sandboxes, b)
	}
	add("Ada Lovelace", sandbox.Ready, 47, func(b *sandbox.Brief) { b.Watchers, b.Policies = 1, 3 })
	add("Grace Hopper", sandbox.Ready, 46, func(b *sandbox.Brief) { b.Watchers, b.Policies, b.Disagreeing = 2, 4, 2 })
	add("", sandbox.Ready, 44, func(b *sandbox.Brief) { b.Watchers, b.Lab = 1, "tenants" })
	add("Katherine Johnson", sandbox.Paused, 43, func(b *sandbox.Brief) { b.Used, b.Policies = ago(11), 1 })
	add("", sandbox.Paused, 665, func(b *sandbox.Brief) { b.Used, b.Policies, b.Lab = ago(80), 2, sandbox.OwnPrefix+"1f2e3d" })
	add("Radia Perlman", sandbox.Failed, 9, func(b *sandbox.Brief) {
		b.Used, b.Reason = ago(4), "The sandbox's cluster has stopped running. Press Reset for a fresh one: the policies that were in force are put into force again there."
	})
	add("Hedy Lamarr", sandbox.Creating, 0, func(b *sandbox.Brief) { b.Place, b.Watchers = 1, 1 })
	add("", sandbox.Queued, 0, func(b *sandbox.Brief) { b.Place, b.Watchers = 2, 1 })
	add("Annie Easley", sandbox.Stopping, 61, nil)
	return c
}
