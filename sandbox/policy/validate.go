package policy

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// Default fills in what the API server fills in before it looks at a policy.
//
// The API reference says of policyTypes: "If this field is not specified, it
// will default based on the existence of ingress or egress rules; policies that
// contain an egress section are assumed to affect egress, and all policies
// (whether or not they contain an ingress section) are assumed to affect
// ingress." A section egress: [] has no rules, and so does not make a policy
// affect egress; only policyTypes does that.
//
// It says of a port's protocol: "If not specified, this field defaults to TCP."
func Default(np *networkingv1.NetworkPolicy) {
	if len(np.Spec.PolicyTypes) == 0 {
		np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(np.Spec.Egress) > 0 {
			np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	for _, rule := range np.Spec.Ingress {
		defaultPorts(rule.Ports)
	}
	for _, rule := range np.Spec.Egress {
		defaultPorts(rule.Ports)
	}
}

func defaultPorts(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		if ports[i].Protocol == nil {
			tcp := corev1.ProtocolTCP
			ports[i].Protocol = &tcp
		}
	}
}

// Validate finds what the API server of Kubernetes 1.37 would refuse when the
// policy is created: the same fields, spelled the same way, in our own words.
// The policy is given its defaults first, in a copy. The problems of a policy
// that [Parse] has read have their places.
//
// The rules are those of the API reference for NetworkPolicy v1 and for the
// types in it (LabelSelector, ObjectMeta), and of the API server's own
// validation, where CIDRs are checked strictly since 1.36.
func Validate(p Policy) []Problem {
	np := p.NetworkPolicy.DeepCopy()
	Default(np)
	v := &validator{policy: p}
	v.metadata(&np.ObjectMeta)
	v.selector("spec.podSelector", &np.Spec.PodSelector)
	for i, rule := range np.Spec.Ingress {
		v.rule(fmt.Sprintf("spec.ingress[%d]", i), rule.Ports, "from", rule.From)
	}
	for i, rule := range np.Spec.Egress {
		v.rule(fmt.Sprintf("spec.egress[%d]", i), rule.Ports, "to", rule.To)
	}
	v.policyTypes(np.Spec.PolicyTypes)
	return v.problems
}

// validator collects what is wrong with one policy.
type validator struct {
	policy   Policy
	problems []Problem
}

func (v *validator) problem(path, format string, args ...any) {
	v.problemAt(path, path, format, args...)
}

// problemAt tells of a field whose problem is elsewhere than its path says:
// Kubernetes' paths do not go down to a label.
func (v *validator) problemAt(place, path, format string, args ...any) {
	v.problems = append(v.problems, Problem{Position: v.policy.Position(place), Field: path, Message: fmt.Sprintf(format, args...)})
}

const (
	nameRule  = "use lower-case letters, digits, - and . only, with a letter or digit at both ends, at most 253 characters"
	labelRule = "use letters, digits, -, _ and . only, with a letter or digit at both ends"
)

const leaveOut = "a cluster writes this field, and never with this value; leave the field out"

// standardFinalizers are the finalizers whose names need no domain.
var standardFinalizers = []string{string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents}

func (v *validator) metadata(meta *metav1.ObjectMeta) {
	// What people write has words of our own; what the cluster writes, those of
	// Kubernetes.
	own := []string{"metadata.name", "metadata.generateName", "metadata.namespace", "metadata.labels", "metadata.annotations"}
	switch {
	case meta.Name == "":
		v.problem("metadata.name", "the policy has no name: write one under metadata, such as name: default-deny")
	case len(validation.IsDNS1123Subdomain(meta.Name)) > 0:
		v.problem("metadata.name", "%q cannot be a name: %s", short(meta.Name), nameRule)
	}
	if meta.GenerateName != "" && len(apivalidation.NameIsDNSSubdomain(meta.GenerateName, true)) > 0 {
		v.problem("metadata.generateName", "%q cannot be the beginning of a name: %s", short(meta.GenerateName), nameRule)
	}
	switch {
	case meta.Namespace == "":
		v.problem("metadata.namespace", "say which namespace the policy is for, such as namespace: default")
	case len(validation.IsDNS1123Label(meta.Namespace)) > 0:
		v.problem("metadata.namespace", "%q cannot be the name of a namespace: use lower-case letters, digits and - only, with a letter or digit at both ends, at most 63 characters", short(meta.Namespace))
	}
	v.labels("metadata.labels", meta.Labels, badLabelValue)
	for _, k := range slices.Sorted(maps.Keys(meta.Annotations)) {
		// An annotation's key may have capitals before its /, a label's may not.
		if len(validation.IsQualifiedName(strings.ToLower(k))) > 0 {
			v.problemAt("metadata.annotations["+k+"]", "metadata.annotations", "%s", badKey("an annotation's key", strings.ToLower(k), k))
		}
	}
	if apivalidation.ValidateAnnotationsSize(meta.Annotations) != nil {
		v.problem("metadata.annotations", "the annotations are too long; all of them together may have %d KiB", apivalidation.TotalAnnotationSizeLimitB>>10)
	}
	for i, name := range meta.Finalizers {
		if !strings.Contains(name, "/") && !slices.Contains(standardFinalizers, name) {
			v.problem(fmt.Sprintf("metadata.finalizers[%d]", i), leaveOut)
		}
	}
	for _, e := range apivalidation.ValidateObjectMeta(meta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata")) {
		if !slices.Contains(own, e.Field) {
			v.problem(e.Field, leaveOut)
		}
	}
}

func (v *validator) labels(path string, labels map[string]string, badValue func(string) string) {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		place := path + "[" + k + "]"
		if len(validation.IsQualifiedName(k)) > 0 {
			v.problemAt(place, path, "%s", badLabelKey(k))
		}
		if len(validation.IsValidLabelValue(labels[k])) > 0 {
			v.problemAt(place, path, "%s", badValue(labels[k]))
		}
	}
}

// badKey says what is wrong with the key of a label or an annotation, which is
// a name, or a domain and a name with a / between them.
func badKey(what, key, asWritten string) string {
	domain, name, hasDomain := strings.Cut(key, "/")
	if !hasDomain {
		domain, name = "", key
	}
	switch {
	case key == "":
		return what + " is empty; write one, such as app"
	case strings.Contains(name, "/"):
		return fmt.Sprintf("%q cannot be %s: there may be one / in it, between a domain and a name, as in example.com/app", short(asWritten), what)
	case hasDomain && len(validation.IsDNS1123Subdomain(domain)) > 0:
		return fmt.Sprintf("%q cannot be %s: what stands before the / must be a domain in lower-case letters, as in example.com/app", short(asWritten), what)
	case name == "":
		return fmt.Sprintf("%q cannot be %s: a name is missing behind the /, as in example.com/app", short(asWritten), what)
	case len(name) > validation.LabelValueMaxLength:
		return fmt.Sprintf("%q cannot be %s: it has %d characters (behind a /, if there is one), and may have %d", short(asWritten), what, len(name), validation.LabelValueMaxLength)
	}
	return fmt.Sprintf("%q cannot be %s: %s%s", short(asWritten), what, labelRule, quotesHint(asWritten))
}

func badLabelKey(key string) string { return badKey("a label's key", key, key) }

// badLabelValue says what is wrong with a label's value.
func badLabelValue(value string) string {
	if len(value) > validation.LabelValueMaxLength {
		return fmt.Sprintf("%q cannot be a label's value: it has %d characters, and may have %d", short(value), len(value), validation.LabelValueMaxLength)
	}
	return fmt.Sprintf("%q cannot be a label's value: %s%s", short(value), labelRule, quotesHint(value))
}

// badSelectorValue says what is wrong with a label's value in a selector.
func badSelectorValue(value string) string {
	message := badLabelValue(value)
	switch {
	case strings.Contains(value, "*"):
		message += "; a selector knows no wildcards, only whole values"
	case strings.Contains(value, ","):
		message += "; to allow several values, write an entry of matchExpressions with the operator In"
	}
	return message
}

// quotesHint is for text from a word processor or a web page.
func quotesHint(text string) string {
	if strings.ContainsAny(text, "“”„‘’") {
		return "; the quotes here are not the plain ones (\") that YAML knows"
	}
	return ""
}

// operators are what people write for a label selector's operator.
var operators = map[string]metav1.LabelSelectorOperator{
	"=": metav1.LabelSelectorOpIn, "==": metav1.LabelSelectorOpIn, "Equals": metav1.LabelSelectorOpIn,
	"!=": metav1.LabelSelectorOpNotIn, "NotEquals": metav1.LabelSelectorOpNotIn,
	"NotExists": metav1.LabelSelectorOpDoesNotExist, "!": metav1.LabelSelectorOpDoesNotExist,
}

func (v *validator) selector(path string, s *metav1.LabelSelector) {
	v.labels(path+".matchLabels", s.MatchLabels, badSelectorValue)
	for i, e := range s.MatchExpressions {
		at := fmt.Sprintf("%s.matchExpressions[%d]", path, i)
		switch e.Operator {
		case metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn:
			if len(e.Values) == 0 {
				v.problem(at+".values", "the operator %s compares the label with values; write at least one, such as values: [web]", e.Operator)
			}
		case metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist:
			if len(e.Values) > 0 {
				other := metav1.LabelSelectorOpIn
				if e.Operator == metav1.LabelSelectorOpDoesNotExist {
					other = metav1.LabelSelectorOpNotIn
				}
				v.problem(at+".values", "the operator %s takes no values; leave them out, or use the operator %s", e.Operator, other)
			}
		case "":
			v.problem(at+".operator", "the operator is missing: write In, NotIn, Exists or DoesNotExist")
		default:
			meant := string(operators[string(e.Operator)])
			if meant == "" {
				meant = Nearest(string(e.Operator), []string{"In", "NotIn", "Exists", "DoesNotExist"})
			}
			if meant != "" {
				v.problem(at+".operator", "there is no operator %q; did you mean %q?", short(string(e.Operator)), meant)
				v.offer(at+".operator", meant)
			} else {
				v.problem(at+".operator", "there is no operator %q; write In, NotIn, Exists or DoesNotExist", short(string(e.Operator)))
				if len(e.Values) > 0 {
					v.offer(at+".operator", "In", "NotIn")
				} else {
					v.offer(at+".operator", "Exists", "DoesNotExist")
				}
			}
		}
		switch {
		case e.Key == "":
			v.problem(at+".key", "the label's key is missing: write one, such as key: app")
		case len(validation.IsQualifiedName(e.Key)) > 0:
			v.problem(at+".key", "%s", badLabelKey(e.Key))
		}
		for j, value := range e.Values {
			if len(validation.IsValidLabelValue(value)) > 0 {
				v.problem(fmt.Sprintf("%s.values[%d]", at, j), "%s", badSelectorValue(value))
			}
		}
	}
}

// rule checks one rule, whose peers are in its field from or to.
func (v *validator) rule(path string, ports []networkingv1.NetworkPolicyPort, peersField string, peers []networkingv1.NetworkPolicyPeer) {
	for i := range ports {
		v.port(fmt.Sprintf("%s.ports[%d]", path, i), &ports[i])
	}
	for i := range peers {
		v.peer(fmt.Sprintf("%s.%s[%d]", path, peersField, i), &peers[i])
	}
}

func (v *validator) port(path string, port *networkingv1.NetworkPolicyPort) {
	switch protocol := *port.Protocol; protocol {
	case corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
	case "":
		v.problem(path+".protocol", "the protocol is empty: write TCP, UDP or SCTP, or leave the field out for TCP")
	default:
		if near := Nearest(string(protocol), []string{"TCP", "UDP", "SCTP"}); near != "" {
			v.problem(path+".protocol", "there is no protocol %q; did you mean %q?", short(string(protocol)), near)
			v.offer(path+".protocol", near)
		} else {
			v.problem(path+".protocol", "a policy knows no protocol %q; write TCP, UDP or SCTP%s", short(string(protocol)), protocolHint(string(protocol)))
			v.offer(path+".protocol", "TCP", "UDP", "SCTP")
		}
	}
	first := port.Port
	if first != nil {
		if message := badPort(*first); message != "" {
			v.problem(path+".port", "%s", message)
			if first.Type == intstr.String && isPortNumber(first.StrVal) {
				v.offer(path+".port", first.StrVal)
			}
		}
	}
	if port.EndPort == nil {
		return
	}
	last := int(*port.EndPort)
	switch {
	case first == nil:
		v.problem(path+".endPort", "endPort is the last port of a range; write the first one, too, such as port: %d", clampPort(last))
	case first.Type == intstr.String && isPortNumber(first.StrVal):
		v.problem(path+".endPort", "a range begins with a number, and in quotes, %q is a name; write port: %s", first.StrVal, first.StrVal)
	case first.Type == intstr.String:
		v.problem(path+".endPort", "endPort is the last port of a range, and a range begins with a number; the port here is a name (%s)", short(first.StrVal))
	case len(validation.IsValidPortNum(last)) > 0:
		v.problem(path+".endPort", "%d is no port number; use 1 to 65535", last)
	case last < first.IntValue():
		v.problem(path+".endPort", "the range ends with %d, before its first port, %d; write the smaller number as port, the larger as endPort", last, first.IntValue())
	}
}

// protocolHint is for what people write as a protocol.
func protocolHint(protocol string) string {
	switch strings.ToUpper(protocol) {
	case "HTTP", "HTTPS", "HTTP2", "TLS", "GRPC", "SSH":
		return fmt.Sprintf("; %s goes over TCP", protocol)
	case "DNS":
		return "; DNS goes over UDP and over TCP, which takes an entry each"
	case "ICMP", "ICMPV6", "PING":
		return "; of ping a policy can say nothing"
	case "ANY", "ALL", "*", "BOTH", "TCP/UDP", "TCP,UDP", "TCPUDP":
		return "; for more than one, write an entry each"
	}
	return ""
}

// clampPort is the port number nearest to n.
func clampPort(n int) int { return min(max(n, 1), 65535) }

// badPort says what is wrong with a port's number or name; "" where nothing is.
func badPort(port intstr.IntOrString) string {
	if port.Type == intstr.Int {
		if len(validation.IsValidPortNum(port.IntValue())) > 0 {
			return fmt.Sprintf("%d is no port number; use 1 to 65535", port.IntVal)
		}
		return ""
	}
	name := port.StrVal
	if len(validation.IsValidPortName(name)) == 0 {
		return ""
	}
	if isPortNumber(name) {
		return fmt.Sprintf("in quotes, %q is the name of a port; write the number without: port: %s", name, name)
	}
	if name == "" {
		return "the port is empty: write its number or its name, or leave the field out for every port"
	}
	if strings.ContainsAny(name, ", ") {
		return fmt.Sprintf("%q is no port; write an entry (\"- \") for each port", short(name))
	}
	first, last, isRange := strings.Cut(name, "-")
	a, errA := strconv.Atoi(strings.TrimSpace(first))
	b, errB := strconv.Atoi(strings.TrimSpace(last))
	if isRange && errA == nil && errB == nil {
		return fmt.Sprintf("%q is no port; write a range as port: %d and, under it, endPort: %d", short(name), a, b)
	}
	return fmt.Sprintf("%q cannot be a port's name: use lower-case letters, digits and - only, at most 15 characters with at least one letter, and neither -- nor a - at an end", short(name))
}

// isPortNumber reports whether a port's name is a port's number.
func isPortNumber(name string) bool {
	n, err := strconv.Atoi(name)
	return err == nil && len(validation.IsValidPortNum(n)) == 0
}

func (v *validator) peer(path string, peer *networkingv1.NetworkPolicyPeer) {
	if peer.PodSelector != nil {
		v.selector(path+".podSelector", peer.PodSelector)
	}
	if peer.NamespaceSelector != nil {
		v.selector(path+".namespaceSelector", peer.NamespaceSelector)
	}
	if peer.IPBlock != nil {
		v.ipBlock(path+".ipBlock", peer.IPBlock)
	}
	selectors := peer.PodSelector != nil || peer.NamespaceSelector != nil
	switch {
	case selectors && peer.IPBlock != nil:
		v.problem(path, `ipBlock cannot stand beside a selector; give it an entry ("- ") of its own`)
	case !selectors && peer.IPBlock == nil:
		v.problem(path, "this entry selects nothing: write a podSelector, a namespaceSelector or an ipBlock; for every pod of the policy's own namespace, podSelector: {} with the braces")
	}
}

func (v *validator) ipBlock(path string, block *networkingv1.IPBlock) {
	if block.CIDR == "" {
		v.problem(path+".cidr", "the field is missing: write cidr: and a range of addresses, such as 10.0.0.0/8")
		return
	}
	if message := badCIDR(block.CIDR); message != "" {
		v.problem(path+".cidr", "%s", message)
		v.offer(path+".cidr", goodCIDRs(block.CIDR)...)
	}
	_, all, err := netutils.ParseCIDRSloppy(block.CIDR)
	if err != nil {
		return
	}
	for i, except := range block.Except {
		at := fmt.Sprintf("%s.except[%d]", path, i)
		if message := badCIDR(except); message != "" {
			v.problem(at, "%s", message)
			v.offer(at, goodCIDRs(except)...)
		}
		if _, part, err := netutils.ParseCIDRSloppy(except); err == nil {
			if message := badPart(all, part); message != "" {
				v.problem(at, "%s", message)
			}
		}
	}
}

// badPart says why a range is no exception from another; "" where it is one.
func badPart(all, part *net.IPNet) string {
	allBits, _ := all.Mask.Size()
	partBits, _ := part.Mask.Size()
	switch {
	case all.Contains(part.IP) && partBits > allBits:
		return ""
	case all.String() == part.String():
		return fmt.Sprintf("%s is the whole cidr, so that nothing would be left; an exception must be smaller", part)
	case part.Contains(all.IP):
		return fmt.Sprintf("%s is larger than cidr (%s); an exception must be a smaller range within it", part, all)
	}
	return fmt.Sprintf("%s does not lie within cidr (%s), so there is nothing to except", part, all)
}

// badCIDR says what is wrong with a range of addresses; "" where nothing is.
func badCIDR(cidr string) string {
	ip, network, err := netutils.ParseCIDRSloppy(cidr)
	if err != nil {
		address, bits, hasBits := strings.Cut(cidr, "/")
		ip := netutils.ParseIPSloppy(address)
		switch {
		case strings.ContainsAny(cidr, ", "):
			return fmt.Sprintf("%q is not one range of addresses; give each range an entry of its own", short(cidr))
		case ip == nil:
			return fmt.Sprintf("%q is no range of addresses; write an address, a / and how many of its bits count, such as 10.0.0.0/8 or 2001:db8::/32", short(cidr))
		case !hasBits:
			return fmt.Sprintf("%s is one address, not a range; write %s/%d for that address alone", short(cidr), ip, bitsOf(address))
		}
		return fmt.Sprintf("behind the / of %s must be how many bits of the address count, 0 to %d, not %q", short(cidr), bitsOf(address), short(bits))
	}
	prefix, err := netip.ParsePrefix(cidr)
	switch {
	case err != nil:
		return fmt.Sprintf("there are zeros in %s that do not belong there; write %s", short(cidr), network)
	case prefix.Addr().Is4In6():
		return fmt.Sprintf("%s is an IPv4 range in IPv6's spelling; write it as IPv4, such as 10.0.0.0/8", short(cidr))
	case prefix != prefix.Masked():
		return fmt.Sprintf("%s is an address within a range; write %s for the whole range, or %s/%d for the one address", short(cidr), network, ip, prefix.Addr().BitLen())
	}
	return ""
}

// goodCIDRs are the ranges that may be meant by one that is none.
func goodCIDRs(cidr string) []string {
	ip, network, err := netutils.ParseCIDRSloppy(cidr)
	if err != nil {
		if ip := netutils.ParseIPSloppy(cidr); ip != nil {
			return []string{fmt.Sprintf("%s/%d", ip, bitsOf(cidr))}
		}
		return nil
	}
	if prefix, err := netip.ParsePrefix(cidr); err == nil && !prefix.Addr().Is4In6() && prefix != prefix.Masked() {
		return []string{network.String(), fmt.Sprintf("%s/%d", ip, prefix.Addr().BitLen())}
	}
	return []string{network.String()}
}

// bitsOf is how many bits an address has that is written like this.
func bitsOf(address string) int {
	if strings.Contains(address, ":") {
		return 128
	}
	return 32
}

func (v *validator) policyTypes(types []networkingv1.PolicyType) {
	const path = "spec.policyTypes"
	if len(types) > 2 {
		v.problem(path, "there are %d entries here; write Ingress, Egress or both, each once", len(types))
		return
	}
	for i, t := range types {
		at := fmt.Sprintf("%s[%d]", path, i)
		if t == networkingv1.PolicyTypeIngress || t == networkingv1.PolicyTypeEgress {
			continue
		}
		if near := Nearest(string(t), []string{"Ingress", "Egress"}); near != "" {
			v.problem(at, "there is no policy type %q; did you mean %q?", short(string(t)), near)
			v.offer(at, near)
		} else {
			v.problem(at, "there is no policy type %q; write Ingress or Egress", short(string(t)))
			v.offer(at, "Ingress", "Egress")
		}
	}
}
