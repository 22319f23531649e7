package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// block looks at an ipBlock for addresses of the cluster.
func (l *linter) block(b *networkingv1.IPBlock, field string) {
	block := policy.NewBlock(b)
	var pods []int
	var podAddrs, nodeAddrs []netip.Addr
	for i := range l.pods {
		if l.pods[i].HostNetwork {
			continue
		}
		in := false
		for _, a := range l.pods[i].IPs {
			if a = a.Unmap(); block.Contains(a) {
				in = true
				podAddrs = append(podAddrs, a)
			}
		}
		if in {
			pods = append(pods, i)
		}
	}
	for a := range l.nodes {
		if block.Contains(a) {
			nodeAddrs = append(nodeAddrs, a)
		}
	}
	slices.SortFunc(nodeAddrs, netip.Addr.Compare)
	if len(pods) == 0 && len(nodeAddrs) == 0 {
		l.onlyServices(b, block, field)
		return
	}
	single := block.CIDR.IsSingleIP()
	if single && len(pods) == 0 {
		return // There is no other way to name a node.
	}
	var covered []string
	if len(pods) > 0 {
		covered = append(covered, plural("the pod ", "the pods ", len(pods))+l.names(pods))
	}
	if len(nodeAddrs) > 0 {
		var names []string
		for _, a := range nodeAddrs {
			if name := l.nodes[a]; name != "" {
				names = append(names, fmt.Sprintf("%s (%s)", name, a))
			} else {
				names = append(names, a.String())
			}
		}
		covered = append(covered, plural("the node ", "the nodes ", len(names))+enumerate(names))
	}
	entry := strings.TrimSuffix(field, ".ipBlock")
	fixes := []policy.Fix{l.fix("Select the pods by their labels", l.entries(entry, l.peersOf(pods, nodeAddrs)))}
	fix := "Where pods are meant, select them by their labels with podSelector and namespaceSelector: a pod's address changes when the pod is made anew."
	podRanges, nodeRanges := l.ranges(podAddrs, block), l.ranges(nodeAddrs, block)
	switch {
	case single:
		p := l.pods[pods[0]]
		peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: p.Labels}}
		if p.Namespace != l.policy.Namespace {
			peer.NamespaceSelector = named(p.Namespace)
		}
		fix = "A pod's address changes when the pod is made anew: select it by its labels.\n" + text([]networkingv1.NetworkPolicyPeer{peer})
		fixes = []policy.Fix{l.fix("Select "+p.Name+" by its labels", l.policy.SetValue(entry, peer))}
	case (podRanges != nil || podAddrs == nil) && (nodeRanges != nil || nodeAddrs == nil):
		fix = "If only hosts outside are meant, leave the cluster's addresses out: these are the smallest ranges that hold them, the cluster's own may be wider.\n" +
			text([]networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: b.CIDR, Except: slices.Concat(b.Except, podRanges, nodeRanges)}}})
		outside := networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: b.CIDR, Except: slices.Concat(b.Except, podRanges, nodeRanges)}}
		fixes = slices.Insert(fixes, 0, l.fix("Leave the cluster's addresses out", l.policy.SetValue(entry, outside)))
	}
	l.found(CheckIPBlockCoversCluster, field,
		fmt.Sprintf("The ipBlock %s covers addresses inside the cluster: %s %s allowed, too.", b.CIDR, strings.Join(covered, " and "), plural("is", "are", len(pods)+len(nodeAddrs))), fix, fixes...)
}

// The widest range that a cluster may have for its Services' addresses.
const serviceRangeBits4, serviceRangeBits6 = 12, 108

// onlyServices looks for a block in which there is nothing but Services.
func (l *linter) onlyServices(b *networkingv1.IPBlock, block policy.Block, field string) {
	if bits := block.CIDR.Bits(); bits < serviceRangeBits4 || block.CIDR.Addr().Is6() && bits < serviceRangeBits6 {
		return
	}
	for _, h := range l.network.Hosts {
		for _, a := range h.IPs {
			if block.Contains(a.Unmap()) {
				return
			}
		}
	}
	var names []string
	var only *policy.Service
	for i := range l.network.Services {
		s := &l.network.Services[i]
		if slices.ContainsFunc(s.ClusterIPs, func(a netip.Addr) bool { return block.Contains(a.Unmap()) }) {
			names = append(names, s.Namespace+"/"+s.Name)
			only = s
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	fix := "Select the pods behind the Service by their labels, and write their own port."
	entry := strings.TrimSuffix(field, ".ipBlock")
	fixes := []policy.Fix{l.fix("Select the pods behind the Services by their labels", l.entries(entry, l.peersBehind(block)))}
	if len(names) == 1 && len(only.Selector) > 0 {
		peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: only.Selector}}
		if only.Namespace != l.policy.Namespace {
			peer.NamespaceSelector = named(only.Namespace)
		}
		fix += "\n" + text([]networkingv1.NetworkPolicyPeer{peer})
		fixes = []policy.Fix{l.fix("Select the pods behind "+only.Name, l.policy.SetValue(entry, peer))}
	}
	l.found(CheckIPBlockCoversCluster, field,
		fmt.Sprintf("The ipBlock %s holds no address of this network but that of %s: a connection to a Service is sent on to a pod before policies are looked at, so with Calico the entry never matches it.",
			b.CIDR, plural("the Service ", "the Services ", len(names))+enumerate(names)), fix, fixes...)
}

// ranges are what to write under except to take the addresses out of the block:
// the smallest range that holds them all, or each by itself where that range would
// take a known host with it; nil where that would leave nothing of the block.
func (l *linter) ranges(addrs []netip.Addr, b policy.Block) []string {
	if len(addrs) == 0 {
		return nil
	}
	hull := netip.PrefixFrom(addrs[0], addrs[0].BitLen())
	for _, a := range addrs {
		for !hull.Contains(a) {
			hull, _ = hull.Addr().Prefix(hull.Bits() - 1) // Contains all at the latest with 0 bits.
		}
	}
	switch takesHost := slices.ContainsFunc(l.network.Hosts, func(h policy.Host) bool {
		return slices.ContainsFunc(h.IPs, func(a netip.Addr) bool { return hull.Contains(a.Unmap()) })
	}); {
	case hull.Bits() > b.CIDR.Bits() && !takesHost:
		return []string{hull.String()}
	case !takesHost || len(addrs) > mostNames || b.CIDR.IsSingleIP():
		return nil
	}
	var out []string
	for _, a := range addrs {
		out = append(out, netip.PrefixFrom(a, a.BitLen()).String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}
