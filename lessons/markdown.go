package lessons

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
)

var lessonText = markdown.New(parser.WithAutoHeadingID(), parser.WithBlockParsers(util.Prioritized(directives{}, 50)))

// readText renders the text that begins at the offset from, and collects its
// sections and snippets. What a lesson must not have is an error with the file's
// line.
func (l *Lesson) readText(file string, src []byte, from int, parts *parts) (errs []error) {
	body := src[from:]
	bad := func(offset int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %s", file, lineOf(src, from+offset), fmt.Sprintf(format, args...)))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		bad(0, "the lesson has no text")
		return errs
	}
	doc := lessonText.Parser().Parse(text.NewReader(body))
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.HTMLBlock:
			bad(n.Lines().At(0).Start, "HTML is not allowed in a lesson")
		case *ast.RawHTML:
			bad(n.Segments.At(0).Start, "HTML is not allowed in a lesson")
		case *ast.Heading:
			if n.Level == 1 {
				bad(offsetOf(n), "the title is in the front matter: begin headings with ##")
			}
		case *ast.FencedCodeBlock:
			if n.Lines().Len() == 0 {
				break
			}
			snippet := Snippet{Line: lineOf(src, from+n.Lines().At(0).Start), YAML: string(n.Lines().Value(body))}
			switch {
			case markdown.IsYAML(n, body):
				l.Snippets = append(l.Snippets, snippet)
				if err := l.appliable(file, snippet); err != nil {
					errs = append(errs, err)
				}
			case markdown.IsWrongYAML(n, body) && l.appliable(file, snippet) == nil:
				bad(n.Lines().At(0).Start, "this block is marked as wrong, and can be applied")
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return append(errs, fmt.Errorf("%s: %w", file, err))
	}

	if offset, err := markdown.Unshowable(doc, body); err != nil {
		bad(offset, "%v", err)
	}

	section := &Section{}
	var answer *Answered // that the text is in
	answerAt := 0
	blocks := func() *[]Block {
		if answer != nil {
			return &answer.Blocks
		}
		return &section.Blocks
	}
	flush := func() {
		if answer != nil {
			bad(answerAt, "has no end in its section: want a line :::end")
			answer = nil
		}
		if len(section.Blocks) > 0 || section.Title != "" {
			l.Sections = append(l.Sections, *section)
		}
	}
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 2 {
				flush()
				section = &Section{Title: plainText(n, body)}
				if id, ok := n.AttributeString("id"); ok {
					section.ID = string(id.([]byte))
				}
				continue
			}
		case *directive:
			switch {
			case n.name == "answer" && answer != nil:
				bad(n.offset, ":::answer within another: want a line :::end before it")
			case n.name == "answer":
				var e *Exercise
				if n.argument != "" {
					if e, err = predicted(parts.exercises, n.argument); err != nil {
						bad(n.offset, "%v", err)
					}
				}
				answer, answerAt = &Answered{Exercise: e}, n.offset
				section.Blocks = append(section.Blocks, Block{Answer: answer})
			case n.name == "end" && answer == nil:
				bad(n.offset, ":::end ends nothing: want a line :::answer EXERCISE before it")
			case n.name == "end":
				answer = nil
			case n.name == "exercise" && answer != nil:
				bad(n.offset, "an exercise cannot stand in an answer, where it may not be seen")
			default:
				block, err := l.mount(n, parts)
				if err != nil {
					bad(n.offset, "%v", err)
					continue
				}
				*blocks() = append(*blocks(), block)
			}
			continue
		}
		var out bytes.Buffer
		if err := lessonText.Renderer().Render(&out, body, n); err != nil {
			return append(errs, fmt.Errorf("%s: %w", file, err))
		}
		if in := blocks(); len(*in) > 0 && (*in)[len(*in)-1].HTML != "" {
			(*in)[len(*in)-1].HTML += out.String()
		} else {
			*in = append(*in, Block{HTML: out.String()})
		}
	}
	flush()
	return errs
}

// mount finds what a directive stands for; each thing can stand in one place only.
func (l *Lesson) mount(n *directive, parts *parts) (Block, error) {
	id := n.argument
	key := n.name + " " + id
	if parts.mounted[key] {
		return Block{}, fmt.Errorf("the %s is there twice", key)
	}
	parts.mounted[key] = true
	switch n.name {
	case "exercise":
		e, ok := parts.exercises[id]
		if !ok {
			return Block{}, fmt.Errorf("there is no exercise %q: it would be the folder exercises/%s", id, id)
		}
		if e != nil {
			l.Exercises = append(l.Exercises, e)
		}
		return Block{Exercise: e}, nil
	case "picture":
		p, ok := parts.pictures[id]
		if !ok {
			return Block{}, fmt.Errorf("there is no picture %q: it would be the file pictures/%s.yaml", id, id)
		}
		return Block{Picture: p}, nil
	}
	return Block{}, fmt.Errorf(":::%s is not known: want :::exercise NAME, :::picture NAME, :::answer EXERCISE or :::end", n.name)
}

func plainText(n ast.Node, src []byte) string {
	var out strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			out.Write(t.Value(src))
		}
		return ast.WalkContinue, nil
	}) // The function gives no error.
	return out.String()
}

// directive is a line ":::name argument", which mounts something in a lesson.
type directive struct {
	ast.BaseBlock
	name, argument string
	offset         int
}

var kindDirective = ast.NewNodeKind("Directive")

func (d *directive) Kind() ast.NodeKind { return kindDirective }

func (d *directive) Dump(src []byte, level int) { ast.DumpHelper(d, src, level, nil, nil) }

// directives parses them.
type directives struct{}

func (directives) Trigger() []byte { return []byte{':'} }

func (directives) Open(parent ast.Node, reader text.Reader, pc parser.Context) (ast.Node, parser.State) {
	line, segment := reader.PeekLine()
	rest, ok := bytes.CutPrefix(line, []byte(":::"))
	if !ok {
		return nil, parser.NoChildren
	}
	name, argument, _ := strings.Cut(strings.TrimSpace(string(rest)), " ")
	reader.Advance(segment.Len() - 1)
	return &directive{name: name, argument: strings.TrimSpace(argument), offset: segment.Start}, parser.NoChildren
}

func (directives) Continue(ast.Node, text.Reader, parser.Context) parser.State { return parser.Close }

func (directives) Close(ast.Node, text.Reader, parser.Context) {}

func (directives) CanInterruptParagraph() bool { return true }

func (directives) CanAcceptIndentedLine() bool { return false }

// offsetOf is where the node's own text begins, 0 where it has none.
func offsetOf(n ast.Node) int {
	if n.Lines().Len() == 0 {
		return 0
	}
	return n.Lines().At(0).Start
}

func lineOf(src []byte, offset int) int {
	return 1 + bytes.Count(src[:min(offset, len(src))], []byte("\n"))
}
