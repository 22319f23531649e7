package kind

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
)

// labelInternet marks the containers outside the clusters; its value is the
// instance that they belong to.
const labelInternet = "netpol-lab.internet"

// routesOf marks the node's routes to outside hosts, so that they can be found again.
const routesOf = "201"

// dropRoutes is the command that removes the node's routes to other hosts than these.
func dropRoutes(hosts []sandbox.External) string {
	used := make([]string, len(hosts))
	for i, x := range hosts {
		used[i] = x.Address.String()
	}
	return `ip route show proto ` + routesOf + ` | while read -r to _; do
  case " ` + strings.Join(used, " ") + ` " in *" $to "*) ;; *) ip route del "$to" proto ` + routesOf + ` ;; esac
done`
}

// labelAddress is the address that the host has for the lab's pods.
const labelAddress = "netpol-lab.address"

// ensureInternet makes sure that every outside host of the topology runs in the
// Docker network and has its address, and that the node finds it there, and nobody else.
//
// Docker gives a container an address of its own choice, while a lesson has to say
// which addresses a policy is about. So the host has the topology's address beside
// Docker's, where Docker does not know of it: on its loopback interface. Only the
// node has a route there, so it may be an address that others have on this machine's
// network.
func (p *Provider) ensureInternet(ctx context.Context, cluster, network string, hosts []sandbox.External) error {
	routes, err := p.ensureHosts(ctx, cluster, network, hosts)
	if err != nil {
		return err
	}
	return filter(ctx, cluster, append([]string{dropRoutes(hosts)}, routes...), hosts)
}

// ensureHosts makes sure of the hosts, and returns the commands for the cluster's node
// by which it finds them. What no cluster uses any more is removed, where that may be
// others than before.
func (p *Provider) ensureHosts(ctx context.Context, cluster, network string, hosts []sandbox.External) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	img, err := inspectImage(ctx, p.opts.PodImage)
	if err != nil {
		return nil, err
	}
	routes := make([]string, len(hosts))
	used := make([]outside, len(hosts))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, x := range hosts {
		group.Go(func() error {
			name, found, err := p.ensureHost(groupCtx, network, img.ID, x)
			if err != nil {
				return fmt.Errorf("outside host %s: %w", x.Name, err)
			}
			_, addr, err := found.network()
			if err != nil {
				return fmt.Errorf("outside host %s: %w", x.Name, err)
			}
			// An address is gone when its container starts anew.
			used[i] = outside{name, found.State.StartedAt}
			if !p.hasAddress(used[i]) {
				if err := p.address(groupCtx, name, x.Address); err != nil {
					return fmt.Errorf("outside host %s: %w", x.Name, err)
				}
			}
			routes[i] = fmt.Sprintf("ip route replace %s via %s proto %s", x.Address, addr, routesOf)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	before := p.hosts[cluster]
	p.hosts[cluster] = used
	if before == nil || slices.ContainsFunc(before, func(h outside) bool { return !slices.Contains(used, h) }) {
		p.sweep(ctx)
	}
	return routes, nil
}

// outside is an outside host's container, and when it started.
type outside struct{ name, started string }

// hasAddress reports whether the host has been given its address since it started. It
// needs p.mu.
func (p *Provider) hasAddress(h outside) bool {
	for _, used := range p.hosts {
		if slices.Contains(used, h) {
			return true
		}
	}
	return false
}

// hostsRunOn reports whether the cluster's outside hosts run as they did when they were
// last made sure of, as far as was known that long ago. Docker starts a container that has
// failed again by itself, and then it has lost its address.
func (p *Provider) hostsRunOn(ctx context.Context, cluster string, ago time.Duration) bool {
	p.mu.Lock()
	used := p.hosts[cluster]
	var all []string
	for _, hosts := range p.hosts {
		for _, h := range hosts {
			all = append(all, h.name)
		}
	}
	p.mu.Unlock()
	if len(used) == 0 {
		return true
	}
	slices.Sort(all)
	all = slices.Compact(all)
	runOn := func(ago time.Duration) bool {
		started := p.look(ctx, all, ago)
		return !slices.ContainsFunc(used, func(h outside) bool { return started[h.name] != h.started })
	}
	// They may have been made sure of since.
	return runOn(ago) || ago > 0 && runOn(0)
}

// look is since when each of the containers runs, as far as was known that long ago; ""
// where one does not, and for all where Docker does not answer: whoever makes sure of them
// says so.
//
// All sandboxes ask after the same hosts, each every few seconds, and to ask Docker takes
// more than all else that their health does.
func (p *Provider) look(ctx context.Context, names []string, ago time.Duration) map[string]string {
	p.seen.Lock()
	defer p.seen.Unlock()
	known := !slices.ContainsFunc(names, func(name string) bool { _, asked := p.seen.started[name]; return !asked })
	if known && time.Since(p.seen.at) < ago {
		return p.seen.started
	}
	p.seen.started, p.seen.at = map[string]string{}, time.Now()
	for _, name := range names {
		p.seen.started[name] = ""
	}
	out, _ := docker(ctx, append([]string{"container", "inspect", "--format", `{{.Name}} {{.State.Running}} {{.State.StartedAt}}`}, names...)...)
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 3 && f[1] == "true" {
			p.seen.started[strings.TrimPrefix(f[0], "/")] = f[2]
		}
	}
	return p.seen.started
}

// takeAddress gives the network that it runs in the address $0. What is sent from
// there has it, too: the answer to a datagram would else come from Docker's.
const takeAddress = `ip address replace "$0/32" dev lo
ip -4 -oneline route show scope link | while read -r network _ device _; do
  ip route change "$network" dev "$device" scope link src "$0"
done`

// address gives the outside host's container its address, by a container that lives
// a moment and shares its network. To give it again changes nothing.
func (p *Provider) address(ctx context.Context, container string, addr netip.Addr) error {
	_, err := docker(ctx, "run", "--rm", "--network", "container:"+container,
		"--label", labelInternet+"="+p.opts.Instance, // to be found if it is left
		"--read-only", "--tmpfs", "/var", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--security-opt", "no-new-privileges",
		"--entrypoint", "sh", p.opts.NodeImage, "-ec", takeAddress, addr.String())
	return err
}

// ensureHost makes sure that the outside host runs, and returns its container.
func (p *Provider) ensureHost(ctx context.Context, network, imageID string, host sandbox.External) (string, container, error) {
	run := []string{
		"--detach", "--restart", "unless-stopped", "--network", network,
		"--label", labelInternet + "=" + p.opts.Instance,
		"--label", labelAddress + "=" + host.Address.String(),
		"--env", kubernetes.EnvName + "=" + host.Name,
		"--env", kubernetes.EnvListen + "=" + kubernetes.Listen(host.Ports),
		// It answers whoever can reach it, so it can do nothing else.
		"--user", fmt.Sprintf("%d:%d", kubernetes.PodUser, kubernetes.PodUser), "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges",
		"--sysctl", kubernetes.UnprivilegedPorts + "=0",
		imageID,
	}
	// The name holds a hash of all this: a host that would run otherwise is
	// another container, and sandboxes that have the old one keep it.
	sum := sha256.Sum256([]byte(strings.Join(run, "\n")))
	name := p.clusterPrefix() + host.Name + "-" + hex.EncodeToString(sum[:4])

	found, err := inspectContainer(ctx, name)
	switch {
	case errors.Is(err, errNoSuchObject):
		_, err = docker(ctx, append([]string{"run", "--name", name}, run...)...)
		if err != nil {
			// Docker keeps a container that it could create but not start.
			return "", container{}, errors.Join(err, removeContainer(context.WithoutCancel(ctx), name))
		}
	case err != nil:
		return "", container{}, err
	case found.State.Running:
		return name, found, nil
	default:
		if _, err := docker(ctx, "start", name); err != nil {
			return "", container{}, err
		}
	}
	found, err = inspectContainer(ctx, name)
	return name, found, err
}

// sweep removes the outside hosts that no cluster of this instance uses any more, as far
// as that is known: not while there is a cluster of which it is not, such as one that is
// not adopted yet, or whose making has just begun. It needs p.mu.
func (p *Provider) sweep(ctx context.Context) {
	if err := p.removeUnused(ctx); err != nil {
		// The next sweep tries again, and until then it costs next to nothing.
		p.log.Warn("outside hosts that nobody uses could not be removed", "err", err)
	}
}

// Sweep removes the outside hosts that no cluster of this instance uses, as far as that is
// known.
func (p *Provider) Sweep(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.removeUnused(ctx); err != nil {
		return fmt.Errorf("kind: sweep: %w", err)
	}
	return nil
}

func (p *Provider) removeUnused(ctx context.Context) error {
	ids, err := p.List(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, id := range ids {
		there[p.clusterName(id)] = true
		if _, known := p.hosts[p.clusterName(id)]; !known {
			return nil
		}
	}
	used := map[string]bool{}
	for cluster, hosts := range p.hosts {
		switch {
		case hosts == nil:
			return nil
		case !there[cluster]:
			delete(p.hosts, cluster)
		}
		for _, h := range p.hosts[cluster] {
			used[h.name] = true
		}
	}
	all, err := containersWith(ctx, labelInternet+"="+p.opts.Instance)
	if err != nil {
		return err
	}
	for name := range all {
		if used[name] {
			continue
		}
		if err := removeContainer(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// begin notes that the cluster is being made, and that it is not known yet which
// outside hosts it uses.
func (p *Provider) begin(cluster string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts[cluster] = nil
}

// usesNone notes that the cluster uses no outside hosts yet.
func (p *Provider) usesNone(cluster string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts[cluster] = []outside{} // nil would say that it is not known
}

// end notes that nothing is left of the cluster, and removes the outside hosts that it
// alone has used.
func (p *Provider) end(ctx context.Context, cluster string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.hosts, cluster)
	p.sweep(ctx)
}
