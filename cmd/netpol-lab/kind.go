package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
	"github.com/netpol-lab/netpol-lab/web/store"
)

type kindFlags struct {
	NodeImage      string   `default:"netpol-lab/node:latest" env:"NETPOL_LAB_NODE_IMAGE" help:"The kind node image: the lab's own (make node-image) or a stock one."`
	CalicoManifest string   `env:"NETPOL_LAB_CALICO_MANIFEST" help:"File or URL of Calico's manifest, for a node image that does not bring Calico."`
	LoadImages     []string `env:"NETPOL_LAB_LOAD_IMAGES" type:"existingfile" help:"Image archives to load into a node that does not bring Calico."`
}

type imageCmd struct {
	Repo  string `default:"." type:"existingdir" help:"Folder of the project's checkout."`
	Stock bool   `help:"Also build the stock node image and Calico's stock images, for tests and comparisons."`
}

func (c *imageCmd) Run(ctx context.Context, std streams) error {
	result, err := nodeimage.Build(ctx, nodeimage.Options{Repo: c.Repo, Stock: c.Stock, Progress: std.stdout})
	if err != nil {
		return err
	}
	word := "built"
	if !result.Built {
		word = "up to date"
	}
	_, err = fmt.Fprintf(std.stdout, "%s: %s (%d MB)\n%s: %s\n", result.Node, word, result.NodeSize/1_000_000, result.Pod, word)
	if err != nil || result.Stock == nil {
		return err
	}
	_, err = fmt.Fprintf(std.stdout, "%s: %s\nCalico's manifest: %s\nCalico's images: %s\n",
		result.Stock.Node, word, result.Stock.Manifest, strings.Join(result.Stock.Archives, " "))
	return err
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
