package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/store"
)

type kindFlags struct {
	NodeImage      string   `default:"netpol-lab/node:latest" env:"NETPOL_LAB_NODE_IMAGE" help:"The kind node image: the lab's own (netpol-lab image) or a stock one."`
	CalicoManifest string   `env:"NETPOL_LAB_CALICO_MANIFEST" help:"File or URL of Calico's manifest, for a node image that does not bring Calico."`
	LoadImages     []string `env:"NETPOL_LAB_LOAD_IMAGES" type:"existingfile" help:"Image archives to load into a node that does not bring Calico."`
}

// sandboxMemory is what one sandbox takes, idle, with room to breathe; the
// README says what was measured.
const sandboxMemory = 1 << 30

// sandboxesThatFit is how many sandboxes the machine's memory has room for
// beside a reserve, at least one.
func sandboxesThatFit() int {
	total := memory("MemTotal:")
	return max(1, int((total-min(total/4, 4<<30))/sandboxMemory))
}

// memory reads one line of /proc/meminfo, in bytes; 8 GiB where there is none.
func memory(line string) int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 8 << 30
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if rest, ok := strings.CutPrefix(s.Text(), line); ok {
			if _, err := fmt.Sscan(rest, &kib); err == nil {
				return kib << 10
			}
		}
	}
	return 8 << 30
}

type doctorCmd struct {
	kindFlags
}

func (c *doctorCmd) Run(ctx context.Context, std streams) error {
	m, err := c.making(&data{instance: "doctor"}, newLog(std.stderr))
	if err != nil {
		return err
	}
	tellWays(ctx, std.stdout)
	if err := m.check(ctx, checkLimit); err != nil {
		return fmt.Errorf("kind sandboxes cannot be made here, only simulated ones: %w", err)
	}
	_, err = fmt.Fprintf(std.stdout, "Docker answers and the node image is there: this machine can run kind sandboxes, %d at once by its memory.\n", sandboxesThatFit())
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
