// Command shim is containerd's shim for runc, upstream's as it is, but one for all the pods
// of a node: upstream starts one for each. What a shim takes of its own, five megabytes and
// nine threads, is more than a lab's pod takes.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/manager"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/task/plugin"
	"github.com/containerd/containerd/v2/pkg/shim"
)

// groupAnnotation is where a shim that is asked for looks for the name of its group. Of a
// group, there is one. Everything else would count a pod as a group.
const groupAnnotation = "io.containerd.runc.v2.group"

func main() {
	runtime.GOMAXPROCS(1)
	shim.Run(context.Background(), grouped{manager.NewShimManager("io.containerd.runc.v2")})
}

// grouped is upstream's shim manager, which starts no shim where there is one.
type grouped struct{ shim.Manager }

// Start is called in the folder of the container that the shim is for.
func (g grouped) Start(ctx context.Context, id string, opts shim.StartOpts) (shim.BootstrapParams, error) {
	if err := group("config.json"); err != nil {
		return shim.BootstrapParams{}, fmt.Errorf("group the shims: %w", err)
	}
	return g.Manager.Start(ctx, id, opts)
}

// group writes the group into a container's configuration.
func group(config string) error {
	data, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var spec map[string]json.RawMessage
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	annotations := map[string]string{}
	if has, ok := spec["annotations"]; ok {
		if err := json.Unmarshal(has, &annotations); err != nil {
			return err
		}
	}
	annotations[groupAnnotation] = "lab"
	if spec["annotations"], err = json.Marshal(annotations); err != nil {
		return err
	}
	if data, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(config, data, 0o644)
}
