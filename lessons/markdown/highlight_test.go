package markdown

import (
	"html"
	"regexp"
	"strings"
	"testing"
)

func TestHighlighted_YAML_has_the_text_that_it_had(t *testing.T) {
	tags := regexp.MustCompile(`</?span[^>]*>`)
	for _, src := range []string{
		"", "\n", "a: b\n", "- - a\n", "---\na: {b: [c, 'd e'], \"f\": g} # h\n\n", "a: \"<b>\" & 'c\nd", "\tx:y\n  # \"\n:", "- key: a:b\n- {}\n-\n",
	} {
		got := HighlightYAML(src)
		if text := html.UnescapeString(tags.ReplaceAllString(got, "")); text != src {
			t.Errorf("%q has become %q", src, text)
		}
		if strings.Contains(tags.ReplaceAllString(got, ""), "<") {
			t.Errorf("%q: a mark is not escaped: %s", src, got)
		}
	}
}

func TestHighlighted_YAML_tells_keys_values_and_comments_apart(t *testing.T) {
	got := HighlightYAML("  - port: 8080 # web\n    to: [a, {b: c}]\n")
	want := `  <span class="y-p">-</span> <span class="y-k">port</span><span class="y-p">:</span> <span class="y-v">8080</span> <span class="y-c"># web</span>
    <span class="y-k">to</span><span class="y-p">:</span> <span class="y-p">[</span><span class="y-v">a</span><span class="y-p">,</span> <span class="y-p">{</span><span class="y-k">b</span><span class="y-p">:</span> <span class="y-v">c</span><span class="y-p">}</span><span class="y-p">]</span>
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzHighlightYAML(f *testing.F) {
	f.Add("a: [b, 'c'] # d\n")
	tags := regexp.MustCompile(`</?span[^>]*>`)
	f.Fuzz(func(t *testing.T, src string) {
		if text := html.UnescapeString(tags.ReplaceAllString(HighlightYAML(src), "")); text != html.UnescapeString(html.EscapeString(src)) {
			t.Errorf("%q has become %q", src, text)
		}
	})
}
