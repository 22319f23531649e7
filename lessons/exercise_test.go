package lessons

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const twoPods = `name: one
namespaces:
  - name: shop
    pods:
      - {name: web, labels: {app: web}, ports: [{port: 80}]}
      - {name: db, labels: {app: db}, ports: [{port: 5432}]}
      - {name: spy, labels: {app: spy}}
`

const checks = `title: Guard the database
task: Only web may reach it.
predict:
  - {from: shop/spy, to: shop/db, port: 5432}
checks:
  - from: shop/web
    to: shop/db
    port: 5432
    want: open
    why: web needs the data
    hint: look at the peers
  - from: shop/spy
    to: shop/db
    port: 5432
    want: blocked
    why: a spy does not
    hint: look at the peers
hints: [one, two, three]
explanation: Because.
`

// guard is a policy that lets the pods labelled so reach the database.
func guard(peer string) string {
	return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guard, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress: [` + peer + `]
`
}

// lessonWith is a lesson with the exercise "guard", and other files in the place of
// its own; an empty one is left out.
func lessonWith(files map[string]string) fstest.MapFS {
	all := map[string]string{
		"lesson.md":                           front + "\n## Try\n\n:::exercise guard\n",
		"topology.yaml":                       twoPods,
		"exercises/guard/checks.yaml":         checks,
		"exercises/guard/solution.yaml":       guard("{from: [{podSelector: {matchLabels: {app: web}}}]}"),
		"exercises/guard/wrong-everyone.yaml": guard("{}"),
		"exercises/guard/wrong-nobody.yaml":   guard(""),
		"exercises/guard/wrong-the-spy.yaml":  guard("{from: [{podSelector: {matchLabels: {app: spy}}}]}"),
		"exercises/guard/wrong-a-slip.yaml":   guard("{from: [{podSelector: {matchLabels: {app: bew}}}]}"),
		"exercises/guard/wrong-a-name.yaml":   guard("{from: [{namespaceSelector: {matchLabels: {name: shop}}}]}"),
		"exercises/guard/wrong-the-port.yaml": guard("{ports: [{port: 80}]}"),
	}
	maps.Copy(all, files)
	out := fstest.MapFS{}
	for name, text := range all {
		if text != "" {
			out["01-one/"+name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return out
}

const (
	webToDB = "shop/web>shop/db:5432/TCP"
	spyToDB = "shop/spy>shop/db:5432/TCP"
	dbToWeb = "shop/db>shop/web:80/TCP"
)

// exerciseWith is the exercise "guard" with these files in the place of its own, and
// what is observed of it with its solution.
func exerciseWith(t *testing.T, files map[string]string) (*Lesson, *Exercise, map[string]probe.Verdict) {
	t.Helper()
	all, err := Load(lessonWith(files))
	if err != nil {
		t.Fatal(err)
	}
	e := all[0].Exercise("guard")
	solved, err := all[0].Predicted(e.Solution)
	if err != nil {
		t.Fatal(err)
	}
	return all[0], e, solved
}

func TestGrade_what_a_check_wants_has_to_be_observed(t *testing.T) {
	l, e, solved := exerciseWith(t, nil)
	for name, c := range map[string]struct {
		observed     map[string]probe.Verdict
		passed       bool
		met, unknown int
	}{
		"open and blocked as wanted":       {map[string]probe.Verdict{webToDB: probe.Open, spyToDB: probe.Blocked}, true, 2, 0},
		"dns-failed has not been reached":  {map[string]probe.Verdict{webToDB: probe.Open, spyToDB: probe.DNSFailed}, true, 2, 0},
		"refused has not been reached":     {map[string]probe.Verdict{webToDB: probe.Open, spyToDB: probe.Refused}, true, 2, 0},
		"refused is not open":              {map[string]probe.Verdict{webToDB: probe.Refused, spyToDB: probe.Blocked}, false, 1, 0},
		"dns-failed is not open":           {map[string]probe.Verdict{webToDB: probe.DNSFailed, spyToDB: probe.Blocked}, false, 1, 0},
		"everything blocked does not pass": {map[string]probe.Verdict{webToDB: probe.Blocked, spyToDB: probe.Blocked}, false, 1, 0},
		"everything open does not pass":    {map[string]probe.Verdict{webToDB: probe.Open, spyToDB: probe.Open}, false, 1, 0},
		"unknown is not blocked":           {map[string]probe.Verdict{webToDB: probe.Open, spyToDB: probe.Unknown}, false, 1, 1},
		"unknown is not open":              {map[string]probe.Verdict{webToDB: probe.Unknown, spyToDB: probe.Blocked}, false, 1, 1},
		"what was not observed is unknown": {map[string]probe.Verdict{webToDB: probe.Open, spyToDB: ""}, false, 1, 1},
		"flows of other lessons do nothing": {map[string]probe.Verdict{webToDB: probe.Open, spyToDB: probe.Blocked, "x/y>z/a:1/TCP": probe.Open},
			true, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			observed := maps.Clone(solved)
			maps.Copy(observed, c.observed)
			maps.DeleteFunc(observed, func(_ string, v probe.Verdict) bool { return v == "" })
			out := e.Grade(l, observed)
			met := 0
			for _, r := range out.Checks {
				if r.OK {
					met++
				}
			}
			others := len(l.Flows) - 2
			if out.Passed != c.passed || met != c.met || out.Met != met+others || out.Unknown != c.unknown || len(out.Checks) != 2 || out.Graded != len(l.Flows) {
				t.Errorf("passed %v, checks met %d of %d, all met %d of %d, unknown %d", out.Passed, met, len(out.Checks), out.Met, out.Graded, out.Unknown)
			}
			if out.Narrow != c.passed {
				t.Errorf("narrow %v", out.Narrow)
			}
		})
	}
	if out := e.Grade(l, nil); out.Passed || out.Met != 0 || out.Unknown != len(l.Flows) || out.Score() != 0 {
		t.Errorf("nothing observed: %+v", out)
	}
}

func TestGrade_a_flow_that_no_check_is_about_has_to_be_as_with_the_solution(t *testing.T) {
	// The solution isolates web as well, so that nothing needs to reach it.
	deny := strings.ReplaceAll(strings.ReplaceAll(guard(""), "app: db", "app: web"), "name: guard", "name: web")
	solution := guard("{from: [{podSelector: {matchLabels: {app: web}}}]}") + "---\n" + deny
	const webAsksDNS = "shop/web>kube-system/kube-dns:53/UDP"
	for name, c := range map[string]struct {
		checks         string
		flow           string
		is             probe.Verdict
		passed, narrow bool
		wider, missing int
	}{
		"open beyond need, exact":            {checks, dbToWeb, probe.Open, false, false, 1, 0},
		"open beyond need, not exact":        {checks + "exact: false\n", dbToWeb, probe.Open, true, false, 1, 0},
		"closed though needed, exact":        {checks, webAsksDNS, probe.Blocked, false, false, 0, 1},
		"closed though needed, not exact":    {checks + "exact: false\n", webAsksDNS, probe.Blocked, false, false, 0, 1},
		"not known, exact":                   {checks, dbToWeb, probe.Unknown, false, false, 0, 0},
		"not known, not exact":               {checks + "exact: false\n", dbToWeb, probe.Unknown, false, false, 0, 0},
		"refused is not open":                {checks, dbToWeb, probe.Refused, true, true, 0, 0},
		"free and open beyond need":          {checks + "free: [{from: shop/db, to: '*', reason: whatever}]\n", dbToWeb, probe.Open, true, false, 0, 0},
		"free and not known":                 {checks + "free: [{from: shop/db, to: shop/*, reason: whatever}]\n", dbToWeb, probe.Unknown, true, false, 0, 0},
		"free and closed, though it need be": {checks + "free: [{from: '*', to: kube-system/kube-dns, protocol: UDP, reason: whatever}]\n", webAsksDNS, probe.Blocked, true, true, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l, e, solved := exerciseWith(t, map[string]string{"exercises/guard/checks.yaml": c.checks, "exercises/guard/solution.yaml": solution})
			if out := e.Grade(l, solved); !out.Passed || !out.Narrow || out.Score() != 100 || out.Graded != len(l.Flows)-len(e.Free) {
				t.Fatalf("the solution: %+v", out)
			}
			if _, ok := solved[c.flow]; !ok {
				t.Fatalf("there is no flow %s", c.flow)
			}
			solved[c.flow] = c.is
			out := e.Grade(l, solved)
			if out.Passed != c.passed || out.Narrow != c.narrow || len(out.Wider) != c.wider || len(out.Missing) != c.missing {
				t.Errorf("passed %v, narrow %v, wider %v, missing %v", out.Passed, out.Narrow, out.Wider, out.Missing)
			}
			for _, f := range append(out.Wider, out.Missing...) {
				if f.ID != c.flow {
					t.Errorf("wider or missing: %s", f.ID)
				}
			}
			// A flow that a check is about is told by that check alone.
			solved[spyToDB] = probe.Open
			if out := e.Grade(l, solved); out.Passed || len(out.Wider) != c.wider || slices.ContainsFunc(out.Checks, func(r Checked) bool { return r.Flow.ID == dbToWeb }) {
				t.Errorf("with a check that fails: passed %v, wider %v", out.Passed, out.Wider)
			}
		})
	}
}

func TestWhat_is_wrong_with_an_exercise_is_said_with_its_place(t *testing.T) {
	const at = "01-one/exercises/guard/"
	edit := func(old, new string) map[string]string {
		if !strings.Contains(checks, old) {
			t.Fatalf("no %q in the checks", old)
		}
		return map[string]string{"exercises/guard/checks.yaml": strings.Replace(checks, old, new, 1)}
	}
	free := func(entry string) map[string]string {
		return map[string]string{"exercises/guard/checks.yaml": checks + "free: [" + entry + "]\n"}
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no checks":            {map[string]string{"exercises/guard/checks.yaml": ""}, at + "checks.yaml: is missing"},
		"checks without text":  {map[string]string{"exercises/guard/checks.yaml": "# nothing\n"}, at + "checks.yaml:1: the file is empty"},
		"two documents":        {map[string]string{"exercises/guard/checks.yaml": checks + "---\n" + checks}, at + "checks.yaml: want one document"},
		"unknown field":        {edit("task:", "duty:"), at + "checks.yaml:2: duty: is not a field here"},
		"wrong type":           {edit("port: 5432}", "port: many}"), at + "checks.yaml:4: is of the wrong type"},
		"broken YAML":          {edit("hints: [one", "hints: [[one"), at + "checks.yaml:1"},
		"no title":             {edit("title: Guard the database", "title: ''"), at + "checks.yaml:1: title: is missing"},
		"two hints":            {edit("one, two, three", "one, two"), at + "checks.yaml:18: hints: there are 2"},
		"an empty hint":        {edit("one, two, three", "one, '', three"), at + "checks.yaml:18: hints[1]: is empty"},
		"HTML in a hint":       {edit("one, two, three", "one, <b>two</b>, three"), at + "checks.yaml:18: hints[1]: HTML is not allowed"},
		"a heading in a task":  {edit("task: Only web may reach it.", "task: '# Task'"), at + "checks.yaml:2: task: want text without headings"},
		"unknown want":         {edit("want: open", "want: shut"), at + "checks.yaml:9: checks[0].want: \"shut\""},
		"no why":               {edit("why: web needs the data", "why: ''"), at + "checks.yaml:6: checks[0]: why and hint are needed"},
		"nothing blocked":      {edit("want: blocked", "want: open"), at + "checks.yaml:5: checks: want at least one flow that must be open and one that must be blocked"},
		"an unknown source":    {edit("from: shop/web", "from: shop/nobody"), at + "checks.yaml:6: checks[0]: from: the topology has no pod \"shop/nobody\""},
		"an unknown namespace": {edit("from: shop/web", "from: mall/*"), at + "checks.yaml:6: checks[0]: from: the topology has no pod \"mall/*\""},
		"an unknown end":       {edit("to: shop/db\n", "to: shop/dbs\n"), at + "checks.yaml:6: checks[0]: to: the topology has no destination \"shop/dbs\""},
		"another port":         {edit("port: 5432\n", "port: 5433\n"), at + "checks.yaml:6: checks[0]: the topology has no flow from shop/web to shop/db on port 5433/TCP by ip"},
		"to itself":            {edit("from: shop/web", "from: shop/db"), at + "checks.yaml:6: checks[0]: the topology has no flow"},
		"a flow to predict":    {edit("from: shop/spy, to", "from: shop/x, to"), at + "checks.yaml:4: predict[0]: from:"},
		"checked twice":        {edit("from: shop/spy\n", "from: \"*\"\n"), at + "checks.yaml:12: checks[1]: " + webToDB + " is checked twice"},

		"no solution":          {map[string]string{"exercises/guard/solution.yaml": ""}, at + "solution.yaml: is missing"},
		"a solution of nobody": {map[string]string{"exercises/guard/solution.yaml": guard("")}, at + "solution.yaml: " + webToDB + " is blocked, but must be open"},
		"a start that passes":  {map[string]string{"exercises/guard/start.yaml": guard("{from: [{podSelector: {matchLabels: {app: web}}}]}")}, at + "start.yaml: passes, and must not"},
		"a wrong answer that is right": {map[string]string{"exercises/guard/wrong-nobody.yaml": guard("{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [spy]}]}}]}")},
			at + "wrong-nobody.yaml: passes, and must not"},
		"free without a reason":         {free("{from: shop/db, to: shop/web}"), at + "checks.yaml:20: free[0]: reason is missing"},
		"free and checked":              {free("{from: '*', to: shop/db, reason: whatever}"), at + "checks.yaml:20: free[0]: " + webToDB + " is checked, so it cannot be free"},
		"free and nowhere":              {free("{from: shop/*, to: shop/web, port: 81, reason: whatever}"), at + "checks.yaml:20: free[0]: the topology has no such flow"},
		"free of no such pod":           {free("{from: shop/nobody, to: '*', reason: whatever}"), at + "checks.yaml:20: free[0]: the topology has no such flow"},
		"a challenge that is not exact": {map[string]string{"exercises/guard/checks.yaml": checks + "final: true\nexact: false\n"}, at + "checks.yaml:21: exact: a final challenge is always exact"},
		"exact is no number":            {map[string]string{"exercises/guard/checks.yaml": checks + "exact: 2\n"}, at + "checks.yaml:20: is of the wrong type"},
		"equal wrong answers": {map[string]string{"exercises/guard/wrong-nobody.yaml": strings.ReplaceAll("# Somebody.\n"+guard("{from: [{podSelector: {matchLabels: {app: spy}}}]}"), "name: guard", "name: other")},
			at + "wrong-the-spy.yaml: says the same as wrong-nobody.yaml"},
		"none is too wide": {map[string]string{
			"exercises/guard/wrong-everyone.yaml": guard("{from: [{podSelector: {matchLabels: {app: nobody}}}]}"),
			"exercises/guard/wrong-the-spy.yaml":  guard("{from: [{podSelector: {matchLabels: {app: wbe}}}]}"),
		}, "01-one/exercises/guard: no wrong answer is too wide"},
		"five wrong answers":     {map[string]string{"exercises/guard/wrong-nobody.yaml": ""}, "01-one/exercises/guard: there are 5 wrong answers: want 6"},
		"a policy with a slip":   {map[string]string{"exercises/guard/wrong-nobody.yaml": strings.Replace(guard(""), "podSelector", "podselector", 1)}, at + "wrong-nobody.yaml:5: spec.podselector:"},
		"two policies of a name": {map[string]string{"exercises/guard/solution.yaml": guard("{}") + "---\n" + guard("{}")}, at + "solution.yaml:"},
		"a stray file":           {map[string]string{"exercises/guard/notes.txt": "x"}, at + "notes.txt: is none of"},
		"a stray exercise":       {map[string]string{"exercises/notes.txt": "x"}, "01-one/exercises/notes.txt: is not one of the lesson's exercises"},

		"not mounted":          {map[string]string{"lesson.md": front + "\ntext\n"}, "01-one/exercises/guard: the text does not mention it: write a line :::exercise guard"},
		"mounted twice":        {map[string]string{"lesson.md": front + "\n:::exercise guard\n\n:::exercise guard\n"}, "01-one/lesson.md:10: the exercise guard is there twice"},
		"not there":            {map[string]string{"lesson.md": front + "\n:::exercise guard\n\n:::exercise gard\n"}, `01-one/lesson.md:10: there is no exercise "gard"`},
		"an unknown directive": {map[string]string{"lesson.md": front + "\n:::exercise guard\n\n:::film one\n"}, "01-one/lesson.md:10: :::film is not known"},
		"topology field":       {map[string]string{"topology.yaml": strings.Replace(twoPods, "labels: {app: spy}", "lables: {app: spy}", 1)}, "01-one/topology.yaml:7: lables: is not a field here"},
		"topology port":        {map[string]string{"topology.yaml": strings.Replace(twoPods, "port: 5432", "port: 99999", 1)}, "01-one/topology.yaml:6: namespaces[shop].pods[db].ports: 99999 is not a port"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(lessonWith(c.files))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
}

const drawing = `caption: Who reaches the data.
pods: [shop/web, shop/db]
flows:
  - {from: shop/web, to: shop/db, port: 5432}
policies: |
  apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: guard, namespace: shop}
  spec:
    podSelector: {matchLabels: {app: db}}
    policyTypes: [Ingress]
`

func TestA_picture_is_drawn_where_the_text_mounts_it(t *testing.T) {
	all, err := Load(lessonWith(map[string]string{
		"lesson.md": front + "\n## Try\n\nbefore\n\n:::picture data\n\nafter\n\n:::exercise guard\n", "pictures/data.yaml": drawing,
	}))
	if err != nil {
		t.Fatal(err)
	}
	blocks := all[0].Sections[0].Blocks
	if len(blocks) != 4 || blocks[1].Picture == nil || blocks[1].Picture.ID != "data" || !strings.Contains(blocks[1].Picture.SVG, "✕ 5432 blocked") {
		t.Fatalf("blocks: %+v", blocks)
	}
	want := "From shop/web to shop/db, port 5432/TCP. Blocked: shop/guard isolates db for ingress, and no ingress rule allows anything."
	if s := blocks[1].Picture.Sentences; len(s) != 1 || s[0] != want {
		t.Errorf("in words: %q", s)
	}
}

func TestWhat_is_wrong_with_a_picture_is_said_with_its_place(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"no caption":         {"caption: Who reaches the data.", "caption: ''", "data.yaml:1: caption: is missing"},
		"unknown field":      {"caption:", "title:", "data.yaml:1: title: is not a field here"},
		"no flows":           {"  - {from: shop/web, to: shop/db, port: 5432}\n", "", "data.yaml:3: flows: there are none to draw"},
		"unknown pod":        {"[shop/web, shop/db]", "[shop/web, shop/db, shop/dbs]", "data.yaml:2: pods[2]: shop/dbs is no pod and no outside host"},
		"pod not drawn":      {"[shop/web, shop/db]", "[shop/db]", "data.yaml:4: flows[0]: shop/web is not among the picture's pods"},
		"unknown flow":       {"port: 5432}", "port: 1}", "data.yaml:4: flows[0]: the topology has no flow"},
		"several flows":      {"from: shop/web", "from: shop/*", "data.yaml:4: flows[0]: stands for 2 flows"},
		"policy with a slip": {"podSelector", "podselector", "data.yaml:10: spec.podselector:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(lessonWith(map[string]string{
				"lesson.md":          front + "\n:::picture data\n\n:::exercise guard\n",
				"pictures/data.yaml": strings.Replace(drawing, c.old, c.new, 1),
			}))
			if err == nil || !strings.Contains(err.Error(), "01-one/pictures/"+c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
	_, err := Load(lessonWith(map[string]string{"pictures/data.yaml": drawing, "pictures/Data.yml": drawing}))
	for _, want := range []string{"pictures/data.yaml: the text does not mention it: write a line :::picture data", "pictures/Data.yml: is not one of the lesson's pictures"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v\nwant in it %s", err, want)
		}
	}
}

func TestAnswers_are_the_engines_at_the_moment_that_is_predicted(t *testing.T) {
	l, e, _ := exerciseWith(t, nil)
	if got := e.Answers[spyToDB]; got.Verdict != probe.Open || got.Why == "" || !e.AtMoment(nil) {
		t.Errorf("of a start without policies: %+v", got)
	}
	start := e.Moment()
	shown := front + "\n## Try\n\n```yaml\n" + guard("") + "```\n\n:::exercise guard\n"
	_, e, _ = exerciseWith(t, map[string]string{"lesson.md": shown, "exercises/guard/start.yaml": guard("")})
	if got := e.Answers[spyToDB]; got.Verdict != probe.Blocked || !strings.Contains(got.Why, "guard") || e.AtMoment(nil) {
		t.Errorf("of a start with a policy: %+v", got)
	}
	if m := e.Moment(); m == start || !strings.HasPrefix(m, "start-") {
		t.Errorf("moments %s and %s", start, m)
	}
	// What is given takes the place of the start's policy of its name.
	given := "given: |\n" + regexp.MustCompile(`(?m)^`).ReplaceAllString(guard("{}"), "  ") + "\n"
	_, e, _ = exerciseWith(t, map[string]string{"lesson.md": shown, "exercises/guard/start.yaml": guard(""), "exercises/guard/checks.yaml": checks + given})
	if got := e.Answers[spyToDB]; got.Verdict != probe.Open || !strings.HasPrefix(e.Moment(), "given-") {
		t.Errorf("of a policy that is given: %+v at %s", got, e.Moment())
	}
	for yaml, want := range map[string]bool{guard("{}"): true, strings.Replace(guard("{}"), "name: guard", "name: other", 1): true, guard(""): false, "": false} {
		policies, err := l.policies(yaml)
		if err != nil {
			t.Fatal(err)
		}
		if e.AtMoment(policies) != want {
			t.Errorf("at the moment: %v with\n%s", !want, yaml)
		}
	}
}

func TestAn_answer_stands_in_its_place_and_is_of_an_exercise(t *testing.T) {
	const text = front + "\n## Try\n\nBefore.\n\n:::exercise guard\n\n:::answer guard\n\nThe *answer*.\n\n:::end\n\nBehind.\n"
	l, e, _ := exerciseWith(t, map[string]string{"lesson.md": text})
	blocks := l.Sections[0].Blocks
	if len(blocks) != 4 || blocks[2].Answer == nil || blocks[2].Answer.Exercise != e || len(blocks[2].Answer.Blocks) != 1 || !strings.Contains(blocks[2].Answer.Blocks[0].HTML, "<em>answer</em>") {
		t.Errorf("blocks: %+v", blocks)
	}
	if n := len(slices.Collect(l.Sections[0].All())); n != 4 {
		t.Errorf("all blocks are %d, want 4", n)
	}
	// Where the text alone asks, the learner opens it by hand.
	l, _, _ = exerciseWith(t, map[string]string{"lesson.md": strings.Replace(text, ":::answer guard", ":::answer", 1)})
	if a := l.Sections[0].Blocks[2].Answer; a == nil || a.Exercise != nil || len(a.Blocks) != 1 {
		t.Errorf("an answer of no exercise: %+v", a)
	}
	for name, c := range map[string]struct{ text, want string }{
		"without an end":     {front + "\n:::exercise guard\n\n:::answer guard\n\ntext\n\n## Next\n", "01-one/lesson.md:10: has no end in its section"},
		"never begun":        {front + "\n:::exercise guard\n\n:::end\n", "01-one/lesson.md:10: :::end ends nothing"},
		"within another":     {front + "\n:::exercise guard\n\n:::answer guard\n\n:::answer guard\n\n:::end\n", "01-one/lesson.md:12: :::answer within another"},
		"of no exercise":     {front + "\n:::exercise guard\n\n:::answer gard\n\n:::end\n", `01-one/lesson.md:10: there is no exercise "gard"`},
		"around an exercise": {front + "\n:::answer guard\n\n:::exercise guard\n\n:::end\n", "01-one/lesson.md:10: an exercise cannot stand in an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(lessonWith(map[string]string{"lesson.md": c.text})); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
	nothing := strings.Replace(checks, "predict:\n  - {from: shop/spy, to: shop/db, port: 5432}\n", "", 1)
	if _, err := Load(lessonWith(map[string]string{"lesson.md": text, "exercises/guard/checks.yaml": nothing})); err == nil || !strings.Contains(err.Error(), "01-one/lesson.md:14: the exercise guard asks for no prediction") {
		t.Errorf("an answer to nothing: %v", err)
	}
	if _, err := Load(lessonWith(map[string]string{"exercises/guard/checks.yaml": nothing + "given: |\n  " + "x: y\n"})); err == nil || !strings.Contains(err.Error(), "checks.yaml:18: given: there is nothing to predict of it") {
		t.Errorf("given for nothing: %v", err)
	}
}

// Whatever one connection is like, an answer that has it otherwise than the solution
// does not pass, or is told as wider than needed; of all exercises there are.
func TestGrade_no_exercise_is_passed_with_one_connection_otherwise(t *testing.T) {
	for _, l := range content(t) {
		for _, e := range l.Exercises {
			solved, err := l.Predicted(e.Solution)
			if err != nil {
				t.Fatal(err)
			}
			free := map[string]bool{}
			for _, f := range e.Free {
				free[f.Flow.ID] = true
			}
			checked := map[string]bool{}
			for _, c := range e.Checks {
				checked[c.Flow.ID] = true
			}
			graded := 0
			for _, f := range l.Flows {
				is := solved[f.ID]
				for _, other := range []probe.Verdict{probe.Open, probe.Blocked, probe.Unknown} {
					if other == probe.Open && is == probe.Open || other == probe.Blocked && is != probe.Open {
						continue
					}
					solved[f.ID] = other
					out := e.Grade(l, solved)
					wider := other == probe.Open && !e.Exact && !checked[f.ID]
					switch {
					case free[f.ID]:
						if !out.Passed || out.Narrow && other == probe.Open {
							t.Errorf("%s/%s: with the free %s %s: passed %v, narrow %v", l.Slug, e.ID, f.ID, other, out.Passed, out.Narrow)
						}
					case out.Passed != wider || out.Narrow || out.Score() == 100 || wider && len(out.Wider) != 1:
						t.Errorf("%s/%s: with %s %s: passed %v, narrow %v, score %d, wider %v", l.Slug, e.ID, f.ID, other, out.Passed, out.Narrow, out.Score(), out.Wider)
					}
				}
				solved[f.ID] = is
				if !free[f.ID] {
					graded++
				}
			}
			if out := e.Grade(l, solved); out.Graded != graded || graded < len(e.Checks) {
				t.Errorf("%s/%s: %d flows are graded, want %d", l.Slug, e.ID, out.Graded, graded)
			}
		}
	}
}
