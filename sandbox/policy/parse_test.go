package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var (
	namespaces = []string{"production", "development", "monitoring"}
	inLab      = ParseOptions{Namespaces: namespaces}
)

const head = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-web
  namespace: production
`

// TestEveryProblemSaysWhereAndWhatToDo holds the messages that a learner reads.
func TestEveryProblemSaysWhereAndWhatToDo(t *testing.T) {
	tests := []struct{ name, src, want string }{
		// The input as a whole.
		{"nothing", "", `line 1, column 1: there is no policy here: a policy begins with apiVersion: networking.k8s.io/v1`},
		{"only comments and markers", "# nothing\n---\n\n---\n# here\n", `line 1, column 1: there is no policy here: a policy begins with apiVersion: networking.k8s.io/v1`},
		{"too much", strings.Repeat("#", MaxBytes+1), `line 1, column 1: this is 257 KiB of YAML; the lab takes at most 256 KiB at once`},
		{"text", "please allow web\n", `line 1, column 1: this is no policy: a policy is made of fields, the first of which is apiVersion: networking.k8s.io/v1`},
		{"a list", "- a\n- b\n", `line 1, column 1: this is no policy: a policy is made of fields, the first of which is apiVersion: networking.k8s.io/v1`},
		{"content behind the marker", "--- # fine\n" + head + "--- kind: x\n", `line 7, column 1: write --- on a line of its own, and what comes after it on the next`},

		// Syntax.
		{"tab", head + "spec:\n\tpodSelector: {}\n", `line 7, column 1: a tab is used to indent this line; YAML takes only spaces`},
		{"no colon", "apiVersion networking.k8s.io/v1\nkind: NetworkPolicy\n", `line 1, column 1: a colon is missing here: write apiVersion: networking.k8s.io/v1`},
		{"no colon in the middle", head + "spec:\n  podSelector\n    matchLabels:\n      app: web\n", `line 7, column 3: a colon is missing here: write podSelector:`},
		{"no colon before a sibling", head + "spec:\n  podSelector: {}\n  policyTypes\n  - Ingress\n  ingress: []\n", `line 8, column 3: a colon is missing here: write policyTypes:`},
		{"no colon at the end", head + "spec\n", `line 6, column 1: a colon is missing here: write spec:`},
		{"no space behind the colon", head + "spec:\n  podSelector:{}\n  policyTypes: [Ingress]\n", `line 7, column 3: a space is missing behind the colon: write podSelector: {}`},
		{"no space behind the colon of a value", "apiVersion:networking.k8s.io/v1\nkind: NetworkPolicy\n", `line 1, column 1: a space is missing behind the colon: write apiVersion: networking.k8s.io/v1`},
		{"too deep", head + "spec:\n  podSelector: {}\n    policyTypes: [Ingress]\n", `line 8, column 5: this line is indented under line 7, which already has a value ({}); begin it in the same column as that line, or take the value away`},
		{"too shallow", head + "spec:\n    podSelector: {}\n  policyTypes: [Ingress]\n", `line 8, column 3: this line begins in column 3, which fits no line above it; begin it in the same column as the fields that it belongs with`},
		{"entry in a wrong column", head + "spec:\n  policyTypes:\n    - Ingress\n   - Egress\n", `line 9, column 4: this entry's "- " begins in another column than the entries above it, or the line above it already has a value`},
		{"field among entries", head + "spec:\n  policyTypes:\n  - Ingress\n  - Egress\n   ingress: []\n", `line 10, column 4: this line begins in column 4, which fits no line above it; begin it in the same column as the fields that it belongs with`},
		{"open bracket", head + "spec:\n  podSelector: {\n  policyTypes: [Ingress]\n", `line 7, column 16: a bracket that is opened here is not closed`},
		{"open square bracket", head + "spec:\n  podSelector: {}\n  policyTypes: [Ingress\n", `line 8, column 16: a bracket that is opened here is not closed`},
		{"open quote", head + "spec:\n  podSelector:\n    matchLabels:\n      app: \"web\n", `line 9, column 12: a quote that is opened here is not closed`},
		{"character", head + "spec:\n  podSelector:\n    matchLabels:\n      app: @web\n", `line 9, column 12: a value cannot begin with this character; write the value in quotes`},
		{"control character", head + "spec: \x01\n", `line 6, column 1: there is a character here that is no text; type the line anew`},
		{"no UTF-8", head + "spec: \xff\n", `line 6, column 1: there is a character here that is no text; type the line anew`},
		{"nested without end", strings.Repeat("[", 20000), `line 1, column 1: this is nested too deeply`},
		{"alias", head + "spec:\n  podSelector: &all {}\n  ingress:\n  - from:\n    - podSelector: *all\n", `line 10, column 20: the lab takes no YAML aliases (*all); write the value out here`},
		{"billion laughs", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", `line 2, column 8: the lab takes no YAML aliases (*a); write the value out here
line 2, column 12: the lab takes no YAML aliases (*a); write the value out here
line 3, column 8: the lab takes no YAML aliases (*b); write the value out here
line 3, column 12: the lab takes no YAML aliases (*b); write the value out here`},
		{"alias of nothing", head + "spec:\n  podSelector: *all\n", `line 7, column 16: the lab takes no YAML aliases (*all); write the value out here`},
		{"tag", head + "spec: !!binary aGVsbG8=\n", `line 6, column 7: the lab takes no YAML tags (!!binary); write the value without`},

		// What it is.
		{"Deployment", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 1\n", `line 2, column 7: kind: this is a Deployment; the lab takes only NetworkPolicies`},
		{"List", "apiVersion: v1\nkind: List\nitem: []\n", `line 2, column 7: items: the field is missing: write items: and under it the policies, each of which begins with "- "
line 3, column 1: item: a List has no field "item"; the fields here are apiVersion, kind, metadata and items`},
		{"NetworkPolicyList", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nitems: {}\n", `line 3, column 8: items: want a list, each entry of which begins with "- ", not fields`},
		{"list of another version", "apiVersion: networking.k8s.io/v1\nkind: List\nitems: []\n", `line 1, column 13: apiVersion: a List has apiVersion: v1, not "networking.k8s.io/v1"`},
		{"list in a list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n", `line 5, column 9: kind: this is a List within a list; write its policies into the list around it`},
		{"Pod in a list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n- web\n", `line 5, column 9: kind: this is a Pod; the lab takes only NetworkPolicies
line 6, column 3: this is no policy: a policy is made of fields, the first of which is apiVersion: networking.k8s.io/v1`},
		{"Calico", "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata:\n  name: x\n", `line 1, column 13: apiVersion: this is Calico's own kind of NetworkPolicy; the lab takes Kubernetes' own: apiVersion: networking.k8s.io/v1`},
		{"old version", strings.Replace(head, "networking.k8s.io/v1", "extensions/v1beta1", 1), `line 1, column 13: apiVersion: a NetworkPolicy has apiVersion: networking.k8s.io/v1, not "extensions/v1beta1"`},
		{"mistyped version", strings.Replace(head, "networking.k8s.io/v1", "networking.k8s.io/v1beta1", 1), `line 1, column 13: apiVersion: a NetworkPolicy has apiVersion: networking.k8s.io/v1, not "networking.k8s.io/v1beta1"`},
		{"mistyped kind", strings.Replace(head, "NetworkPolicy", "networkpolicy", 1), `line 2, column 7: kind: there is no kind "networkpolicy"; did you mean "NetworkPolicy"?`},
		{"plural kind", strings.Replace(head, "NetworkPolicy", "NetworkPolicies", 1), `line 2, column 7: kind: there is no kind "NetworkPolicies"; did you mean "NetworkPolicy"?`},
		{"empty kind", strings.Replace(head, " NetworkPolicy", "", 1), `line 2, column 6: kind: the field is empty: write kind: NetworkPolicy`},
		{"neither version nor kind", "metadata:\n  name: x\n  namespace: production\n", `line 1, column 1: kind: the field is missing: write kind: NetworkPolicy
line 1, column 1: apiVersion: the field is missing: write apiVersion: networking.k8s.io/v1`},

		// Whose it is.
		{"no metadata", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nspec: {}\n", `line 1, column 1: metadata: the field is missing: write metadata: and under it the policy's name and its namespace (production, development or monitoring)`},
		{"empty metadata", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\nspec: {}\n", `line 3, column 1: metadata.name: the policy has no name: write one under metadata, such as name: default-deny
line 3, column 1: metadata.namespace: say which namespace the policy is for: production, development or monitoring`},
		{"metadata is a list", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n- name: x\n", `line 3, column 1: metadata: want fields here (name, namespace, labels, annotations), not a list; leave out the "- "`},
		{"no name", strings.Replace(head, "  name: allow-web\n", "", 1), `line 3, column 1: metadata.name: the policy has no name: write one under metadata, such as name: default-deny`},
		{"bad name", strings.Replace(head, "allow-web", "Allow_Web", 1), `line 4, column 9: metadata.name: "Allow_Web" cannot be a name: use lower-case letters, digits, - and . only, with a letter or digit at both ends, at most 253 characters`},
		{"number as a name", strings.Replace(head, "allow-web", "12", 1), `line 4, column 9: metadata.name: want text, not a whole number; write it in quotes: "12"`},
		{"no namespace", strings.Replace(head, "  namespace: production\n", "", 1), `line 3, column 1: metadata.namespace: say which namespace the policy is for: production, development or monitoring`},
		{"the system's namespace", strings.Replace(head, "production", "kube-system", 1), `line 5, column 14: metadata.namespace: kube-system is not one of this lab's namespaces: production, development or monitoring`},
		{"mistyped namespace", strings.Replace(head, "production", "prodution", 1), `line 5, column 14: metadata.namespace: prodution is not one of this lab's namespaces: production, development or monitoring; did you mean "production"?`},
		{"twice", head + "---\n" + strings.Replace(head, "production", "development", 1) + "---\n" + head, `line 16, column 9: metadata.name: the policy production/allow-web is here twice; the first is on line 1`},

		// Fields.
		{"mistyped field", head + "spec:\n  podselector: {}\n", `line 7, column 3: spec.podselector: spec has no field "podselector"; did you mean "podSelector"?`},
		{"swapped letters", head + "spec:\n  podSelector: {}\n  polciyTypes: [Ingress]\n", `line 8, column 3: spec.polciyTypes: spec has no field "polciyTypes"; did you mean "policyTypes"?`},
		{"a foreign field", head + "spec:\n  replicas: 1\n", `line 7, column 3: spec.replicas: spec has no field "replicas"; the fields here are podSelector, ingress, egress, policyTypes`},
		{"a field of the wrong place", head + "podSelector: {}\n", `line 6, column 1: podSelector: a policy has no field "podSelector"; it belongs in spec, or in an entry of from or to; look at its indentation`},
		{"selector without from", head + "spec:\n  podSelector: {}\n  ingress:\n  - podSelector: {}\n", `line 9, column 5: spec.ingress[0].podSelector: spec.ingress[0] has no field "podSelector"; it belongs in spec, or in an entry of from or to; look at its indentation`},
		{"to in ingress", head + "spec:\n  podSelector: {}\n  ingress:\n  - to: []\n", `line 9, column 5: spec.ingress[0].to: spec.ingress[0] has no field "to"; it belongs in an entry of spec.egress; look at its indentation`},
		{"ports in from", head + "spec:\n  ingress:\n  - from:\n    - podSelector: {}\n      ports: []\n", `line 10, column 7: spec.ingress[0].from[0].ports: spec.ingress[0].from[0] has no field "ports"; it belongs in an entry of spec.ingress or spec.egress; look at its indentation`},
		{"unknown in metadata", strings.Replace(head, "  name:", "  lables: {}\n  colour: red\n  name:", 1), `line 4, column 3: metadata.lables: metadata has no field "lables"; did you mean "labels"?
line 5, column 3: metadata.colour: metadata has no field "colour"; the fields here are name, namespace, labels, annotations`},
		{"field twice", head + "spec:\n  podSelector: {}\n  podSelector: {}\n", `line 8, column 3: spec.podSelector: "podSelector" is here twice; the first is on line 7`},
		{"label twice", head + "spec:\n  podSelector:\n    matchLabels: {app: web, app: api}\n", `line 8, column 29: spec.podSelector.matchLabels[app]: "app" is here twice; the first is on line 8`},
		{"a list as a field's name", head + "spec:\n  ? [a]\n  : b\n", `line 7, column 5: spec: a field's name must be text, not a list`},

		// Types.
		{"number as a label", head + "spec:\n  podSelector:\n    matchLabels:\n      version: 2\n", `line 9, column 16: spec.podSelector.matchLabels[version]: want text, not a whole number; write it in quotes: "2"`},
		{"yes as a label", head + "spec:\n  podSelector:\n    matchLabels:\n      public: yes\n", `line 9, column 15: spec.podSelector.matchLabels[public]: want text, not true or false; write it in quotes: "yes"`},
		{"fields as a label", head + "spec:\n  podSelector:\n    matchLabels:\n      app: {name: web}\n", `line 9, column 7: spec.podSelector.matchLabels[app]: want text, not fields`},
		{"labels as a list", head + "spec:\n  podSelector:\n    matchLabels:\n    - app: web\n", `line 8, column 5: spec.podSelector.matchLabels: want pairs such as app: web, not a list`},
		{"labels as text", head + "spec:\n  podSelector:\n    matchLabels: app=web\n", `line 8, column 18: spec.podSelector.matchLabels: want pairs such as app: web, not text (app=web)`},
		{"selector as text", head + "spec:\n  podSelector: web\n", `line 7, column 16: spec.podSelector: want fields here (matchLabels, matchExpressions), not text (web)`},
		{"selector as a list", head + "spec:\n  podSelector:\n  - matchLabels: {app: web}\n", `line 7, column 3: spec.podSelector: want fields here (matchLabels, matchExpressions), not a list; leave out the "- "`},
		{"policyTypes as text", head + "spec:\n  podSelector: {}\n  policyTypes: Ingress\n", `line 8, column 16: spec.policyTypes: want a list, each entry of which begins with "- ", not text (Ingress)`},
		{"ingress as fields", head + "spec:\n  podSelector: {}\n  ingress:\n    from: []\n", `line 8, column 3: spec.ingress: want a list, each entry of which begins with "- ", not fields`},
		{"port as a list", head + "spec:\n  ingress:\n  - ports:\n    - port: [80]\n", `line 9, column 7: spec.ingress[0].ports[0].port: want a port's number, or its name, not a list`},
		{"port as a fraction", head + "spec:\n  ingress:\n  - ports:\n    - port: 80.5\n", `line 9, column 13: spec.ingress[0].ports[0].port: want a port's number, or its name, not a fraction (80.5)`},
		{"port as true", head + "spec:\n  ingress:\n  - ports:\n    - port: true\n", `line 9, column 13: spec.ingress[0].ports[0].port: want a port's number, or its name, not true or false (true)`},
		{"port too large for its type", head + "spec:\n  ingress:\n  - ports:\n    - port: 8080808080\n", `line 9, column 13: spec.ingress[0].ports[0].port: the number 8080808080 is too large`},
		{"endPort as text", head + "spec:\n  ingress:\n  - ports:\n    - port: 80\n      endPort: \"90\"\n", `line 10, column 16: spec.ingress[0].ports[0].endPort: want a whole number, not text (90)`},
		{"protocol as a number", head + "spec:\n  ingress:\n  - ports:\n    - protocol: 6\n", `line 9, column 17: spec.ingress[0].ports[0].protocol: want text, not a whole number; write it in quotes: "6"`},

		// Several at once, in the order of the input.
		{"several", head + "spec:\n  podSelecter: {}\n---\nkind: [\n---\napiVersion: v1\nkind: Pod\n---\n" + strings.Replace(head, "production", "default", 1), `line 7, column 3: spec.podSelecter: spec has no field "podSelecter"; did you mean "podSelector"?
line 9, column 7: a bracket that is opened here is not closed
line 12, column 7: kind: this is a Pod; the lab takes only NetworkPolicies
line 18, column 14: metadata.namespace: default is not one of this lab's namespaces: production, development or monitoring`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policies, err := Parse([]byte(tt.src), inLab)
			if policies != nil {
				t.Errorf("policies came with the error")
			}
			var all *Error
			if !errors.As(err, &all) {
				t.Fatalf("got error %v, want a *policy.Error", err)
			}
			if got := err.Error(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestPoliciesKeepTheirSourceAndPlace(t *testing.T) {
	first := "# Nobody talks to anybody.\n" + head + "spec:\n  podSelector: {}\n"
	second := strings.Replace(head, "allow-web", "by-name", 1) + `spec:
  podSelector: {matchLabels: {"app": 'web'}}
  ingress:
  - ports:
    - port: http # A port may have a name,
    - {port: "metrics", protocol: UDP} # in quotes or without.
    - port: 8000
      endPort: 8100
`
	for name, input := range map[string]string{
		"one after the other": first + "---\n" + second,
		"markers everywhere":  "---\n---\n" + first + "--- # the next\n---\n" + second + "---\n",
		"end of a document":   first + "...\n---\n" + second + "...\n",
		"Windows":             strings.ReplaceAll(first+"---\n"+second, "\n", "\r\n"),
		"byte order mark":     "\ufeff" + first + "---\n" + second,
		"no last line end":    first + "---\n" + strings.TrimSuffix(second, "\n"),
		"blank lines":         "\n\n" + first + "\n\n---\n\n" + second + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(input), inLab)
			if err != nil || len(got) != 2 {
				t.Fatalf("got %d policies and the error %v", len(got), err)
			}
			for i, want := range []string{first, second} {
				if got[i].Source != want {
					t.Errorf("source %d:\n%q\nwant\n%q", i, got[i].Source, want)
				}
				lines := strings.Split(strings.TrimPrefix(input, "\ufeff"), "\n")
				if begin, _, _ := strings.Cut(want, "\n"); strings.TrimSuffix(lines[got[i].Line-1], "\r") != begin {
					t.Errorf("line %d is not the first of %q", got[i].Line, want)
				}
			}
			p := got[1]
			ports := p.Spec.Ingress[0].Ports
			if p.Name != "by-name" || p.Namespace != "production" || p.Spec.PodSelector.MatchLabels["app"] != "web" ||
				ports[0].Port.StrVal != "http" || ports[1].Port.StrVal != "metrics" || ports[2].Port.IntVal != 8000 || *ports[2].EndPort != 8100 {
				t.Errorf("got %+v", p.NetworkPolicy)
			}
		})
	}
}

func TestWhatKubectlTakesIsTaken(t *testing.T) {
	for name, src := range map[string]string{
		"JSON":                      `{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "production"}, "spec": {"podSelector": {}}}`,
		"as the API server prints":  strings.Replace(head, "metadata:\n", "metadata:\n  uid: 5b1c\n  resourceVersion: \"12\"\n  generation: 1\n  creationTimestamp: \"2026-01-02T15:04:05Z\"\n  managedFields:\n  - fieldsV1: {f:spec: {}}\n    manager: kubectl\n    operation: Update\n", 1) + "spec:\n  podSelector: {}\n",
		"creationTimestamp: null":   strings.Replace(head, "metadata:\n", "metadata:\n  creationTimestamp: null\n", 1),
		"empty fields":              head + "spec:\n  podSelector:\n  ingress:\n  egress: ~\n",
		"an anchor without aliases": head + "spec: &here\n  podSelector: {}\n",
		"markers in text":           strings.Replace(head, "metadata:\n", "metadata:\n  annotations:\n    note: |\n      ---\n      \ttext\n", 1),
		"no spec":                   head,
		"a name with dots":          strings.Replace(head, "allow-web", "allow.web.v2", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Parse([]byte(src), inLab); err != nil || len(got) != 1 {
				t.Fatalf("got %d policies and the error %v", len(got), err)
			}
		})
	}
}

func TestPositionFindsTheFieldOrTheNearestAround(t *testing.T) {
	got, err := Parse([]byte("# First.\n---\n"+head+`spec:
  podSelector:
    matchLabels:
      app: web
  ingress:
  - from:
    - ipBlock:
        cidr: 10.0.0.0/8
        except: [10.1.0.0/16]
    ports:
    - port: 80
    - protocol: SCTP
`), inLab)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]Position{
		"":                                          {3, 1},
		"metadata.name":                             {6, 9},
		"metadata.labels":                           {5, 1},
		"spec":                                      {8, 1},
		"spec.podSelector.matchLabels":              {10, 5},
		"spec.podSelector.matchLabels[app]":         {11, 12},
		"spec.podSelector.matchLabels[x]":           {10, 5},
		"spec.podSelector.matchLabels.app":          {10, 5},
		"spec.ingress[0]":                           {13, 5},
		"spec.ingress[0].from[0].ipBlock.cidr":      {15, 15},
		"spec.ingress[0].from[0].ipBlock.except[0]": {16, 18},
		"spec.ingress[0].ports[0].port":             {18, 13},
		"spec.ingress[0].ports[1].port":             {19, 7},
		"spec.ingress[7].ports[1].port":             {12, 3},
		"spec.egress[0].to":                         {8, 1},
		"nonsense]][[":                              {3, 1},
	} {
		if pos := got[0].Position(path); pos != want {
			t.Errorf("Position(%q) = %v, want %v", path, pos, want)
		}
	}
}

func TestAnInputThatIsWrongThroughoutHasAnEndOfProblems(t *testing.T) {
	_, err := Parse([]byte(head+"spec:\n  podSelector:\n    matchLabels:\n"+func() string {
		var b strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&b, "      l%d: %d\n", i, i)
		}
		return b.String()
	}()), inLab)
	var all *Error
	if !errors.As(err, &all) {
		t.Fatalf("got %v", err)
	}
	last := all.Problems[len(all.Problems)-1]
	if len(all.Problems) != maxProblems+1 || last.Message != "there are more problems than these 50; they are left out" {
		t.Errorf("%d problems, the last of which is %v", len(all.Problems), last)
	}
}

// FuzzParse proves that no input makes Parse panic, and that what it accepts
// can be read again from its own source.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		head + "spec:\n  podSelector: {}\n",
		head + "---\n" + head,
		"a: &a [x]\nb: *a\n",
		head + "spec:\n\tx",
		"kind: [",
		head + "spec:\n  ingress:\n  - from: [{podSelector: {matchLabels: {a: b}}}]\n    ports: [{port: 1e3}]\n",
		"--- x\n... y\n%YAML 1.2\n",
		"? [a]\n: {b: !!int 3}\n",
		"\"\\x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		policies, err := Parse(src, inLab)
		if err != nil {
			var all *Error
			if !errors.As(err, &all) || len(all.Problems) == 0 || policies != nil {
				t.Fatalf("error %v with %d policies", err, len(policies))
			}
			for _, p := range all.Problems {
				if p.Message == "" {
					t.Errorf("a problem without a message: %v", all.Problems)
				}
			}
			return
		}
		if len(policies) == 0 {
			t.Fatal("neither a policy nor an error")
		}
		for _, p := range policies {
			again, err := Parse([]byte(p.Source), inLab)
			if err != nil || len(again) != 1 || !reflect.DeepEqual(again[0].NetworkPolicy, p.NetworkPolicy) {
				t.Fatalf("read again from its source: %v\n%q", err, p.Source)
			}
			if !slices.Contains(namespaces, p.Namespace) || p.Name == "" {
				t.Errorf("accepted %s/%s", p.Namespace, p.Name)
			}
			if pos := p.Position("spec.ingress[0].from[1].x"); pos.Line < p.Line {
				t.Errorf("position %v lies before line %d", pos, p.Line)
			}
		}
	})
}
