package picture

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// The sizes of a lab's picture beside those of layout.go.
const (
	channel    = 250 // between the two columns, where the lines are
	portOffset = 9   // from an end's middle: above it lines arrive, below it they leave
	groupGap   = 14
)

// Lab draws all of a topology: its pods, outside hosts and DNS service in the boxes of
// their namespaces, and a line from each source to each end that flows of it lead to.
// What becomes of them is not drawn. The page's script fills that in by class, so it
// finds with data-end whose an element is, with data-of whose a shield is, and with
// data-from and data-to between whom a line is. The same topology gives the same picture, to the byte.
func Lab(t *sandbox.Topology) string { return newLab(t).svg() }

func newLab(t *sandbox.Topology) *labPicture {
	p := &labPicture{ends: map[string]*labEnd{}}
	for _, ns := range t.Namespaces {
		for _, pod := range ns.Pods {
			p.add(t, ns.Name, ns.Name+"/"+pod.Name, false)
		}
	}
	for _, x := range t.External {
		p.add(t, "outside the cluster", x.Name, true)
	}
	p.add(t, sandbox.DNSNamespace, sandbox.DNSNamespace+"/"+sandbox.DNSName, false)
	seen := map[pair]bool{}
	for _, f := range t.Flows() {
		if between := (pair{f.From, f.To}); !seen[between] {
			seen[between] = true
			p.pairs = append(p.pairs, between)
		}
	}
	p.layOut()
	return p
}

type labPicture struct {
	groups        []*labGroup
	ends          map[string]*labEnd
	pairs         []pair
	width, height int
}

type labGroup struct {
	name    string
	outside bool
	ends    []*labEnd
	right   bool
	box     rect
}

type labEnd struct {
	end
	id    string
	right bool
}

// pair is a source and an end that flows lead to from it.
type pair struct{ from, to string }

func (p *labPicture) add(t *sandbox.Topology, group, id string, outside bool) {
	described, _ := describe(t, id)
	if n := len(p.groups); n == 0 || p.groups[n-1].name != group {
		p.groups = append(p.groups, &labGroup{name: group, outside: outside})
	}
	g := p.groups[len(p.groups)-1]
	e := &labEnd{end: *described, id: id}
	g.ends = append(g.ends, e)
	p.ends[id] = e
}

func (e *labEnd) height() int { return nameHeight + max(1, len(e.small()))*smallHeight + padding }

func (g *labGroup) height() int {
	h := nameHeight + padding/2 + padding
	for i, e := range g.ends {
		if i > 0 {
			h += gap
		}
		h += e.height()
	}
	return h
}

// layOut stands the namespaces in two columns of about the same height, with a channel
// between them that belongs to the lines alone. So no line crosses a box, whatever the
// topology.
func (p *labPicture) layOut() {
	inner := leastWidth
	total := 0
	for _, g := range p.groups {
		total += g.height()
		inner = max(inner, textWidth(g.name, smallWidth)+2*padding)
		for _, e := range g.ends {
			inner = max(inner, textWidth(e.name, nameWidth)+2*padding)
			for _, line := range e.small() {
				inner = max(inner, textWidth(line, smallWidth)+2*padding)
			}
		}
	}
	outer := inner + 2*padding
	left, least, above := 1, total, 0
	for i, g := range p.groups {
		above += g.height()
		if off := max(2*above-total, total-2*above); off < least {
			left, least = i+1, off
		}
	}
	tops := [2]int{margin, margin}
	for i, g := range p.groups {
		column, x := 0, margin
		if i >= left {
			column, x, g.right = 1, margin+outer+channel, true
		}
		g.box = rect{x, tops[column], outer, g.height()}
		y := g.box.y + nameHeight + padding/2
		for _, e := range g.ends {
			e.right = g.right
			e.box = rect{x + padding, y, inner, e.height()}
			y += e.box.h + gap
		}
		tops[column] += g.box.h + groupGap
	}
	p.width = 2*margin + 2*outer + channel
	p.height = max(tops[0], tops[1]) - groupGap + margin
}

// port is where lines arrive at the end, or leave it: at its inner side.
func (e *labEnd) port(arrive bool) (x, y int) {
	x, y = e.box.x+e.box.w, e.box.y+e.box.h/2
	if e.right {
		x = e.box.x
	}
	if arrive {
		return x, y - portOffset
	}
	return x, y + portOffset
}

// inward is 1 where the channel is to the right of the end, and -1 where it is to its left.
func (e *labEnd) inward() int {
	if e.right {
		return -1
	}
	return 1
}

const (
	tipLength = 7
	edge      = padding // from an end's side to that of its namespace
)

// line is the path from one end to another through the channel.
func (p *labPicture) line(between pair) (line, tip string) {
	from, to := p.ends[between.from], p.ends[between.to]
	x1, y1 := from.port(false)
	x2, y2 := to.port(true)
	bend := channel * 45 / 100
	if from.right == to.right {
		bend = min(channel*85/100, 36+max(y2-y1, y1-y2)*2/5)
	}
	bend += edge
	end := x2 + to.inward()*tipLength
	line = fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+from.inward()*bend, y1, x2+to.inward()*bend, y2, end, y2)
	return line, fmt.Sprintf("M%d %dl%d -4v8z", x2, y2, to.inward()*tipLength)
}

func (p *labPicture) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="picture lab-picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="group" aria-label="Who can reach whom">`+"\n", p.width, p.height, p.width, p.height)
	for _, g := range p.groups {
		class := "pic-namespace"
		if g.outside {
			class += " outside"
		}
		box(&b, class, g.box, 8)
		text(&b, "pic-namespace-name", g.box.x+padding, g.box.y+15, g.name)
	}
	for _, between := range p.pairs {
		line, tip := p.line(between)
		fmt.Fprintf(&b, `<g class="pic-pair" data-from="%s" data-to="%s"><path class="pic-line" d="%s"/><path class="pic-tip" d="%s"/></g>`+"\n",
			html.EscapeString(between.from), html.EscapeString(between.to), line, tip)
	}
	for _, g := range p.groups {
		for _, e := range g.ends {
			e.svg(&b, slices.ContainsFunc(p.pairs, func(q pair) bool { return q.from == e.id }))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// svg draws the end. A pod has a shield where lines arrive and one where they leave,
// which are shown where some policy isolates it in that direction. They stand beside the
// end's own element: each is a button by itself.
func (e *labEnd) svg(b *strings.Builder, isPod bool) {
	fmt.Fprintf(b, `<g class="pic-end" data-end="%s">`+"\n", html.EscapeString(e.id))
	e.end.svg(b)
	b.WriteString("</g>\n")
	if isPod && !e.hostNetwork {
		for _, arrive := range []bool{true, false} {
			class := "egress"
			if arrive {
				class = "ingress"
			}
			x, y := e.port(arrive)
			fmt.Fprintf(b, `<g class="pic-shield %s" data-of="%s"><path d="M%d %dl6 -2.5l6 2.5v5q0 5 -6 7.5q-6 -2.5 -6 -7.5z"/></g>`+"\n", class, html.EscapeString(e.id), x-6, y-5)
		}
	}
}
