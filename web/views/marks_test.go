package views

import (
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// asCode is what may have backticks and asterisks: code, and the fields that hold it.
var asCode = regexp.MustCompile(`(?s)<(pre|code|textarea|script|style)\b.*?</(pre|code|textarea|script|style)>|<input\b[^>]*>`)

// shownMarks are the lines of the page that show an author's marks, also in what is
// read aloud or shown on hovering.
func shownMarks(page string) (lines []string) {
	for line := range strings.SplitSeq(asCode.ReplaceAllString(page, ""), "\n") {
		if strings.ContainsAny(html.UnescapeString(line), "`*") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func rendered(t *testing.T, c templ.Component) string {
	t.Helper()
	var b strings.Builder
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// everyState are the boxes of an exercise as a learner may come to see it.
func everyState(t *testing.T, l *lessons.Lesson, e *lessons.Exercise) map[string]Exercise {
	t.Helper()
	fresh := Exercise{Exercise: e, Lesson: l.Slug}
	out := map[string]Exercise{"fresh": fresh}
	answers := map[string]string{"nothing": "", "start": e.Start, "solution": e.Solution}
	for _, w := range e.Wrong {
		answers[w.Name] = w.YAML
	}
	for name, yaml := range answers {
		verdicts, err := l.Predicted(yaml)
		if err != nil {
			t.Fatal(err)
		}
		outcome, seen := e.Grade(l, verdicts), fresh
		seen.Outcome, seen.Observed, seen.Passed, seen.Hints = &outcome, verdicts, outcome.Passed, len(e.Hints)+1
		seen.Predicted = map[string]probe.Verdict{}
		for _, f := range e.Predict {
			seen.Predicted[f.ID] = probe.Open
		}
		out[name] = seen
	}
	return out
}

func TestNo_page_shows_the_marks_of_an_author(t *testing.T) {
	all := theLessons(t)
	boxes := 0
	for _, l := range all {
		exercises := map[string]Exercise{}
		for _, e := range l.Exercises {
			for state, seen := range everyState(t, l, e) {
				boxes++
				for _, line := range shownMarks(rendered(t, ExerciseBox(seen))) {
					t.Errorf("%s/%s, %s: %s", l.Slug, e.ID, state, line)
				}
				exercises[e.ID] = seen
			}
		}
		page := rendered(t, LessonPage(Page{Title: l.Title}, Lesson{Lesson: l, Lab: Lab{Matrix: NewMatrix(l.Topology, nil)}, Exercises: exercises}))
		for _, line := range shownMarks(page) {
			t.Errorf("%s: %s", l.Slug, line)
		}
	}
	if boxes < 5*len(all) {
		t.Errorf("only %d boxes", boxes)
	}
	for _, q := range allQuizzes(t) {
		for state, page := range states(t, q) {
			for _, line := range shownMarks(page) {
				t.Errorf("%s, %s: %s", q.Slug, state, line)
			}
		}
	}
}

func TestShown_marks_are_found_in_text_and_attributes_but_not_in_code(t *testing.T) {
	for page, want := range map[string]int{
		"<p>a `b` c</p>": 1, `<p title="**b**">x</p>`: 1, "<p>a <code>*</code> <pre>\n`x`\n</pre></p>": 0, "<p>&#96;</p>\n<p>*</p>": 2,
	} {
		if got := shownMarks(page); len(got) != want {
			t.Errorf("%s: %q, want %d", page, got, want)
		}
	}
}
