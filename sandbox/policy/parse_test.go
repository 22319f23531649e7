package policy

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	sigsyaml "sigs.k8s.io/yaml"
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

func TestPolicies_keep_their_source_and_place(t *testing.T) {
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

func TestWhat_kubectl_takes_is_taken(t *testing.T) {
	for name, src := range map[string]string{
		"JSON":                      `{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "production"}, "spec": {"podSelector": {}}}`,
		"as the API server prints":  strings.Replace(head, "metadata:\n", "metadata:\n  uid: 5b1c\n  resourceVersion: \"12\"\n  generation: 1\n  creationTimestamp: \"2026-01-02T15:04:05Z\"\n  managedFields:\n  - fieldsV1: {f:spec: {}}\n    manager: kubectl\n    operation: Update\n", 1) + "spec:\n  podSelector: {}\n",
		"creationTimestamp: null":   strings.Replace(head, "metadata:\n", "metadata:\n  creationTimestamp: null\n", 1),
		"empty fields":              head + "spec:\n  podSelector:\n  ingress:\n  egress: ~\n",
		"an anchor without aliases": head + "spec: &here\n  podSelector: {}\n",
		"markers in text":           strings.Replace(head, "metadata:\n", "metadata:\n  annotations:\n    note: |\n      ---\n      \ttext\n", 1),
		"no spec":                   head,
		"a date as a name":          strings.Replace(head, "allow-web", "2026-01-02", 1),
		"a name with dots":          strings.Replace(head, "allow-web", "allow.web.v2", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Parse([]byte(src), inLab); err != nil || len(got) != 1 {
				t.Fatalf("got %d policies and the error %v", len(got), err)
			}
		})
	}
}

func TestPosition_finds_the_field_or_the_nearest_around(t *testing.T) {
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

func TestAn_input_that_is_wrong_throughout_has_an_end_of_problems(t *testing.T) {
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

func TestOptions_say_which_namespaces_a_policy_may_be_for(t *testing.T) {
	without := strings.Replace(head, "  namespace: production\n", "", 1)
	system := strings.Replace(head, "production", "kube-system", 1)
	bad := strings.Replace(head, "production", "Not.A.Namespace", 1)
	for _, tt := range []struct {
		name, src string
		opts      ParseOptions
		namespace string
		problem   string
	}{
		{"any", system, ParseOptions{}, "kube-system", ""},
		{"any must be named", without, ParseOptions{}, "", "line 3, column 1: metadata.namespace: say which namespace the policy is for, such as namespace: default"},
		{"any needs metadata", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n", ParseOptions{}, "", "line 1, column 1: metadata: the field is missing: write metadata: and under it the policy's name and its namespace"},
		{"any must be a name", bad, ParseOptions{}, "", `line 5, column 14: metadata.namespace: "Not.A.Namespace" cannot be the name of a namespace: use lower-case letters, digits and - only, with a letter or digit at both ends, at most 63 characters`},
		{"none", head, ParseOptions{Namespaces: []string{}}, "", "line 5, column 14: metadata.namespace: production is not one of this lab's namespaces: "},
		{"the default", without, ParseOptions{DefaultNamespace: "default"}, "default", ""},
		{"the default is for those without", head, ParseOptions{DefaultNamespace: "default"}, "production", ""},
		{"the default must be allowed", without, ParseOptions{Namespaces: namespaces, DefaultNamespace: "default"}, "", "line 3, column 1: metadata.namespace: default is not one of this lab's namespaces: production, development or monitoring"},
		{"the default is the same namespace", without + "---\n" + head, ParseOptions{DefaultNamespace: "production"}, "", "line 9, column 9: metadata.name: the policy production/allow-web is here twice; the first is on line 1"},
		{"the default in a List", "apiVersion: v1\nkind: List\nitems: [{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}}]\n", ParseOptions{DefaultNamespace: "default"}, "default", ""},
		{"beside other problems", without + "spec: {x: 1}\n", ParseOptions{DefaultNamespace: "default"}, "", `line 5, column 8: spec.x: spec has no field "x"; the fields here are podSelector, ingress, egress, policyTypes`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.src), tt.opts)
			if tt.problem != "" {
				if err == nil || err.Error() != tt.problem {
					t.Errorf("got the error\n%v\nwant\n%s", err, tt.problem)
				}
				return
			}
			if err != nil || len(got) != 1 || got[0].Namespace != tt.namespace {
				t.Errorf("got %+v and the error %v", got, err)
			}
		})
	}
}

func TestOptions_say_how_long_an_input_may_be(t *testing.T) {
	src := []byte(head)
	if _, err := Parse(src, ParseOptions{MaxBytes: len(src)}); err != nil {
		t.Errorf("as long as it may be: %v", err)
	}
	want := "line 1, column 1: this is 1 KiB of YAML; the lab takes at most 1 KiB at once"
	if _, err := Parse(src, ParseOptions{MaxBytes: len(src) - 1}); err == nil || err.Error() != want {
		t.Errorf("a byte longer: got %v, want %s", err, want)
	}
	long := head + "# " + strings.Repeat("x", MaxBytes) + "\n"
	if _, err := Parse([]byte(long), ParseOptions{MaxBytes: 1 << 20}); err != nil {
		t.Errorf("longer than the lab takes: %v", err)
	}
}

// What unfolds without end costs nothing: ten times ten times ... entries, and
// an anchor that holds itself.
func TestAliases_are_refused_and_never_followed(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString(head + "spec:\n  podSelector: {}\n  l0: &l0 lol\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&laughs, "  l%d: &l%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	for name, src := range map[string]string{
		"billion laughs": laughs.String(),
		"cycle":          head + "spec: &a\n  podSelector: *a\n",
		"merged cycle":   head + "spec: &a\n  <<: *a\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Parse([]byte(src), inLab)
			runtime.ReadMemStats(&after)
			var all *Error
			if !errors.As(err, &all) || len(all.Problems) > maxProblems+1 || len(err.Error()) > 10_000 {
				t.Errorf("got %v", err)
			}
			for _, p := range all.Problems {
				if !strings.Contains(p.Message, "takes no YAML") && !strings.Contains(p.Message, "left out") {
					t.Errorf("got %v", p)
				}
			}
			if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 10<<20 {
				t.Errorf("took %d bytes of memory", bytes)
			}
		})
	}
}

// What the walk knows nothing of, kubectl's own words are for.
func TestWhat_only_the_decoder_refuses_is_a_problem(t *testing.T) {
	for _, src := range []string{
		strings.Replace(head, "metadata:\n", "metadata:\n  creationTimestamp: yesterday\n", 1),
		head + "spec:\n  podSelector:\n    matchLabels: {1: a, 0x1: b}\n",
		"apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.Replace(head, "metadata:\n", "metadata:\n  creationTimestamp: yesterday\n", 1), "\n", "\n  "),
	} {
		_, err := Parse([]byte(src), inLab)
		var all *Error
		if !errors.As(err, &all) || len(all.Problems) != 1 || all.Problems[0].Line == 0 || !strings.Contains(all.Problems[0].Message, "cannot be read: ") {
			t.Errorf("got %v for\n%s", err, src)
		}
	}
}

// FuzzParse proves that no input makes Parse panic, and that what it accepts is
// what sigs.k8s.io/yaml reads, as kubectl does, and what Validate accepts.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		head + "spec:\n  podSelector: {}\n",
		head + "---\n" + head,
		"a: &a [x]\nb: *a\n",
		head + "spec:\n\tx",
		"kind: [",
		head + "spec:\n  ingress:\n  - from: [{podSelector: {matchLabels: {a: b}}}]\n    ports: [{port: 1e3}]\n",
		head + "spec:\n  egress:\n  - to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]\n    ports: [{port: 80, endPort: 90, protocol: UDP}]\n  policyTypes: [Egress]\n",
		head + "spec:\n  podSelector: {matchExpressions: [{key: a, operator: In, values: [b]}, {key: c, operator: Exists}]}\n",
		head + "spec:\n  podSelector: {<<: {matchLabels: {}}}\n  ingress: [{ports: [{port: 70000}]}, {x: y}]\n",
		asKubectlPrints,
		"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nitems: [{metadata: {name: a, namespace: production}}]\n",
		"--- x\n... y\n%YAML 1.2\n",
		"? [a]\n: {b: !!int 3}\n",
		"\"\\x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		anywhere := ParseOptions{DefaultNamespace: "default"}
		policies, err := Parse(src, anywhere)
		inLabs, inLabErr := Parse(src, inLab)
		if inLabErr == nil && (err != nil || !reflect.DeepEqual(inLabs, policies)) {
			t.Fatalf("taken for the lab, and not, or otherwise, for any namespace: %v", err)
		}
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
		for _, p := range policies {
			var decoded networkingv1.NetworkPolicy
			if err := sigsyaml.UnmarshalStrict([]byte(p.Source), &decoded); err != nil {
				t.Fatalf("kubectl would refuse it: %v\n%q", err, p.Source)
			}
			if decoded.Namespace == "" {
				decoded.Namespace = anywhere.DefaultNamespace
			}
			if !reflect.DeepEqual(decoded, p.NetworkPolicy) {
				t.Fatalf("read as\n%+v\nand not as\n%+v\n%q", p.NetworkPolicy, decoded, p.Source)
			}
			again, err := Parse([]byte(p.Source), anywhere)
			if err != nil || len(again) != 1 || !reflect.DeepEqual(again[0].NetworkPolicy, p.NetworkPolicy) {
				t.Fatalf("read again from its source: %v\n%q", err, p.Source)
			}
			if problems := Validate(p); len(problems) > 0 {
				t.Errorf("taken with the problems %v", problems)
			}
			if pos := p.Position("spec.ingress[0].from[1].x"); pos.Line < p.Line {
				t.Errorf("position %v lies before line %d", pos, p.Line)
			}
		}
		for _, p := range inLabs {
			if !slices.Contains(namespaces, p.Namespace) {
				t.Errorf("taken for the namespace %s", p.Namespace)
			}
		}
	})
}
