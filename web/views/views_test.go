package views

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

func topology(t *testing.T) *sandbox.Topology {
	t.Helper()
	return theLessons(t)[0].Topology
}

// loaded are the lessons of the binary. They are loaded once, for that proves every
// exercise, and only read.
var loaded = sync.OnceValues(func() ([]*lessons.Lesson, error) { return lessons.Load(lessons.Content()) })

func theLessons(t *testing.T) []*lessons.Lesson {
	t.Helper()
	all, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestThe_matrix_has_every_flow_once_in_its_place(t *testing.T) {
	topology := topology(t)
	m := NewMatrix(topology, nil)
	columns := 0
	for _, g := range m.Columns {
		for _, c := range g.Columns {
			if d := topology.Destinations()[columns]; c.To != fmt.Sprintf("%s:%d/%s", d.To, d.Port, d.Protocol) {
				t.Errorf("column %d is %s, want %s", columns, c.To, d.To)
			}
			columns++
		}
	}
	if rows := allRows(m); columns != len(topology.Destinations()) || len(rows) != len(topology.Sources()) {
		t.Errorf("%d columns and %d rows, want %d and %d", columns, len(rows), len(topology.Destinations()), len(topology.Sources()))
	}
	seen := map[string]bool{}
	for _, r := range allRows(m) {
		for i, c := range r.Cells {
			d := topology.Destinations()[i]
			if c.Self != (d.To == r.Namespace+"/"+r.Pod) || c.Self == (len(c.Marks) > 0) {
				t.Errorf("%s/%s to %s: self %v with %d marks", r.Namespace, r.Pod, d.To, c.Self, len(c.Marks))
			}
			for j, mark := range c.Marks {
				if seen[mark.Flow.ID] {
					t.Errorf("%s is there twice", mark.Flow.ID)
				}
				seen[mark.Flow.ID] = true
				if mark.Flow.To != d.To || mark.Flow.Port != d.Port || mark.Flow.From != r.Namespace+"/"+r.Pod {
					t.Errorf("%s is in the cell of %s/%s to %s:%d", mark.Flow.ID, r.Namespace, r.Pod, d.To, d.Port)
				}
				if byName := mark.Flow.Via == sandbox.ViaName; byName != (j == 1) {
					t.Errorf("%s is mark %d of its cell, want by IP first", mark.Flow.ID, j+1)
				}
			}
		}
	}
	if len(seen) != len(topology.Flows()) {
		t.Errorf("%d flows, want %d", len(seen), len(topology.Flows()))
	}
}

func allRows(m Matrix) []Row {
	var all []Row
	for _, g := range m.Rows {
		all = append(all, g.Rows...)
	}
	return all
}

// Where a connection by address and the same by name come to one, a cell says it once.
func TestA_cell_is_drawn_as_one_where_all_its_flows_have_one_verdict(t *testing.T) {
	topology := topology(t)
	const byIP, byName = "production/web>production/api:8080/TCP", "production/web>production/api:8080/TCP@name"
	for name, c := range map[string]struct {
		seen []sandbox.Observation
		want probe.Verdict
	}{
		"nothing is known": {nil, NotKnown},
		"one is known":     {[]sandbox.Observation{{Flow: byIP, Verdict: probe.Open}}, ""},
		"alike":            {[]sandbox.Observation{{Flow: byIP, Verdict: probe.Blocked}, {Flow: byName, Verdict: probe.Blocked}}, probe.Blocked},
		"not alike":        {[]sandbox.Observation{{Flow: byIP, Verdict: probe.Blocked}, {Flow: byName, Verdict: probe.DNSFailed}}, ""},
	} {
		for _, r := range allRows(NewMatrix(topology, c.seen)) {
			for _, cell := range r.Cells {
				if len(cell.Marks) == 2 && cell.Marks[0].Flow.ID == byIP && cell.Same() != string(c.want) {
					t.Errorf("%s: drawn as %q, want %q", name, cell.Same(), c.want)
				}
				if cell.Self && cell.Same() != "" {
					t.Errorf("%s to itself is drawn as %q", r.From(), cell.Same())
				}
			}
		}
	}
}

func TestThe_matrix_shows_what_was_observed(t *testing.T) {
	const flow = "production/web>production/api:8080/TCP@name"
	m := NewMatrix(topology(t), []sandbox.Observation{{Flow: flow, Verdict: probe.DNSFailed, Detail: "no answer from the DNS service"}})
	for _, r := range allRows(m) {
		for _, c := range r.Cells {
			for _, mark := range c.Marks {
				want := NotKnown
				if mark.Flow.ID == flow {
					want = probe.DNSFailed
					if title := mark.Title(); title != "production/web to production/api 8080/TCP by name api.production.svc.cluster.local:80: DNS failed (no answer from the DNS service)" {
						t.Errorf("title = %q", title)
					}
				}
				if mark.Verdict != want {
					t.Errorf("%s is %s, want %s", mark.Flow.ID, mark.Verdict, want)
				}
			}
		}
	}
}

func TestNo_verdict_is_shown_by_colour_alone(t *testing.T) {
	symbols, words := map[string]bool{}, map[string]bool{}
	for _, v := range []probe.Verdict{probe.Open, probe.Refused, probe.Blocked, probe.DNSFailed, probe.Unknown, NotKnown} {
		m := MarkOf(v)
		if m.Verdict != v || m.Symbol == "" || m.Word == "" || symbols[m.Symbol] || words[m.Word] {
			t.Errorf("%s: mark %+v is not its own", v, m)
		}
		symbols[m.Symbol], words[m.Word] = true, true
	}
	if m := MarkOf("something new"); m.Verdict != probe.Unknown {
		t.Errorf("a verdict without a mark is shown as %s, want unknown", m.Verdict)
	}
}

func TestEach_state_shows_its_own_sentence_and_buttons(t *testing.T) {
	for _, c := range []struct {
		state              sandbox.State
		start, reset, stop bool
		sentence           string
	}{
		{StateNone, true, false, false, "Press Start"},
		{sandbox.Queued, false, false, true, "waits for its turn"},
		{sandbox.Creating, false, false, true, "being made"},
		{sandbox.Ready, false, true, true, "is ready"},
		{sandbox.Stopping, false, false, false, "being stopped. Because."},
		{sandbox.Stopped, true, false, false, "has stopped. Because."},
		{sandbox.Failed, true, true, false, "has failed. Because."},
	} {
		l := Lab{Sandbox: sandbox.Snapshot{State: c.state, Reason: "Because."}}
		if l.CanStart() != c.start || l.CanReset() != c.reset || l.CanStop() != c.stop {
			t.Errorf("%s: start %v, reset %v, stop %v", c.state, l.CanStart(), l.CanReset(), l.CanStop())
		}
		if !strings.Contains(l.Status(), c.sentence) {
			t.Errorf("%s: %q, want in it %q", c.state, l.Status(), c.sentence)
		}
		l.Unavailable = "Docker is missing."
		if l.CanStart() {
			t.Errorf("%s: Start is offered where it cannot work", c.state)
		}
	}
	l := Lab{Sandbox: sandbox.Snapshot{State: sandbox.Ready, Notice: &sandbox.Notice{Message: "The API does not answer."}}}
	if !strings.HasSuffix(l.Status(), "The API does not answer.") {
		t.Errorf("the notice is missing: %q", l.Status())
	}
}

// A heading of a lesson whose anchor is one of the page's own would be taken for it by
// the page's script.
func TestLessonPage_has_no_ID_that_a_heading_could_take(t *testing.T) {
	all := theLessons(t)
	l := all[0]
	exercises := map[string]Exercise{}
	for _, e := range l.Exercises {
		exercises[e.ID] = Exercise{Exercise: e, Lesson: l.Slug}
	}
	page := rendered(t, LessonPage(Page{Title: l.Title, Simulated: true}, Lesson{Lesson: l, Lab: Lab{Matrix: NewMatrix(l.Topology, nil), Unavailable: "No."}, Exercises: exercises}))
	article := regexp.MustCompile(`(?s)<h2 id=.*</article>`)
	ids := regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(article.ReplaceAllString(page, ""), -1)
	if len(ids) < 15 {
		t.Fatalf("only %d IDs", len(ids))
	}
	for _, m := range ids {
		// The names of pictures are the author's own, and drawn with an ending.
		if !slices.Contains(lessons.TakenAnchors, m[1]) && !strings.Contains(m[1], "walkthrough-") {
			t.Errorf("%s is not among the anchors that are taken", m[1])
		}
	}
}

// You, the engine and the cluster are three, and where they differ is marked with a
// sign; in the simulator there are two.
func TestExerciseBox_marks_where_prediction_engine_and_measurement_differ(t *testing.T) {
	all := theLessons(t)
	l := all[0]
	e := l.Exercises[0]
	of := func(v func(probe.Verdict) probe.Verdict) map[string]probe.Verdict {
		out := map[string]probe.Verdict{}
		for _, f := range e.Predict {
			out[f.ID] = v(e.Answers[f.ID].Verdict)
		}
		return out
	}
	same := func(v probe.Verdict) probe.Verdict { return v }
	other := func(v probe.Verdict) probe.Verdict {
		if v == probe.Open {
			return probe.Blocked
		}
		return probe.Open
	}
	for name, c := range map[string]struct {
		you, seen   map[string]probe.Verdict
		simulated   bool
		wrong, unas int
		columns     []string
	}{
		"all the same":        {of(same), of(same), false, 0, 0, []string{"The engine</th>", "Measured</th>"}},
		"you are wrong":       {of(other), of(same), false, len(e.Predict), 0, []string{"The engine</th>", "Measured</th>"}},
		"the engine is wrong": {of(same), of(other), false, 0, len(e.Predict), []string{"The engine</th>", "Measured</th>"}},
		"simulated":           {of(other), of(same), true, len(e.Predict), 0, []string{"Simulated</th>"}},
	} {
		box := rendered(t, ExerciseBox(Exercise{Exercise: e, Lesson: l.Slug, Simulated: c.simulated, Predicted: c.you, Observed: c.seen}))
		if n, m := strings.Count(box, "≠ not so"), strings.Count(box, "≠ not as the engine says"); n != c.wrong || m != c.unas {
			t.Errorf("%s: %d marks at you, %d at what was measured; want %d and %d", name, n, m, c.wrong, c.unas)
		}
		for _, column := range []string{"The engine</th>", "Measured</th>", "Simulated</th>"} {
			if strings.Contains(box, column) != slices.Contains(c.columns, column) {
				t.Errorf("%s: the column %s is there, or not", name, column)
			}
		}
	}
}

// What the text itself asks to predict is closed until somebody opens it, also where no
// exercise keeps the prediction.
func TestLessonPage_an_answer_of_no_exercise_is_opened_by_hand(t *testing.T) {
	l := theLessons(t)[0]
	boxes := map[string]Exercise{}
	for _, e := range l.Exercises {
		boxes[e.ID] = Exercise{Exercise: e, Lesson: l.Slug}
	}
	page := rendered(t, LessonPage(Page{}, Lesson{Lesson: l, Exercises: boxes, Lab: Lab{Matrix: NewMatrix(l.Topology, nil)}}))
	_, first, _ := strings.Cut(page, "Be the intruder")
	before, within, found := strings.Cut(first, `<details class="answer"><summary>What happens`)
	if !found || strings.Contains(before, "All five work") || !strings.Contains(within, "All five work") {
		t.Errorf("the first section tells what it asks to predict")
	}
}
