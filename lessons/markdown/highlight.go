package markdown

import (
	"html"
	"strings"
)

// HighlightYAML is the YAML as HTML, in spans that pages draw in the editor's colours:
// y-k are keys, y-v values, y-c comments and y-p what stands between. Its text is src
// and nothing else. It goes line by line, which is right for policies; a line that it
// takes for another thing is only drawn in another colour.
func HighlightYAML(src string) string {
	var b strings.Builder
	for rest := src; rest != ""; {
		line, after, more := strings.Cut(rest, "\n")
		highlightLine(&b, line)
		if more {
			b.WriteByte('\n')
		}
		rest = after
	}
	return b.String()
}

func highlightLine(b *strings.Builder, line string) {
	inFlow := 0 // how many brackets are open
	atKey := true
	for line != "" {
		n := 1
		switch c := line[0]; {
		case c == ' ' || c == '\t':
			b.WriteByte(c)
			line = line[1:]
			continue
		case c == '#':
			span(b, "y-c", line)
			return
		case line == "---" || atKey && (line == "-" || strings.HasPrefix(line, "- ")):
			if line == "---" {
				n = len(line)
			}
			span(b, "y-p", line[:n])
			line = line[n:]
			continue
		case strings.IndexByte("[]{},", c) >= 0:
			switch c {
			case '[', '{':
				inFlow++
			case ']', '}':
				inFlow--
			}
			span(b, "y-p", line[:1])
			atKey = inFlow > 0
			line = line[1:]
			continue
		case c == '"' || c == '\'':
			if end := strings.IndexByte(line[1:], c); end >= 0 {
				n = end + 2
			} else {
				n = len(line)
			}
		default:
			n = wordEnd(line, inFlow > 0)
		}
		word := line[:n]
		line = line[n:]
		switch {
		case atKey && (line == ":" || strings.HasPrefix(line, ": ")):
			span(b, "y-k", word)
			span(b, "y-p", ":")
			line = line[1:]
		default:
			span(b, "y-v", word)
		}
		atKey = false
	}
}

// wordEnd is where the word that the line begins with ends: before its colon, its
// comment, or in a flow its bracket or comma.
func wordEnd(line string, flow bool) int {
	for i := 0; i < len(line); i++ {
		switch {
		case flow && strings.IndexByte("[]{},", line[i]) >= 0,
			line[i] == ':' && (i+1 == len(line) || line[i+1] == ' '),
			strings.HasPrefix(line[i:], " #"):
			return max(i, 1)
		}
	}
	return len(line)
}

func span(b *strings.Builder, class, text string) {
	b.WriteString(`<span class="`)
	b.WriteString(class)
	b.WriteString(`">`)
	b.WriteString(html.EscapeString(text))
	b.WriteString(`</span>`)
}
