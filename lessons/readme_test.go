package lessons

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// The guide's examples are put together to a lesson of the files that it shows.
func TestThe_guides_template_is_a_lesson(t *testing.T) {
	src, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	// under is the first code block under a heading.
	under := func(heading string) string {
		_, rest, ok := strings.Cut(string(src), "\n"+heading+"\n")
		block := regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```$").FindStringSubmatch(rest)
		if !ok || block == nil {
			t.Fatalf("no code under %s", heading)
		}
		return block[1]
	}
	topology := strings.Replace(under("## topology.yaml"), "      - name: agent", "      - {name: db, labels: {app: db}, ports: [{port: 5432}]}\n      - {name: spy}\n      - name: agent", 1)
	checks := strings.Replace(under("## checks.yaml"), "free:", `  - {from: shop/spy, to: shop/db, port: 5432, want: blocked, why: it spies, hint: "Who is it?"}
free:`, 1)
	exercise := "04-first-steps/exercises/close-it/"
	files := map[string]string{
		"04-first-steps/lesson.md":            under("## lesson.md"),
		"04-first-steps/topology.yaml":        topology,
		"04-first-steps/pictures/before.yaml": under("## pictures/ID.yaml"),
		"04-first-steps/walkthrough.yaml":     under("## walkthrough.yaml"),
		exercise + "checks.yaml":              checks,
		exercise + "solution.yaml":            guard("{from: [{podSelector: {matchLabels: {app: web}}}]}"),
		exercise + "wrong-everyone.yaml":      guard("{}"),
		exercise + "wrong-nobody.yaml":        guard(""),
		exercise + "wrong-no-policy.yaml":     under("### The answers"),
		exercise + "wrong-a-slip.yaml":        guard("{from: [{podSelector: {matchLabels: {app: bew}}}]}"),
		exercise + "wrong-a-name.yaml":        guard("{from: [{namespaceSelector: {matchLabels: {name: shop}}}]}"),
		exercise + "wrong-the-port.yaml":      guard("{ports: [{port: 80}]}"),
	}
	all := fstest.MapFS{}
	for name, text := range files {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	loaded, err := Load(all)
	if err != nil {
		t.Fatal(err)
	}
	if l := loaded[0]; len(l.Exercises) != 1 || len(l.Exercises[0].Checks) != 2 || len(l.Exercises[0].Free) == 0 || len(l.Sections) != 2 || len(l.Walkthrough) != 2 {
		t.Errorf("exercises %d, sections %d, steps of the walk-through %d", len(l.Exercises), len(l.Sections), len(l.Walkthrough))
	}
}
