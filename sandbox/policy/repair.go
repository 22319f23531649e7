package policy

import (
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// words are fixes that write one of the words in the place of what stands there.
func (t text) words(at Position, words ...string) []Fix {
	var out []Fix
	for _, w := range words[:min(len(words), maxFixes)] {
		out = append(out, Fix{"Write " + w, []Edit{replace(Range{at, t.tokenEnd(at)}, w)}})
	}
	return out
}

// maxFixes is how many fixes a problem has.
const maxFixes = 4

// offer adds fixes to the problem that was found last.
func (p *parser) offer(fixes ...Fix) {
	if n := len(p.problems); n > 0 {
		p.problems[n-1].Fixes = append(p.problems[n-1].Fixes, fixes...)
	}
}

// offer adds to the problem that was found last that one of the words may be written.
func (v *validator) offer(place string, words ...string) {
	w := v.policy.written
	if w == nil {
		return
	}
	// Only where the field itself is written, and on one line.
	if r, ok := v.policy.Range(place); ok && r.From.Line == r.To.Line {
		last := &v.problems[len(v.problems)-1]
		last.Fixes = append(last.Fixes, w.text.words(v.policy.Position(place), words...)...)
	}
}

// in is how a node's object stands in the input.
func (w *walker) in(root *yaml.Node) *written {
	return &written{root: root, offset: w.offset, text: w.parser.text}
}

// offerField offers to write a field into a mapping, with one of the values.
func (w *walker) offerField(mapping *yaml.Node, key, after string, values ...string) {
	p := Policy{written: w.in(mapping)}
	for _, v := range values[:min(len(values), maxFixes)] {
		if edits := p.InsertField("", key, v, after); edits != nil {
			w.parser.offer(Fix{"Write " + key + ": " + v, edits})
		}
	}
}

// offerName offers another name for a field, unless there is one of that name.
func (w *walker) offerName(mapping, key *yaml.Node, name string) {
	if lookup(mapping, name) == nil {
		w.parser.offer(w.parser.text.words(w.at(key), name)...)
	}
}

// offerRemoval offers to take a field away.
func (w *walker) offerRemoval(mapping, key *yaml.Node) {
	if edits := (Policy{written: w.in(mapping)}).Remove(key.Value); edits != nil && mapping.Kind == yaml.MappingNode {
		w.parser.offer(Fix{"Take " + short(key.Value) + " away", edits})
	}
}

// offerQuotes offers to make text of a value.
func (w *walker) offerQuotes(n *yaml.Node) {
	at := w.at(n)
	end := w.in(n).end(n)
	if end.Line == at.Line {
		w.parser.offer(Fix{"Write it in quotes", []Edit{replace(Range{at, end}, quoted(n.Value))}})
	}
}

// quoted is text in quotes.
func quoted(s string) string {
	if out, err := sigsyaml.Marshal(s); err == nil {
		if text := strings.TrimSpace(string(out)); strings.HasPrefix(text, `"`) || strings.HasPrefix(text, "'") {
			return text
		}
	}
	return `"` + s + `"`
}

// syntaxFixes are what can be done about a place at which a text stops being YAML. They
// are guesses by the line alone, as ExplainSyntax's are.
func (t text) syntaxFixes(at Position) []Fix {
	line := t.line(at.Line)
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	whole := func(text string) []Edit {
		return []Edit{replace(Range{Position{at.Line, 1}, t.at(at.Line, len(line))}, text)}
	}
	rest := line[len(indent):]
	switch {
	case strings.Contains(indent, "\t"):
		return []Fix{{"Write spaces in the place of tabs", t.untabbed()}}
	case strings.HasPrefix(rest, "```"):
		return []Fix{{"Take the line away", whole("")}}
	case strings.ContainsAny(line, "“”„‘’"):
		plain := strings.NewReplacer("“", `"`, "”", `"`, "„", `"`, "‘", "'", "’", "'")
		return []Fix{{"Write plain quotes", whole(plain.Replace(line))}}
	}
	if m := noSpaceDash.FindStringSubmatch(line); m != nil {
		return []Fix{{"Write - " + short(m[1]), whole(indent + "- " + rest[1:])}}
	}
	dash := ""
	c := rest
	if strings.HasPrefix(c, "- ") {
		dash, c = "- ", c[2:]
	}
	if m := noSpace.FindStringSubmatch(content(c)); m != nil {
		return []Fix{{"Write " + short(m[1]) + ": " + short(m[2]), whole(indent + dash + strings.Replace(c, ":", ": ", 1))}}
	}
	if m := starValue.FindStringSubmatchIndex(line); m != nil {
		value := content(line[m[2]:])
		return []Fix{{"Write it in quotes", whole(line[:m[2]] + `"` + value + `"` + line[m[2]+len(value):])}}
	}
	if fieldLike.MatchString(content(c)) && dash == "" {
		name, value, _ := strings.Cut(content(c), " ")
		return []Fix{{"Write " + withColon(content(c)), whole(strings.TrimRight(indent+name+": "+strings.TrimSpace(value), " "))}}
	}
	return nil
}

// untabbed writes two spaces for each tab that a line begins with.
func (t text) untabbed() []Edit {
	var out []Edit
	for i, line := range t {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if strings.Contains(indent, "\t") {
			r := Range{Position{i + 1, 1}, t.at(i+1, len(indent))}
			out = append(out, replace(r, strings.ReplaceAll(indent, "\t", "  ")))
		}
	}
	return out
}
