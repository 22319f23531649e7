package policy

import (
	"strings"
	"testing"
)

// asKubectlPrints is a List as kubectl get networkpolicy -A -o yaml prints one,
// on an older cluster, too.
const asKubectlPrints = `apiVersion: v1
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"networking.k8s.io/v1"}
    creationTimestamp: "2026-01-02T15:04:05Z"
    generation: 1
    managedFields:
    - apiVersion: networking.k8s.io/v1
      fieldsType: FieldsV1
      fieldsV1: {f:spec: {}}
      manager: kubectl
      operation: Update
      time: "2026-01-02T15:04:05Z"
    name: default-deny
    namespace: production
    resourceVersion: "12"
    uid: 5b1c
  spec:
    podSelector: {}
    policyTypes:
    - Ingress
  status: {}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata:
    annotations:
      creationTimestamp: kept
    name: allow-web
    namespace: monitoring
  spec:
    ingress:
    - ports:
      - port: 80
        protocol: TCP
    podSelector:
      matchLabels:
        app: web
kind: List
metadata:
  resourceVersion: ""
`

func TestA_list_is_read_item_by_item(t *testing.T) {
	got, err := Parse([]byte("# From a cluster.\n---\n"+asKubectlPrints+"---\n"+head), inLab)
	if err != nil || len(got) != 3 {
		t.Fatalf("got %d policies and the error %v", len(got), err)
	}
	want := []struct {
		source string
		line   int
		field  string
		at     Position
	}{
		{`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: production
spec:
  podSelector: {}
  policyTypes:
  - Ingress
`, 5, "spec.policyTypes[0]", Position{27, 7}},
		{`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-web
  namespace: monitoring
  annotations:
    creationTimestamp: kept
spec:
  podSelector:
    matchLabels:
      app: web
  ingress:
  - ports:
    - protocol: TCP
      port: 80
`, 29, "spec.ingress[0].ports[0].port", Position{39, 15}},
		{head, 48, "metadata.name", Position{51, 9}},
	}
	for i, w := range want {
		if got[i].Source != w.source {
			t.Errorf("source %d:\n%s\nwant\n%s", i, got[i].Source, w.source)
		}
		if got[i].Line != w.line {
			t.Errorf("policy %d is on line %d, want %d", i, got[i].Line, w.line)
		}
		if pos := got[i].Position(w.field); pos != w.at {
			t.Errorf("%s of policy %d is at %v, want %v", w.field, i, pos, w.at)
		}
	}
}

// kubectl get --raw and client-go print a NetworkPolicyList like this.
func TestThe_items_of_a_NetworkPolicy_list_need_not_say_what_they_are(t *testing.T) {
	got, err := Parse([]byte(`{"kind": "NetworkPolicyList", "apiVersion": "networking.k8s.io/v1", "metadata": {}, "items": [
  {"metadata": {"name": "a", "namespace": "production"}, "spec": {"podSelector": {}}}]}`), inLab)
	if err != nil || len(got) != 1 || got[0].Kind != kind || got[0].APIVersion != apiVersion {
		t.Fatalf("got %v and the error %v", got, err)
	}
	if _, err := Parse([]byte("apiVersion: v1\nkind: List\nitems:\n- metadata: {name: a, namespace: production}\n"), inLab); err == nil {
		t.Error("an item of a List that says nothing of its kind was taken")
	}
}

func TestAn_empty_list_is_an_input_without_policies(t *testing.T) {
	for _, items := range []string{"[]", ""} {
		got, err := Parse([]byte("apiVersion: v1\nkind: List\nitems: "+items+"\n"), inLab)
		if err != nil || len(got) != 0 {
			t.Errorf("items: %s: got %v and the error %v", items, got, err)
		}
	}
}

func TestA_problem_in_one_item_leaves_the_others_checked(t *testing.T) {
	src := strings.Replace(asKubectlPrints, "policyTypes:", "policyType:", 1)
	src = strings.Replace(src, "port: 80", "port: 80000", 1)
	_, err := Parse([]byte(src), inLab)
	want := `line 24, column 5: spec.policyType: spec has no field "policyType"; did you mean "policyTypes"?
line 37, column 15: spec.ingress[0].ports[0].port: 80000 is no port number; use 1 to 65535`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestA_policy_that_a_cluster_has_printed_alone_is_read_without_what_that_wrote(t *testing.T) {
	list, err := Parse([]byte(asKubectlPrints), inLab)
	if err != nil {
		t.Fatal(err)
	}
	var alone strings.Builder
	for line := range strings.Lines(asKubectlPrints[strings.Index(asKubectlPrints, "- api"):strings.Index(asKubectlPrints, "- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata:\n    annotations:\n      creationTimestamp: kept")]) {
		alone.WriteString(line[2:])
	}
	got, err := Parse([]byte(alone.String()), inLab)
	if err != nil || len(got) != 1 || got[0].Source != list[0].Source {
		t.Fatalf("got %v and %+v of\n%s", err, got, alone.String())
	}
	for _, p := range []Policy{got[0], list[0]} {
		if want := "creationTimestamp generation managedFields resourceVersion uid status"; strings.Join(p.LeftOut, " ") != want {
			t.Errorf("left out: %q", p.LeftOut)
		}
	}
	// A status that somebody has written is told.
	if _, err := Parse([]byte(head+"spec: {podSelector: {}}\nstatus: {}\n"), inLab); err == nil {
		t.Error("a status is taken")
	}
}
