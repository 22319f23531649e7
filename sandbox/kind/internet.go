package kind

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// labelInternet marks the containers outside the clusters; its value is the
// instance that they belong to.
const labelInternet = "netpol-lab.internet"

// labelAddress is the address that the host has for the lab's pods.
const labelAddress = "netpol-lab.address"

// ensureInternet makes sure that every outside host of the topology runs in the
// Docker network and has its address, and that the node finds it there.
//
// Docker gives a container an address of its own choice, while a lesson has to say
// which addresses a policy is about. So the host has the topology's address beside
// Docker's, where Docker does not know of it: on its loopback interface. Only the
// node has a route there, so it may be an address that others have on this machine's
// network.
func (p *Provider) ensureInternet(ctx context.Context, node, network string, hosts []sandbox.External) error {
	routes, err := p.ensureHosts(ctx, network, hosts)
	if err != nil || len(routes) == 0 {
		return err
	}
	_, err = docker(ctx, "exec", node, "sh", "-ec", strings.Join(routes, "\n"))
	return err
}

// ensureHosts makes sure of the hosts, and returns the commands for the node by which
// it finds them.
func (p *Provider) ensureHosts(ctx context.Context, network string, hosts []sandbox.External) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	img, err := inspectImage(ctx, p.opts.PodImage)
	if err != nil {
		return nil, err
	}
	routes := make([]string, len(hosts))
	started := make([]string, len(hosts))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, host := range hosts {
		group.Go(func() error {
			name, found, err := p.ensureHost(groupCtx, network, img.ID, host)
			if err != nil {
				return fmt.Errorf("outside host %s: %w", host.Name, err)
			}
			_, addr, err := found.network()
			if err != nil {
				return fmt.Errorf("outside host %s: %w", host.Name, err)
			}
			// An address is gone when its container starts anew.
			started[i] = name + " " + found.State.StartedAt
			if !p.addressed[started[i]] {
				if err := p.address(groupCtx, name, host.Address); err != nil {
					return fmt.Errorf("outside host %s: %w", host.Name, err)
				}
			}
			routes[i] = fmt.Sprintf("ip route replace %s via %s", host.Address, addr)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, s := range started {
		p.addressed[s] = true
	}
	return routes, nil
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
		"--env", envName + "=" + host.Name,
		"--env", envListen + "=" + listen(host.Ports),
		// It answers whoever can reach it, so it can do nothing else.
		"--user", fmt.Sprintf("%d:%d", podUser, podUser), "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges",
		"--sysctl", unprivilegedPorts + "=0",
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

// removeInternetIfUnused removes the outside hosts where this instance has no
// sandbox left and is not making one.
func (p *Provider) removeInternetIfUnused(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.creating > 0 {
		return nil
	}
	ids, err := p.List(ctx)
	if err != nil || len(ids) > 0 {
		return err
	}
	clear(p.addressed)
	hosts, err := containersWith(ctx, labelInternet+"="+p.opts.Instance)
	if err != nil {
		return err
	}
	for name := range hosts {
		if err := removeContainer(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// countCreate notes that a Create begins (1) or has ended (-1).
func (p *Provider) countCreate(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.creating += n
}
