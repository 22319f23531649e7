package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	networkingv1 "k8s.io/api/networking/v1"
)

// Edit puts a text in the place of a part of the input, from Position up to but
// without the end. Lines and columns are counted from 1, columns in characters.
type Edit struct {
	Position
	EndLine   int    `json:"endLine"`
	EndColumn int    `json:"endColumn"`
	Text      string `json:"text"`
}

// Fix is what can be done about a problem.
type Fix struct {
	// Title says what it does: "Write app: web".
	Title string `json:"title"`
	// Edits are of the text that the problem is in, none of them in another's part.
	Edits []Edit `json:"edits"`
}

func replace(r Range, text string) Edit { return Edit{r.From, r.To.Line, r.To.Column, text} }

func insert(at Position, text string) Edit { return replace(Range{at, at}, text) }

// block is a value's YAML over several lines, each behind an indent.
func block(v any, indent int) string { return indented(encode(nodeOf(v)), indent) }

func indented(text string, indent int) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+strings.Repeat(" ", indent))
}

// flow is a value's YAML on one line.
func flow(v any) string { return flowOf(nodeOf(v)) }

func flowOf(root *yaml.Node) string {
	var set func(n *yaml.Node)
	set = func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
			n.Style = yaml.FlowStyle
		}
		for _, c := range n.Content {
			set(c)
		}
	}
	set(root)
	return strings.TrimSpace(encode(root))
}

// onOneLine reports that a value is written on the line of its field: a text, a number,
// what is empty, or the list of directions.
func onOneLine(v any) bool { return isOnOneLine(v, nodeOf(v)) }

func isOnOneLine(v any, n *yaml.Node) bool {
	if _, ok := v.([]networkingv1.PolicyType); ok {
		return true
	}
	return n.Kind == yaml.ScalarNode || len(n.Content) == 0
}

// fieldText is a field with its value, as it is written in a column.
func fieldText(key string, v any, column int) string {
	n := nodeOf(v)
	switch {
	case isOnOneLine(v, n):
		return key + ": " + flowOf(n)
	case n.Kind == yaml.SequenceNode:
		return key + ":\n" + strings.Repeat(" ", column-1) + indented(encode(n), column-1)
	}
	return key + ":\n" + strings.Repeat(" ", column+1) + indented(encode(n), column+1)
}

// inFlow reports that a spot is inside of brackets.
func (w *written) inFlow(s spot) bool { return s.parent != nil && s.parent.Style&yaml.FlowStyle != 0 }

// SetValue writes another value for the field or entry with the path. There are no
// edits where it is not written.
func (p Policy) SetValue(fieldPath string, v any) []Edit {
	w := p.written
	s, ok := w.find(fieldPath)
	if !ok {
		return nil
	}
	whole := w.rangeOf(s)
	old := Range{w.start(s.value), whole.To}
	flowing := w.inFlow(s) || onOneLine(v) && s.value.Kind == yaml.ScalarNode
	switch {
	case s.key == nil && absent(s.value):
		return []Edit{insert(whole.To, " "+flow(v))}
	case s.key == nil && (flowing || s.value.Style&yaml.FlowStyle != 0 || onOneLine(v)):
		return []Edit{replace(old, flow(v))}
	case s.key == nil:
		return []Edit{replace(old, block(v, old.From.Column-1))}
	case flowing && !absent(s.value):
		return []Edit{replace(old, flow(v))}
	case s.value.Style&yaml.FlowStyle != 0 && len(s.value.Content) > 0:
		return []Edit{replace(old, flow(v))}
	case w.inFlow(s):
		return []Edit{insert(whole.To, " "+flow(v))}
	}
	// The whole of the field anew, but for its name.
	colon := w.end(s.key)
	text := fieldText("", v, whole.From.Column)
	return []Edit{replace(Range{colon, whole.To}, text)}
}

// Rename gives the field with the path another name; there are no edits where it is
// not written, or where there is one of that name already.
func (p Policy) Rename(fieldPath, key string) []Edit {
	w := p.written
	s, ok := w.find(fieldPath)
	if !ok || s.key == nil || lookup(s.parent, key) != nil {
		return nil
	}
	return []Edit{replace(Range{w.start(s.key), w.end(s.key)}, flow(key))}
}

// InsertField writes a field into the mapping with the path, behind the field after, or
// as the last where there is none such. Where the mapping has no value yet, it gets one.
// There are no edits where the mapping is not written, or has the field.
func (p Policy) InsertField(fieldPath, key string, v any, after string) []Edit {
	w := p.written
	s, ok := w.find(fieldPath)
	switch {
	case !ok:
		return nil
	case isNull(s.value):
		return p.SetValue(fieldPath, map[string]any{key: v})
	case s.value.Kind != yaml.MappingNode || lookup(s.value, key) != nil:
		return nil
	}
	n := s.value
	if n.Style&yaml.FlowStyle != 0 {
		end := w.end(n)
		end.Column--
		text := flow(map[string]any{key: v})
		text = text[1 : len(text)-1]
		if len(n.Content) > 0 {
			end, text = w.valueEnd(n, len(n.Content)-2), ", "+text
		}
		return []Edit{insert(end, text)}
	}
	behind := len(n.Content) - 2
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == after {
			behind = i
		}
	}
	column := n.Content[0].Column
	at := w.text.lineEnd(w.valueEnd(n, behind).Line)
	return []Edit{insert(at, "\n"+strings.Repeat(" ", column-1)+fieldText(key, v, column))}
}

// valueEnd is the end of a mapping's field, by the index of its key.
func (w *written) valueEnd(mapping *yaml.Node, i int) Position {
	return w.rangeOf(spot{key: mapping.Content[i], value: mapping.Content[i+1]}).To
}

// Append writes an entry behind the others of the list with the path. There are no
// edits where the list is not written.
func (p Policy) Append(fieldPath string, v any) []Edit {
	w := p.written
	s, ok := w.find(fieldPath)
	switch {
	case !ok:
		return nil
	case isNull(s.value) || s.value.Kind == yaml.SequenceNode && len(s.value.Content) == 0:
		return p.SetValue(fieldPath, []any{v})
	case s.value.Kind != yaml.SequenceNode:
		return nil
	}
	n := s.value
	last := w.rangeOf(spot{value: n.Content[len(n.Content)-1], parent: n}).To
	if n.Style&yaml.FlowStyle != 0 {
		return []Edit{insert(last, ", "+flow(v))}
	}
	indent := n.Column - 1
	return []Edit{insert(w.text.lineEnd(last.Line), "\n"+strings.Repeat(" ", indent)+"- "+block(v, indent+2))}
}

// Remove takes the field or the entry with the path away. What is around it stays, as
// an empty mapping or list where there is nothing else in it.
func (p Policy) Remove(fieldPath string) []Edit {
	w := p.written
	s, ok := w.find(fieldPath)
	if !ok || s.parent == nil {
		return nil
	}
	step := 1 // Nodes of one part.
	if s.key != nil {
		step = 2
	}
	i, n := s.index*step, s.parent
	part := func(i int) Range {
		if s.key != nil {
			return w.rangeOf(spot{key: n.Content[i], value: n.Content[i+1]})
		}
		return w.rangeOf(spot{value: n.Content[i]})
	}
	empty := "{}"
	if n.Kind == yaml.SequenceNode {
		empty = "[]"
	}
	switch whole := (Range{w.start(n), w.end(n)}); {
	case len(n.Content) == step && n.Style&yaml.FlowStyle != 0:
		return []Edit{replace(whole, empty)}
	case len(n.Content) == step:
		return w.emptied(n, whole, empty)
	case i+step < len(n.Content): // Up to the next one.
		from, to := part(i).From, part(i+step).From
		if n.Kind == yaml.SequenceNode && n.Style&yaml.FlowStyle == 0 {
			from, to = w.dash(from), w.dash(to)
		}
		return []Edit{replace(Range{from, to}, "")}
	default: // From the one before.
		return []Edit{replace(Range{part(i - step).To, part(i).To}, "")}
	}
}

// emptied writes what is left of a mapping or list over several lines that has nothing
// in it any more, on the line of its field.
func (w *written) emptied(n *yaml.Node, whole Range, empty string) []Edit {
	before := w.text.line(whole.From.Line)[:w.text.offset(whole.From)]
	if strings.Trim(before, " ") != "" { // Behind the dash of an entry.
		return []Edit{replace(whole, empty)}
	}
	for line := whole.From.Line - 1; line > 0; line-- {
		if c := content(w.text.line(line)); strings.HasSuffix(c, ":") || strings.HasSuffix(c, "-") {
			at := w.text.at(line, strings.Index(w.text.line(line), c)+len(c))
			return []Edit{replace(Range{at, whole.To}, " "+empty)}
		} else if c != "" {
			break
		}
	}
	return []Edit{replace(whole, empty)}
}

// dash is the place of the dash before an entry.
func (w *written) dash(at Position) Position {
	before := w.text.line(at.Line)[:w.text.offset(at)]
	if i := strings.LastIndexByte(before, '-'); i >= 0 {
		return w.text.at(at.Line, i)
	}
	return at
}

// Join makes one entry of the entry with the path and the one before it: the dash
// between them goes. There are no edits where they are not written so that this does it.
func (p Policy) Join(fieldPath string) []Edit {
	w := p.written
	s, ok := w.find(fieldPath)
	if !ok || s.parent == nil || s.parent.Kind != yaml.SequenceNode || s.index == 0 {
		return nil
	}
	first := s.parent.Content[s.index-1]
	for _, n := range []*yaml.Node{first, s.value, s.parent} {
		if n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 {
			return nil
		}
	}
	at := w.start(s.value)
	dash := w.dash(at)
	if first.Column != s.value.Column || dash.Line != at.Line || first.Kind != yaml.MappingNode || s.value.Kind != yaml.MappingNode {
		return nil
	}
	return []Edit{replace(Range{dash, Position{dash.Line, dash.Column + 1}}, " ")}
}

// AddPolicies writes policies behind everything else in the input.
func (p Policy) AddPolicies(policies ...networkingv1.NetworkPolicy) []Edit {
	if p.written == nil || len(policies) == 0 {
		return nil
	}
	var out strings.Builder
	for _, np := range policies {
		out.WriteString("\n---\n" + YAML(np))
	}
	return []Edit{insert(p.written.text.end(), strings.TrimRight(out.String(), "\n"))}
}

// Edited is the input after the edits.
func Edited(src string, edits []Edit) (string, error) {
	t := linesOf(src)
	sorted := slices.Clone(edits)
	slices.SortStableFunc(sorted, func(a, b Edit) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	var out strings.Builder
	at := Position{1, 1}
	copyTo := func(to Position) error {
		if to.Line < at.Line || to.Line == at.Line && to.Column < at.Column || to.Line > max(len(t), 1) {
			return fmt.Errorf("there is no place %d:%d behind %d:%d", to.Line, to.Column, at.Line, at.Column)
		}
		for ; at.Line < to.Line; at = (Position{at.Line + 1, 1}) {
			out.WriteString(t.line(at.Line)[t.offset(at):] + "\n")
		}
		out.WriteString(t.line(at.Line)[t.offset(at):t.offset(to)])
		at = to
		return nil
	}
	for _, e := range sorted {
		if err := copyTo(e.Position); err != nil {
			return "", err
		}
		out.WriteString(e.Text)
		if end := (Position{e.EndLine, e.EndColumn}); end.Line < at.Line || end.Line == at.Line && end.Column < at.Column {
			return "", fmt.Errorf("an edit ends before it begins, at %d:%d", end.Line, end.Column)
		} else {
			at = end
		}
	}
	err := copyTo(Position{len(t), len(t.line(len(t))) + 1})
	return out.String(), err
}
