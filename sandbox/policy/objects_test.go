package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	sigsyaml "sigs.k8s.io/yaml"
)

// clusterList is what kubectl get -o yaml prints, with one of each of what there is
// to tell apart.
const clusterList = `apiVersion: v1
items:
- apiVersion: v1
  kind: Namespace
  metadata:
    creationTimestamp: "2026-01-02T15:04:05Z"
    labels:
      environment: production
      kubernetes.io/metadata.name: production
    name: production
  spec:
    finalizers:
    - kubernetes
  status:
    phase: Active
- apiVersion: v1
  kind: Pod
  metadata:
    labels:
      app: web
    name: web
    namespace: production
  spec:
    containers:
    - image: shop
      name: shop
      ports:
      - containerPort: 8080
        name: http
        protocol: TCP
      resources:
        limits:
          memory: 64Mi
    - name: exporter
      ports:
      - containerPort: 9102
    initContainers:
    - name: proxy
      ports:
      - containerPort: 15090
        name: proxy
      restartPolicy: Always
    - name: migrate
      ports:
      - containerPort: 1
    nodeName: worker
  status:
    hostIP: 172.18.0.3
    hostIPs:
    - ip: 172.18.0.3
    - ip: fd00::3
    phase: Running
    podIP: 10.244.1.5
    podIPs:
    - ip: 10.244.1.5
    - ip: fd00:10:244:1::5
- apiVersion: v1
  kind: Pod
  metadata:
    name: done
    namespace: production
  spec:
    containers:
    - name: job
    nodeName: worker
  status:
    phase: Succeeded
    podIPs:
    - ip: 10.244.1.5
- apiVersion: v1
  kind: Pod
  metadata:
    name: agent
    namespace: production
  spec:
    containers:
    - name: agent
      ports:
      - containerPort: 9100
        hostPort: 9100
        protocol: UDP
    hostNetwork: true
    nodeName: control
  status:
    hostIPs:
    - ip: 172.18.0.2
    phase: Running
    podIPs:
    - ip: 172.18.0.2
- apiVersion: v1
  kind: Service
  metadata:
    name: web
    namespace: production
  spec:
    clusterIP: 10.96.1.1
    clusterIPs:
    - 10.96.1.1
    ports:
    - name: http
      port: 80
      protocol: TCP
      targetPort: http
    selector:
      app: web
    type: ClusterIP
- apiVersion: v1
  kind: Service
  metadata:
    name: headless
    namespace: production
  spec:
    clusterIP: None
    clusterIPs:
    - None
    ports:
    - port: 8080
      protocol: TCP
      targetPort: 8080
    selector:
      app: web
- apiVersion: v1
  kind: Service
  metadata:
    name: elsewhere
    namespace: production
  spec:
    externalName: shop.example
    type: ExternalName
- apiVersion: v1
  kind: Node
  metadata:
    name: control
  status:
    addresses:
    - address: 172.18.0.22
      type: InternalIP
    - address: control
      type: Hostname
- apiVersion: v1
  kind: ConfigMap
  metadata:
    name: notes
    namespace: production
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata:
    name: default-deny
    namespace: production
  spec:
    podSelector: {}
    policyTypes:
    - Ingress
kind: List
metadata:
  resourceVersion: ""
`

func TestReadNetwork_takes_what_policies_act_on(t *testing.T) {
	addrs := func(list ...string) (out []netip.Addr) {
		for _, s := range list {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	want := Network{
		Namespaces: []Namespace{{"production", map[string]string{"environment": "production", "kubernetes.io/metadata.name": "production"}}},
		Pods: []Pod{
			{
				Namespace: "production", Name: "web", Labels: map[string]string{"app": "web"}, IPs: addrs("10.244.1.5", "fd00:10:244:1::5"), Node: "worker",
				// The sidecar's port is the pod's, that of a container which ends is not.
				Ports: []Port{{"proxy", 15090, corev1.ProtocolTCP}, {"http", 8080, corev1.ProtocolTCP}, {"", 9102, corev1.ProtocolTCP}},
			},
			{Namespace: "production", Name: "agent", IPs: addrs("172.18.0.2"), HostNetwork: true, Node: "control", Ports: []Port{{"", 9100, corev1.ProtocolUDP}}},
		},
		Services: []Service{
			{Namespace: "production", Name: "web", ClusterIPs: addrs("10.96.1.1"), Selector: map[string]string{"app": "web"}, Ports: []ServicePort{{"http", 80, corev1.ProtocolTCP, intstr.FromString("http")}}},
			{Namespace: "production", Name: "headless", Selector: map[string]string{"app": "web"}, Ports: []ServicePort{{"", 8080, corev1.ProtocolTCP, intstr.FromInt32(8080)}}},
		},
		// The one that is listed has its own addresses, the other its pods' word.
		Nodes: []Node{{"worker", addrs("172.18.0.3", "fd00::3")}, {"control", addrs("172.18.0.22")}},
	}
	for name, src := range map[string]string{
		"List":              clusterList,
		"JSON":              toIndentedJSON(t, clusterList),
		"one line of JSON":  toJSONLine(t, clusterList),
		"several documents": toDocuments(t, clusterList),
		"Windows":           strings.ReplaceAll(clusterList, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			got, warnings, err := ReadNetwork([]byte(src))
			if err != nil || len(warnings) > 0 {
				t.Fatalf("error %v, warnings %v", err, warnings)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, want)
			}
		})
	}
}

func TestReadNetwork_takes_a_list_of_one_kind(t *testing.T) {
	got, warnings, err := ReadNetwork([]byte(`
apiVersion: v1
kind: PodList
items:
- metadata: {name: a, namespace: x}
  status: {podIP: 10.0.0.1, hostIP: 172.18.0.2}
  spec: {nodeName: n}
`))
	if err != nil || len(got.Pods) != 1 || got.Pods[0].IPs[0] != netip.MustParseAddr("10.0.0.1") || got.Nodes[0].IPs[0] != netip.MustParseAddr("172.18.0.2") {
		t.Errorf("got %+v, %v", got, err)
	}
	if want := []string{"The namespace x is not in the input: of its labels only kubernetes.io/metadata.name is known."}; !slices.Equal(warnings, want) {
		t.Errorf("warnings %q", warnings)
	}
}

func TestReadNetwork_warns_of_gaps(t *testing.T) {
	_, warnings, err := ReadNetwork([]byte(`
kind: Pod
metadata: {name: a, namespace: x}
status: {podIP: 10.0.0.1}
---
kind: Pod
metadata: {name: b, namespace: y}
status: {podIP: 10.0.0.1}
---
kind: Pod
metadata: {name: c, namespace: y}
`))
	want := []string{
		"The pod y/c has no address yet: no ipBlock matches it.",
		"The namespaces x, y are not in the input: of their labels only kubernetes.io/metadata.name is known.",
		"The pods x/a and y/b both have the address 10.0.0.1; it counts as the second one's.",
	}
	if err != nil || !slices.Equal(warnings, want) {
		t.Errorf("got %q, %v", warnings, err)
	}
}

func TestReadNetwork_says_what_is_wrong_and_where(t *testing.T) {
	pod := func(rest string) string {
		return "kind: List\nitems:\n- kind: Pod\n  metadata: {name: a, namespace: x}\n" + rest
	}
	for name, c := range map[string]struct{ src, want string }{
		"nothing":             {"", "line 1, column 1: there is no running pod here; kubectl get namespaces,pods,services,nodes -A -o yaml prints what is needed"},
		"an empty List":       {"kind: List\nitems: []\n", "line 1, column 1: there is no running pod here; kubectl get namespaces,pods,services,nodes -A -o yaml prints what is needed"},
		"a List without kind": {"items:\n- kind: Pod\n", "line 1, column 1: kind: the field is missing; kubectl get namespaces,pods,services,nodes -A -o yaml prints what is needed"},
		"text":                {"hello", "line 1, column 1: these are no objects of a cluster; kubectl get namespaces,pods,services,nodes -A -o yaml prints what is needed"},
		"no YAML":             {"kind: List\nitems: [\n", "line 2, column 8: a bracket that is opened here is not closed"},
		"an alias":            {"kind: &a List\nitems: [*a]\n", "line 2, column 9: the lab takes no YAML aliases (*a); write the value out here"},
		"a bad address":       {pod("  status:\n    podIPs:\n    - ip: 10.0.0.256\n"), `line 7, column 11: items[0].status.podIPs[0].ip: pod x/a: "10.0.0.256" is no IP address`},
		"a bad host address":  {pod("  spec: {nodeName: n}\n  status:\n    hostIP: node\n"), `line 7, column 13: items[0].status.hostIP: pod x/a: "node" is no IP address`},
		"a port of 0":         {pod("  spec:\n    containers:\n    - ports:\n      - containerPort: 0\n"), "line 8, column 24: items[0].spec.containers[0].ports[0].containerPort: pod x/a: 0 is no port: write a number from 1 to 65535"},
		"a port too large":    {pod("  spec:\n    containers:\n    - ports:\n      - containerPort: 65536\n"), "line 8, column 24: items[0].spec.containers[0].ports[0].containerPort: pod x/a: 65536 is no port: write a number from 1 to 65535"},
		"a protocol":          {pod("  spec:\n    containers:\n    - ports:\n      - containerPort: 80\n        protocol: HTTP\n"), `line 9, column 19: items[0].spec.containers[0].ports[0].protocol: pod x/a: there is no protocol "HTTP": write TCP, UDP or SCTP`},
		"a field's type":      {pod("  spec: none\n"), "line 3, column 3: items[0]: pod x/a: it cannot be read: json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec"},
		"twice":               {pod("- kind: Pod\n  metadata: {name: a, namespace: x}\n"), "line 6, column 20: items[1].metadata.name: pod x/a: it is here twice; the first is on line 3"},
		"no name":             {"kind: Pod\nmetadata: {namespace: x}\n", "line 2, column 11: metadata.name: pod: it has no name"},
		"no namespace":        {"kind: Pod\nmetadata: {name: a}\n", "line 2, column 11: metadata.namespace: pod a: it has no namespace"},
		"a Service's address": {"kind: Service\nmetadata: {name: s, namespace: x}\nspec: {clusterIPs: [10.96.0.0/12]}\n", `line 3, column 21: spec.clusterIPs[0]: service x/s: "10.96.0.0/12" is no IP address`},
		"a Service's port":    {"kind: Service\nmetadata: {name: s, namespace: x}\nspec: {ports: [{port: 70000}]}\n", "line 3, column 23: spec.ports[0].port: service x/s: 70000 is no port: write a number from 1 to 65535"},
		"a node's address":    {"kind: Node\nmetadata: {name: n}\nstatus: {addresses: [{type: InternalIP, address: n}]}\n", `line 3, column 50: status.addresses[0].address: node n: "n" is no IP address`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ReadNetwork([]byte(c.src))
			var all *Error
			if !errors.As(err, &all) || all.Problems[0].String() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestOnlyPolicies_keeps_every_place leaves out each choice of the items of a List, in
// each way to write one, and looks for the rest where it was.
func TestOnlyPolicies_keeps_every_place(t *testing.T) {
	const items = 4
	for drop := range 1 << items {
		var list strings.Builder
		list.WriteString("apiVersion: v1\nitems:\n")
		want := []string{}
		for i := range items {
			name := fmt.Sprintf("söme-%d", i) // Of more bytes than letters.
			if drop&(1<<i) != 0 {
				fmt.Fprintf(&list, "- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: %s\n    namespace: x\n", name)
				continue
			}
			name = fmt.Sprintf("policy-%d", i)
			want = append(want, name)
			fmt.Fprintf(&list, "- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata:\n    name: %s\n    namespace: x\n  spec:\n    podSelector: {}\n", name)
		}
		list.WriteString("kind: List\nmetadata:\n  resourceVersion: \"\"\n")
		block := list.String()
		for form, src := range map[string]string{
			"block":            block,
			"items last":       strings.Replace(block, "apiVersion: v1\n", "", 1) + "\n",
			"dashes alone":     strings.ReplaceAll(block, "- apiVersion", "-\n  apiVersion"),
			"JSON":             toIndentedJSON(t, block),
			"one line of JSON": toJSONLine(t, block),
			"documents":        toDocuments(t, block),
		} {
			if form == "items last" {
				head, rest, _ := strings.Cut(src, "kind: List\nmetadata:\n  resourceVersion: \"\"\n")
				src = "apiVersion: v1\nkind: List\n" + head + rest
			}
			t.Run(fmt.Sprintf("%04b %s", drop, form), func(t *testing.T) {
				only, others := OnlyPolicies([]byte(src))
				if len(others) != items-len(want) {
					t.Errorf("left out %v", others)
				}
				for _, o := range others {
					if o.Kind != "ConfigMap" || !strings.HasPrefix(o.Name, "x/söme-") {
						t.Errorf("left out %+v", o)
					}
				}
				if len(want) == 0 {
					if only != nil {
						t.Errorf("left %q", only)
					}
					return
				}
				if got, had := strings.Count(string(only), "\n"), strings.Count(src, "\n"); got != had {
					t.Errorf("%d lines became %d", had, got)
				}
				policies, err := Parse(only, ParseOptions{})
				if err != nil {
					t.Fatalf("%v\n%s", err, only)
				}
				lines := strings.Split(src, "\n")
				var got []string
				for _, p := range policies {
					got = append(got, p.Name)
					pos := p.Position("metadata.name")
					if at := string([]rune(lines[pos.Line-1])[pos.Column-1:]); !strings.HasPrefix(strings.TrimPrefix(at, `"`), p.Name) {
						t.Errorf("%s is said to be at %v, where there is %q", p.Name, pos, at)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("kept %v, want %v", got, want)
				}
			})
		}
	}
}

func TestOnlyPolicies_leaves_what_may_be_meant_as_a_policy(t *testing.T) {
	for _, src := range []string{
		"kind: NetworkPolcy\n", "kind: networkpolicy\n", "metadata: {}\n", "kind: [\n", "hello\n", "", "# nothing\n", "kind: NetworkPolicyList\nitems: []\n", "kind: List\n",
		"apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n",
	} {
		if only, others := OnlyPolicies([]byte(src)); string(only) != src || len(others) > 0 {
			t.Errorf("%q: left %q and not %v", src, only, others)
		}
	}
}

func TestOther_kinds_of_policies_are_known_as_policies(t *testing.T) {
	for kind, want := range map[string]bool{
		"AdminNetworkPolicy": true, "ClusterNetworkPolicy": true, "GlobalNetworkPolicy": true, "CiliumNetworkPolicy": true, "CiliumClusterwideNetworkPolicy": true,
		"Deployment": false, "PodSecurityPolicy": false,
	} {
		_, others := OnlyPolicies([]byte("kind: " + kind + "\nmetadata: {name: a}\n"))
		if len(others) != 1 || others[0].IsPolicy() != want {
			t.Errorf("%s: %+v", kind, others)
		}
	}
}

// FuzzObjects proves that no input makes ReadNetwork or OnlyPolicies panic, and that
// what OnlyPolicies leaves has the lines of the whole.
func FuzzObjects(f *testing.F) {
	for _, seed := range []string{
		clusterList, head + "spec: {podSelector: {}}\n", "kind: List\nitems: [{kind: Pod}, {kind: NetworkPolicy}]\n", "kind: List\nitems:\n-\n\n  kind: Pod\n- kind: NetworkPolicy\n",
		"{\"items\": [{\"kind\": \"Pod\"}, {}]\n,\"kind\": \"List\"}", "kind: PodList\nitems: [null, 1, [x]]\n", "items: []\nkind: List\n--- x\n", "kind: List\nitems: !!seq\n- &a {kind: X}\n- *a\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_, _, err := ReadNetwork(src)
		var all *Error
		if err != nil && (!errors.As(err, &all) || len(all.Problems) == 0) {
			t.Errorf("error %v", err)
		}
		only, others := OnlyPolicies(src)
		switch {
		case only == nil && len(others) == 0 && len(src) > 0:
			t.Error("nothing is left, and nothing left out")
		case only != nil && strings.Count(string(only), "\n") != strings.Count(string(src), "\n"):
			t.Errorf("lines are missing: %q became %q", src, only)
		}
	})
}

func toJSONLine(t *testing.T, list string) string {
	t.Helper()
	js, err := sigsyaml.YAMLToJSON([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	return string(js)
}

func toIndentedJSON(t *testing.T, list string) string {
	t.Helper()
	js, err := json.MarshalIndent(json.RawMessage(toJSONLine(t, list)), "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	return string(js) + "\n"
}

func toDocuments(t *testing.T, list string) string {
	t.Helper()
	var l struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal([]byte(toJSONLine(t, list)), &l); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, item := range l.Items {
		doc, err := sigsyaml.JSONToYAML(item)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(doc)
	}
	return out.String()
}
