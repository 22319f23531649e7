package picture

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Sizes are in the SVG's units, which are pixels where there is room for them. The
// widths of text are upper bounds for the fonts of the style sheet.
const (
	margin      = 6
	padding     = 9  // of a group around its ends, and of an end around its text
	gap         = 9  // between ends, and between groups
	nameHeight  = 17 // a line of an end's or a group's name
	smallHeight = 15 // a line of detail
	nameWidth   = 8  // of a character
	smallWidth  = 7
	labelWidth  = 9  // of a character of a label, which is bold
	slotHeight  = 20 // between two flows at one end
	laneWidth   = 12 // between two flows' vertical lines
	leastWidth  = 118
)

// layOut gives everything its place. The ends are one below the other. At its
// right side an end has a slot for each of its flows; a flow goes from its slot to
// the right into a lane of its own, along the lane, and back to the left to its
// slot at the other end, where its label is. The labels have a column of their own
// between the ends and the lanes, and slots have different heights, so no text
// lies on another or on a line that is not its own.
func (s *scene) layOut() {
	row := 0
	for _, g := range s.groups {
		for _, e := range g.ends {
			e.row = row
			row++
		}
	}
	s.assignLanes()
	for _, e := range s.ends {
		e.sortSlots()
	}

	endWidth := leastWidth
	for _, g := range s.groups {
		endWidth = max(endWidth, textWidth(g.name, smallWidth)+2*padding)
		for _, e := range g.ends {
			endWidth = max(endWidth, textWidth(e.name, nameWidth)+2*padding)
			for _, line := range e.small() {
				endWidth = max(endWidth, textWidth(line, smallWidth)+2*padding)
			}
		}
	}
	y := margin
	for _, g := range s.groups {
		g.box = rect{margin, y, endWidth + 2*padding, 0}
		y += nameHeight + padding/2
		for i, e := range g.ends {
			if i > 0 {
				y += gap
			}
			e.box = rect{margin + padding, y, endWidth, e.height()}
			e.placeSlots()
			y += e.box.h
		}
		y += padding
		g.box.h = y - g.box.y
		y += gap
	}
	s.height = y - gap + margin

	labelX := margin + endWidth + 2*padding + 8
	widest := 0
	for _, f := range s.flows {
		widest = max(widest, textWidth(f.label, labelWidth))
	}
	lanes := labelX + widest + 10
	s.width = margin + endWidth + 2*padding + margin
	for _, f := range s.flows {
		f.laneX = lanes + f.lane*laneWidth
		f.labelX = labelX
		f.labelBox = rect{labelX, f.toY - slotHeight/2 + 1, textWidth(f.label, labelWidth), slotHeight - 2}
		s.width = max(s.width, f.laneX+margin)
	}
}

// assignLanes gives short flows the inner lanes, so that few lines cross.
func (s *scene) assignLanes() {
	byLength := slices.Clone(s.flows)
	slices.SortStableFunc(byLength, func(a, b *flow) int { return cmp.Compare(a.span(), b.span()) })
	for i, f := range byLength {
		f.lane = i
		f.from.flows = append(f.from.flows, f)
		f.to.flows = append(f.to.flows, f)
	}
}

func (f *flow) span() int { return max(f.from.row-f.to.row, f.to.row-f.from.row) }

// sortSlots puts flows that go up above those that go down, and of each kind the
// innermost next to its direction, so that the lines of one end do not cross.
func (e *end) sortSlots() {
	key := func(f *flow) int {
		other := f.from.row + f.to.row - e.row
		if other < e.row {
			return f.lane - len(e.flows)*1000
		}
		return len(e.flows)*1000 - f.lane
	}
	slices.SortFunc(e.flows, func(a, b *flow) int { return cmp.Compare(key(a), key(b)) })
}

// small are the end's lines below its name.
func (e *end) small() []string {
	var lines []string
	if e.detail != "" {
		lines = append(lines, e.detail)
	}
	if e.hostNetwork {
		lines = append(lines, "the node's network")
	}
	if e.ingress || e.egress {
		lines = append(lines, e.shield())
	}
	return lines
}

// shield says in which directions the pod is isolated; a drawn shield stands in the
// place of the two spaces.
func (e *end) shield() string {
	switch {
	case e.ingress && e.egress:
		return "  isolated both ways"
	case e.ingress:
		return "  isolated: ingress"
	}
	return "  isolated: egress"
}

func (e *end) height() int {
	text := nameHeight + len(e.small())*smallHeight
	return max(text, len(e.flows)*slotHeight) + padding
}

func (e *end) placeSlots() {
	top := e.box.y + (e.box.h-len(e.flows)*slotHeight)/2
	for i, f := range e.flows {
		y := top + i*slotHeight + slotHeight/2
		if f.from == e {
			f.fromY = y
		} else {
			f.toY = y
		}
	}
}

func textWidth(text string, char int) int { return utf8.RuneCountInString(text) * char }

func (f *flow) open() bool { return f.verdict == probe.Open }
