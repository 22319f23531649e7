package lessons

import (
	"bytes"
	"fmt"
	"html"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

var markdown = goldmark.New(
	// Alignment as a style attribute would break the pages' security policy.
	goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone))),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(codeBlocks{}, 100))),
)

// readText renders the text that begins at the offset from, and collects its
// snippets. What a lesson must not have is an error with the file's line.
func (l *Lesson) readText(file string, src []byte, from int) (errs []error) {
	body := src[from:]
	bad := func(offset int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %s", file, lineOf(src, from+offset), fmt.Sprintf(format, args...)))
	}
	doc := markdown.Parser().Parse(text.NewReader(body))
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
			if isYAML(n, body) && n.Lines().Len() > 0 {
				l.Snippets = append(l.Snippets, Snippet{
					Line: lineOf(src, from+n.Lines().At(0).Start),
					YAML: string(n.Lines().Value(body)),
				})
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return append(errs, fmt.Errorf("%s: %w", file, err))
	}
	var out bytes.Buffer
	if err := markdown.Renderer().Render(&out, body, doc); err != nil {
		return append(errs, fmt.Errorf("%s: %w", file, err))
	}
	if l.HTML = out.String(); len(bytes.TrimSpace(body)) == 0 {
		bad(0, "the lesson has no text")
	}
	return errs
}

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

func isYAML(n *ast.FencedCodeBlock, src []byte) bool {
	return string(n.Language(src)) == "yaml"
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
	code := fmt.Sprintf("<pre tabindex=\"0\"><code class=\"language-%s\">%s</code></pre>",
		html.EscapeString(language), html.EscapeString(string(n.Lines().Value(src))))
	if isYAML(n, src) {
		code = `<div class="snippet">` + code + `<button type="button" data-insert>Put into the editor</button></div>`
	}
	_, err := w.WriteString(code + "\n")
	return ast.WalkSkipChildren, err
}
