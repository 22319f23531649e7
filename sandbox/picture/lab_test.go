package picture

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// labs are the lessons' topologies and one of many namespaces, to draw.
func labs(t *testing.T) map[string]*sandbox.Topology {
	t.Helper()
	files, err := filepath.Glob("../../lessons/content/*/topology.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("topologies: %v, %v", files, err)
	}
	texts := map[string]string{"one": topology, "crowd": crowd(12, 4)}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts[f] = string(src)
	}
	all := map[string]*sandbox.Topology{}
	for name, text := range texts {
		topo, err := sandbox.ParseTopology([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = topo
	}
	return all
}

// crowd is a topology of so many namespaces with so many pods each.
func crowd(namespaces, pods int) string {
	var b strings.Builder
	b.WriteString("name: crowd\nnamespaces:\n")
	for n := range namespaces {
		fmt.Fprintf(&b, "  - name: namespace-%d\n    pods:\n", n)
		for p := range pods {
			fmt.Fprintf(&b, "      - {name: pod-%d, labels: {app: a-name-that-is-rather-long-%d}, ports: [{port: 80}]}\n", p, p)
		}
	}
	return b.String()
}

func TestLab_draws_every_end_once_and_a_line_for_each_pair_that_has_flows(t *testing.T) {
	for name, topo := range labs(t) {
		want := map[string]bool{}
		for _, f := range topo.Flows() {
			want[f.From+">"+f.To] = true
		}
		var ends, lines []string
		d := xml.NewDecoder(strings.NewReader(Lab(topo)))
		for {
			token, err := d.Token()
			if token == nil {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			start, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			attr := map[string]string{}
			for _, a := range start.Attr {
				attr[a.Name.Local] = a.Value
				if a.Name.Local == "style" || a.Name.Local == "id" {
					t.Errorf("%s: %s has the attribute %s", name, start.Name.Local, a.Name.Local)
				}
			}
			switch attr["class"] {
			case "pic-end":
				ends = append(ends, attr["data-end"])
			case "pic-pair":
				lines = append(lines, attr["data-from"]+">"+attr["data-to"])
			}
		}
		wantEnds := append(topo.Sources(), sandbox.DNSNamespace+"/"+sandbox.DNSName)
		for _, x := range topo.External {
			wantEnds = append(wantEnds, x.Name)
		}
		slices.Sort(ends)
		slices.Sort(wantEnds)
		if !slices.Equal(ends, wantEnds) {
			t.Errorf("%s: ends %v, want %v", name, ends, wantEnds)
		}
		if len(lines) != len(want) {
			t.Errorf("%s: %d lines, want %d", name, len(lines), len(want))
		}
		for _, l := range lines {
			if !want[l] {
				t.Errorf("%s: a line %s, of no flow", name, l)
			}
			delete(want, l)
		}
	}
}

func TestLab_no_box_lies_on_another_and_the_lines_have_the_channel_to_themselves(t *testing.T) {
	for name, topo := range labs(t) {
		p := newLab(topo)
		left, right := 0, p.width
		for i, g := range p.groups {
			if g.box.x < 0 || g.box.x+g.box.w > p.width || g.box.y+g.box.h > p.height {
				t.Errorf("%s: %s is outside the picture", name, g.name)
			}
			for _, other := range p.groups[:i] {
				if g.box.overlaps(other.box) {
					t.Errorf("%s: %s lies on %s", name, g.name, other.name)
				}
			}
			for j, e := range g.ends {
				if e.box.x < g.box.x || e.box.x+e.box.w > g.box.x+g.box.w || e.box.y+e.box.h > g.box.y+g.box.h {
					t.Errorf("%s: %s is not in its group", name, e.id)
				}
				for _, other := range g.ends[:j] {
					if e.box.overlaps(other.box) {
						t.Errorf("%s: %s lies on %s", name, e.id, other.id)
					}
				}
			}
			if g.right {
				right = min(right, g.box.x)
			} else {
				left = max(left, g.box.x+g.box.w)
			}
		}
		if right-left < channel {
			t.Errorf("%s: the channel is %d wide, want %d", name, right-left, channel)
		}
		// A cubic curve stays within its four points.
		for _, between := range p.pairs {
			line, _ := p.line(between)
			var x [4]int
			var y [4]int
			if _, err := fmt.Sscanf(line, "M%d %dC%d %d %d %d %d %d", &x[0], &y[0], &x[1], &y[1], &x[2], &y[2], &x[3], &y[3]); err != nil {
				t.Fatal(err)
			}
			if slices.Min(x[:]) < left-edge || slices.Max(x[:]) > right+edge {
				t.Errorf("%s: the line from %s to %s leaves the channel: %s", name, between.from, between.to, line)
			}
		}
	}
}

func TestLab_the_same_topology_gives_the_same_picture(t *testing.T) {
	for name, topo := range labs(t) {
		if a, b := Lab(topo), Lab(topo); a != b {
			t.Errorf("%s: two pictures", name)
		}
	}
}
