package markdown

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLine_code_emphasis_and_links_become_HTML_and_all_else_is_text(t *testing.T) {
	for src, want := range map[string]string{
		" a <b> `x: \"<i>\"` & `y`. \n": `a &lt;b&gt; <code>x: &quot;&lt;i&gt;&quot;</code> &amp; <code>y</code>.`,
		"**Every** pod, *really*":       `<strong>Every</strong> pod, <em>really</em>`,
		"two\nlines":                    "two\nlines",
		"- no list":                     "- no list",
		"1. no list":                    "1. no list",
		"# no heading":                  "# no heading",
		"`*` is every pod":              "<code>*</code> is every pod",
		"[the API](https://a.example)":  `<a href="https://a.example">the API</a>`,
		"":                              "",
	} {
		got, err := Line(src)
		if err != nil || got.HTML() != want || got.Empty() != (want == "") {
			t.Errorf("%q: %q, empty %v, error %v; want %q", src, got.HTML(), got.Empty(), err, want)
		}
	}
}

func TestA_mark_that_would_be_shown_is_refused(t *testing.T) {
	for _, src := range []string{"an `open backtick", "a lone *asterisk", "from * to all", "**half bold", "one\n\n*two"} {
		if got, err := Line(src); err == nil {
			t.Errorf("Line(%q) = %q", src, got.HTML())
		}
		if got, err := Paragraphs(src); err == nil {
			t.Errorf("Paragraphs(%q) = %q", src, got.HTML())
		}
		if Plain(src) == nil {
			t.Errorf("Plain takes %q", src)
		}
	}
}

func TestLine_is_one_paragraph(t *testing.T) {
	if got, err := Line("one\n\ntwo"); err == nil || !strings.Contains(err.Error(), "one paragraph") {
		t.Errorf("%q, error %v", got.HTML(), err)
	}
}

func TestParagraphs_has_lists_and_code_but_neither_headings_nor_HTML(t *testing.T) {
	got, err := Paragraphs("Do **this**:\n\n* one\n* two\n\n```yaml\na: \"*\"\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<p>Do <strong>this</strong>:</p>", "<li>one</li>", `<code class="language-yaml"><span class="y-k">a</span>`, `&#34;*&#34;`, "data-insert"} {
		if !strings.Contains(got.HTML(), want) {
			t.Errorf("%s\nis without %s", got.HTML(), want)
		}
	}
	for _, src := range []string{"# Heading", "a <b>bold</b> word", "<p>\n"} {
		if got, err := Paragraphs(src); err == nil {
			t.Errorf("Paragraphs(%q) = %q", src, got.HTML())
		}
	}
}

func TestText_is_written_as_its_HTML(t *testing.T) {
	text, err := Line("`x`")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := text.Render(t.Context(), &out); err != nil || out.String() != "<code>x</code>" {
		t.Errorf("rendered %q, error %v", out.String(), err)
	}
	if b, err := json.Marshal(text); err != nil || string(b) != `"\u003ccode\u003ex\u003c/code\u003e"` {
		t.Errorf("in JSON %s, error %v", b, err)
	}
}
