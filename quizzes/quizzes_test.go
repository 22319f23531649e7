package quizzes

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func TestTheQuizzesOfTheBinaryLoad(t *testing.T) {
	all, err := Load(Content())
	if err != nil {
		t.Fatal(err)
	}
	if q := all[0]; q.Slug != "network-policies" || len(q.Questions) != 3 {
		t.Errorf("the first quiz is %q with %d questions, want network-policies with 3", q.Slug, len(q.Questions))
	}
}

// A learner who always takes the same place must not pass.
func TestTheRightChoiceIsNotAlwaysAtTheSamePlace(t *testing.T) {
	all, err := Load(Content())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		places := map[int]bool{}
		for _, question := range q.Questions {
			for i, c := range question.Choices {
				if c.Correct {
					places[i] = true
				}
			}
		}
		if len(q.Questions) > 1 && len(places) < 2 {
			t.Errorf("%s: every right choice is at the same place", q.Slug)
		}
	}
}

const good = `title: One
slug: one
lesson: one
questions:
  - id: first
    prompt: First?
    choices:
      - {id: yes-it-is, text: "Yes", explanation: Because., correct: true}
      - {id: no-it-is-not, text: "No", explanation: Because.}
  - id: second
    prompt: Second?
    choices:
      - {id: left, text: Left, explanation: Because.}
      - {id: right, text: Right, explanation: Because., correct: true}
`

func loadOne(src string) ([]*Quiz, error) {
	return Load(fstest.MapFS{"01-one.yaml": {Data: []byte(src)}})
}

func TestWhatIsWrongIsSaidWithFileLineAndField(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":        {"prompt: First?", "prompt: First?\n    hint: none", "01-one.yaml: yaml: unmarshal errors:\n  line 7: field hint not found"},
		"wrong type":           {"correct: true}\n      - {id: no", "correct: perhaps}\n      - {id: no", "line 8: cannot unmarshal"},
		"no title":             {"title: One\n", "", "01-one.yaml:1: title: is missing"},
		"bad slug":             {"slug: one", "slug: One", `01-one.yaml:2: slug: "One"`},
		"no explanation":       {`text: "No", explanation: Because.`, `text: "No"`, "01-one.yaml:9: questions[0].choices[1].explanation: is missing"},
		"question ID twice":    {"id: second", "id: first", `01-one.yaml:10: questions[1].id: "first" is there twice`},
		"choice ID twice":      {"id: right", "id: left", `01-one.yaml:14: questions[1].choices[1].id: "left" is there twice`},
		"none correct":         {"text: Right, explanation: Because., correct: true", "text: Right, explanation: Because.", "01-one.yaml:13: questions[1].choices: 0 choices are correct"},
		"two correct":          {"text: Left, explanation: Because.", "text: Left, explanation: Because., correct: true", "01-one.yaml:13: questions[1].choices: 2 choices are correct"},
		"a single choice":      {"      - {id: left, text: Left, explanation: Because.}\n", "", "01-one.yaml:13: questions[1].choices: want at least two"},
		"a field twice":        {"slug: one", "slug: one\ntitle: Two", `mapping key "title" already defined at line 1`},
		"questions of no kind": {good[strings.Index(good, "questions:"):], "questions: []\n", "01-one.yaml:4: questions: want at least one"},
	} {
		t.Run(name, func(t *testing.T) {
			src := strings.Replace(good, c.old, c.new, 1)
			if src == good {
				t.Fatal("the case changes nothing")
			}
			if _, err := loadOne(src); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
}

func TestFilesMustBeQuizzes(t *testing.T) {
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
			if _, err := Load(c.fs); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant in it %s", err, c.want)
			}
		})
	}
}

func testQuiz(t *testing.T) *Quiz {
	t.Helper()
	all, err := loadOne(good)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func TestGradeCountsRightAnswers(t *testing.T) {
	quiz := testQuiz(t)
	for name, c := range map[string]struct {
		answers map[string]string
		right   int
	}{
		"all right":                {map[string]string{"first": "yes-it-is", "second": "right"}, 2},
		"one right":                {map[string]string{"first": "yes-it-is", "second": "left"}, 1},
		"none right":               {map[string]string{"first": "no-it-is-not", "second": "left"}, 0},
		"a stranger is left aside": {map[string]string{"first": "yes-it-is", "second": "right", "third": "left"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := quiz.Grade(c.answers)
			if err != nil {
				t.Fatal(err)
			}
			if result.Right != c.right || len(result.Answers) != 2 {
				t.Errorf("result = %+v, want %d right of 2", result, c.right)
			}
		})
	}
}

func TestAnswersThatCannotBeGradedAreNamed(t *testing.T) {
	quiz := testQuiz(t)
	_, err := quiz.Grade(map[string]string{"second": "up"})
	var problems *AnswerError
	if !errors.As(err, &problems) {
		t.Fatalf("error = %v, want an AnswerError", err)
	}
	if got := problems.Problems["first"]; !strings.Contains(got, "Choose an answer") {
		t.Errorf("missing answer: %q", got)
	}
	if got := problems.Problems["second"]; !strings.Contains(got, "none of these") {
		t.Errorf("unknown choice: %q", got)
	}
}
