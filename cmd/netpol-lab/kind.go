package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/store"
)

type kindFlags struct {
	NodeImage      string   `default:"netpol-lab/node:latest" env:"NETPOL_LAB_NODE_IMAGE" help:"The kind node image: the lab's own (netpol-lab image) or a stock one."`
	CalicoManifest string   `env:"NETPOL_LAB_CALICO_MANIFEST" help:"File or URL of Calico's manifest, for a node image that does not bring Calico."`
	LoadImages     []string `env:"NETPOL_LAB_LOAD_IMAGES" type:"existingfile" help:"Image archives to load into a node that does not bring Calico."`
	Patience       times    `default:"1" env:"NETPOL_LAB_PATIENCE" help:"How many times as long as usual, on a slow machine, a cluster may take to boot, to have a lesson laid in it, to wake, to be taken over after a restart of the server (5m each) and to come back where it had stopped (3m), before that is given up; at least 1."`
}

// times is how many times as much as usual something may take: 1 or more. Where nobody
// says it is 0, which counts as 1.
type times float64

// UnmarshalText reads a number.
func (n *times) UnmarshalText(text []byte) error {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(f >= 1 && f <= mostTimes) {
		return fmt.Errorf("%q: want a number from 1 to %d", text, mostTimes)
	}
	*n = times(f)
	return nil
}

// mostTimes is as good as for ever.
const mostTimes = 1000

// of is the limit of time as it is then.
func (n times) of(limit time.Duration) time.Duration {
	return time.Duration(float64(limit) * max(float64(n), 1))
}

type cleanCmd struct {
	dataFlags
	kindFlags
}

func (c *cleanCmd) Run(ctx context.Context, std streams) error {
	data, err := c.dataFlags.open()
	if err != nil {
		return err
	}
	defer data.close()
	log := newLog(std.stderr)
	records, err := store.Open(ctx, data.path("learners.db"))
	if err != nil {
		return err
	}
	defer records.Close()
	told := func(id sandbox.ClusterID) { fmt.Fprintln(std.stdout, "removed", id) }
	for _, made := range []func() (making, error){
		func() (making, error) { return simulating(data) },
		func() (making, error) { return c.making(data, log) },
	} {
		m, err := made()
		if err != nil {
			return err
		}
		if err := m.open(ctx, records, log); err != nil {
			return err
		}
		if err := m.remove(ctx, told); err != nil {
			return err
		}
	}
	return nil
}
