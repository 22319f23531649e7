package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/netpol-lab/netpol-lab/sandbox/capacity"
)

type doctorCmd struct {
	JSON bool `name:"json" help:"Print one JSON object, for scripts: ready, missing (why not), and capacity with its limits; sizes are in bytes."`
	kindFlags
}

// diagnosis is what doctor has found, as --json prints it.
type diagnosis struct {
	// Ready says that kind sandboxes can be made here, and Missing why not.
	Ready   bool   `json:"ready"`
	Missing string `json:"missing,omitempty"`
	// Capacity is nil where Docker does not answer.
	Capacity *capacity.Capacity `json:"capacity,omitempty"`
}

func (c *doctorCmd) Run(ctx context.Context, std streams) error {
	m, err := c.making(&data{instance: "doctor"}, newLog(std.stderr))
	if err != nil {
		return err
	}
	missing := m.check(ctx, checkLimit)
	found := diagnosis{Ready: missing == nil}
	if missing != nil {
		found.Missing = missing.Error()
	}
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	machine, err := m.machine(limited, true)
	if err == nil {
		sum := capacity.Of(machine)
		found.Capacity = &sum
	} else if missing == nil {
		return err
	}
	if c.JSON {
		js, err := toJSON(found, "")
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(std.stdout, "%s\n", js); err != nil || missing == nil {
			return err
		}
		return errNo
	}
	tellWays(ctx, std.stdout)
	out := bufio.NewWriter(std.stdout)
	if missing == nil {
		fmt.Fprintln(out, "Docker answers and the images are there: kind sandboxes can be made here.")
	}
	if found.Capacity != nil {
		writeCapacity(out, *found.Capacity)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if missing != nil {
		return fmt.Errorf("kind sandboxes cannot be made here, only simulated ones: %w", missing)
	}
	return nil
}

// writeCapacity writes the sum as a table, what comes first, and what raises it.
func writeCapacity(w io.Writer, c capacity.Capacity) {
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "LIMIT\tTHERE IS\tFOR OTHERS\tONE AWAKE\tONE PAUSED\tIN ALL\tAWAKE")
	for _, l := range c.Limits {
		name := l.Name
		if l.From != "" {
			name += " (" + l.From + ")"
		}
		inAll := "-" // as far as this goes, any number
		if l.OnePaused > 0 {
			inAll = strconv.Itoa(l.Sandboxes)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", name, amount(l.Unit, l.Total), amount(l.Unit, l.Others), amount(l.Unit, l.OneAwake), amount(l.Unit, l.OnePaused), inAll, l.Awake)
	}
	table.Flush() // It writes to what is checked when it is flushed.
	fmt.Fprintf(w, "\n%s in all, %d of them awake at once; %d there now. ", count(c.Sandboxes, "sandbox", "sandboxes"), c.Awake, c.There)
	fmt.Fprintln(w, "A paused one keeps everything and costs no CPU.")
	if c.First != "" {
		fmt.Fprintf(w, "The first limit is that of %s", c.First)
		if c.FirstAwake != c.First {
			fmt.Fprintf(w, ", and for those awake that of %s", c.FirstAwake)
		}
		fmt.Fprintln(w, ".")
	}
	fmt.Fprintln(w, "\nWhat raises them:")
	for _, l := range c.InOrder() {
		fmt.Fprintf(w, "  %s: %s\n", l.Name, l.Raise)
	}
	for i, text := range c.Unknown {
		if i == 0 {
			fmt.Fprintln(w, "\nNot known:")
		}
		fmt.Fprintln(w, " ", text)
	}
}

// amount is so much of something as one reads it.
func amount(unit capacity.Unit, n int64) string {
	switch unit {
	case capacity.Bytes:
		if n >= 10<<30 {
			return fmt.Sprintf("%.0f GiB", float64(n)/(1<<30))
		} else if n >= 1<<30 {
			return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
		}
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	case capacity.Thousandths:
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", float64(n)/1000), "0"), ".")
	default:
		return strconv.FormatInt(n, 10)
	}
}
