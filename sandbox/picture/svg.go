package picture

import (
	"fmt"
	"html"
	"strings"
)

// svg writes the scene as an svg element. Colours, fonts and lines are the style
// sheet's, by class.
func (s *scene) svg(spec Spec, sentences []string) string {
	var b strings.Builder
	title, desc := "picture-"+spec.ID+"-title", "picture-"+spec.ID+"-desc"
	fmt.Fprintf(&b, `<svg class="picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="%s" aria-describedby="%s">`+"\n",
		s.width, s.height, s.width, s.height, title, desc)
	fmt.Fprintf(&b, "<title id=\"%s\">%s</title>\n<desc id=\"%s\">%s</desc>\n", title, html.EscapeString(spec.Caption), desc, html.EscapeString(strings.Join(sentences, " ")))
	for _, g := range s.groups {
		class := "pic-namespace"
		if g.outside {
			class += " outside"
		}
		box(&b, class, g.box, 8)
		text(&b, "pic-namespace-name", g.box.x+padding, g.box.y+15, g.name)
		for _, e := range g.ends {
			e.svg(&b)
		}
	}
	for _, f := range s.flows {
		f.svg(&b)
	}
	b.WriteString("</svg>")
	return b.String()
}

func (e *end) svg(b *strings.Builder) {
	class := "pic-pod"
	if e.hostNetwork {
		class += " host-network"
	}
	box(b, class, e.box, 10)
	x, y := e.box.x+padding, e.box.y+nameHeight
	text(b, "pic-name", x, y, e.name)
	for _, line := range e.small() {
		y += smallHeight
		words := strings.TrimLeft(line, " ")
		if words != line {
			fmt.Fprintf(b, `<path class="pic-shield" d="M%d %dl5 -2l5 2v4q0 4 -5 6q-5 -2 -5 -6z"/>`+"\n", x, y-8)
			text(b, "pic-detail", x+2*smallWidth, y, words)
			continue
		}
		text(b, "pic-detail", x, y, line)
	}
}

// svg draws an arrow where the flow is allowed, a dashed line that ends at a bar
// where it is not, and a line with no end of its own where that is the question.
func (f *flow) svg(b *strings.Builder) {
	class, tip := "blocked", 3
	switch {
	case f.verdict == asked:
		class, tip = "asked", 0
	case f.open():
		class, tip = "open", 8
	}
	from, to := f.from.box.x+f.from.box.w, f.to.box.x+f.to.box.w
	fmt.Fprintf(b, "<g class=\"pic-flow %s\">\n<path class=\"pic-line\" d=\"M%d %dH%dV%dH%d\"/>\n", class, from, f.fromY, f.laneX, f.toY, to+tip)
	switch {
	case f.verdict == asked:
		fmt.Fprintf(b, "<circle class=\"pic-asked\" cx=\"%d\" cy=\"%d\" r=\"4\"/>\n", to, f.toY)
	case f.open():
		fmt.Fprintf(b, "<path class=\"pic-tip\" d=\"M%d %dl9 -5v10z\"/>\n", to, f.toY)
	default:
		fmt.Fprintf(b, "<path class=\"pic-bar\" d=\"M%d %dv14\"/>\n", to+tip, f.toY-7)
	}
	fmt.Fprintf(b, "<circle class=\"pic-from\" cx=\"%d\" cy=\"%d\" r=\"3\"/>\n", from, f.fromY)
	box(b, "pic-label-ground", f.labelBox, 4)
	text(b, "pic-label", f.labelX+3, f.toY+4, f.label)
	b.WriteString("</g>\n")
}

func box(b *strings.Builder, class string, r rect, radius int) {
	fmt.Fprintf(b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\"/>\n", class, r.x, r.y, r.w, r.h, radius)
}

func text(b *strings.Builder, class string, x, y int, content string) {
	fmt.Fprintf(b, "<text class=\"%s\" x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, html.EscapeString(content))
}
