package lessons

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

func TestTheLessonsOfTheBinaryLoad(t *testing.T) {
	all, err := Load(Content())
	if err != nil {
		t.Fatal(err)
	}
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

// Whoever puts a snippet into the editor must be able to apply it.
func TestEverySnippetIsAPolicyForTheLessonsSandbox(t *testing.T) {
	all, err := Load(Content())
	if err != nil {
		t.Fatal(err)
	}
	if len(all[0].Snippets) == 0 {
		t.Errorf("%s: no snippets", all[0].Slug)
	}
	for _, l := range all {
		for _, s := range l.Snippets {
			policies, err := policy.Parse([]byte(s.YAML), policy.ParseOptions{Namespaces: l.Topology.NamespaceNames()})
			if err != nil {
				t.Errorf("%s: snippet at line %d: %v", l.Slug, s.Line, err)
			}
			if len(policies) == 0 {
				t.Errorf("%s: snippet at line %d: no policy", l.Slug, s.Line)
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

func TestAYAMLBlockBecomesASnippetWithAButton(t *testing.T) {
	all, err := loadOne(front+"\n## Try\n\n```yaml\na: \"<b>\"\n```\n\n```text\nplain\n```\n", topology)
	if err != nil {
		t.Fatal(err)
	}
	l := all[0]
	want := `<div class="snippet"><pre tabindex="0"><code class="language-yaml">a: &#34;&lt;b&gt;&#34;` + "\n" +
		`</code></pre><button type="button" data-insert>Put into the editor</button></div>`
	if !strings.Contains(htmlOf(l), want) {
		t.Errorf("HTML = %s\nwant in it %s", htmlOf(l), want)
	}
	if n := strings.Count(htmlOf(l), "data-insert"); n != 1 {
		t.Errorf("%d buttons, want 1: other code has none", n)
	}
	if len(l.Snippets) != 1 || l.Snippets[0] != (Snippet{Line: 11, YAML: "a: \"<b>\"\n"}) {
		t.Errorf("snippets = %+v", l.Snippets)
	}
}

func TestWhatIsWrongIsSaidWithFileLineAndField(t *testing.T) {
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

func TestFoldersMustBeLessons(t *testing.T) {
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
