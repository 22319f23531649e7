package nodeimage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// program is one executable file of the node image.
type program struct {
	name    string // its file's name in the cache
	group   string // the folder with its go.mod, "" for the root module
	pkg     string
	tags    string
	ldflags string
}

const kubeVersionVar = "k8s.io/component-base/version"

var programs = []program{
	{name: "kubernetes", group: "kubernetes", pkg: ".", ldflags: kubeVersionFlags()},
	{name: "calico", group: "calico", pkg: ".", ldflags: "-X main.version=" + CalicoVersion},
	{name: "containerd", group: "containerd", pkg: containerdModule + "/cmd/containerd", tags: containerdTags},
	{name: "containerd-shim-runc-v2", group: "containerd", pkg: containerdModule + "/cmd/containerd-shim-runc-v2", tags: containerdTags},
	{name: "shim", group: "containerd", pkg: "./shim", tags: containerdTags},
	{name: "ctr", group: "containerd", pkg: containerdModule + "/cmd/ctr", tags: containerdTags},
	{name: "store", group: "containerd", pkg: "./store", tags: containerdTags},
	{name: "etcd", group: "etcd", pkg: etcdModule},
	{name: "coredns", group: "coredns", pkg: corednsModule},
	{name: "loopback", group: "cniplugins", pkg: cniModule + "/plugins/main/loopback"},
	{name: "host-local", group: "cniplugins", pkg: cniModule + "/plugins/ipam/host-local"},
}

// containerdTags leaves out the snapshotters a node never uses.
const containerdTags = "no_btrfs no_devmapper no_zfs no_aufs"

func kubeVersionFlags() string {
	parts := strings.SplitN(strings.TrimPrefix(KubernetesVersion, "v"), ".", 3)
	var flags []string
	for _, v := range []string{
		"gitVersion=" + KubernetesVersion, "gitMajor=" + parts[0], "gitMinor=" + parts[1], "gitTreeState=clean",
	} {
		flags = append(flags, "-X "+kubeVersionVar+"."+v)
	}
	return strings.Join(flags, " ")
}

// compile builds a program of a group into the file out.
func (b *build) compile(ctx context.Context, p program, out string) error {
	dir := b.repo
	if p.group != "" {
		dir = filepath.Join(b.repo, "sandbox/nodeimage", p.group)
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags", strings.TrimSpace("-s -w " + p.ldflags)}
	if p.tags != "" {
		args = append(args, "-tags", p.tags)
	}
	part := out + ".part"
	args = append(args, "-o", part, p.pkg)
	env := append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.arch, "GOWORK=off", "GOFLAGS=")
	if err := b.run(ctx, dir, env, "go", args...); err != nil {
		return fmt.Errorf("compile %s: %w", p.name, err)
	}
	return os.Rename(part, out)
}

// compiled is where the cache keeps a compiled program.
func (b *build) compiled(name, hash string) string { return filepath.Join(b.cache, name+"-"+hash) }

// compileOnce builds a program into the cache if it is not there.
func (b *build) compileOnce(ctx context.Context, p program, hash string) error {
	out := b.compiled(p.name, hash)
	if _, err := os.Stat(out); err == nil {
		return nil
	}
	return b.compile(ctx, p, out)
}

// programHash is the hash of what a program is compiled from.
func (b *build) programHash(p program) (string, error) {
	h := newHash("program", p.name, p.group, p.pkg, p.tags, p.ldflags, runtime.Version())
	group := filepath.Join(b.repo, "sandbox/nodeimage", p.group)
	// Of upstream's own programs the group's sources are no part.
	if strings.HasPrefix(p.pkg, ".") {
		if err := h.dir(filepath.Join(group, p.pkg)); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := h.file(filepath.Join(group, name)); err != nil {
			return "", err
		}
	}
	return h.sum(), nil
}

// moduleDir returns the folder of a module that a group requires, downloaded and
// checked against the group's go.sum.
func (b *build) moduleDir(ctx context.Context, group, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = filepath.Join(b.repo, "sandbox/nodeimage", group)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &answer); jsonErr != nil || err != nil || answer.Error != "" {
		return "", fmt.Errorf("download %s: %v %s", module, err, answer.Error)
	}
	return answer.Dir, nil
}
