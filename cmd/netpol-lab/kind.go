package main

import (
	"context"
	"fmt"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/store"
)

type kindFlags struct {
	NodeImage      string   `default:"netpol-lab/node:latest" env:"NETPOL_LAB_NODE_IMAGE" help:"The kind node image: the lab's own (netpol-lab image) or a stock one."`
	CalicoManifest string   `env:"NETPOL_LAB_CALICO_MANIFEST" help:"File or URL of Calico's manifest, for a node image that does not bring Calico."`
	LoadImages     []string `env:"NETPOL_LAB_LOAD_IMAGES" type:"existingfile" help:"Image archives to load into a node that does not bring Calico."`
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
