package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// Costs are what this instance's clusters take of the machine now, by Docker's account of
// their nodes: paused ones are among them. Docker looks twice, so it takes two seconds.
func (p *Provider) Costs(ctx context.Context) (map[sandbox.ClusterID]sandbox.Cost, error) {
	out, err := docker(ctx, "stats", "--no-stream", "--format", "{{json .}}")
	if err != nil {
		return nil, fmt.Errorf("kind: what the clusters take: %w", err)
	}
	costs := map[sandbox.ClusterID]sandbox.Cost{}
	for line := range strings.Lines(out) {
		var s containerStats
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			return nil, fmt.Errorf("kind: what the clusters take: docker stats: %w", err)
		}
		cluster, isNode := strings.CutSuffix(s.Name, nodeName(""))
		id, own := strings.CutPrefix(cluster, p.clusterPrefix())
		if !isNode || !own {
			continue
		}
		if cost, ok := s.cost(); ok { // Of one that has just begun or ended nothing is known.
			costs[sandbox.ClusterID(id)] = cost
		}
	}
	return costs, nil
}

// containerStats are what docker stats says of a container.
type containerStats struct{ Name, CPUPerc, MemUsage string }

// cost reads "23.15%" and "612.3MiB / 2GiB".
func (s containerStats) cost() (sandbox.Cost, bool) {
	percent, err := strconv.ParseFloat(strings.TrimSuffix(s.CPUPerc, "%"), 64)
	if err != nil {
		return sandbox.Cost{}, false
	}
	used, _, _ := strings.Cut(s.MemUsage, " ")
	number := strings.TrimRight(used, "KMGTiB")
	size, err := strconv.ParseFloat(number, 64)
	unit, ok := map[string]float64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[used[len(number):]]
	if err != nil || !ok || size == 0 {
		return sandbox.Cost{}, false
	}
	return sandbox.Cost{Memory: int64(size * unit), Processor: int64(percent * 10)}, true
}
