package kind

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// labelInternet marks the containers outside the clusters; its value is the
// instance that they belong to.
const labelInternet = "netpol-lab.internet"

// ensureInternet makes sure that every outside host of the topology runs in
// the Docker network, and returns their addresses.
func (p *Provider) ensureInternet(ctx context.Context, network string, hosts []sandbox.External) (map[string]netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	img, err := inspectImage(ctx, p.opts.PodImage)
	if err != nil {
		return nil, err
	}
	addrs := map[string]netip.Addr{}
	for _, host := range hosts {
		addr, err := p.ensureHost(ctx, network, img.ID, host)
		if err != nil {
			return nil, fmt.Errorf("outside host %s: %w", host.Name, err)
		}
		addrs[host.Name] = addr
	}
	return addrs, nil
}

func (p *Provider) ensureHost(ctx context.Context, network, imageID string, host sandbox.External) (netip.Addr, error) {
	run := []string{
		"--detach", "--restart", "unless-stopped", "--network", network,
		"--label", labelInternet + "=" + p.opts.Instance,
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
			return netip.Addr{}, errors.Join(err, removeContainer(context.WithoutCancel(ctx), name))
		}
	case err != nil:
		return netip.Addr{}, err
	case !found.State.Running:
		if _, err := docker(ctx, "start", name); err != nil {
			return netip.Addr{}, err
		}
	}
	found, err = inspectContainer(ctx, name)
	if err != nil {
		return netip.Addr{}, err
	}
	_, addr, err := found.network()
	return addr, err
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
