package build

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Cause is why no policies can do what was asked for.
type Cause string

// The causes.
const (
	// CauseAlike: two pods carry the same labels in one namespace, or two ends have
	// one address.
	CauseAlike Cause = "alike"
	// CauseTwice: one connection was asked to be open and to be closed.
	CauseTwice Cause = "twice"
	// CauseByName: a connection is to be open by address and closed by name, or the
	// other way about, and the source's questions to DNS do not allow it.
	CauseByName Cause = "by-name"
	// CauseOwn: a pod always reaches itself.
	CauseOwn Cause = "own-traffic"
	// CauseNode: a pod's own node always reaches it.
	CauseNode Cause = "own-node"
	// CauseUnselected: no policy selects either end.
	CauseUnselected Cause = "not-selected"
	// CauseNowhere: a Service leads to no pod, there is no DNS, or an address is not
	// known.
	CauseNowhere Cause = "nowhere"
)

// Refusal is one thing that no policies can do.
type Refusal struct {
	Cause Cause
	// Ends are the two, by name, that are not told apart, or that a connection that
	// cannot be as it was wished leads from and to.
	Ends [2]string
	// Text says what cannot be, and why; Advice what to do about it.
	Text, Advice string
}

func (b *builder) refuse(r Refusal) {
	if !slices.Contains(b.refusals, r) {
		b.refusals = append(b.refusals, r)
	}
}

// alike refuses two wishes for what policies cannot tell apart.
func (b *builder) alike(l link, one, other asked) Refusal {
	yes, no := one, other
	if one.state == closed {
		yes, no = other, one
	}
	switch {
	case yes.from == no.from && yes.to == no.to && yes.sake != "":
		return Refusal{CauseByName, [2]string{yes.from, yes.sake},
			fmt.Sprintf("%s is to reach %s by name, and its questions to the cluster's DNS are to be closed.", yes.from, yes.sake),
			"Open DNS for it by UDP."}
	case yes.from == no.from && yes.to == no.to && no.sake != "":
		return openByAddress(no.from, no.sake)
	case yes.from == no.from && yes.to == no.to:
		return Refusal{CauseTwice, [2]string{yes.from, yes.to},
			fmt.Sprintf("The connection from %s to %s on %s is to be open and closed at once: by name and by address it ends at the same port of the same pod.", yes.from, yes.to, l.port),
			"Wish the same of both."}
	case yes.from != no.from:
		return b.twins(yes.from, no.from, b.classes[l.from], fmt.Sprintf("%s is to reach %s on %s, and %s is not to reach %s", yes.from, yes.to, l.port, no.from, no.to))
	}
	return b.twins(yes.to, no.to, b.classes[l.to], fmt.Sprintf("%s is to reach %s on %s, and not %s", yes.from, yes.to, l.port, no.to))
}

// twins says that two ends are not told apart.
func (b *builder) twins(one, other string, c class, wish string) Refusal {
	if c.namespace == "" {
		return Refusal{CauseAlike, [2]string{one, other},
			fmt.Sprintf("%s. Both have the address %s and are found by no selector, so no policy tells them apart.", wish, c.addr),
			"Wish the same of both, or give one an address, or a pod network, of its own."}
	}
	labels := "carry no labels"
	if len(c.labels) > 0 {
		labels = "carry the same labels, " + labelsText(c.labels)
	}
	return Refusal{CauseAlike, [2]string{one, other},
		fmt.Sprintf("%s. Both are in the namespace %s and %s, so no policy tells them apart.", wish, c.namespace, labels),
		fmt.Sprintf("Give one of them a label of its own, such as role: %s, or wish the same of both.", short(one))}
}

// alwaysOpen refuses to close what policies cannot close.
func (b *builder) alwaysOpen(d policy.Decision) Refusal {
	ends := [2]string{d.From, d.To}
	where := fmt.Sprintf("The connection from %s to %s on %d/%s cannot be closed: ", d.From, d.To, d.Port, d.Protocol)
	switch {
	case d.Egress.Because == policy.OwnTraffic:
		return Refusal{CauseOwn, ends, where + "a pod always reaches itself.", "Leave it open."}
	case d.Ingress.Because == policy.OwnNode:
		return Refusal{CauseNode, ends, where + fmt.Sprintf("%s is in the network of the node that %s runs on, and a pod's own node always reaches it.", d.From, short(d.To)),
			fmt.Sprintf("Leave it open, or give %s a network of its own (hostNetwork: false).", short(d.From))}
	case d.Egress.Because == policy.HostNetwork:
		return Refusal{CauseUnselected, ends, where + fmt.Sprintf("%s uses its node's network, so no policy selects it, and %s is nothing that a policy here selects.", d.From, d.To),
			fmt.Sprintf("Leave it open, or give %s a network of its own (hostNetwork: false).", short(d.From))}
	}
	return Refusal{CauseUnselected, ends, where + "no policy here selects either end.", "Leave it open."}
}

func openByAddress(from, to string) Refusal {
	return Refusal{CauseByName, [2]string{from, to},
		fmt.Sprintf("%s is to reach %s by address and not by name, and it is to ask the cluster's DNS for other names: a policy does not see which name was asked for.", from, to),
		"Wish the same by name and by address, or close DNS for it."}
}

func noBackend(from string, number int32, service netip.Addr) Refusal {
	return Refusal{CauseNowhere, [2]string{from, service.String()},
		fmt.Sprintf("%s cannot reach the Service at %s on port %d: it leads to no pod.", from, service, number),
		"Give the Service a selector that selects a pod, and a port that it serves."}
}

func noDNS(from string) Refusal {
	return Refusal{CauseNowhere, [2]string{from, "DNS"},
		fmt.Sprintf("%s cannot reach anything by name: there are no DNS pods (%s=%s in %s).", from, policy.DNSLabel, policy.DNSLabelValue, policy.DNSNamespace),
		"Ask for the connection by address."}
}

func noAddress(from, to string) Refusal {
	return Refusal{CauseNowhere, [2]string{from, to},
		fmt.Sprintf("No rule can let %s reach %s: its address is not known, and it is nothing that a selector finds.", from, to),
		"Wait until it has an address."}
}

// short is a pod's name without its namespace.
func short(name string) string { return name[strings.LastIndex(name, "/")+1:] }
