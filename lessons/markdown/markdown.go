// Package markdown makes HTML of what authors write. Lessons and quizzes use it when
// they are loaded; a page shows what it made, and never an author's marks.
package markdown

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Text is a text of an author as HTML. It is no string, so that no template can show
// it in another way than as HTML. The zero value is no text.
type Text struct{ html string }

// HTML is the text as HTML, which is safe to show.
func (t Text) HTML() string { return t.html }

// Empty reports that there is no text.
func (t Text) Empty() bool { return t.html == "" }

// Render writes the text as HTML; templates show it by this.
func (t Text) Render(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, t.html)
	return err
}

// MarshalText is the text as HTML.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.html), nil }

// New reads and writes Markdown with tables, and code as the pages have it; the options
// add to that.
func New(options ...parser.Option) goldmark.Markdown {
	return goldmark.New(
		// Alignment as a style attribute would break the pages' security policy.
		goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone))),
		goldmark.WithParserOptions(options...),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(codeBlocks{}, 100))),
	)
}

var (
	several = New()
	// one knows nothing but paragraphs and what stands within a line: no list, and no
	// HTML, which is then text.
	one = parser.NewParser(
		parser.WithBlockParsers(util.Prioritized(parser.NewParagraphParser(), 100)),
		parser.WithInlineParsers(
			util.Prioritized(parser.NewCodeSpanParser(), 100),
			util.Prioritized(parser.NewLinkParser(), 200),
			util.Prioritized(parser.NewEmphasisParser(), 500),
		),
	)
)

// Paragraphs makes HTML of a text without headings and without HTML.
func Paragraphs(src string) (Text, error) {
	doc := several.Parser().Parse(text.NewReader([]byte(src)))
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n.(type) {
		case *ast.HTMLBlock, *ast.RawHTML:
			return ast.WalkStop, errors.New("HTML is not allowed here")
		case *ast.Heading:
			return ast.WalkStop, errors.New("want text without headings")
		}
		return ast.WalkContinue, nil
	})
	if err == nil {
		_, err = Unshowable(doc, []byte(src))
	}
	if err != nil {
		return Text{}, err
	}
	return written(doc, src)
}

// Line makes HTML of a text that stands in a line: code, emphasis and links alone.
func Line(src string) (Text, error) {
	doc := one.Parse(text.NewReader([]byte(src)))
	if doc.ChildCount() > 1 {
		return Text{}, errors.New("want one paragraph")
	}
	if _, err := Unshowable(doc, []byte(src)); err != nil {
		return Text{}, err
	}
	t, err := written(doc, src)
	return Text{strings.TrimSuffix(strings.TrimPrefix(t.html, "<p>"), "</p>\n")}, err
}

// Plain is an error where the text has marks, though it is shown as it is written.
func Plain(src string) error {
	if strings.ContainsAny(src, marks) {
		return errors.New("is shown as it is written: leave out backticks and asterisks")
	}
	return nil
}

// marks begin or end something, wherever they are not code.
const marks = "`*"

// Unshowable is an error where a mark begins or ends nothing, and so would be shown
// itself, and where a picture would be fetched from an address; the offset in src is
// that of the text it is in.
func Unshowable(doc ast.Node, src []byte) (offset int, err error) {
	err = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if _, ok := n.(*ast.CodeSpan); ok {
			return ast.WalkSkipChildren, nil
		}
		if _, ok := n.(*ast.Image); ok {
			return ast.WalkStop, errors.New("a picture cannot be linked: everything that a page shows is the lab's own")
		}
		if t, ok := n.(*ast.Text); ok && entering {
			offset = t.Segment.Start
			if at := bytes.IndexAny(t.Value(src), marks); at >= 0 {
				offset = t.Segment.Start + at
				return ast.WalkStop, fmt.Errorf("the mark %s is not closed, or closes nothing: write it as code if it is meant", string(t.Value(src)[at]))
			}
		}
		return ast.WalkContinue, nil
	})
	return offset, err
}

func written(doc ast.Node, src string) (Text, error) {
	var out bytes.Buffer
	err := several.Renderer().Render(&out, []byte(src), doc)
	return Text{out.String()}, err
}

// IsYAML reports that the block of code is YAML that can be put into the editor.
func IsYAML(n *ast.FencedCodeBlock, src []byte) bool { return info(n, src) == "yaml" }

// IsWrongYAML reports that the block of code is YAML that is shown for what is wrong
// with it.
func IsWrongYAML(n *ast.FencedCodeBlock, src []byte) bool { return info(n, src) == "yaml wrong" }

// info is what stands behind the fence.
func info(n *ast.FencedCodeBlock, src []byte) string {
	if n.Info == nil {
		return ""
	}
	return strings.Join(strings.Fields(string(n.Info.Value(src))), " ")
}

// YAML are the blocks of the text that can be put into the editor.
func YAML(src string) (blocks []string) {
	_ = ast.Walk(several.Parser().Parse(text.NewReader([]byte(src))), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if n, ok := n.(*ast.FencedCodeBlock); ok && entering && IsYAML(n, []byte(src)) {
			blocks = append(blocks, string(n.Lines().Value([]byte(src))))
		}
		return ast.WalkContinue, nil
	}) // The function gives no error.
	return blocks
}

// codeBlocks renders fenced code. YAML gets a button that puts it into the
// editor; the page's script gives it its function, and the style sheet hides it
// where there are no scripts.
type codeBlocks struct{}

func (c codeBlocks) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindFencedCodeBlock, c.render)
}

func (codeBlocks) render(w util.BufWriter, src []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	n := node.(*ast.FencedCodeBlock)
	language := "text"
	if lang := n.Language(src); len(lang) > 0 {
		language = string(lang)
	}
	shown := html.EscapeString(string(n.Lines().Value(src)))
	if language == "yaml" {
		shown = HighlightYAML(string(n.Lines().Value(src)))
	}
	code := fmt.Sprintf("<pre tabindex=\"0\"><code class=\"language-%s\">%s</code></pre>", html.EscapeString(language), shown)
	if IsYAML(n, src) {
		code = `<div class="snippet">` + code + `<button type="button" data-insert>Put into the workspace</button></div>`
	}
	_, err := w.WriteString(code + "\n")
	return ast.WalkSkipChildren, err
}
