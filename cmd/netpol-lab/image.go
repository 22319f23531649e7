package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
)

// imageCmd gets the images of the lab.
type imageCmd struct {
	Way       string        `enum:"auto,registry,upstream,source" default:"auto" env:"NETPOL_LAB_IMAGE_WAY" help:"How to get the images: registry (the lab's own image, fetched), upstream (kind's node image and Calico's images as they are published; has no terminal), source (everything compiled here, up to half an hour), or auto: the first of these that works, beginning with that which was taken before."`
	ImageFrom string        `placeholder:"NAME@sha256:..." env:"NETPOL_LAB_IMAGE_FROM" help:"Fetch this node image of the lab's from a registry, and take no other way."`
	Load      string        `placeholder:"FILE" help:"Load the images from an archive that --save has written, and take no other way."`
	Save      string        `placeholder:"FILE" help:"Write the images that are there into an archive, for --load on another machine."`
	Limit     time.Duration `default:"20m" env:"NETPOL_LAB_IMAGE_LIMIT" help:"How long fetching or loading may take before the next way is tried."`
	Repo      string        `default:"." type:"existingdir" help:"Folder of the project's checkout."`
	Stock     bool          `help:"From source: also build the stock node image and Calico's stock images, for tests and comparisons."`
}

// ask is what the flags mean.
func (c *imageCmd) ask(progress io.Writer) (nodeimage.Ask, error) {
	asked := 0
	for _, flag := range []bool{c.ImageFrom != "", c.Load != "", c.Save != "", c.Stock} {
		if flag {
			asked++
		}
	}
	if asked > 1 {
		return nodeimage.Ask{}, &usageError{errors.New("of --image-from, --load, --save and --stock only one can be asked for at once")}
	}
	if c.Limit <= 0 {
		return nodeimage.Ask{}, &usageError{fmt.Errorf("--limit %s: want a time, such as 20m", c.Limit)}
	}
	a := nodeimage.Ask{
		Registry: c.ImageFrom, Archive: c.Load, Limit: c.Limit,
		Build: nodeimage.Options{Repo: c.Repo, Stock: c.Stock, Progress: progress},
	}
	switch {
	case c.Load != "":
		a.Way = nodeimage.FromArchive
	case c.ImageFrom != "":
		a.Way = nodeimage.FromRegistry
	case c.Stock:
		a.Way = nodeimage.FromSource
	case c.Way != "auto":
		a.Way = nodeimage.Way(c.Way)
	}
	return a, nil
}

func (c *imageCmd) Run(ctx context.Context, std streams) error {
	a, err := c.ask(std.stdout)
	if err != nil {
		return err
	}
	if c.Save != "" {
		return nodeimage.Save(ctx, a, c.Save)
	}
	got, err := nodeimage.Get(ctx, a)
	if err != nil {
		return err
	}
	word := "new"
	if !got.New {
		word = "up to date"
	}
	_, err = fmt.Fprintf(std.stdout, "The images are there, by way of %s: %s (%d MB) and %s, %s.\n", got.Way, got.Node, got.NodeSize/1_000_000, got.Pod, word)
	if err != nil || got.Stock == nil {
		return err
	}
	_, err = fmt.Fprintf(std.stdout, "%s\nCalico's manifest: %s\nCalico's images: %s\n",
		got.Stock.Node, got.Stock.Manifest, strings.Join(got.Stock.Archives, " "))
	return err
}

// tellWays says by which ways the images can come to this machine.
func tellWays(ctx context.Context, w io.Writer) {
	fmt.Fprintln(w, "The images can come by these ways (netpol-lab image); * is that by which those that are here came:")
	for _, way := range nodeimage.Describe(ctx, nodeimage.Ask{}) {
		mark := " "
		if way.Here {
			mark = "*"
		}
		fmt.Fprintf(w, "%s %-9s %s\n", mark, way.Way, way.Text)
	}
}
