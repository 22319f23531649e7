package quizzes

import (
	"errors"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const (
	open3   = "shop/api>shop/web:80/TCP"
	closed3 = "shop/web>shop/api:80/TCP"
	line    = "              app: web"
)

// allRight are the right answers to the quiz of the tests, with some changed.
func allRight(changes ...[]string) Answers {
	a := Answers{"first": {"yes-it-is"}, "second": {"right", "up"}, "third": {open3}, "fourth": {"dns-failed"}, "fifth": {line}}
	for _, c := range changes {
		a[c[0]] = c[1:]
	}
	return a
}

func TestEach_kind_is_graded(t *testing.T) {
	quiz := testQuiz(t)
	for name, c := range map[string]struct {
		answers Answers
		right   int
	}{
		"all right":                {allRight(), 5},
		"the order means nothing":  {allRight([]string{"second", "up", "right"}), 5},
		"single: another":          {allRight([]string{"first", "no-it-is-not"}), 4},
		"multiple: one is missing": {allRight([]string{"second", "up"}), 4},
		"multiple: one too many":   {allRight([]string{"second", "up", "right", "left"}), 4},
		"flows: one too many":      {allRight([]string{"third", open3, closed3}), 4},
		"flows: another":           {allRight([]string{"third", closed3}), 4},
		"flows: none":              {allRight([]string{"third", NoFlow}), 4},
		"verdict: another":         {allRight([]string{"fourth", "blocked"}), 4},
		"fix: as it was":           {allRight([]string{"fifth", "              app: nobody"}), 4},
		"fix: too broad":           {allRight([]string{"fifth", "              # anybody"}), 4},
		"fix: other words":         {allRight([]string{"fifth", `              "app": 'web' # the shop's pages`}), 5},
		"a stranger is left aside": {allRight([]string{"sixth", "x"}), 5},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := quiz.Grade(c.answers)
			if err != nil {
				t.Fatal(err.(*AnswerError).Problems)
			}
			right := 0
			for _, a := range result.Answers {
				if a.Right {
					right++
				}
			}
			if result.Right != c.right || right != c.right || len(result.Answers) != 5 {
				t.Errorf("result = %+v, want %d right of 5", result, c.right)
			}
		})
	}
}

func TestAnswers_that_cannot_be_graded_are_named(t *testing.T) {
	quiz := testQuiz(t)
	for name, c := range map[string]struct {
		change []string
		want   string
	}{
		"single: missing":          {[]string{"first"}, "Choose an answer"},
		"single: twice":            {[]string{"first", "yes-it-is", "yes-it-is"}, "sent twice"},
		"multiple: twice":          {[]string{"second", "right", "up", "right"}, "sent twice"},
		"flows: twice":             {[]string{"third", open3, open3}, "sent twice"},
		"single: unknown":          {[]string{"first", "up"}, "none of these"},
		"single: two":              {[]string{"first", "yes-it-is", "no-it-is-not"}, "More than one"},
		"single: very long":        {[]string{"first", strings.Repeat("x", 10_000)}, "none of these"},
		"multiple: missing":        {[]string{"second"}, "at least one"},
		"multiple: one is strange": {[]string{"second", "up", "<script>"}, "One of the answers"},
		"flows: some and none":     {[]string{"third", open3, NoFlow}, "Take one of the two back"},
		"verdict: missing":         {[]string{"fourth"}, "Choose an answer"},
		"verdict: no choice here":  {[]string{"fourth", "refused"}, "none of these"},
		"fix: missing":             {[]string{"fifth"}, "Write the line anew"},
		"fix: two":                 {[]string{"fifth", line, line}, "Write the line anew"},
		"fix: very long":           {[]string{"fifth", strings.Repeat("x", 10_000)}, "Your line has 10000 characters; at most 200"},
		"fix: several lines":       {[]string{"fifth", line + "\n" + line}, "line break"},
		"fix: no YAML":             {[]string{"fifth", "              app: ["}, "With your line, the policy cannot be applied: line 12, column 20: a bracket that is opened here is not closed"},
		"fix: wrong indentation":   {[]string{"fifth", "  app: web"}, "With your line, the policy cannot be applied: line 12"},
		"fix: an unknown field":    {[]string{"fifth", "            lables: {}"}, "With your line, the policy cannot be applied: line 12"},
		"fix: an invalid value":    {[]string{"fifth", "              app: -"}, "With your line, the policy cannot be applied: line 12"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := quiz.Grade(allRight(c.change))
			var problems *AnswerError
			if !errors.As(err, &problems) {
				t.Fatalf("error = %v, want an AnswerError", err)
			}
			if got := problems.Problems[c.change[0]]; len(problems.Problems) != 1 || !strings.Contains(got, c.want) || len(got) > 600 {
				t.Errorf("problems = %v, want in it %q", problems.Problems, c.want)
			}
			if len(result.Answers) > 0 {
				t.Error("something was graded all the same")
			}
		})
	}
}

func TestA_fix_says_what_becomes_of_each_wanted_flow(t *testing.T) {
	question, _ := testQuiz(t).Question("fifth")
	answer, problem := question.grade([]string{"              app: api  "})
	if problem != "" || answer.Mistake.HTML() != "That is the api itself." || len(answer.Outcomes) != 2 {
		t.Fatalf("answer %+v, problem %q", answer, problem)
	}
	first, second := answer.Outcomes[0], answer.Outcomes[1]
	if first.AsWanted() || first.Verdict != probe.Blocked || !strings.Contains(first.Reason, "allows only pods labelled app=api; web has app=web") {
		t.Errorf("the flow that is wanted: %+v", first)
	}
	if !second.AsWanted() || second.Open {
		t.Errorf("the flow that is not: %+v", second)
	}
}

func TestFitting_keeps_what_the_quiz_has(t *testing.T) {
	quiz := testQuiz(t)
	got := quiz.Fitting(Answers{"first": {"gone"}, "second": {"gone", "up"}, "third": {closed3}, "fifth": {"anything"}, "sixth": {"x"}})
	want := Answers{"second": {"up"}, "third": {closed3}, "fifth": {"anything"}}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for id, a := range want {
		if strings.Join(got[id], " ") != strings.Join(a, " ") {
			t.Errorf("%s: got %v, want %v", id, got[id], a)
		}
	}
}

// FuzzGrade proves that no answer makes Grade panic, and that one is either
// graded or explained.
func FuzzGrade(f *testing.F) {
	quiz := testQuiz(f)
	for _, seed := range []string{"", "yes-it-is", line, "              app: [", "\x00", "app: &a *a", "---", "              ? [a]", "\xff", "              app: \"\\x"} {
		f.Add("fifth", seed, seed)
	}
	f.Add("second", "up", "right")
	f.Add("third", open3, NoFlow)
	f.Fuzz(func(t *testing.T, id, a, b string) {
		for _, chosen := range [][]string{{a}, {a, b}} {
			answers := allRight(append([]string{id}, chosen...))
			result, err := quiz.Grade(answers)
			var problems *AnswerError
			switch {
			case err == nil && len(result.Answers) != 5:
				t.Errorf("%d answers were graded, want 5", len(result.Answers))
			case err != nil && (!errors.As(err, &problems) || problems.Problems[id] == ""):
				t.Errorf("error %v does not name %s", err, id)
			}
			quiz.Fitting(answers)
		}
	})
}
