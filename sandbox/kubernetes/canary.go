package kubernetes

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// Prove proves that the cluster enforces policies.
func (c *Lab) Prove(ctx context.Context, limit time.Duration) error {
	err := sandbox.ProveEnforced(ctx, c, c.topology, limit)
	if errors.Is(err, sandbox.ErrNotEnforced) {
		return &sandbox.Failure{
			Message: "This cluster's network does not enforce NetworkPolicies, so nothing could be learnt from it. The server needs Calico, or another network that enforces them.",
			Err:     err,
		}
	}
	return err
}

// splitName splits "namespace/name".
func splitName(full string) (namespace, name string) {
	namespace, name, _ = strings.Cut(full, "/")
	return namespace, name
}
