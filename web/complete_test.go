package web

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSchema_has_every_field_of_a_policy_with_the_APIs_own_words(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	a := v.send("GET", "/schema", nil)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %s", a.status, a.header.Get("Content-Type"))
	}
	var s Schema
	strict(t, a.body, &s)
	if s.Root != "NetworkPolicy" {
		t.Errorf("root = %q", s.Root)
	}
	for _, of := range []documented{
		networkingv1.NetworkPolicy{}, networkingv1.NetworkPolicySpec{}, networkingv1.NetworkPolicyIngressRule{}, networkingv1.NetworkPolicyEgressRule{},
		networkingv1.NetworkPolicyPeer{}, networkingv1.NetworkPolicyPort{}, networkingv1.IPBlock{},
		metav1.ObjectMeta{}, metav1.LabelSelector{}, metav1.LabelSelectorRequirement{},
	} {
		got, docs := s.Types[reflect.TypeOf(of).Name()], of.SwaggerDoc()
		for name, doc := range docs {
			if name == "" {
				if got.Doc == "" || !strings.HasPrefix(doc, got.Doc) {
					t.Errorf("%T: %q, want %q", of, got.Doc, doc)
				}
				continue
			}
			at := slices.IndexFunc(got.Fields, func(f SchemaField) bool { return f.Name == name })
			if at < 0 {
				t.Errorf("%T has no field %s", of, name)
			} else if d := got.Fields[at].Doc; d == "" || !strings.HasPrefix(doc, d) {
				t.Errorf("%T.%s: %q, want %q", of, name, d, doc)
			}
		}
	}
	if strings.Contains(a.body, "beta-level") {
		t.Error("the schema calls something beta that has been stable for years")
	}
	for name, of := range s.Types {
		for _, f := range of.Fields {
			if _, ok := s.Types[f.Of]; f.Of != "" && !ok {
				t.Errorf("%s.%s is of %s, which is not described", name, f.Name, f.Of)
			}
			if f.Doc == "" {
				t.Errorf("%s.%s has no description", name, f.Name)
			}
		}
	}
	if len(a.body) > 32<<10 {
		t.Errorf("the schema is of %d bytes", len(a.body))
	}
}

func TestSchema_says_what_is_needed_what_is_possible_and_what_is_not_for_people(t *testing.T) {
	s, err := newSchema()
	if err != nil {
		t.Fatal(err)
	}
	field := func(of, name string) SchemaField {
		for _, f := range s.Types[of].Fields {
			if f.Name == name {
				return f
			}
		}
		t.Fatalf("there is no %s.%s", of, name)
		return SchemaField{}
	}
	for _, c := range []struct {
		of, name string
		want     SchemaField
	}{
		{"NetworkPolicy", "kind", SchemaField{Kind: KindString, Required: true, Values: []string{"NetworkPolicy"}}},
		{"NetworkPolicy", "spec", SchemaField{Kind: KindObject, Of: "NetworkPolicySpec", Required: true}},
		{"ObjectMeta", "name", SchemaField{Kind: KindString, Required: true}},
		{"ObjectMeta", "labels", SchemaField{Kind: KindMap}},
		{"ObjectMeta", "uid", SchemaField{Kind: KindString, Managed: true}},
		{"ObjectMeta", "managedFields", SchemaField{Kind: KindString, Managed: true}},
		{"NetworkPolicySpec", "podSelector", SchemaField{Kind: KindObject, Of: "LabelSelector"}},
		{"NetworkPolicySpec", "policyTypes", SchemaField{Kind: KindStrings, Values: []string{"Ingress", "Egress"}}},
		{"NetworkPolicyEgressRule", "to", SchemaField{Kind: KindObjects, Of: "NetworkPolicyPeer"}},
		{"NetworkPolicyPort", "port", SchemaField{Kind: KindPort}},
		{"NetworkPolicyPort", "endPort", SchemaField{Kind: KindInteger}},
		{"NetworkPolicyPort", "protocol", SchemaField{Kind: KindString, Values: []string{"TCP", "UDP", "SCTP"}}},
		{"IPBlock", "except", SchemaField{Kind: KindStrings}},
		{"LabelSelectorRequirement", "operator", SchemaField{Kind: KindString, Required: true, Values: []string{"In", "NotIn", "Exists", "DoesNotExist"}}},
	} {
		got := field(c.of, c.name)
		c.want.Name, c.want.Doc = c.name, got.Doc
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s.%s = %+v, want %+v", c.of, c.name, got, c.want)
		}
	}
	// What the tables say is about fields that there are.
	for of, names := range requiredFields {
		for _, name := range names {
			field(of, name)
		}
	}
	for path := range fieldValues {
		of, name, _ := strings.Cut(path, ".")
		field(of, name)
	}
}

// odd is no type of the API.
type odd struct {
	Wire chan int `json:"wire"`
}

func (odd) SwaggerDoc() map[string]string { return map[string]string{"": "odd", "wire": "odd"} }

func TestSchema_what_the_editor_would_know_nothing_of_is_an_error(t *testing.T) {
	if err := (Schema{Types: map[string]SchemaType{}}).add(reflect.TypeFor[odd]()); err == nil {
		t.Error("a field of any kind is taken")
	}
	if err := (Schema{Types: map[string]SchemaType{}}).add(reflect.TypeFor[struct{}]()); err == nil {
		t.Error("a type without descriptions is taken")
	}
}

func TestSchema_and_lab_are_sent_once_and_then_only_asked_for(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	for _, path := range []string{"/schema", "/labs/network-policies"} {
		tag := v.send("GET", path, nil).header.Get("ETag")
		if tag == "" {
			t.Fatalf("%s has no ETag", path)
		}
		if a := v.send("GET", path, nil, "If-None-Match", tag); a.status != http.StatusNotModified || a.body != "" {
			t.Errorf("%s again: status %d, %d bytes", path, a.status, len(a.body))
		}
	}
}

func contentsFor(t *testing.T, v *learner) LabContents {
	t.Helper()
	a := v.send("GET", "/labs/network-policies", nil)
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var c LabContents
	strict(t, a.body, &c)
	return c
}

func (c LabContents) pod(t *testing.T, namespace, name string) LabPod {
	t.Helper()
	for _, p := range c.Pods {
		if p.Namespace == namespace && p.Name == name {
			return p
		}
	}
	t.Fatalf("there is no pod %s/%s", namespace, name)
	return LabPod{}
}

func TestLab_tells_all_that_a_policy_can_name(t *testing.T) {
	c := contentsFor(t, newLab(t, setup{}).learner(t))
	if c.Lab != "network-policies" || c.Running {
		t.Errorf("lab %q, running %v", c.Lab, c.Running)
	}
	namespaces := map[string]LabNamespace{}
	for _, ns := range c.Namespaces {
		namespaces[ns.Name] = ns
		if ns.Labels["kubernetes.io/metadata.name"] != ns.Name {
			t.Errorf("%s lacks the label of its name: %v", ns.Name, ns.Labels)
		}
	}
	if ns := namespaces["production"]; ns.System || ns.Labels["environment"] != "production" {
		t.Errorf("production: %+v", ns)
	}
	if !namespaces["kube-system"].System {
		t.Error("kube-system counts as the lab's own")
	}
	api := c.pod(t, "production", "api")
	want := LabPod{
		Namespace: "production", Name: "api", Note: "the shop's back end", Labels: map[string]string{"app": "api"}, Addresses: []string{},
		Ports: []LabPort{{"http", 8080, "TCP"}, {"admin", 9090, "TCP"}},
	}
	if !reflect.DeepEqual(api, want) {
		t.Errorf("api = %+v, want %+v", api, want)
	}
	if !c.pod(t, "monitoring", "node-agent").HostNetwork {
		t.Error("node-agent does not count as one of the node's network")
	}
	dns := c.pod(t, "kube-system", "coredns-1")
	if dns.Labels["k8s-app"] != "kube-dns" || !slices.Contains(dns.Ports, LabPort{"dns", 53, "UDP"}) {
		t.Errorf("DNS pod: %+v", dns)
	}
	services := map[string]LabService{}
	for _, s := range c.Services {
		services[s.Namespace+"/"+s.Name] = s
	}
	if got := services["production/api"]; !slices.Contains(got.Ports, LabServicePort{"http", 80, 8080, "TCP"}) || got.Selector["app"] != "api" {
		t.Errorf("Service api: %+v", got)
	}
	if got := services["kube-system/kube-dns"]; !slices.Contains(got.Ports, LabServicePort{"dns", 53, 53, "UDP"}) {
		t.Errorf("DNS service: %+v", got)
	}
	at := slices.IndexFunc(c.Hosts, func(h LabHost) bool { return h.Name == "internet" })
	if at < 0 || !slices.Equal(c.Hosts[at].Addresses, []string{"203.0.113.80"}) || c.Hosts[at].Note == "" {
		t.Errorf("hosts: %+v", c.Hosts)
	}
	if !slices.Contains(c.Ranges, LabRange{"10.244.0.0/16", "pods"}) || !slices.Contains(c.Ranges, LabRange{"10.96.0.0/16", "Services"}) {
		t.Errorf("ranges: %+v", c.Ranges)
	}
}

func TestLab_tells_the_addresses_of_the_learners_own_ready_sandbox_and_of_no_other(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	before := v.send("GET", "/labs/network-policies", nil).header.Get("ETag")
	id := v.start()
	c := contentsFor(t, v)
	addresses, err := l.manager.Addresses(v.snapshot(v.send("GET", "/sandboxes/"+id, nil)).ID)
	if err != nil {
		t.Fatal(err)
	}
	want := addresses.Pods["production/api"].String()
	if got := c.pod(t, "production", "api").Addresses; !c.Running || !slices.Equal(got, []string{want}) {
		t.Errorf("running %v, api at %v, want %s", c.Running, got, want)
	}
	if a := v.send("GET", "/labs/network-policies", nil, "If-None-Match", before); a.status != http.StatusOK {
		t.Errorf("with a sandbox the answer of before holds: status %d", a.status)
	}
	if c := contentsFor(t, l.learner(t)); c.Running || len(c.pod(t, "production", "api").Addresses) != 0 {
		t.Errorf("somebody else is told: %+v", c)
	}
	var other LabContents
	strict(t, v.send("GET", "/labs/tenants", nil).body, &other)
	if other.Running {
		t.Error("another lab is told with this sandbox's addresses")
	}
}

func TestLab_one_that_does_not_exist_is_said(t *testing.T) {
	contains(t, refusal(t, newLab(t, setup{}).learner(t).send("GET", "/labs/nowhere", nil, "Accept", "application/json"), http.StatusNotFound), "no such lab")
}
