package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// ExplainSyntax finds where a document stops being YAML, and says what to do
// about it. The parser's own line is often that of the construct around the
// problem, so the place is found by trying: it is behind the longest beginning of
// the document that is YAML.
func ExplainSyntax(text string, err error) (Position, string) {
	lines := strings.Split(text, "\n")
	if anchor := unknownAnchor.FindStringSubmatch(err.Error()); anchor != nil {
		for i, l := range lines {
			if col := strings.Index(l, "*"+anchor[1]); col >= 0 {
				return Position{i + 1, col + 1}, fmt.Sprintf("the lab takes no YAML aliases (*%s); write the value out here", short(anchor[1]))
			}
		}
	}
	own := 0
	if m := reason.FindStringSubmatch(err.Error()); m != nil {
		own, _ = strconv.Atoi(m[2]) // 0 where it tells none.
	}
	bad := firstBadLine(lines, own)
	for i, l := range lines[:min(bad+1, len(lines))] {
		if indent := l[:len(l)-len(strings.TrimLeft(l, " \t"))]; strings.Contains(indent, "\t") {
			return Position{i + 1, strings.Index(indent, "\t") + 1}, "a tab is used to indent this line; YAML takes only spaces"
		}
	}
	here := lines[bad]
	pos := Position{bad + 1, indentOf(here) + 1}
	before := bad - 1
	for before >= 0 && content(lines[before]) == "" {
		before--
	}
	message := reason.ReplaceAllString(err.Error(), "")

	switch {
	case strings.Contains(message, "control characters"), strings.Contains(message, "invalid UTF-8"), strings.Contains(message, "invalid leading UTF-8"), strings.Contains(message, "invalid trailing UTF-8"):
		return pos, "there is a character here that is no text; type the line anew"
	case strings.Contains(message, "exceeded max depth"):
		return pos, "this is nested too deeply"
	case strings.HasPrefix(strings.TrimSpace(here), "```"):
		return pos, "a line of ``` is no part of the YAML; leave it out"
	case strings.HasPrefix(here, "%"):
		return pos, "a line that begins with % is not for people to write; leave it out"
	case strings.Contains(here, "{{"):
		return pos.upTo(here, strings.Index(here, "{{")), templated
	case strings.ContainsAny(here, "“”„‘’"):
		return pos.upTo(here, strings.IndexAny(here, "“”„‘’")), `the quotes here are not the plain ones (") that YAML knows; type them anew`
	case strings.Contains(message, "escape character"):
		return pos.upTo(here, strings.Index(here, `"`)), `in double quotes, a \ makes something else of what comes behind it; use single quotes`
	case strings.Contains(message, "quoted scalar"), strings.Contains(message, "end of stream") && strings.ContainsAny(here, `"'`):
		return pos.upTo(here, strings.IndexAny(here, `"'`)), "a quote that is opened here is not closed"
	case strings.Count(here, "[") > strings.Count(here, "]"), strings.Count(here, "{") > strings.Count(here, "}"):
		return pos.upTo(here, strings.LastIndexAny(here, "[{")), "a bracket that is opened here is not closed"
	case strings.Contains(message, "cannot start any token"):
		at := max(0, strings.IndexAny(here, "@`%"))
		return pos.upTo(here, at), fmt.Sprintf("a value cannot begin with %c; write it in quotes: %q", here[at], short(content(here[at:])))
	}
	if m := starValue.FindStringSubmatchIndex(here); m != nil {
		return pos.upTo(here, m[2]), fmt.Sprintf("a value cannot begin with *; write it in quotes: %q", short(content(here[m[2]:])))
	}
	if m := colonInValue.FindStringSubmatch(here); m != nil && strings.Contains(message, "mapping values") {
		if homes[m[1]] != "" || m[1] == "spec" || m[1] == "metadata" {
			return pos, fmt.Sprintf("there are two fields on this line; end it behind %s: and write %s on the next line, further in", short(m[1]), short(content(m[2])))
		}
		return pos, fmt.Sprintf("there are two colons here; if the second belongs to the value, write %s: %q", short(m[1]), short(content(m[2])))
	}
	if m := behindBrackets.FindStringSubmatchIndex(here); m != nil {
		return pos.upTo(here, m[2]), fmt.Sprintf("there is something behind the bracket that closes (%s); leave it out", short(here[m[2]:m[3]]))
	}
	if m := noSpaceDash.FindStringSubmatch(here); m != nil {
		return pos, fmt.Sprintf("a space is missing behind the dash: write - %s", short(m[1]))
	}
	// A field without its colon is often noticed only on the next line.
	for _, i := range []int{before, bad} {
		if i < 0 {
			continue
		}
		c := strings.TrimPrefix(content(lines[i]), "- ")
		at := Position{i + 1, indentOf(lines[i]) + 1}
		if m := noSpace.FindStringSubmatch(c); m != nil {
			return at, fmt.Sprintf("a space is missing behind the colon: write %s: %s", short(m[1]), short(m[2]))
		}
		if fieldLike.MatchString(c) && !isListEntry(lines[i]) {
			return at, fmt.Sprintf("a colon is missing here: write %s", withColon(c))
		}
	}
	if before >= 0 {
		c := content(lines[before])
		_, value, found := strings.Cut(c, ": ")
		switch {
		case found && value != "" && indentOf(here) > indentOf(lines[before]):
			return pos, fmt.Sprintf("this line is indented under line %d, which already has a value (%s); begin it in the same column as that line, or take the value away", before+1, short(strings.TrimSpace(value)))
		case strings.Contains(message, "'-' indicator"):
			return pos, `this line is where a list's next entry would be; begin it with "- ", or begin it in the column of the field that it belongs to`
		case isListEntry(here):
			return pos, `this entry's "- " begins in another column than the entries above it, or the line above it already has a value`
		}
		return pos, fmt.Sprintf("this line begins in column %d, which fits no line above it; begin it in the same column as the fields that it belongs with", indentOf(here)+1)
	}
	return pos, "this is not YAML: " + message
}

// templated says what a template is, and what makes policies of it.
const templated = "this is a template ({{ }}), which must be filled in first: paste what helm template prints"

var (
	reason        = regexp.MustCompile(`^yaml: (line (\d+): )?`)
	unknownAnchor = regexp.MustCompile(`unknown anchor '(.*)' referenced`)
	// A field and perhaps a value, without the colon that belongs between, and
	// without the space behind it.
	fieldLike = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*( [^:]+)?$`)
	// Values that YAML reads otherwise than they look.
	starValue      = regexp.MustCompile(`[:-]\s+(\*)`)
	colonInValue   = regexp.MustCompile(`^[\s-]*([A-Za-z][\w./-]*):\s+([^\s"'\[{].*:(?:\s.*)?)$`)
	behindBrackets = regexp.MustCompile(`:\s+(?:\{[^{}]*\}|\[[^\[\]]*\])\s*([^\s#].*)$`)
	noSpaceDash    = regexp.MustCompile(`^\s*-([A-Za-z]\S*)$`)
	noSpace        = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9]*):([^\s:]+)$`)
)

// upTo moves the position on to the line's byte with the index i, if there is one.
func (p Position) upTo(line string, i int) Position {
	if i >= 0 {
		p.Column = utf8.RuneCountInString(line[:i]) + 1
	}
	return p
}

// withColon puts a colon behind the first word.
func withColon(c string) string {
	name, value, _ := strings.Cut(c, " ")
	return strings.TrimSpace(short(name) + ": " + short(strings.TrimSpace(value)))
}

func isListEntry(line string) bool {
	c := strings.TrimSpace(line)
	return c == "-" || strings.HasPrefix(c, "- ")
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// firstBadLine is the index of the line behind the longest beginning that is YAML.
// Each beginning that is tried must be read, so of long documents only so much is
// tried as takes no longer than a moment; where that finds nothing, the parser's own
// line must do, from 1.
func firstBadLine(lines []string, own int) int {
	const most = 128 << 10 // Bytes to read in all.
	left := most
	good := func(n int) bool {
		text := strings.Join(lines[:n], "\n") + "\n"
		left -= len(text)
		return yaml.Unmarshal([]byte(text), new(yaml.Node)) == nil
	}
	size := 0
	for _, l := range lines {
		size += len(l) + 1
	}
	// From the end on: with an error in the middle, half of the lines are tried, each
	// with half of the text before it.
	if len(lines)*size/4 <= most {
		n := len(lines) - 1
		for n > 0 && !good(n) {
			n--
		}
		return n
	}
	// In a long document, a line behind which it goes wrong must do.
	lo, hi := 0, len(lines)
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		switch {
		case left < 0:
			return min(max(lo, own-1), hi-1)
		case good(mid):
			lo = mid
		default:
			hi = mid
		}
	}
	return lo
}
