package lessons

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestThe_lessons_of_the_binary_load(t *testing.T) {
	all := content(t)
	if all[0].Slug != "network-policies" {
		t.Errorf("the first lesson is %q, want network-policies", all[0].Slug)
	}
	for _, l := range all {
		for _, unwanted := range []string{"<script", "<style", " style=", "<!--", "<h1"} {
			if strings.Contains(htmlOf(l), unwanted) {
				t.Errorf("%s: the text has %q", l.Slug, unwanted)
			}
		}
	}
}

// htmlOf is all the text of a lesson.
func htmlOf(l *Lesson) string {
	var out strings.Builder
	for _, s := range l.Sections {
		for b := range s.All() {
			out.WriteString(b.HTML)
		}
	}
	return out.String()
}

const topology = `name: one
namespaces:
  - name: shop
    pods:
      - {name: web, labels: {app: web}, ports: [{port: 80}]}
`

const front = "---\ntitle: One\nslug: one\nsummary: A lesson.\nminutes: 5\n---\n"

func loadOne(text, topology string) ([]*Lesson, error) {
	return Load(fstest.MapFS{
		"01-one/lesson.md":     {Data: []byte(text)},
		"01-one/topology.yaml": {Data: []byte(topology)},
	})
}

// block is the text with a block of code of that kind below a heading.
func block(info, code string) string { return front + "\n## Try\n\n```" + info + "\n" + code + "```\n" }

func TestA_YAML_block_becomes_a_snippet_with_a_button(t *testing.T) {
	closed := "# a: \"<b>\"\n" + guard("")
	all, err := loadOne(block("yaml", closed)+"\n```text\nplain\n```\n", topology)
	if err != nil {
		t.Fatal(err)
	}
	l := all[0]
	if got := htmlOf(l); !strings.Contains(got, `<div class="snippet"><pre tabindex="0"><code class="language-yaml"><span class="y-c"># a: &#34;&lt;b&gt;&#34;</span>`+"\n") ||
		!strings.Contains(got, `</code></pre><button type="button" data-insert>Put into the workspace</button></div>`) {
		t.Errorf("HTML = %s", got)
	}
	if n := strings.Count(htmlOf(l), "data-insert"); n != 1 {
		t.Errorf("%d buttons, want 1: other code has none", n)
	}
	if len(l.Snippets) != 1 || l.Snippets[0] != (Snippet{Line: 11, YAML: closed}) {
		t.Errorf("snippets = %+v", l.Snippets)
	}
}

func TestLoad_a_block_of_yaml_can_be_applied_unless_it_is_marked_as_wrong(t *testing.T) {
	wrong := strings.Replace(guard(""), "podSelector", "podselector", 1)
	all, err := loadOne(block("yaml wrong", wrong), topology)
	if err != nil {
		t.Fatal(err)
	}
	if got := htmlOf(all[0]); !strings.Contains(got, `<code class="language-yaml">`) || strings.Contains(got, "data-insert") || len(all[0].Snippets) != 0 {
		t.Errorf("what is marked as wrong can be put into the editor: %s", got)
	}
	for name, c := range map[string]struct{ text, want string }{
		"a misspelt field":       {block("yaml", wrong), "01-one/lesson.md:15: spec.podselector:"},
		"another namespace":      {block("yaml", strings.Replace(guard(""), "namespace: shop", "namespace: mall", 1)), "01-one/lesson.md:13: metadata.namespace:"},
		"no policy":              {block("yaml", "apiVersion: v1\nkind: List\nitems: []\n"), "01-one/lesson.md:11: this block of yaml has no policy in it"},
		"wrong, and nothing is":  {block("yaml wrong", guard("")), "01-one/lesson.md:11: this block is marked as wrong, and can be applied"},
		"a picture from outside": {front + "\nSee ![it](https://example.com/a.png).\n", "01-one/lesson.md:8: a picture cannot be linked"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := loadOne(c.text, topology); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
	hints := strings.Replace(checks, "explanation: Because.\n", "explanation: |\n  So:\n\n  ```yaml\n  kind: NetworkPolice\n  ```\n", 1)
	if _, err := Load(lessonWith(map[string]string{"exercises/guard/checks.yaml": hints})); err == nil || !strings.Contains(err.Error(), "checks.yaml:19: explanation: its block of yaml cannot be applied") {
		t.Errorf("in an explanation: %v", err)
	}
}

func TestLoad_a_link_leads_somewhere(t *testing.T) {
	load := func(link string) error {
		two := strings.Replace(front, "title: One\nslug: one", "title: Two\nslug: two\ntopology: one", 1)
		_, err := Load(fstest.MapFS{
			"01-one/lesson.md": {Data: []byte(front + "\n## Try it\n\n### And again\n\nSee\n[this](" + link + ").\n")}, "01-one/topology.yaml": {Data: []byte(topology)},
			"02-two/lesson.md": {Data: []byte(two + "\n## The next\n\ntext\n")},
		})
		return err
	}
	for _, link := range []string{"#try-it", "#and-again", "/lessons/one", "/lessons/two#the-next", "/workbench", "/", "/me", "/quizzes/any", "https://kubernetes.io/docs/#x"} {
		if err := load(link); err != nil {
			t.Errorf("%s: %v", link, err)
		}
	}
	for _, link := range []string{"#try", "#", "/lessons/three", "/lessons/two#next", "../two", "lesson.md", "javascript:alert(1)", "data:text/html,x", "//example.com/"} {
		if err := load(link); err == nil || !strings.Contains(err.Error(), "leads nowhere") || !strings.Contains(err.Error(), "01-one/lesson.md:") {
			t.Errorf("%s: error = %v", link, err)
		}
	}
	if err := load("#try"); err == nil || !strings.Contains(err.Error(), `01-one/lesson.md:13: the link "#try" leads nowhere: the page has no heading with that anchor`) {
		t.Errorf("error = %v", err)
	}
	hint := map[string]string{"exercises/guard/checks.yaml": strings.Replace(checks, "[one, two, three]", "[one, two, 'see [it](#nowhere)']", 1)}
	if _, err := Load(lessonWith(hint)); err == nil || !strings.Contains(err.Error(), `01-one/exercises/guard/checks.yaml:18: the link "#nowhere" leads nowhere`) {
		t.Errorf("in a hint: %v", err)
	}
}

func TestLoad_a_heading_has_no_anchor_of_the_pages_own(t *testing.T) {
	for _, heading := range []string{"## Policies", "### Lab"} {
		want := "01-one/lesson.md:10: the page has something called " + strings.ToLower(strings.Trim(heading, "# "))
		if _, err := loadOne(front+"\ntext\n\n"+heading+"\n\ntext\n", topology); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v\nwant in it %s", err, want)
		}
	}
}

// What the text shows, or an earlier exercise was about, is no surprise.
func TestLoad_a_start_is_shown_in_the_text_or_was_written_before(t *testing.T) {
	start := map[string]string{"exercises/guard/start.yaml": guard("")}
	if _, err := Load(lessonWith(start)); err == nil || !strings.Contains(err.Error(), "01-one/exercises/guard/start.yaml:1: the text does not show shop/guard as it is here") {
		t.Errorf("error = %v", err)
	}
	show := func(code string) string {
		return front + "\n## Try\n\n```yaml\n" + code + "```\n\n:::exercise guard\n"
	}
	start["lesson.md"] = show(guard("{}"))
	if _, err := Load(lessonWith(start)); err == nil || !strings.Contains(err.Error(), "does not show shop/guard") {
		t.Errorf("shown as another: error = %v", err)
	}
	start["lesson.md"] = show("# Closed.\n" + guard(""))
	if _, err := Load(lessonWith(start)); err != nil {
		t.Errorf("shown: %v", err)
	}
	// The solution of the exercise before.
	files := lessonWith(map[string]string{"lesson.md": front + "\n:::exercise guard\n\n:::exercise more\n"})
	for name, file := range lessonWith(nil) {
		if more, ok := strings.CutPrefix(name, "01-one/exercises/guard/"); ok {
			files["01-one/exercises/more/"+more] = file
		}
	}
	files["01-one/exercises/more/start.yaml"] = files["01-one/exercises/guard/solution.yaml"]
	files["01-one/exercises/more/solution.yaml"] = &fstest.MapFile{Data: []byte(guard("{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [spy]}]}}]}"))}
	if _, err := Load(files); err == nil || strings.Contains(err.Error(), "does not show") {
		t.Errorf("written before: %v; want the start to pass, and nothing else", err)
	}
}

func TestLoad_lessons_beside_others_know_them(t *testing.T) {
	own, err := Load(lessonWith(nil))
	if err != nil {
		t.Fatal(err)
	}
	two := strings.Replace(front, "title: One\nslug: one", "title: Two\nslug: two\ntopology: one", 1) + "\nSee [the first](/lessons/one#try).\n"
	more, err := Load(fstest.MapFS{"01-two/lesson.md": {Data: []byte(two)}}, own...)
	if err != nil || len(more) != 1 || more[0].Topology != own[0].Topology {
		t.Fatalf("%v: %v", more, err)
	}
	for want, files := range map[string]fstest.MapFS{
		`01-one/lesson.md: slug: "one" is taken by the lab itself`:             lessonWith(nil),
		`01-three/lesson.md:4: topology: the lesson "two" has none of its own`: {"01-three/lesson.md": {Data: []byte(strings.NewReplacer("slug: two", "slug: three", "topology: one", "topology: two").Replace(two))}},
	} {
		if _, err := Load(files, append(more, own...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v\nwant in it %s", err, want)
		}
	}
}

func TestWhat_is_wrong_is_said_with_file_line_and_field(t *testing.T) {
	for name, c := range map[string]struct {
		text, topology, want string
	}{
		"no front matter":          {"## Hello\n", topology, "01-one/lesson.md:1: want front matter"},
		"front matter without end": {"---\ntitle: One\n", topology, "01-one/lesson.md:1: the front matter has no end"},
		"broken front matter":      {"---\ntitle: [\n---\ntext\n", topology, "01-one/lesson.md:2: did not find"},
		"unknown field":            {"---\ntitle: One\nauthor: me\nslug: one\nsummary: s\nminutes: 5\n---\ntext\n", topology, "01-one/lesson.md:3: author: is not a field"},
		"field twice":              {"---\ntitle: One\nslug: one\ntitle: Two\nsummary: s\nminutes: 5\n---\ntext\n", topology, "01-one/lesson.md:4: title: is there twice"},
		"missing field":            {"---\ntitle: One\nslug: one\nminutes: 5\n---\ntext\n", topology, "01-one/lesson.md:1: summary: is missing"},
		"empty field":              {"---\ntitle: ''\nslug: one\nsummary: s\nminutes: 5\n---\ntext\n", topology, "01-one/lesson.md:2: title: is empty"},
		"minutes not a number":     {"---\ntitle: One\nslug: one\nsummary: s\nminutes: long\n---\ntext\n", topology, "01-one/lesson.md:5: minutes: want a number"},
		"bad slug":                 {"---\ntitle: One\nslug: One Two\nsummary: s\nminutes: 5\n---\ntext\n", topology, `01-one/lesson.md:3: slug: "One Two"`},
		"no text":                  {front, topology, "01-one/lesson.md:7: the lesson has no text"},
		"HTML block":               {front + "\n<div>\n</div>\n", topology, "01-one/lesson.md:8: HTML is not allowed"},
		"HTML in a line":           {front + "\nSome\n<b>bold</b> text\n", topology, "01-one/lesson.md:9: HTML is not allowed"},
		"a second title":           {front + "\n# One\n", topology, "01-one/lesson.md:8: the title is in the front matter"},
		"broken topology":          {front + "text\n", "name: one\npods: []\n", "01-one/topology.yaml:2: pods: is not a field here"},
		"topology of another name": {front + "text\n", strings.Replace(topology, "name: one", "name: two", 1), `01-one/topology.yaml: name: "two" differs`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadOne(c.text, c.topology)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
}

// Either has the topology; who comes first does not matter.
func TestLoad_a_lesson_may_share_anothers_topology(t *testing.T) {
	shares := strings.Replace(front, "title: One\nslug: one", "title: Two\nslug: two\ntopology: one", 1)
	for _, folder := range []string{"00-two", "02-two"} {
		all, err := Load(fstest.MapFS{
			"01-one/lesson.md": {Data: []byte(front + "text\n")}, "01-one/topology.yaml": {Data: []byte(topology)},
			folder + "/lesson.md":         {Data: []byte(shares + "\n:::picture web\n")},
			folder + "/pictures/web.yaml": {Data: []byte("caption: See.\npods: [shop/web, kube-system/kube-dns]\nflows: [{from: shop/web, to: kube-system/kube-dns, port: 53}]\n")},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 2 || all[0].Topology != all[1].Topology || all[0].Topology.Name != "one" || len(all[0].Flows) != len(all[1].Flows) {
			t.Errorf("the topologies are %v and %v", all[0].Topology.Name, all[1].Topology.Name)
		}
	}
}

func TestLoad_a_topology_that_cannot_be_shared_is_said_with_its_line(t *testing.T) {
	two := strings.Replace(front, "title: One\nslug: one", "title: Two\nslug: two\ntopology: one", 1) + "text\n"
	for name, c := range map[string]struct {
		fs   fstest.MapFS
		want string
	}{
		"of nobody": {fstest.MapFS{"02-two/lesson.md": {Data: []byte(two)}}, `02-two/lesson.md:4: topology: there is no lesson "one"`},
		"of itself": {fstest.MapFS{"02-two/lesson.md": {Data: []byte(strings.Replace(two, "topology: one", "topology: two", 1))}},
			`02-two/lesson.md:4: topology: the lesson "two" has none of its own`},
		"of one that shares": {fstest.MapFS{
			"01-one/lesson.md": {Data: []byte(front + "text\n")}, "01-one/topology.yaml": {Data: []byte(topology)}, "02-two/lesson.md": {Data: []byte(two)},
			"03-three/lesson.md": {Data: []byte(strings.ReplaceAll(strings.Replace(two, "topology: one", "topology: two", 1), "slug: two", "slug: three"))},
		}, `03-three/lesson.md:4: topology: the lesson "two" has none of its own: name the one that has`},
		"beside an own one": {fstest.MapFS{
			"01-one/lesson.md": {Data: []byte(front + "text\n")}, "01-one/topology.yaml": {Data: []byte(topology)},
			"02-two/lesson.md": {Data: []byte(two)}, "02-two/topology.yaml": {Data: []byte(strings.Replace(topology, "name: one", "name: two", 1))},
		}, `02-two/lesson.md:4: topology: there is a topology.yaml too`},
		"without a name": {fstest.MapFS{"02-two/lesson.md": {Data: []byte(strings.Replace(two, "topology: one", "topology: ''", 1))}}, `02-two/lesson.md:4: topology: is empty`},
		"not said":       {fstest.MapFS{"01-one/lesson.md": {Data: []byte(front + "text\n")}}, `01-one/topology.yaml: is missing; a lesson that shares another's says so`},
		"of a broken one": {fstest.MapFS{
			"01-one/lesson.md": {Data: []byte(front + "text\n")}, "01-one/topology.yaml": {Data: []byte("name: one\npods: []\n")}, "02-two/lesson.md": {Data: []byte(two)},
		}, "01-one/topology.yaml:2: pods: is not a field here"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(c.fs); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
}

func TestFolders_must_be_lessons(t *testing.T) {
	for name, c := range map[string]struct {
		fs   fstest.MapFS
		want string
	}{
		"nothing":      {fstest.MapFS{}, "there are none"},
		"a stray file": {fstest.MapFS{"notes.txt": {}}, "notes.txt: not a lesson's folder"},
		"no text":      {fstest.MapFS{"01-one/topology.yaml": {Data: []byte(topology)}}, "01-one/lesson.md"},
		"no topology":  {fstest.MapFS{"01-one/lesson.md": {Data: []byte(front + "text\n")}}, "01-one/topology.yaml"},
		"two of one slug": {fstest.MapFS{
			"01-one/lesson.md": {Data: []byte(front + "text\n")}, "01-one/topology.yaml": {Data: []byte(topology)},
			"02-two/lesson.md": {Data: []byte(front + "text\n")}, "02-two/topology.yaml": {Data: []byte(topology)},
		}, `02-two/lesson.md: slug: "one" is taken by 01-one`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(c.fs); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
}
