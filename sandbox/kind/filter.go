package kind

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// filterProgram and filterUnit are what a node is given: the program that filters what
// leaves it and what comes to it, and the unit that runs it before any container. They
// stand in the node's own files, so neither a restart of the node nor one of Docker
// loses them, whoever is there to see it.
//
// All nodes are in one Docker network, as kind makes them and as Docker has not many to
// give away, and the filter keeps them apart there. It stands in the node's network
// namespace: whoever is root on the node could take it away, which is whoever is root on
// the host already. Learners are not.
var (
	//go:embed filter/netpol-lab-filter
	filterProgram string
	//go:embed filter/netpol-lab-filter.service
	filterUnit string
)

// installFilter puts both into the node. systemd reads the unit when the node starts anew.
var installFilter = `mkdir -p /run/netpol-lab
cat >/usr/local/sbin/netpol-lab-filter <<'END OF PROGRAM'
` + filterProgram + `END OF PROGRAM
chmod 755 /usr/local/sbin/netpol-lab-filter
cat >/etc/systemd/system/netpol-lab-filter.service <<'END OF UNIT'
` + filterUnit + `END OF UNIT
for needs in containerd kubelet; do
  mkdir -p /etc/systemd/system/$needs.service.requires
  ln -sf ../netpol-lab-filter.service /etc/systemd/system/$needs.service.requires/
done`

// filter keeps the cluster's node apart from all but the outside hosts, to which the
// routes lead. Where it is so already, nothing changes.
func filter(ctx context.Context, cluster string, routes []string, hosts []sandbox.External) error {
	addresses := make([]string, len(hosts))
	for i, x := range hosts {
		addresses[i] = x.Address.String()
	}
	script := append([]string{installFilter}, routes...)
	script = append(script,
		"echo '"+strings.Join(addresses, ", ")+"' >/run/netpol-lab/outside.new",
		"mv /run/netpol-lab/outside.new /run/netpol-lab/outside",
		"/usr/local/sbin/netpol-lab-filter")
	if _, err := dockerInput(ctx, strings.NewReader(strings.Join(script, "\n")), "exec", "--interactive", nodeName(cluster), "sh", "-es"); err != nil {
		return fmt.Errorf("the node cannot be kept apart from the network: %w", err)
	}
	return nil
}

// confine gives a new node its limits, and keeps it apart from everybody.
func (p *Provider) confine(ctx context.Context, cluster string) error {
	if err := p.limit(ctx, cluster); err != nil {
		return err
	}
	return filter(ctx, cluster, nil, nil)
}
