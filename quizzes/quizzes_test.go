package quizzes

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/lessons/prose"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// lessonTopologies are the lessons' topologies by slug. The package lessons may
// not be imported here, so the files are read.
func lessonTopologies(t testing.TB) map[string]*sandbox.Topology {
	t.Helper()
	files, err := filepath.Glob("../lessons/content/*/lesson.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d lessons, error %v", len(files), err)
	}
	read := func(file string) []byte {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	labs, shared := map[string]*sandbox.Topology{}, map[string]string{}
	field := regexp.MustCompile(`(?m)^(slug|topology): (.+)$`)
	for _, file := range files {
		front := map[string]string{}
		for _, m := range field.FindAllSubmatch(read(file), -1) {
			front[string(m[1])] = string(m[2])
		}
		if other := front["topology"]; other != "" {
			shared[front["slug"]] = other
			continue
		}
		topology, err := sandbox.ParseTopology(read(filepath.Join(filepath.Dir(file), "topology.yaml")))
		if err != nil {
			t.Fatal(err)
		}
		labs[front["slug"]] = topology
	}
	for slug, other := range shared {
		labs[slug] = labs[other]
	}
	return labs
}

func content(t testing.TB) []*Quiz {
	t.Helper()
	all, err := Load(Content(), lessonTopologies(t))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestThe_quizzes_of_the_binary_load(t *testing.T) {
	all := content(t)
	if q := all[0]; q.Slug != "network-policies" {
		t.Errorf("the first quiz is %q, want network-policies", q.Slug)
	}
	for _, id := range []string{"default-behaviour", "default-deny-egress", "who-enforces"} {
		if _, ok := all[0].Question(id); !ok {
			t.Errorf("the first quiz has no question %s", id)
		}
	}
}

// texts are all the words of authors in the quiz, a paragraph each.
func texts(q *Quiz) string {
	all := []string{q.Title}
	for _, question := range q.Questions {
		all = append(all, plain(question.Prompt))
		for _, c := range question.Choices {
			all = append(all, plain(c.Text), plain(c.Explanation))
		}
		if f := question.Fix; f != nil {
			all = append(all, plain(f.Explanation))
			for _, m := range f.Mistakes {
				all = append(all, plain(m.Explanation))
			}
		}
	}
	return strings.Join(all, "\n\n")
}

// plain is the text as Markdown without emphasis.
func plain(t markdown.Text) string {
	text := regexp.MustCompile(`</?code>`).ReplaceAllString(t.HTML(), "`")
	return html.UnescapeString(regexp.MustCompile(`<[^>]+>`).ReplaceAllString(text, ""))
}

func TestThe_text_is_easy_to_read(t *testing.T) {
	for _, q := range content(t) {
		for _, problem := range prose.HardToRead(texts(q)) {
			t.Errorf("%s: %s", q.Slug, problem)
		}
	}
}

func TestThe_text_is_free_of_slips(t *testing.T) {
	for _, q := range content(t) {
		for _, problem := range prose.Slips(texts(q)) {
			t.Errorf("%s: %s", q.Slug, problem)
		}
	}
}

func TestThe_text_is_spelt_as_a_dictionary_has_it(t *testing.T) {
	for _, q := range content(t) {
		for _, word := range prose.Misspelt(t, texts(q)) {
			t.Errorf("%s: %q is in no dictionary: correct it, or add it to lessons/prose/words.txt", q.Slug, word)
		}
	}
}

// A learner who always takes the same place, or always answers that something is
// open, must not pass.
func TestThe_right_choice_is_not_always_at_the_same_place(t *testing.T) {
	for _, q := range content(t) {
		places, verdicts, asked := map[int]bool{}, map[probe.Verdict]bool{}, 0
		for _, question := range q.Questions {
			for i, c := range question.Choices {
				if c.Correct && question.Kind == Single {
					places[i] = true
				}
				if c.Correct && question.Kind == Verdict {
					verdicts[c.Verdict] = true
					asked++
				}
			}
		}
		if len(places) == 1 || len(verdicts) == 1 && asked > 1 {
			t.Errorf("%s: every right choice is at one of the places %v and the verdicts %v", q.Slug, places, verdicts)
		}
	}
}

// Who always takes the longest choice must not pass: an author who is careful about
// the right one makes it long without noticing.
func TestThe_right_choice_is_the_longest_in_at_most_a_third(t *testing.T) {
	for _, q := range content(t) {
		asked, longest := 0, []string{}
		for _, question := range q.Questions {
			if question.Kind != Single {
				continue
			}
			asked++
			right, wrong := 0, 0
			for _, c := range question.Choices {
				if n := utf8.RuneCountInString(plain(c.Text)); c.Correct {
					right = n
				} else {
					wrong = max(wrong, n)
				}
			}
			if right >= wrong {
				longest = append(longest, question.ID)
			}
		}
		if 3*len(longest) > asked {
			t.Errorf("%s: the right choice is the longest in %d of %d: %v", q.Slug, len(longest), asked, longest)
		}
	}
}

// A prompt must not tell what its author takes for a mistake, and, since questions
// are shuffled, cannot go on from another one.
func TestA_prompt_gives_nothing_away_and_stands_alone(t *testing.T) {
	telling := regexp.MustCompile(`(?i)\b(thought|wanted|half|mistake\w*|forgot\w*|trap|wrongly)\b`)
	goesOn := regexp.MustCompile(`(?i)(^now\b|\b(again|previous|earlier|last|next|other) (question|policy)\b|\bquestion (above|before|below)\b|\bas before\b|\bstill the same\b)`)
	for _, q := range content(t) {
		policies := map[string]string{}
		for _, question := range q.Questions {
			if w := telling.FindString(plain(question.Prompt)); w != "" {
				t.Errorf("%s/%s: %q gives the answer away", q.Slug, question.ID, w)
			}
			if w := goesOn.FindString(plain(question.Prompt)); w != "" {
				t.Errorf("%s/%s: %q goes on from another question, but they are shuffled", q.Slug, question.ID, w)
			}
			// What one question says of a set of policies answers another about the same.
			if other := policies[question.Policies]; question.Policies != "" && other != "" {
				t.Errorf("%s: %s and %s are about the same policies, on one page", q.Slug, other, question.ID)
			}
			policies[question.Policies] = question.ID
		}
	}
}

// The words of these questions are the lessons': what a rule does is said in plain ones.
func TestThe_words_are_plain(t *testing.T) {
	stiff := regexp.MustCompile(`(?i)\b(admit\w*|becomes? of|became of)\b`)
	for _, q := range content(t) {
		if w := stiff.FindString(texts(q)); w != "" {
			t.Errorf("%s: say allow or let in, and what happens to, for %q", q.Slug, w)
		}
	}
}

func TestThere_are_enough_questions_on_each_matter(t *testing.T) {
	all := 0
	var words strings.Builder
	for _, q := range content(t) {
		all += len(q.Questions)
		for _, question := range q.Questions {
			words.WriteString(plain(question.Prompt) + question.Policies + "\n")
		}
	}
	if all < 45 {
		t.Errorf("there are %d questions, want 45 or more", all)
	}
	for _, matter := range []string{"kubelet", "endPort", "IPv6", "`ipBlock` and, beside it", "headless", "NodePort", "ICMP", "resolv.conf"} {
		if !strings.Contains(words.String(), matter) {
			t.Errorf("no question is about %s", matter)
		}
	}
}

// The page shows a policy to learn from, so it must be one that kubectl applies
// and that the workbench takes.
func TestEvery_policy_of_a_question_is_valid_and_for_its_topology(t *testing.T) {
	for _, q := range content(t) {
		for _, question := range q.Questions {
			if question.Policies == "" {
				continue
			}
			sources := []string{question.Policies}
			if f := question.Fix; f != nil {
				sources = append(sources, f.Before+f.Solution+"\n"+f.After)
			}
			for _, src := range sources {
				policies, err := policy.Parse([]byte(src), policy.ParseOptions{Namespaces: question.Topology.NamespaceNames()})
				if err != nil {
					t.Errorf("%s/%s: %v", q.Slug, question.ID, err)
				}
				for _, p := range policies {
					if problems := policy.Validate(p); len(problems) > 0 {
						t.Errorf("%s/%s: %v", q.Slug, question.ID, problems)
					}
				}
			}
		}
	}
}

// The engine is asked in another way than at load: what a question takes for open
// is what the evaluator allows.
func TestComputed_answers_are_the_engines(t *testing.T) {
	computed, all := 0, 0
	for _, q := range content(t) {
		for _, question := range q.Questions {
			all++
			if question.Kind == Single || question.Kind == Multiple {
				continue
			}
			computed++
			policies, err := parse(question.Topology, question.Policies)
			if err != nil {
				t.Fatal(err)
			}
			predictor, err := sandbox.NewPredictor(question.Topology, question.addresses, policies)
			if err != nil {
				t.Fatal(err)
			}
			verdict := func(f sandbox.Flow) probe.Verdict {
				v, err := predictor.Verdict(f)
				if err != nil {
					t.Fatalf("%s/%s: %v", q.Slug, question.ID, err)
				}
				return v
			}
			open := 0
			for _, c := range question.Choices {
				switch {
				case question.Kind == Verdict:
					if c.Correct != (c.ID == string(verdict(question.Flow))) || c.Correct != (c.Reason != "") {
						t.Errorf("%s/%s: choice %+v, but the flow is %s", q.Slug, question.ID, c, verdict(question.Flow))
					}
				case c.ID == NoFlow:
					if c.Correct != (open == 0) {
						t.Errorf("%s/%s: none is %v with %d open", q.Slug, question.ID, c.Correct, open)
					}
				default:
					if v := verdict(*c.Flow); c.Correct != (v == probe.Open) || c.Verdict != v || c.Reason == "" {
						t.Errorf("%s/%s: choice %+v, but the flow is %s", q.Slug, question.ID, c, v)
					}
					if c.Correct {
						open++
					}
				}
			}
		}
	}
	if 3*computed < all {
		t.Errorf("%d of %d questions are computed, want at least a third", computed, all)
	}
}

func TestEvery_question_can_be_answered_right_and_wrong(t *testing.T) {
	for _, q := range content(t) {
		right, wrong := Answers{}, Answers{}
		for _, question := range q.Questions {
			if f := question.Fix; f != nil {
				right[question.ID] = []string{f.Solution}
				wrong[question.ID] = []string{f.Fault}
				continue
			}
			for _, c := range question.Choices {
				if c.Correct {
					right[question.ID] = append(right[question.ID], c.ID)
				} else {
					wrong[question.ID] = []string{c.ID}
				}
			}
		}
		if result, err := q.Grade(right); err != nil || result.Right != len(q.Questions) {
			t.Errorf("%s: the right answers: %d of %d, error %v", q.Slug, result.Right, len(q.Questions), err)
		}
		if result, err := q.Grade(wrong); err != nil || result.Right != 0 {
			t.Errorf("%s: the wrong answers: %d right, error %v", q.Slug, result.Right, err)
		}
	}
}

func TestEvery_mistake_of_a_fix_is_named_to_the_learner(t *testing.T) {
	for _, q := range content(t) {
		for _, question := range q.Questions {
			if question.Fix == nil {
				continue
			}
			for _, m := range question.Fix.Mistakes {
				answer, problem := question.grade([]string{m.Line})
				if problem != "" {
					t.Errorf("%s/%s: %q cannot be graded: %s", q.Slug, question.ID, m.Line, problem)
				} else if answer.Right || answer.Mistake != m.Explanation {
					t.Errorf("%s/%s: %q: right %v, told %q", q.Slug, question.ID, m.Line, answer.Right, answer.Mistake)
				}
			}
		}
	}
}

func TestA_shuffle_keeps_everything_and_repeats(t *testing.T) {
	orders := map[string]bool{}
	for _, q := range content(t) {
		for seed := range uint64(8) {
			s := q.Shuffled(seed)
			var ids []string
			for _, question := range s.Questions {
				ids = append(ids, question.ID)
				was, ok := q.Question(question.ID)
				if !ok || len(was.Choices) != len(question.Choices) {
					t.Fatalf("%s/%s: %d choices were %d", q.Slug, question.ID, len(question.Choices), len(was.Choices))
				}
				for _, c := range was.Choices {
					if !question.has(c.ID) {
						t.Errorf("%s/%s: choice %s is lost", q.Slug, question.ID, c.ID)
					}
				}
				switch n := len(question.Choices); question.Kind {
				case Flows:
					if question.Choices[n-1].ID != NoFlow {
						t.Errorf("%s/%s: none is not last", q.Slug, question.ID)
					}
				case Verdict:
					if question.Choices[0].ID != string(probe.Open) {
						t.Errorf("%s/%s: the verdicts are out of order", q.Slug, question.ID)
					}
				}
			}
			if len(ids) != len(q.Questions) {
				t.Errorf("%s: %d questions, want %d", q.Slug, len(ids), len(q.Questions))
			}
			again := q.Shuffled(seed)
			if !slices.EqualFunc(s.Questions, again.Questions, func(a, b Question) bool {
				return a.ID == b.ID && slices.EqualFunc(a.Choices, b.Choices, func(a, b Choice) bool { return a.ID == b.ID })
			}) {
				t.Errorf("%s: seed %d does not repeat", q.Slug, seed)
			}
			orders[strings.Join(ids, " ")] = true
		}
	}
	if len(orders) < 8 {
		t.Errorf("only %d orders by 8 seeds", len(orders))
	}
}

const good = `title: One
slug: one
lesson: shop
questions:
  - id: first
    kind: single
    prompt: First?
    choices:
      - {id: yes-it-is, text: "Yes", explanation: Because., correct: true}
      - {id: no-it-is-not, text: "No", explanation: Because.}
  - id: second
    kind: multiple
    prompt: Second?
    choices:
      - {id: left, text: Left, explanation: Because.}
      - {id: right, text: Right, explanation: Because., correct: true}
      - {id: up, text: Up, explanation: Because., correct: true}
  - id: third
    kind: flows
    prompt: Third?
    policies: |
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: closed, namespace: shop}
      spec:
        podSelector: {matchLabels: {app: api}}
    flows:
      - {flow: "shop/web>shop/api:80/TCP", explanation: Because.}
      - {flow: "shop/api>shop/web:80/TCP", explanation: Because.}
    none: Because.
  - id: fourth
    kind: verdict
    prompt: Fourth?
    policies: |
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: closed, namespace: shop}
      spec:
        podSelector: {}
        policyTypes: [Egress]
    flow: shop/web>shop/api:80/TCP@name
    choices:
      - {id: open, explanation: Because.}
      - {id: blocked, explanation: Because.}
      - {id: dns-failed, explanation: Because.}
  - id: fifth
    kind: fix
    prompt: Fifth?
    policies: |
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: api, namespace: shop}
      spec:
        podSelector:
          matchLabels:
            app: api
        ingress:
          - from:
              - podSelector:
                  matchLabels:
                    app: nobody
    fault: "app: nobody"
    open: ["shop/web>shop/api:80/TCP"]
    blocked: ["shop/other>shop/api:80/TCP"]
    solution: "              app: web"
    explanation: Because.
    mistakes:
      - {line: "              app: api", explanation: That is the api itself.}
`

const shopTopology = `name: shop
namespaces:
  - name: shop
    pods:
      - {name: web, labels: {app: web}, ports: [{port: 80}]}
      - {name: api, labels: {app: api}, ports: [{port: 80}]}
      - {name: other, labels: {app: other}}
    services:
      - {name: api, pod: api, ports: [{port: 8080, targetPort: 80}]}
external:
  - {name: internet, ports: [{port: 443}]}
`

func loadOne(t testing.TB, src string) ([]*Quiz, error) {
	t.Helper()
	shop, err := sandbox.ParseTopology([]byte(shopTopology))
	if err != nil {
		t.Fatal(err)
	}
	return Load(fstest.MapFS{"01-one.yaml": {Data: []byte(src)}}, map[string]*sandbox.Topology{"shop": shop})
}

func TestWhat_is_wrong_is_said_with_file_line_and_field(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":        {"prompt: First?", "prompt: First?\n    hint: none", "01-one.yaml: yaml: unmarshal errors:\n  line 8: field hint not found"},
		"wrong type":           {"correct: true}\n      - {id: no", "correct: perhaps}\n      - {id: no", "line 9: cannot unmarshal"},
		"no title":             {"title: One\n", "", "01-one.yaml:1: title: is missing"},
		"bad slug":             {"slug: one", "slug: One", `01-one.yaml:2: slug: "One"`},
		"no such lesson":       {"lesson: shop", "lesson: stop", `01-one.yaml:3: lesson: there is no lesson "stop"; there are shop`},
		"no explanation":       {`text: "No", explanation: Because.`, `text: "No"`, "01-one.yaml:10: questions[0].choices[1].explanation: is missing"},
		"a blank explanation":  {`text: "No", explanation: Because.`, `text: "No", explanation: " "`, "01-one.yaml:10: questions[0].choices[1].explanation: is missing"},
		"an open backtick":     {`text: "No", explanation: Because.`, "text: \"No\", explanation: \"So `it\"", "01-one.yaml:10: questions[0].choices[1].explanation: the mark ` is not closed"},
		"question ID twice":    {"id: second", "id: first", `01-one.yaml:11: questions[1].id: "first" is there twice`},
		"choice ID twice":      {"id: right", "id: left", `01-one.yaml:16: questions[1].choices[1].id: "left" is there twice`},
		"none correct":         {`explanation: Because., correct: true}`, "explanation: Because.}", "01-one.yaml:9: questions[0].choices: 0 choices are correct"},
		"two correct":          {`text: "No", explanation: Because.`, `text: "No", explanation: Because., correct: true`, "01-one.yaml:9: questions[0].choices: 2 choices are correct"},
		"all correct":          {"text: Left, explanation: Because.", "text: Left, explanation: Because., correct: true", "01-one.yaml:15: questions[1].choices: 3 of 3 choices are correct"},
		"a single choice":      {"      - {id: no-it-is-not, text: \"No\", explanation: Because.}\n", "", "01-one.yaml:9: questions[0].choices: want at least two"},
		"a field twice":        {"slug: one", "slug: one\ntitle: Two", `mapping key "title" already defined at line 1`},
		"a second document":    {"title: One", "title: One\n---\ntitle: Two", "01-one.yaml: want one YAML document"},
		"no questions":         {good[strings.Index(good, "questions:"):], "questions: []\n", "01-one.yaml:4: questions: want at least one"},
		"no kind":              {"    kind: single\n", "", `01-one.yaml:5: questions[0].kind: "" is no kind of question: want single, multiple, flows, verdict or fix`},
		"a field of a kind":    {"kind: single", "kind: flows", `01-one.yaml:9: questions[0].choices: a question of kind flows has no such field`},
		"a policy's field":     {"spec:\n        podSelector: {matchLabels", "spec:\n        podselector: {matchLabels", `01-one.yaml:26: questions[2].policies: line 5, column 3: spec.podselector: spec has no field "podselector"; did you mean "podSelector"?`},
		"a foreign namespace":  {"{name: closed, namespace: shop}", "{name: closed, namespace: stop}", "01-one.yaml:24: questions[2].policies: line 3"},
		"no policies":          {good[strings.Index(good, "    policies:"):strings.Index(good, "    flows:")], "", "01-one.yaml:18: questions[2].policies: is missing"},
		"a strange flow":       {"shop/api>shop/web:80/TCP", "shop/api>shop/web:81/TCP", `01-one.yaml:29: questions[2].flows[1].flow: "shop/api>shop/web:81/TCP" is no flow of the topology shop: want one such as`},
		"a flow twice":         {"shop/api>shop/web:80/TCP", "shop/web>shop/api:80/TCP", `01-one.yaml:29: questions[2].flows[1].flow: is there twice`},
		"a flow without words": {`"shop/web>shop/api:80/TCP", explanation: Because.`, `"shop/web>shop/api:80/TCP"`, `01-one.yaml:28: questions[2].flows[0].explanation: is missing`},
		"none without words":   {"    none: Because.\n", "", "01-one.yaml:18: questions[2].none: is missing"},
		"a verdict's key":      {"{id: blocked, explanation: Because.}", "{id: blocked, explanation: Because., correct: true}", "questions[3].choices[1].correct: is computed"},
		"a verdict missing":    {"      - {id: dns-failed, explanation: Because.}\n", "", "questions[3].choices: the choice dns-failed is missing"},
		"a strange verdict":    {"      - {id: dns-failed,", "      - {id: refused,", `questions[3].choices: "refused" is no verdict that can be computed`},
		"no faulty line":       {`fault: "app: nobody"`, `fault: "app: no"`, "questions[4].fault: policies has no such line"},
		"two faulty lines":     {"            app: api\n        ingress", "            app: nobody\n        ingress", "questions[4].fault: the line is there twice in policies, on its lines 7 and 12"},
		"a faultless line":     {"app: nobody\n    fault: \"app: nobody\"", "app: web\n    fault: \"app: web\"", "questions[4].fault: nothing is wrong with this line"},
		"a wrong solution":     {`solution: "              app: web"`, `solution: "              app: api"`, "questions[4].solution: with this line shop/web>shop/api:80/TCP is blocked, which is not wanted: Blocked: shop/api isolates api"},
		"a broken solution":    {`solution: "              app: web"`, `solution: "       app: web"`, "questions[4].solution: with this line the policies cannot be applied"},
		"a right mistake":      {`line: "              app: api"`, `line: "              app: web"`, "questions[4].mistakes[0].line: this line is no mistake"},
		"a broken mistake":     {`line: "              app: api"`, `line: "   app: api"`, "questions[4].mistakes[0].line: with this line the policies cannot be applied, so nobody"},
		"nothing blocked":      {`["shop/other>shop/api:80/TCP"]`, "[]", "questions[4].blocked: want at least one flow"},
		"an unaddressed block": {"spec:\n        podSelector: {matchLabels: {app: api}}", "spec:\n        podSelector: {matchLabels: {app: api}}\n        ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]", "questions[2].addresses: the policies have an ipBlock"},
		"a strange address":    {"    none: Because.", "    none: Because.\n    addresses: {pods: {shop/db: 10.0.0.1}}", "questions[2].addresses.pods.shop/db: there is nothing of that name"},
		"no address":           {"    none: Because.", "    none: Because.\n    addresses: {pods: {shop/web: nowhere}}", "ParseAddr"},
		"a bad topology":       {"    none: Because.", "    none: Because.\n    topology: {name: x}", "01-one.yaml:31: questions[2].topology: topology: namespaces: at least one is needed"},
	} {
		t.Run(name, func(t *testing.T) {
			src := strings.Replace(good, c.old, c.new, 1)
			if src == good {
				t.Fatal("the case changes nothing")
			}
			if _, err := loadOne(t, src); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
}

func TestFiles_must_be_quizzes(t *testing.T) {
	shop := map[string]*sandbox.Topology{"shop": testQuiz(t).Questions[2].Topology}
	for name, c := range map[string]struct {
		fs   fstest.MapFS
		want string
	}{
		"nothing":         {fstest.MapFS{}, "there are none"},
		"a stray file":    {fstest.MapFS{"notes.txt": {}}, "notes.txt: not a quiz"},
		"an empty file":   {fstest.MapFS{"01-one.yaml": {}}, "01-one.yaml: EOF"},
		"two of one slug": {fstest.MapFS{"01-one.yaml": {Data: []byte(good)}, "02-two.yaml": {Data: []byte(good)}}, `02-two.yaml: slug: "one" is taken by 01-one.yaml`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(c.fs, shop); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
}

func testQuiz(t testing.TB) *Quiz {
	t.Helper()
	all, err := loadOne(t, good)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func TestThe_version_changes_with_what_is_seen_and_with_what_is_computed(t *testing.T) {
	was := testQuiz(t).Version
	if again := testQuiz(t).Version; again != was || was == "" {
		t.Errorf("version %q, and again %q", was, again)
	}
	for _, c := range [][2]string{{"First?", "The first?"}, {"Up, explanation: Because.", "Up, explanation: So."}, {"podSelector: {matchLabels: {app: api}}", "podSelector: {matchLabels: {app: web}}"}} {
		all, err := loadOne(t, strings.Replace(good, c[0], c[1], 1))
		if err != nil {
			t.Fatal(err)
		}
		if all[0].Version == was {
			t.Errorf("%s to %s: the version stays", c[0], c[1])
		}
	}
}

func TestOnly_a_question_about_the_lessons_topology_can_be_proved(t *testing.T) {
	quiz := testQuiz(t)
	for i, want := range []bool{false, false, true, true, true} {
		if got := quiz.Questions[i].Provable(); got != want {
			t.Errorf("%s: provable %v, want %v", quiz.Questions[i].ID, got, want)
		}
	}
	for name, field := range map[string]string{
		"a topology of its own": "topology: {name: own, namespaces: [{name: shop, pods: [{name: web, ports: [{port: 80}]}, {name: api, ports: [{port: 80}]}]}]}",
		"addresses of its own":  "addresses: {external: {internet: 203.0.113.7}}",
	} {
		all, err := loadOne(t, strings.Replace(good, "    none: Because.", "    none: Because.\n    "+field, 1))
		if err != nil {
			t.Fatal(err)
		}
		if all[0].Questions[2].Provable() {
			t.Errorf("%s: it cannot be in a sandbox", name)
		}
	}
}

func TestWhat_is_asked_is_drawn_without_and_with_what_becomes_of_it(t *testing.T) {
	drawn := 0
	for _, quiz := range content(t) {
		ids := map[string]bool{}
		for _, q := range quiz.Questions {
			if q.Kind != Flows && q.Kind != Verdict {
				if q.Asked != nil || q.Answered != nil {
					t.Errorf("%s: is drawn, and is about no flows", q.ID)
				}
				continue
			}
			drawn++
			if q.Asked == nil || q.Answered == nil {
				t.Fatalf("%s: is not drawn", q.ID)
			}
			flows, open := 0, 0
			for _, c := range q.Choices {
				if q.Kind == Flows && c.Flow != nil || q.Kind == Verdict && c.Correct {
					flows++
					if c.Verdict == probe.Open {
						open++
					}
				}
			}
			for _, p := range []struct {
				svg, id                    string
				asked, open, blocked, told int
			}{
				{q.Asked.SVG, q.Asked.ID, flows, 0, 0, len(q.Asked.Sentences)},
				{q.Answered.SVG, q.Answered.ID, 0, open, flows - open, len(q.Answered.Sentences)},
			} {
				if ids[p.id] {
					t.Errorf("%s: the ID %s is on the page twice", q.ID, p.id)
				}
				ids[p.id] = true
				asked, open, blocked := strings.Count(p.svg, `class="pic-flow asked"`), strings.Count(p.svg, `class="pic-flow open"`), strings.Count(p.svg, `class="pic-flow blocked"`)
				if asked != p.asked || open != p.open || blocked != p.blocked || p.told != flows {
					t.Errorf("%s: the picture %s has %d flows asked, %d open, %d blocked and %d sentences, want %d, %d, %d and %d", q.ID, p.id, asked, open, blocked, p.told, p.asked, p.open, p.blocked, flows)
				}
			}
			for _, away := range []string{"isolated", "allowed", "✓", "✕", "no DNS"} {
				if said := q.Asked.SVG + strings.Join(q.Asked.Sentences, " "); strings.Contains(said, away) {
					t.Errorf("%s: the picture that asks says %q", q.ID, away)
				}
			}
		}
	}
	if drawn < 10 {
		t.Errorf("%d questions are drawn", drawn)
	}
}

func TestThe_picture_says_of_each_flow_what_the_key_says(t *testing.T) {
	begins := map[probe.Verdict]string{probe.Open: "Allowed", probe.Blocked: "Blocked", probe.DNSFailed: "The name is not found."}
	for _, quiz := range content(t) {
		for _, q := range quiz.Questions {
			key := map[string]probe.Verdict{}
			for _, c := range q.Choices {
				switch {
				case c.Flow != nil:
					key[c.Flow.ID] = c.Verdict
				case q.Kind == Verdict && c.Correct:
					key[q.Flow.ID] = c.Verdict
				}
			}
			if len(key) == 0 {
				continue
			}
			for i, f := range q.asked() {
				want, ok := begins[key[f.ID]]
				_, said, found := strings.Cut(q.Answered.Sentences[i], fmt.Sprintf("port %d/%s. ", f.Port, f.Protocol))
				if !ok || !found || !strings.HasPrefix(q.Answered.Sentences[i], "From "+f.From+" to "+f.To) || !strings.HasPrefix(said, want) {
					t.Errorf("%s: of %s, which is %q, the picture says %q", q.ID, f.ID, key[f.ID], q.Answered.Sentences[i])
				}
			}
		}
	}
}
