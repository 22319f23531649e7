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
