// Package kindtest finds what tests on kind clusters have left on the machine, and in
// their own process.
package kindtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Machine is what the machine had at some moment of what clusters can leave behind.
type Machine struct {
	prefix     string
	ours       []string // the instance's
	networks   []string
	kubeconfig string
}

// Look looks at the machine as it is now, for whoever makes clusters as that instance.
func Look(ctx context.Context, instance string) (Machine, error) {
	m := Machine{prefix: "netpol-lab-" + instance + "-"}
	for _, look := range []func(context.Context) error{m.containers, m.folders, m.processes, m.network, m.user} {
		if err := look(ctx); err != nil {
			return m, fmt.Errorf("look at the machine: %w", err)
		}
	}
	return m, nil
}

// Left waits until nothing is on the machine that was not, but no longer than the limit,
// and says what is then. Of volumes, which have no names of their own, only the given ones are
// looked for, for others may come and go.
func (m Machine) Left(ctx context.Context, limit time.Duration, volumes []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		left, err := m.left(context.WithoutCancel(ctx), volumes)
		if err != nil || len(left) == 0 {
			return left, err
		}
		select {
		case <-ctx.Done():
			return left, nil
		case <-time.After(200 * time.Millisecond): // the pause between two looks
		}
	}
}

func (m Machine) left(ctx context.Context, volumes []string) ([]string, error) {
	now, err := Look(ctx, strings.TrimSuffix(strings.TrimPrefix(m.prefix, "netpol-lab-"), "-"))
	if err != nil {
		return nil, err
	}
	var left []string
	for _, one := range now.ours {
		if !slices.Contains(m.ours, one) {
			left = append(left, one)
		}
	}
	for _, n := range now.networks {
		if !slices.Contains(m.networks, n) && n != "kind" {
			left = append(left, "network "+n)
		}
	}
	there, err := docker(ctx, "volume", "ls", "--quiet")
	if err != nil {
		return nil, err
	}
	for _, v := range volumes {
		if slices.Contains(there, v) {
			left = append(left, "volume "+v)
		}
	}
	if now.kubeconfig != m.kubeconfig {
		left = append(left, "a change of the user's kubeconfig")
	}
	return left, nil
}

func (m *Machine) containers(ctx context.Context) error {
	names, err := docker(ctx, "ps", "--all", "--filter", "name=^"+m.prefix, "--format", "{{.Names}}")
	for _, name := range names {
		m.ours = append(m.ours, "container "+name)
	}
	// Some live for a moment only, with a name of Docker's.
	hosts, hostsErr := docker(ctx, "ps", "--all", "--filter", "label=netpol-lab.internet="+strings.TrimSuffix(strings.TrimPrefix(m.prefix, "netpol-lab-"), "-"), "--format", "{{.Names}}")
	for _, name := range hosts {
		if !strings.HasPrefix(name, m.prefix) {
			m.ours = append(m.ours, "container "+name)
		}
	}
	return errors.Join(err, hostsErr)
}

func (m *Machine) folders(context.Context) error {
	found, err := filepath.Glob(filepath.Join(os.TempDir(), "netpol-lab-kind-"+m.prefix+"*"))
	for _, dir := range found {
		m.ours = append(m.ours, "folder "+dir)
	}
	return err
}

// processes finds those that have the name of one of the instance's clusters among their
// arguments: a docker command, or what runs in a node.
func (m *Machine) processes(context.Context) error {
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range found {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended.
		}
		if args := strings.ReplaceAll(string(line), "\x00", " "); strings.Contains(args, m.prefix) {
			m.ours = append(m.ours, "process "+filepath.Base(filepath.Dir(file))+": "+args[:min(len(args), 160)])
		}
	}
	return err
}

func (m *Machine) network(ctx context.Context) (err error) {
	m.networks, err = docker(ctx, "network", "ls", "--format", "{{.Name}}")
	return err
}

func (m *Machine) user(context.Context) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(home, ".kube", "config"))
	m.kubeconfig = string(text)
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// Volumes are those of the container.
func Volumes(ctx context.Context, container string) ([]string, error) {
	return docker(ctx, "inspect", "--format", `{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}`, container)
}

// Goroutines waits until no goroutine of this project runs in the process but the
// caller's, and no longer than the limit, and returns the stacks of those that do then.
func Goroutines(limit time.Duration) []string {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) { // the pause between two looks
		stacks := make([]byte, 4<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		var left []string
		for one := range strings.SplitSeq(string(stacks), "\n\n") {
			if strings.Contains(one, "netpol-lab/netpol-lab/") && !strings.Contains(one, "kindtest.Goroutines(") {
				left = append(left, one)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// docker is what the command prints, word by word.
func docker(ctx context.Context, args ...string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("docker %s: %w", strings.Join(args, " "), err)
	}
	return strings.Fields(string(out)), nil
}
