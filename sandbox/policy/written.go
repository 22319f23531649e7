package policy

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/netpol-lab/netpol-lab/sandbox/policy/place"
)

// text is an input, by lines without their ends.
type text []string

// written is how a policy stands in its input.
type written struct {
	root   *yaml.Node
	offset int // What to add to a line of the nodes.
	text   text
}

// Range is a part of the input, from one place up to but without another.
type Range struct {
	From Position `json:"from"`
	To   Position `json:"to"`
}

// Blank reports that the input has nothing but blank lines, comments and document
// markers.
func Blank(src []byte) bool {
	for line := range strings.Lines(strings.TrimPrefix(string(src), "\ufeff")) {
		if c := content(line); c != "" && c != "---" && c != "..." {
			return false
		}
	}
	return true
}

// line is the line of that number, from 1; "" where there is none.
func (t text) line(n int) string {
	if n < 1 || n > len(t) {
		return ""
	}
	return t[n-1]
}

// offset is the byte of the line at which the place is.
func (t text) offset(at Position) int {
	line, i := t.line(at.Line), 0
	for range at.Column - 1 {
		if i >= len(line) {
			break
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		i += size
	}
	return i
}

// at is the place of a line's byte.
func (t text) at(line, offset int) Position {
	return Position{line, utf8.RuneCountInString(t.line(line)[:offset]) + 1}
}

// lineEnd is the place behind the last character of a line that is no blank.
func (t text) lineEnd(line int) Position {
	return t.at(line, len(strings.TrimRight(t.line(line), " \t")))
}

// end is the place behind all that is written.
func (t text) end() Position {
	for n := len(t); n > 0; n-- {
		if strings.TrimSpace(t[n-1]) != "" {
			return t.lineEnd(n)
		}
	}
	return Position{1, 1}
}

// tokenEnd is the end of the word, the text in quotes or the brackets that begin at the
// place, all on its line; of nothing, one character behind it.
func (t text) tokenEnd(at Position) Position {
	line, i := t.line(at.Line), t.offset(at)
	if at.Line < 1 || i >= len(line) {
		return Position{at.Line, at.Column + 1}
	}
	rest := line[i:]
	n := 0
	switch rest[0] {
	case '"', '\'', '[', '{':
		if end := t.closing(at); end.Line == at.Line {
			return end
		}
		n = 1
	default:
		for n < len(rest) {
			if strings.ContainsRune(",]}", rune(rest[n])) && n > 0 || rest[n] == ':' && endsToken(rest, n) && n > 0 || strings.HasPrefix(rest[n:], " #") {
				break
			}
			n++
		}
		n = max(1, len(strings.TrimRight(rest[:n], " \t")))
		for n < len(rest) && !utf8.RuneStart(rest[n]) {
			n++
		}
	}
	return t.at(at.Line, i+n)
}

// closing is the place behind the quote or bracket that closes the one at the place; the
// end of the text where none does.
func (t text) closing(at Position) Position {
	depth, quote := 0, byte(0)
	for n, i := at.Line, t.offset(at); n <= len(t); n, i = n+1, 0 {
		line := t[n-1]
		for ; i < len(line); i++ {
			c := line[i]
			switch {
			case quote == '"' && c == '\\':
				i++
			case quote == '\'' && c == '\'' && i+1 < len(line) && line[i+1] == '\'':
				i++
			case quote != 0 && c == quote:
				if quote = 0; depth == 0 {
					return t.at(n, i+1)
				}
			case quote != 0:
			case c == '"' || c == '\'':
				// In the middle of a word, it is a character like any other.
				if i == 0 || strings.IndexByte(" \t,[]{}:", line[i-1]) >= 0 {
					quote = c
				}
			case c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
				i = len(line)
			case c == '[' || c == '{':
				depth++
			case c == ']' || c == '}':
				if depth--; depth == 0 {
					return t.at(n, i+1)
				}
			}
		}
	}
	return t.end()
}

// start is where a node begins.
func (w *written) start(n *yaml.Node) Position { return Position{n.Line + w.offset, n.Column} }

// end is the place behind a node's last character; comments are not part of it.
func (w *written) end(n *yaml.Node) Position {
	start := w.start(n)
	switch {
	case n.Kind == yaml.ScalarNode:
		return w.scalarEnd(n)
	case n.Style&yaml.FlowStyle != 0:
		return w.text.closing(start)
	case len(n.Content) == 0:
		return start
	}
	last := n.Content[len(n.Content)-1]
	if absent(last) {
		if n.Kind == yaml.MappingNode { // Behind the colon.
			key := w.end(n.Content[len(n.Content)-2])
			return Position{key.Line, key.Column + 1}
		}
		return w.dashEnd(last)
	}
	return w.end(last)
}

// absent reports that nothing is written where the value would be.
func absent(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

// dashEnd is the place behind the dash of an entry without a value.
func (w *written) dashEnd(n *yaml.Node) Position {
	at := w.start(n)
	line := w.text.line(at.Line)
	if i := strings.LastIndexByte(line[:w.text.offset(at)], '-'); i >= 0 {
		return w.text.at(at.Line, i+1)
	}
	return at
}

func (w *written) scalarEnd(n *yaml.Node) Position {
	at := w.start(n)
	switch {
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		return w.text.closing(at)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		// Up to the last line that is further in than the first is.
		indent, last := 0, at.Line
		for n := at.Line + 1; n <= len(w.text); n++ {
			line := w.text.line(n)
			if strings.TrimSpace(line) == "" {
				continue
			}
			if indent == 0 {
				indent = indentOf(line)
			}
			if indentOf(line) < indent || indent == 0 {
				break
			}
			last = n
		}
		return w.text.lineEnd(last)
	case absent(n):
		return at
	}
	// A plain value may go on over several lines.
	line, i := at.Line, w.text.offset(at)
	for _, word := range strings.Fields(n.Value) {
		for {
			j := strings.Index(w.text.line(line)[i:], word)
			if j >= 0 {
				i += j + len(word)
				break
			}
			if line++; line > len(w.text) {
				return at
			}
			i = 0
		}
	}
	return w.text.at(line, i)
}

// spot is a part of a policy as it is written: a field of a mapping, an entry of a
// list, or the whole.
type spot struct {
	key, value *yaml.Node // key is nil but for a field.
	parent     *yaml.Node // nil for the whole.
	index      int        // In the parent, of an entry or of a field.
}

// find follows a field's path, "spec.ingress[0].from[0].podSelector.matchLabels[app]".
func (w *written) find(path string) (spot, bool) {
	if w == nil {
		return spot{}, false
	}
	at := spot{value: w.root}
	for _, step := range place.Steps(path) {
		name := step.(string) // as all steps of a path are
		next := spot{parent: at.value}
		switch at.value.Kind {
		case yaml.SequenceNode:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at.value.Content) {
				return spot{}, false
			}
			next.index, next.value = i, at.value.Content[i]
		case yaml.MappingNode:
			for i := 0; i+1 < len(at.value.Content); i += 2 {
				if at.value.Content[i].Value == name {
					next.index, next.key, next.value = i/2, at.value.Content[i], at.value.Content[i+1]
					break
				}
			}
		}
		if next.value == nil {
			return spot{}, false
		}
		at = next
	}
	return at, true
}

// rangeOf is the whole of a field with its name, or of an entry.
func (w *written) rangeOf(s spot) Range {
	from := w.start(s.value)
	if s.key != nil {
		from = w.start(s.key)
	}
	to := w.end(s.value)
	if absent(s.value) {
		if s.key == nil {
			return Range{w.dashEnd(s.value), w.dashEnd(s.value)}
		}
		to = w.end(s.key)
		to.Column++ // The colon.
	}
	return Range{from, to}
}

// Range is where the field or entry with the path stands in the input, spelled as
// for [Policy.Position]; false where it is not written, or where the policy was not read
// from a text.
func (p Policy) Range(fieldPath string) (Range, bool) {
	s, ok := p.written.find(fieldPath)
	if !ok {
		return Range{}, false
	}
	return p.written.rangeOf(s), true
}

// TokenEnd is the end of the word or the brackets that begin at the place, on its line.
func (p Policy) TokenEnd(at Position) Position {
	if p.written == nil {
		return at
	}
	return p.written.text.tokenEnd(at)
}

// EndLine is the last line of the policy in the input; Line where that is not known.
func (p Policy) EndLine() int {
	if p.written == nil {
		return p.Line
	}
	return p.written.end(p.written.root).Line
}

// linesOf cuts an input into lines.
func linesOf(src string) text {
	lines := strings.Split(src, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\r")
	}
	return slices.Clip(lines)
}
