package views

import (
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/store"
)

func allQuizzes(t *testing.T) []*quizzes.Quiz {
	t.Helper()
	labs := map[string]*sandbox.Topology{}
	for _, l := range theLessons(t) {
		labs[l.Slug] = l.Topology
	}
	list, err := quizzes.Load(quizzes.Content(), labs)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// wrong answers every question with its first choice that is wrong.
func wrong(q *quizzes.Quiz) quizzes.Answers {
	answers := quizzes.Answers{}
	for _, question := range q.Questions {
		if question.Fix != nil {
			answers[question.ID] = []string{question.Fix.Mistakes[0].Line}
			continue
		}
		i := slices.IndexFunc(question.Choices, func(c quizzes.Choice) bool { return !c.Correct })
		answers[question.ID] = []string{question.Choices[i].ID}
	}
	return answers
}

// states are the quiz's page before and after grading, and with problems.
func states(t *testing.T, q *quizzes.Quiz) map[string]string {
	t.Helper()
	answers, problems := wrong(q), map[string]string{}
	result, err := q.Grade(answers)
	if err != nil {
		t.Fatal(err)
	}
	for _, question := range q.Questions {
		problems[question.ID] = "Something is wrong with " + question.ID + "."
	}
	out := map[string]string{}
	for name, page := range map[string]Quiz{
		"before":   {Quiz: q},
		"graded":   {Quiz: q, Answers: answers, Result: &result},
		"problems": {Quiz: q, Answers: answers, Problems: problems},
	} {
		var b strings.Builder
		if err := QuizPage(Page{Title: q.Title}, page).Render(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		out[name] = b.String()
	}
	return out
}

var (
	idAttribute = regexp.MustCompile(`\sid="([^"]*)"`)
	reference   = regexp.MustCompile(`\s(?:for|aria-describedby|aria-labelledby)="([^"]*)"`)
	region      = regexp.MustCompile(`role="region" aria-label="([^"]*)"`)
)

func TestEvery_element_that_a_quiz_points_to_is_there_once(t *testing.T) {
	for _, q := range allQuizzes(t) {
		for state, text := range states(t, q) {
			seen := map[string]bool{}
			for _, m := range idAttribute.FindAllStringSubmatch(text, -1) {
				if seen[m[1]] {
					t.Errorf("%s, %s: the id %s is there twice", q.Slug, state, m[1])
				}
				seen[m[1]] = true
			}
			for _, m := range reference.FindAllStringSubmatch(text, -1) {
				for _, id := range strings.Fields(m[1]) {
					if !seen[id] {
						t.Errorf("%s, %s: there is no element %s", q.Slug, state, id)
					}
				}
			}
			regions := map[string]bool{}
			for _, m := range region.FindAllStringSubmatch(text, -1) {
				if regions[m[1]] {
					t.Errorf("%s, %s: two regions are named %s", q.Slug, state, m[1])
				}
				regions[m[1]] = true
			}
			for _, part := range []string{"<fieldset", "<legend"} {
				if n := strings.Count(text, part); n != len(q.Questions) {
					t.Errorf("%s, %s: %d of %s, want one for each of %d questions", q.Slug, state, n, part, len(q.Questions))
				}
			}
		}
	}
}

func TestA_problem_is_read_with_its_question(t *testing.T) {
	q := allQuizzes(t)[0]
	text := states(t, q)["problems"]
	for _, question := range q.Questions {
		id := "q-" + question.ID
		for _, want := range []string{`aria-describedby="` + id + `-problem ` + id + `-hint"`, `id="` + id + `-problem">Something is wrong with ` + question.ID} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not there", want)
			}
		}
	}
}

// What is right and wrong is said in words, and each choice has its own.
func TestEvery_choice_is_judged_in_words(t *testing.T) {
	for _, q := range allQuizzes(t) {
		text := states(t, q)["graded"]
		choices, judged := 0, 0
		for _, question := range q.Questions {
			choices += len(question.Choices)
		}
		for _, words := range []string{"Your answer: Right.", "Your answer: Wrong.", "<strong>Right.", "<strong>Wrong.", "Right to choose.", "Wrong to choose.", "Right to leave out.", "Wrong to leave out."} {
			judged += strings.Count(text, words)
		}
		if judged != choices {
			t.Errorf("%s: %d of %d choices are judged", q.Slug, judged, choices)
		}
		if n := strings.Count(text, "✕ Not right."); n != len(q.Questions) {
			t.Errorf("%s: %d questions are said to be not right, want all %d", q.Slug, n, len(q.Questions))
		}
	}
}

func TestThe_line_to_fix_stands_in_the_policy_in_its_place(t *testing.T) {
	for _, q := range allQuizzes(t) {
		for i, question := range q.Questions {
			f := question.Fix
			if f == nil {
				continue
			}
			shown := Quiz{Quiz: q}.question(i)
			lines := slices.DeleteFunc([]string{shown.before(), shown.line(), shown.after()}, func(s string) bool { return s == "" })
			if got := strings.Join(lines, "\n") + "\n"; got != question.Policies {
				t.Errorf("%s/%s: the page shows\n%s", q.Slug, question.ID, got)
			}
			if lines := strings.Split(question.Policies, "\n"); lines[f.Line-1] != f.Fault {
				t.Errorf("%s/%s: line %d is %q, want %q", q.Slug, question.ID, f.Line, lines[f.Line-1], f.Fault)
			}
			if text := html.UnescapeString(states(t, q)["before"]); !strings.Contains(text, `value="`+f.Fault+`"`) {
				t.Errorf("%s/%s: the field does not hold the line", q.Slug, question.ID)
			}
		}
	}
}

func TestA_quiz_says_its_score_and_the_record(t *testing.T) {
	q := &quizzes.Quiz{Questions: make([]quizzes.Question, 3)}
	for right, want := range map[int]string{0: "0 of 3 answers are right.", 1: "1 of 3 answers is right.", 3: "All 3 answers are right."} {
		if got := (Quiz{Quiz: q, Result: &quizzes.Result{Right: right}}).Score(); got != want {
			t.Errorf("%d: %q, want %q", right, got, want)
		}
	}
	page := Quiz{Quiz: q}
	if got := page.Record(); got != "" {
		t.Errorf("without attempts: %q", got)
	}
	page.Kept = &store.Quiz{Best: store.Attempt{Right: 3, Total: 3}, Latest: store.Attempt{Right: 1, Total: 3}}
	if got, want := page.Record(), "Your best attempt: 3 of 3. Your latest: 1 of 3."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
