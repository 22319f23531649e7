package policy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy/place"
)

// ReadNetwork reads the picture of a cluster as kubectl prints it:
//
//	kubectl get namespaces,pods,services,nodes -A -o yaml
//
// as YAML or JSON, as a List, as one object, or as several documents. Of the
// objects it takes namespaces, pods, Services and nodes, and passes over the
// others; [OnlyPolicies] takes the policies out of the same input. Pods that have
// ended are left out. The addresses of a node that is not there are those that its
// pods give as their host's.
//
// The warnings are sentences about what the input leaves open. The error is a
// *[Error] with every problem of the input.
func ReadNetwork(src []byte) (Network, []string, error) {
	r := &objectReader{lines: map[string]int{}, nodes: map[string]int{}}
	text := strings.TrimPrefix(string(src), "\ufeff")
	if pos, message := clusterBounds.exceeds(text); message != "" {
		return Network{}, nil, &Error{Problems: []Problem{{Position: pos, Message: message}}}
	}
	for _, d := range r.split(text) {
		r.document(d)
	}
	if len(r.network.Pods) == 0 && len(r.problems) == 0 {
		r.problem(Position{1, 1}, "", "there is no running pod here; kubectl get namespaces,pods,services,nodes -A -o yaml prints what is needed")
	}
	if len(r.problems) > 0 {
		if len(r.problems) > maxProblems {
			r.problems = append(r.problems[:maxProblems], Problem{Message: fmt.Sprintf("there are more problems than these %d; they are left out", maxProblems)})
		}
		return Network{}, nil, &Error{Problems: r.problems}
	}
	r.lookForGaps()
	return r.network, r.warnings, nil
}

// objectReader collects a network.
type objectReader struct {
	parser
	network  Network
	warnings []string
	lines    map[string]int // Where each object is, by kind and name.
	nodes    map[string]int // One more than the index in the network, by name.
}

// clusterObject is one of a cluster's objects with the place that it has in the input.
type clusterObject struct {
	node   *yaml.Node
	offset int
	field  string // "items[3]."; "" for an object that is a document.
	kind   string
	name   string // "namespace/name", or "name" where it has no namespace.
}

func (r *objectReader) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

func (r *objectReader) document(d document) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(d.text), &root); err != nil {
		pos, message := ExplainSyntax(d.text, err)
		pos.Line += d.line - 1
		r.problem(pos, "", "%s", message)
		return
	}
	w := &walker{parser: &r.parser, offset: d.line - 1}
	if !w.isPlain(&root) {
		return
	}
	top := root.Content[0]
	if top.Kind != yaml.MappingNode {
		r.problem(w.at(top), "", "these are no objects of a cluster; kubectl get namespaces,pods,services,nodes -A -o yaml prints what is needed")
		return
	}
	for _, o := range clusterObjects(top, w.offset) {
		r.object(o)
	}
}

// clusterObjects are the items of a List, or the object itself. The items of a
// List of one kind, such as a PodList, need not say which.
func clusterObjects(top *yaml.Node, offset int) []clusterObject {
	kind, _ := scalar(top, "kind")
	of, isList := strings.CutSuffix(kind, "List")
	items := lookup(top, "items")
	if !isList || items == nil || items.Kind != yaml.SequenceNode {
		return []clusterObject{{node: top, offset: offset, kind: kind, name: nameOf(top)}}
	}
	out := make([]clusterObject, len(items.Content))
	for i, n := range items.Content {
		out[i] = clusterObject{node: n, offset: offset, field: fmt.Sprintf("items[%d].", i), kind: of, name: nameOf(n)}
		if kind, node := scalar(n, "kind"); node != nil {
			out[i].kind = kind
		}
	}
	return out
}

func nameOf(object *yaml.Node) string {
	meta := lookup(object, "metadata")
	if meta == nil {
		return ""
	}
	name, _ := scalar(meta, "name")
	if name == "" {
		return ""
	}
	if namespace, _ := scalar(meta, "namespace"); namespace != "" {
		return namespace + "/" + name
	}
	return name
}

// at is the place of the field, or of the nearest around it.
func (o *clusterObject) at(path ...any) Position {
	n := place.Find(o.node, path...).Node
	return Position{n.Line + o.offset, n.Column}
}

// bad notes what is wrong with a field.
func (r *objectReader) bad(o *clusterObject, message string, path ...any) {
	field := strings.TrimSuffix(o.field, ".")
	for _, step := range path {
		switch step := step.(type) {
		case string:
			field += "." + step
		case int:
			field += fmt.Sprintf("[%d]", step)
		}
	}
	r.problem(o.at(path...), strings.TrimPrefix(field, "."), "%s: %s", strings.TrimSpace(strings.ToLower(o.kind)+" "+short(o.name)), message)
}

func (r *objectReader) object(o clusterObject) {
	switch o.kind {
	case "Namespace", "Pod", "Service", "Node":
	case "":
		r.problem(o.at(), o.field+"kind", "the field is missing; kubectl get namespaces,pods,services,nodes -A -o yaml prints what is needed")
		return
	default:
		return
	}
	if o.name == "" {
		r.bad(&o, "it has no name", "metadata", "name")
		return
	}
	key := o.kind + " " + o.name
	if line, ok := r.lines[key]; ok {
		r.bad(&o, fmt.Sprintf("it is here twice; the first is on line %d", line), "metadata", "name")
		return
	}
	r.lines[key] = o.at().Line
	var err error
	switch o.kind {
	case "Namespace":
		var ns corev1.Namespace
		if err = decodeObject(o.node, &ns); err == nil {
			r.network.Namespaces = append(r.network.Namespaces, Namespace{Name: ns.Name, Labels: ns.Labels})
		}
	case "Pod":
		var pod corev1.Pod
		if err = decodeObject(o.node, &pod); err == nil {
			r.pod(&o, &pod)
		}
	case "Service":
		var s corev1.Service
		if err = decodeObject(o.node, &s); err == nil {
			r.service(&o, &s)
		}
	case "Node":
		var n corev1.Node
		if err = decodeObject(o.node, &n); err == nil {
			r.node(&o, &n)
		}
	}
	if err != nil {
		r.bad(&o, "it cannot be read: "+err.Error())
	}
}

// decodeObject reads an object as a client of the API would: fields that it does
// not know may come from a newer cluster.
func decodeObject(n *yaml.Node, into any) error {
	var v any
	if err := n.Decode(&v); err != nil {
		return err
	}
	js, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(js, into)
}

func (r *objectReader) pod(o *clusterObject, pod *corev1.Pod) {
	r.hostOf(o, pod)
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return
	}
	out := Pod{
		Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels, HostNetwork: pod.Spec.HostNetwork, Node: pod.Spec.NodeName,
	}
	if out.Namespace == "" {
		r.bad(o, "it has no namespace", "metadata", "namespace")
	}
	for i, ip := range pod.Status.PodIPs {
		out.IPs = r.address(out.IPs, o, ip.IP, "status", "podIPs", i, "ip")
	}
	if len(pod.Status.PodIPs) == 0 && pod.Status.PodIP != "" {
		out.IPs = r.address(out.IPs, o, pod.Status.PodIP, "status", "podIP")
	}
	if len(out.IPs) == 0 {
		r.warn("The pod %s has no address yet: no ipBlock matches it.", o.name)
	}
	for i := range pod.Spec.InitContainers {
		// "If restartPolicy is Always, the init container [...] continues to run":
		// it is a sidecar.
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			r.ports(o, &out, c.Ports, "initContainers", i)
		}
	}
	for i := range pod.Spec.Containers {
		r.ports(o, &out, pod.Spec.Containers[i].Ports, "containers", i)
	}
	r.network.Pods = append(r.network.Pods, out)
}

// ports adds a container's ports to the pod's; two containers may declare the same.
func (r *objectReader) ports(o *clusterObject, pod *Pod, ports []corev1.ContainerPort, list string, container int) {
	for i, p := range ports {
		port := Port{Name: p.Name, Port: p.ContainerPort, Protocol: orTCP(p.Protocol)}
		r.portNumber(o, p.ContainerPort, "spec", list, container, "ports", i, "containerPort")
		r.protocol(o, p.Protocol, "spec", list, container, "ports", i, "protocol")
		if !slices.Contains(pod.Ports, port) {
			pod.Ports = append(pod.Ports, port)
		}
	}
}

func (r *objectReader) portNumber(o *clusterObject, port int32, path ...any) {
	if port < 1 || port > 65535 {
		r.bad(o, fmt.Sprintf("%d is no port: write a number from 1 to 65535", port), path...)
	}
}

func (r *objectReader) protocol(o *clusterObject, p corev1.Protocol, path ...any) {
	switch p {
	case "", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
	default:
		r.bad(o, fmt.Sprintf("there is no protocol %q: write TCP, UDP or SCTP", short(string(p))), path...)
	}
}

// address adds an address to the list.
func (r *objectReader) address(list []netip.Addr, o *clusterObject, text string, path ...any) []netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil {
		r.bad(o, fmt.Sprintf("%q is no IP address", short(text)), path...)
		return list
	}
	return append(list, a.Unmap())
}

// hostOf takes from a pod the addresses of its node, which holds until the node
// itself is read. A pod that has ended still names its host.
func (r *objectReader) hostOf(o *clusterObject, pod *corev1.Pod) {
	name := pod.Spec.NodeName
	if name == "" || r.nodes[name] != 0 {
		return
	}
	node := Node{Name: name}
	for i, ip := range pod.Status.HostIPs {
		node.IPs = r.address(node.IPs, o, ip.IP, "status", "hostIPs", i, "ip")
	}
	if len(pod.Status.HostIPs) == 0 && pod.Status.HostIP != "" {
		node.IPs = r.address(node.IPs, o, pod.Status.HostIP, "status", "hostIP")
	}
	if len(node.IPs) > 0 {
		r.network.Nodes = append(r.network.Nodes, node)
		r.nodes[name] = len(r.network.Nodes)
	}
}

func (r *objectReader) node(o *clusterObject, n *corev1.Node) {
	out := Node{Name: n.Name}
	for i, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			out.IPs = r.address(out.IPs, o, a.Address, "status", "addresses", i, "address")
		}
	}
	if i := r.nodes[n.Name]; i != 0 {
		r.network.Nodes[i-1] = out
		return
	}
	r.network.Nodes = append(r.network.Nodes, out)
	r.nodes[n.Name] = len(r.network.Nodes)
}

func (r *objectReader) service(o *clusterObject, s *corev1.Service) {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return // A name in DNS and nothing else.
	}
	out := Service{Namespace: s.Namespace, Name: s.Name, Selector: s.Spec.Selector}
	if out.Namespace == "" {
		r.bad(o, "it has no namespace", "metadata", "namespace")
	}
	for i, ip := range s.Spec.ClusterIPs {
		if ip != corev1.ClusterIPNone {
			out.ClusterIPs = r.address(out.ClusterIPs, o, ip, "spec", "clusterIPs", i)
		}
	}
	if ip := s.Spec.ClusterIP; len(s.Spec.ClusterIPs) == 0 && ip != "" && ip != corev1.ClusterIPNone {
		out.ClusterIPs = r.address(out.ClusterIPs, o, ip, "spec", "clusterIP")
	}
	for i, p := range s.Spec.Ports {
		r.portNumber(o, p.Port, "spec", "ports", i, "port")
		r.protocol(o, p.Protocol, "spec", "ports", i, "protocol")
		out.Ports = append(out.Ports, ServicePort{Name: p.Name, Port: p.Port, Protocol: orTCP(p.Protocol), TargetPort: p.TargetPort})
	}
	r.network.Services = append(r.network.Services, out)
}

// lookForGaps warns of what the input should have had.
func (r *objectReader) lookForGaps() {
	missing := map[string]bool{}
	for _, p := range r.network.Pods {
		if r.lines["Namespace "+p.Namespace] == 0 {
			missing[p.Namespace] = true
		}
	}
	var names []string
	for name := range missing {
		names = append(names, name)
	}
	slices.Sort(names)
	switch {
	case len(names) == 1:
		r.warn("The namespace %s is not in the input: of its labels only %s is known.", names[0], nameLabel)
	case len(names) > 1:
		r.warn("The namespaces %s are not in the input: of their labels only %s is known.", strings.Join(names, ", "), nameLabel)
	}
	owner := map[netip.Addr]string{}
	for _, p := range r.network.Pods {
		for _, a := range p.IPs {
			name := p.Namespace + "/" + p.Name
			if other, ok := owner[a]; ok && !p.HostNetwork {
				r.warn("The pods %s and %s both have the address %s; it counts as the second one's.", other, name, a)
			} else if !p.HostNetwork {
				owner[a] = name
			}
		}
	}
}

// Other is an object of the input that is no NetworkPolicy.
type Other struct {
	Position
	Kind string
	Name string // "namespace/name", or "name" where it names no namespace.
}

// IsPolicy reports that the object is a policy of another kind, such as an
// AdminNetworkPolicy or one of a CNI plugin's own: what it says is not looked at
// here, and may change the answer in a cluster.
func (o Other) IsPolicy() bool {
	return strings.HasSuffix(o.Kind, "NetworkPolicy") || strings.HasSuffix(o.Kind, "ClusterwideNetworkPolicy")
}

// Sentence says why the object is set aside.
func (o Other) Sentence() string {
	name := short(o.Kind)
	if o.Name != "" {
		name += " " + short(o.Name)
	}
	if o.IsPolicy() {
		return fmt.Sprintf("%s is set aside: it is a policy of another kind, which the lab's clusters do not know.", name)
	}
	return fmt.Sprintf("%s is set aside: the lab takes only NetworkPolicies, and has its pods and namespaces already.", name)
}

// OnlyPolicies blanks out of manifests, or of what kubectl get printed, everything
// that is no NetworkPolicy, so that [Parse] may read the rest and the places that
// it names are those of the whole. The result is nil where nothing is left. What
// cannot be read, or is perhaps a policy with its kind misspelt, is left for Parse
// to say.
func OnlyPolicies(src []byte) ([]byte, []Other) {
	text := strings.TrimPrefix(string(src), "\ufeff")
	if _, message := clusterBounds.exceeds(text); message != "" {
		return src, nil // Parse says so.
	}
	m := &mask{lines: strings.SplitAfter(text, "\n")}
	p := &parser{}
	kept := false
	for _, d := range p.split(text) {
		var root yaml.Node
		if yaml.Unmarshal([]byte(d.text), &root) != nil || root.Content[0].Kind != yaml.MappingNode {
			kept = true
			continue
		}
		if m.document(d, root.Content[0]) {
			kept = true
		}
	}
	if !kept && len(m.others) > 0 {
		return nil, m.others
	}
	return []byte(strings.Join(m.lines, "")), m.others
}

// mask blanks out parts of a text.
type mask struct {
	lines  []string // With their ends.
	others []Other
}

// document blanks out what is no policy, and reports whether something is left.
func (m *mask) document(d document, top *yaml.Node) bool {
	objects := clusterObjects(top, d.line-1)
	var drop []int
	for i, o := range objects {
		if maybePolicy(o.kind) {
			continue
		}
		drop = append(drop, i)
		m.others = append(m.others, Other{o.at(), o.kind, o.name})
	}
	last := Position{d.line + strings.Count(d.text, "\n"), 1}
	switch items := lookup(top, "items"); {
	case len(drop) == 0:
	case len(drop) == len(objects):
		m.blank(Position{d.line, 1}, last)
		return false
	default:
		m.items(d.line-1, top, items, drop, last)
	}
	return true
}

// maybePolicy reports that a kind is NetworkPolicy or may be meant to be.
func maybePolicy(k string) bool {
	return k == "" || k == "List" || k == kind+"List" || distance(strings.ToLower(k), strings.ToLower(kind)) <= 3
}

// items blanks out items of a List, each from its own beginning to the next one's:
// with its "- " in YAML's block style, with the comma behind it in JSON.
func (m *mask) items(offset int, top, items *yaml.Node, drop []int, end Position) {
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i+1] == items && i+2 < len(top.Content) {
			end = Position{top.Content[i+2].Line + offset, top.Content[i+2].Column}
		}
	}
	flow := items.Style&yaml.FlowStyle != 0
	begin := func(i int) Position {
		n := items.Content[i]
		if flow {
			return Position{n.Line + offset, n.Column}
		}
		line := n.Line + offset // The dash may stand on a line above.
		for line > 1 && !strings.HasPrefix(m.from(Position{line, items.Column}), "-") {
			line--
		}
		return Position{line, items.Column}
	}
	// All are looked for before the first is blanked out.
	begins := make([]Position, len(items.Content)+1)
	for i := range items.Content {
		begins[i] = begin(i)
	}
	begins[len(items.Content)] = end
	if flow {
		begins[len(items.Content)] = m.lastBefore(end, ']')
	}
	for _, i := range drop {
		m.blank(begins[i], begins[i+1])
	}
}

// from is the rest of a line from the place on.
func (m *mask) from(p Position) string {
	line := m.lines[p.Line-1]
	for range p.Column - 1 {
		_, size := utf8.DecodeRuneInString(line)
		line = line[size:]
	}
	return line
}

// lastBefore is the place of the last such byte before the end.
func (m *mask) lastBefore(end Position, b byte) Position {
	line := ""
	if end.Line <= len(m.lines) {
		rest := m.from(end)
		line = strings.TrimSuffix(m.lines[end.Line-1], rest)
	}
	for {
		if i := strings.LastIndexByte(line, b); i >= 0 {
			return Position{end.Line, utf8.RuneCountInString(line[:i]) + 1}
		}
		if end.Line--; end.Line == 0 {
			return Position{1, 1}
		}
		line = m.lines[end.Line-1]
	}
}

// blank writes a space for every character between two places but the ends of
// lines, so that what is behind them keeps its place.
func (m *mask) blank(from, to Position) {
	for line := from.Line; line <= to.Line && line <= len(m.lines); line++ {
		low, high := 1, 1<<31
		if line == from.Line {
			low = from.Column
		}
		if line == to.Line {
			high = to.Column
		}
		column := 0
		m.lines[line-1] = strings.Map(func(c rune) rune {
			if column++; column < low || column >= high || c == '\n' || c == '\r' {
				return c
			}
			return ' '
		}, m.lines[line-1])
	}
}
