package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

var update = flag.Bool("update", false, "write testdata/picture.svg anew")

const topology = `name: one
namespaces:
  - name: shop
    pods:
      - {name: web, labels: {app: web, tier: front}, ports: [{name: http, port: 8080}]}
      - {name: db, labels: {app: db}, ports: [{name: sql, port: 5432}, {name: stats, port: 8125, protocol: UDP}]}
    services:
      - {name: db, pod: db, ports: [{name: sql, port: 5432, targetPort: 5432}]}
  - name: ops
    pods:
      - {name: agent, labels: {app: agent}, hostNetwork: true, ports: [{name: m, port: 9100}]}
      - {name: shell}
external:
  - {name: internet, ports: [{name: https, port: 443}]}
`

const policies = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web-to-db
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: db
  policyTypes:
    - Ingress
  ingress:
    - from:
        - podSelector: {}
      ports:
        - port: 5432
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web-out
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes:
    - Egress
  egress:
    - to:
        - podSelector: {}
`

func load(t *testing.T) (*sandbox.Topology, []policy.Policy, map[string]sandbox.Flow) {
	t.Helper()
	topo, err := sandbox.ParseTopology([]byte(topology))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := policy.Parse([]byte(policies), policy.ParseOptions{Namespaces: topo.NamespaceNames()})
	if err != nil {
		t.Fatal(err)
	}
	flows := map[string]sandbox.Flow{}
	for _, f := range topo.Flows() {
		flows[f.ID] = f
	}
	return topo, parsed, flows
}

func example(t *testing.T) *Picture {
	t.Helper()
	topo, parsed, flows := load(t)
	spec := Spec{
		ID: "example", Caption: `Who reaches "db" & <why>`, Policies: parsed,
		Ends: []string{"shop/web", "shop/db", "ops/agent", "ops/shell", "kube-system/kube-dns", "internet"},
	}
	for _, id := range []string{
		"shop/web>shop/db:5432/TCP", "shop/web>shop/db:5432/TCP@name", "ops/shell>shop/db:8125/UDP",
		"shop/web>internet:443/TCP", "ops/shell>internet:443/TCP", "ops/shell>ops/agent:9100/TCP", "ops/shell>kube-system/kube-dns:53/UDP",
	} {
		f, ok := flows[id]
		if !ok {
			t.Fatalf("no flow %s", id)
		}
		spec.Flows = append(spec.Flows, f)
	}
	p, err := Draw(topo, spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestThe_picture_is_the_golden_one_byte_for_byte(t *testing.T) {
	const file = "testdata/picture.svg"
	got := example(t).SVG + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the picture differs from %s (-update writes it anew):\n%s", file, got)
	}
}

func TestThe_picture_is_well_formed_and_has_no_style_of_its_own(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(example(t).SVG))
	elements := map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
			for _, a := range start.Attr {
				if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("%s has the attribute %s", start.Name.Local, a.Name.Local)
				}
			}
		}
	}
	if elements["svg"] != 1 || elements["title"] != 1 || elements["desc"] != 1 || elements["style"]+elements["script"] != 0 {
		t.Errorf("elements: %v", elements)
	}
}

func TestThe_words_are_the_engines_and_symbol_and_word_tell_the_verdict(t *testing.T) {
	p := example(t)
	for i, want := range []string{
		"From shop/web to shop/db, port 5432/TCP. Allowed: shop/web-out allows db for egress of web, and shop/web-to-db allows web for ingress of db.",
		"From shop/web to shop/db by the name db, port 5432/TCP. The name is not found. Blocked: shop/web-out isolates web for egress and allows only pods of its own namespace shop; coredns-1 is in kube-system.",
		"From ops/shell to shop/db, port 8125/UDP. Blocked: shop/web-to-db isolates db for ingress and allows only pods of its own namespace shop; shell is in ops.",
		"From shop/web to internet, port 443/TCP. Blocked: shop/web-out isolates web for egress and allows only pods; internet is none, so only an ipBlock can allow it.",
		"From ops/shell to internet, port 443/TCP. Allowed: no policy isolates shell for egress, and internet is no pod, so no policy selects it.",
		"From ops/shell to ops/agent, port 9100/TCP. Allowed: no policy isolates shell for egress, and agent uses its node's network, so no policy selects it.",
		"From ops/shell to kube-system/kube-dns, port 53/UDP. Allowed: no policy isolates shell for egress or coredns-1 for ingress.",
	} {
		if p.Sentences[i] != want {
			t.Errorf("sentence %d:\n got %s\nwant %s", i, p.Sentences[i], want)
		}
	}
	for _, want := range []string{
		">✓ 5432 allowed<", ">✕ db:5432 no DNS<", ">✕ 8125/UDP blocked<", ">✕ 443 blocked<", ">isolated: ingress<", ">isolated: egress<", ">the node&#39;s network<",
		">Who reaches &#34;db&#34; &amp; &lt;why&gt;</title>",
	} {
		if !strings.Contains(p.SVG, want) {
			t.Errorf("the picture has no %s", want)
		}
	}
}

func TestWhat_cannot_be_drawn_is_said(t *testing.T) {
	topo, _, flows := load(t)
	flow := flows["shop/web>shop/db:5432/TCP"]
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"an end that is not there": {Spec{Ends: []string{"shop/nobody"}}, "shop/nobody is no pod and no outside host"},
		"an end twice":             {Spec{Ends: []string{"shop/web", "shop/web"}}, "shop/web is there twice"},
		"a flow from elsewhere":    {Spec{Ends: []string{"shop/db"}, Flows: []sandbox.Flow{flow}}, "shop/web is not among the picture's pods"},
		"a flow of no pod":         {Spec{Ends: []string{"shop/db"}, Flows: []sandbox.Flow{{From: "x/y", To: "shop/db"}}}, "there is no pod x/y"},
	} {
		if _, err := Draw(topo, c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

func (r rect) overlaps(q rect) bool {
	return r.x < q.x+q.w && q.x < r.x+r.w && r.y < q.y+q.h && q.y < r.y+r.h
}

func TestNothing_overlaps_whatever_is_drawn(t *testing.T) {
	topo, parsed, _ := load(t)
	all := topo.Flows()
	var ends []string
	ends = append(ends, topo.Sources()...)
	ends = append(ends, "kube-system/kube-dns", "internet")
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(ends), func(i, j int) { ends[i], ends[j] = ends[j], ends[i] })
		spec := Spec{ID: "x", Ends: ends, Policies: parsed}
		for range 1 + r.IntN(12) {
			spec.Flows = append(spec.Flows, all[r.IntN(len(all))])
		}
		s, err := newScene(topo, spec)
		if err != nil {
			t.Fatal(err)
		}
		s.layOut()
		if problem := s.overlap(); problem != "" {
			t.Fatalf("seed %d: %s", seed, problem)
		}
		a, err := Draw(topo, spec)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Draw(topo, spec)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal([]byte(a.SVG), []byte(b.SVG)) {
			t.Fatalf("seed %d: the same spec gives two pictures", seed)
		}
	}
}

// overlap says what lies on what, and must not.
func (s *scene) overlap() string {
	var boxes, labels []rect
	for i, g := range s.groups {
		for _, other := range s.groups[:i] {
			if g.box.overlaps(other.box) {
				return fmt.Sprintf("%s lies on %s", g.name, other.name)
			}
		}
		if g.box.x < 0 || g.box.y+g.box.h > s.height || g.box.x+g.box.w > s.width {
			return g.name + " is outside the picture"
		}
		for j, e := range g.ends {
			inside := e.box.x >= g.box.x && e.box.y >= g.box.y && e.box.x+e.box.w <= g.box.x+g.box.w && e.box.y+e.box.h <= g.box.y+g.box.h
			if !inside {
				return e.name + " is not in its group"
			}
			for _, other := range g.ends[:j] {
				if e.box.overlaps(other.box) {
					return fmt.Sprintf("%s lies on %s", e.name, other.name)
				}
			}
		}
		boxes = append(boxes, g.box)
	}
	lanes, heights := map[int]bool{}, map[int]bool{}
	for _, f := range s.flows {
		for _, q := range append(boxes, labels...) {
			if f.labelBox.overlaps(q) {
				return "the label " + f.label + " lies on something"
			}
		}
		labels = append(labels, f.labelBox)
		if lanes[f.laneX] || heights[f.fromY] || heights[f.toY] || f.fromY == f.toY {
			return "two flows share a line"
		}
		lanes[f.laneX], heights[f.fromY], heights[f.toY] = true, true, true
		if f.laneX > s.width {
			return "a lane is outside the picture"
		}
	}
	for _, f := range s.flows {
		for _, l := range labels {
			if f.laneX <= l.x+l.w {
				return "a lane goes through a label"
			}
		}
		for _, end := range []*end{f.from, f.to} {
			y := f.fromY
			if end == f.to {
				y = f.toY
			}
			if y <= end.box.y || y >= end.box.y+end.box.h {
				return "a flow misses " + end.name
			}
		}
	}
	return ""
}
