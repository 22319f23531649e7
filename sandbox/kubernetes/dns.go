package kubernetes

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// corefile is CoreDNS' configuration. In kubeadm's a name outside the cluster is asked of
// the resolver of the host, which would be a way out; here there is no such name, and who
// asks for one is told at once.
const corefile = sandbox.ClusterDomain + `:53 in-addr.arpa:53 ip6.arpa:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes ` + sandbox.ClusterDomain + ` in-addr.arpa ip6.arpa {
       pods insecure
       ttl 30
    }
    prometheus :9153
    reload
    loadbalance
}
.:53 {
    errors
    template ANY ANY . {
       rcode NXDOMAIN
    }
}
`

// KeepDNSInside has the cluster's DNS ask nobody outside, as soon as kubeadm has made its
// configuration.
func (c *Cluster) KeepDNSInside(ctx context.Context) error {
	config := &corev1.ConfigMap{ObjectMeta: meta(sandbox.DNSNamespace, "coredns"), Data: map[string]string{"Corefile": corefile}}
	return onceThere(ctx, func() error { return c.admin.update(ctx, configMaps, sandbox.DNSNamespace, config.Name, config) })
}

// OneDNSReplica gives the cluster's DNS, as soon as kubeadm has made it, the one replica
// that a node has use for.
func (c *Cluster) OneDNSReplica(ctx context.Context) error {
	return onceThere(ctx, func() error { return c.admin.scale(ctx, sandbox.DNSNamespace, "coredns", 1) })
}

// onceThere does something to an object as soon as that is there.
func onceThere(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !apierrors.IsNotFound(err) {
			return err
		}
		if !pause(ctx) {
			return context.Cause(ctx)
		}
	}
}
