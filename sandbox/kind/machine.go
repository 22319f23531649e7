package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox/capacity"
)

// daemon is what Docker says of the machine that it runs on.
type daemon struct {
	Name, KernelVersion, OSType string
	NCPU                        int
	MemTotal                    int64
	DockerRootDir               string
	SecurityOptions             []string
	CgroupVersion               string
	// ServerErrors are there where it does not answer, with no other error.
	ServerErrors []string
}

// isHere reports whether the files of this machine are those of Docker's: it is the same
// kernel, and Docker's folder is in reach.
func (d daemon) isHere() bool {
	if runtime.GOOS != "linux" || d.OSType != "linux" {
		return false
	}
	name, err := os.Hostname()
	kernel, kernelErr := os.ReadFile("/proc/sys/kernel/osrelease")
	_, folderErr := os.Stat(d.DockerRootDir)
	return err == nil && kernelErr == nil && folderErr == nil && name == d.Name && strings.TrimSpace(string(kernel)) == d.KernelVersion
}

// nodeUser is the ID of the user on the machine that is root in a node.
func (d daemon) nodeUser() int {
	for _, option := range d.SecurityOptions {
		if option == "name=rootless" {
			return os.Getuid()
		}
	}
	return 0
}

// Machine measures the machine that Docker runs on. Sandboxes are the clusters that are
// there already: this instance's, or all servers'.
func (p *Provider) Machine(ctx context.Context, allServers bool) (capacity.Machine, error) {
	d, err := askDaemon(ctx)
	if err != nil {
		return capacity.Machine{}, fmt.Errorf("kind: measure Docker's machine: %w", err)
	}
	var m capacity.Machine
	if d.isHere() {
		m = capacity.Here("/", d.nodeUser()).Machine()
		if m.Disk, err = capacity.DiskOf(d.DockerRootDir); err != nil {
			m.Unknown = append(m.Unknown, "The room on Docker's disk could not be found out: "+err.Error()+".")
		}
	} else {
		m = p.elsewhere(ctx, d)
	}
	m.Files, m.Image = capacity.OpenFiles(), p.opts.NodeImage
	m.ControlGroups, _ = strconv.Atoi(d.CgroupVersion) // 0 where it does not say
	prefix := p.clusterPrefix()
	if allServers {
		prefix = everyClusterPrefix
	}
	nodes, err := containersWith(ctx, labelCluster)
	if err != nil {
		return capacity.Machine{}, fmt.Errorf("kind: measure Docker's machine: %w", err)
	}
	for _, cluster := range nodes {
		if strings.HasPrefix(cluster, prefix) {
			m.Sandboxes++
		}
	}
	return m, nil
}

func askDaemon(ctx context.Context) (d daemon, err error) {
	out, err := docker(ctx, "info", "--format", "{{json .}}")
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		return d, fmt.Errorf("docker info: %w", err)
	}
	if len(d.ServerErrors) > 0 {
		return d, fmt.Errorf("docker info: %s", strings.Join(d.ServerErrors, "; "))
	}
	return d, nil
}

// printFiles prints the files $@ that are there, each after a line with its name, and then
// how many KiB of the disk are used and free.
const printFiles = `cd /
for f in "$@"; do
  [ -r "$f" ] || continue
  echo "` + fileMark + `$f"
  cat "$f"
done
echo "` + fileMark + diskFile + `"
df -kP / | { read -r _; read -r _ _ used free _; echo "$used $free"; }`

const (
	fileMark = "==> "
	diskFile = "disk"
)

// elsewhere measures a machine whose files are not here, by a container that shows them:
// it sees that machine's processes and networks, for some limits are theirs.
func (p *Provider) elsewhere(ctx context.Context, d daemon) capacity.Machine {
	args := []string{"run", "--rm", "--network", "host", "--pid", "host", "--label", labelInternet + "=" + p.opts.Instance, // to be found if it is left
		"--read-only", "--tmpfs", "/var", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--entrypoint", "sh", p.opts.NodeImage, "-c", printFiles, "sh"}
	out, err := docker(ctx, append(args, capacity.Names...)...)
	shown := map[string][]byte{}
	for part := range strings.SplitSeq("\n"+out, "\n"+fileMark) {
		name, content, _ := strings.Cut(part, "\n")
		shown[name] = []byte(content)
	}
	m := capacity.Sources{Read: func(name string) ([]byte, error) {
		if b, ok := shown[name]; ok {
			return b, nil
		}
		return nil, os.ErrNotExist
	}}.Machine()
	m.Elsewhere = true
	if m.Memory.Total == 0 {
		m.Memory.Total = d.MemTotal
	}
	m.Processors = capacity.Amount{Total: int64(d.NCPU) * 1000}
	if fields := strings.Fields(string(shown[diskFile])); len(fields) == 2 {
		used, usedErr := strconv.ParseInt(fields[0], 10, 64)
		free, freeErr := strconv.ParseInt(fields[1], 10, 64)
		if usedErr == nil && freeErr == nil {
			m.Disk = capacity.Amount{Total: (used + free) << 10, Used: used << 10}
		}
	}
	m.Unknown = append(m.Unknown, "Docker runs in another machine than this: what others use there of inotify is not known.")
	if err != nil {
		m.Unknown = append(m.Unknown, "Of Docker's machine only the memory and the processors are known, for no container could be asked: "+err.Error()+".")
	}
	return m
}
