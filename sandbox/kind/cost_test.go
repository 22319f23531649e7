package kind

import (
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

func TestCost_is_read_as_Docker_writes_it(t *testing.T) {
	for _, c := range []struct {
		cpu, memory string
		want        sandbox.Cost
		known       bool
	}{
		{"23.15%", "612.5MiB / 2GiB", sandbox.Cost{Memory: 612<<20 + 1<<19, Processor: 231}, true},
		{"0.00%", "1.25GiB / 23.54GiB", sandbox.Cost{Memory: 5 << 28}, true},
		{"187.00%", "900KiB / 2GiB", sandbox.Cost{Memory: 900 << 10, Processor: 1870}, true},
		{"0.00%", "512B / 2GiB", sandbox.Cost{Memory: 512}, true},
		{"--", "-- / --", sandbox.Cost{}, false}, // one that does not run
		{"0.00%", "0B / 0B", sandbox.Cost{}, false},
		{"1.00%", "12 parsecs", sandbox.Cost{}, false},
		{"", "", sandbox.Cost{}, false},
	} {
		got, known := containerStats{CPUPerc: c.cpu, MemUsage: c.memory}.cost()
		if got != c.want || known != c.known {
			t.Errorf("%s and %s are read as %+v, %v; want %+v, %v", c.cpu, c.memory, got, known, c.want, c.known)
		}
	}
}
