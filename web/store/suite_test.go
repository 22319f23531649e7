package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// opener gives a store with nothing in it, and a way to close it and open the
// same again. What is below knows nothing else of the database.
type opener func(t *testing.T) (s *Store, reopen func() *Store)

// suite is what every database that the lab can use has to satisfy.
func suite(t *testing.T, open opener) {
	for name, test := range map[string]func(*testing.T, opener){
		"somebody_unknown_has_an_empty_record_and_no_row":            testUnknown,
		"a_name_is_kept_trimmed_and_an_empty_one_is_anonymous":       testName,
		"a_name_that_cannot_be_shown_is_refused_and_none_is_cut":     testBadName,
		"where_they_left_off_is_the_section_visited_last":            testLeftOff,
		"completed_stays_and_moves_nothing":                          testCompleted,
		"a_check_counts_and_the_first_pass_stays":                    testChecks,
		"hints_count_up_and_a_pass_knows_those_before_it":            testHints,
		"a_pass_knows_whether_the_solution_was_shown_before_it":      testSolution,
		"a_check_ends_skipping":                                      testSkip,
		"predictions_replace_those_before":                           testPredictions,
		"best_is_the_first_of_the_most_right_and_latest_the_newest":  testAttempts,
		"an_attempt_sent_twice_is_one":                               testSentTwice,
		"an_old_form_with_other_answers_is_told_and_changes_nothing": testOtherAnswers,
		"an_attempt_at_another_version_is_kept_and_told_apart":       testVersions,
		"a_clock_that_jumps_back_does_not_change_the_order":          testClock,
		"what_cannot_be_kept_is_refused_and_nothing_changes":         testBadInput,
		"learners_never_mix":                                         testMix,
		"forget_deletes_one_learner_and_all_of_them":                 testForget,
		"a_visit_alone_makes_no_record_and_no_clock_takes_one_back":  testSeen,
		"strangers_who_stay_away_are_forgotten_and_nobody_else":      testForgetStrangers,
		"everything_is_there_after_opening_again":                    testReopen,
		"the_record_has_the_documented_fields":                       testRecord,
		"many_at_once_lose_nothing":                                  testConcurrent,
		"a_read_is_of_one_moment":                                    testOneMoment,
		"a_cancelled_call_changes_nothing":                           testCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

const (
	ann = "owner-of-ann"
	bob = "owner-of-bob"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 123e6, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func attempt(id string, right int, minutes int) Attempt {
	return Attempt{ID: id, Quiz: "basics", Version: "v1", Right: right, Total: 3, Answers: map[string][]string{"q": {id}}, At: at(minutes)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func progress(t *testing.T, s *Store, owner string) Progress {
	t.Helper()
	p, err := s.Progress(t.Context(), owner)
	must(t, err)
	return p
}

// record is the learner's record as JSON, without the spaces.
func record(t *testing.T, s *Store, owner string) string {
	t.Helper()
	r, err := s.Export(t.Context(), owner)
	must(t, err)
	b, err := json.Marshal(r)
	must(t, err)
	return string(b)
}

const emptyRecord = `{"format":1,"name":"","sections":[],"exercises":[],"attempts":[]}`

func testUnknown(t *testing.T, open opener) {
	s, _ := open(t)
	p := progress(t, s, ann)
	if p.Name != "" || len(p.Sections)+len(p.Exercises)+len(p.Quizzes) != 0 {
		t.Errorf("progress %+v, want nothing", p)
	}
	if _, ok := p.LeftOff(""); ok {
		t.Error("somebody unknown has left off somewhere")
	}
	equal(t, "record", record(t, s, ann), emptyRecord)
	must(t, s.Forget(t.Context(), ann))
	equal(t, "learners", count(t, s, "learners"), 0)
}

func count(t *testing.T, s *Store, table string) (n int) {
	t.Helper()
	must(t, s.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

func testName(t *testing.T, open opener) {
	s, _ := open(t)
	for _, tt := range []struct{ name, want string }{
		{" \t Ann  Example\u00a0\n", "Ann  Example"},
		{strings.Repeat("é", MaxName), strings.Repeat("é", MaxName)},
		{`<script>alert("x")</script>`, `<script>alert("x")</script>`},
		{`'; DROP TABLE learners; --`, `'; DROP TABLE learners; --`},
		{"李小龍 👩\u200d🚀", "李小龍 👩\u200d🚀"},
		{"?", "?"},
		{" ", ""},
		{"", ""},
	} {
		must(t, s.SetName(t.Context(), ann, tt.name, noon))
		equal(t, fmt.Sprintf("name after %q", tt.name), progress(t, s, ann).Name, tt.want)
	}
	equal(t, "learners", count(t, s, "learners"), 1)
}

func testBadName(t *testing.T, open opener) {
	s, _ := open(t)
	must(t, s.SetName(t.Context(), ann, "Ann", noon))
	for name, want := range map[string]string{
		strings.Repeat("x", 10_000):        "The name has 10000 characters, and 80 are possible. Choose a shorter one.",
		strings.Repeat("é", MaxName+1):     "The name has 81 characters, and 80 are possible. Choose a shorter one.",
		"Ann\nAdmin":                       "The name has a line break or another control character (U+000A) in it. Remove that.",
		"Ann\x00":                          "The name has a line break or another control character (U+0000) in it. Remove that.",
		"Ann\u2028Admin":                   "The name has a line break or another control character (U+2028) in it. Remove that.",
		"Ann\x1b[31m":                      "The name has a line break or another control character (U+001B) in it. Remove that.",
		"Ann\u202egpj.exe":                 "The name has a character in it that turns the direction of writing (U+202E). Remove that.",
		"\u200b\u200b":                     "The name has no visible character. Write one, or leave the name empty.",
		"Ann\xff":                          "The name is not valid text (UTF-8). Write it again.",
		strings.Repeat("x", 80) + "\u00e9": "The name has 81 characters, and 80 are possible. Choose a shorter one.",
	} {
		err := s.SetName(t.Context(), ann, name, noon)
		var input *InputError
		if !errors.As(err, &input) || input.Field != "name" || input.Problem != want {
			t.Errorf("name %.20q: error %v, want %q", name, err, want)
		}
	}
	equal(t, "name", progress(t, s, ann).Name, "Ann")
}

func testLeftOff(t *testing.T, open opener) {
	s, _ := open(t)
	for i, at := range [][2]string{{"policies", "intro"}, {"policies", "deny"}, {"tenants", "intro"}, {"policies", "intro"}} {
		must(t, s.VisitSection(t.Context(), ann, at[0], at[1], noon.Add(time.Duration(i)*time.Second)))
	}
	p := progress(t, s, ann)
	for lesson, want := range map[string]string{"": "policies/intro", "policies": "policies/intro", "tenants": "tenants/intro"} {
		got, ok := p.LeftOff(lesson)
		equal(t, "left off in "+lesson, fmt.Sprint(got.Lesson, "/", got.Section, ok), fmt.Sprint(want, true))
	}
	if _, ok := p.LeftOff("other"); ok {
		t.Error("left off in a lesson that was never visited")
	}
	equal(t, "sections", p.Sections, []Section{
		{Lesson: "policies", Section: "intro", VisitedAt: noon.Add(3 * time.Second)},
		{Lesson: "tenants", Section: "intro", VisitedAt: noon.Add(2 * time.Second)},
		{Lesson: "policies", Section: "deny", VisitedAt: noon.Add(1 * time.Second)},
	})
}

func testCompleted(t *testing.T, open opener) {
	s, _ := open(t)
	ctx := t.Context()
	must(t, s.VisitSection(ctx, ann, "policies", "intro", at(0)))
	must(t, s.VisitSection(ctx, ann, "policies", "deny", at(1)))
	must(t, s.CompleteSection(ctx, ann, "policies", "intro", at(2)))
	must(t, s.CompleteSection(ctx, ann, "policies", "intro", at(3)))
	p := progress(t, s, ann)
	equal(t, "sections", p.Sections, []Section{
		{Lesson: "policies", Section: "deny", VisitedAt: at(1)},
		{Lesson: "policies", Section: "intro", VisitedAt: at(0), CompletedAt: at(2)},
	})
	if !p.Section("policies", "intro").Completed() || p.Section("policies", "deny").Completed() || p.Section("policies", "other").Completed() {
		t.Error("completed is told wrongly")
	}
	must(t, s.VisitSection(ctx, ann, "policies", "intro", at(4)))
	equal(t, "after another visit", progress(t, s, ann).Sections[0], Section{Lesson: "policies", Section: "intro", VisitedAt: at(4), CompletedAt: at(2)})
	must(t, s.CompleteSection(ctx, ann, "policies", "last", at(5)))
	equal(t, "never visited", progress(t, s, ann).Sections[0], Section{Lesson: "policies", Section: "last", VisitedAt: at(5), CompletedAt: at(5)})
}

func testChecks(t *testing.T, open opener) {
	s, _ := open(t)
	results := []CheckResult{
		{Passed: false, Open: 5, Blocked: 1, Detail: json.RawMessage(`{"n":1}`), At: at(1)},
		{Passed: true, Open: 3, Blocked: 3, At: at(2)},
		{Passed: true, Open: 2, Blocked: 4, Detail: json.RawMessage(`{"n":3}`), At: at(3)},
		{Passed: false, Open: 6, Blocked: 0, Detail: json.RawMessage(`{"n":4}`), At: at(4)},
	}
	for i, r := range results {
		must(t, s.RecordCheck(t.Context(), ann, "policies", "deny", r))
		want := Exercise{Lesson: "policies", Exercise: "deny", Tries: i + 1, Latest: &r}
		if i >= 1 {
			want.FirstPass = &Pass{CheckResult: results[1], Try: 2}
		}
		got := progress(t, s, ann).Exercise("policies", "deny")
		equal(t, fmt.Sprintf("after check %d", i+1), got, want)
		if got.Passed() != (i >= 1) {
			t.Errorf("after check %d: passed %v", i+1, got.Passed())
		}
	}
	must(t, s.RecordCheck(t.Context(), ann, "policies", "dns", results[2]))
	equal(t, "passed at once", progress(t, s, ann).Exercises[0],
		Exercise{Lesson: "policies", Exercise: "dns", Tries: 1, Latest: &results[2], FirstPass: &Pass{CheckResult: results[2], Try: 1}})
}

func testHints(t *testing.T, open opener) {
	s, _ := open(t)
	ctx := t.Context()
	for _, hint := range []int{1, 2, 2, 1} {
		must(t, s.UseHint(ctx, ann, "policies", "deny", hint, at(0)))
	}
	equal(t, "hints", progress(t, s, ann).Exercise("policies", "deny"), Exercise{Lesson: "policies", Exercise: "deny", Hints: 2})
	must(t, s.RecordCheck(ctx, ann, "policies", "deny", CheckResult{Passed: true, At: at(1)}))
	must(t, s.UseHint(ctx, ann, "policies", "deny", 4, at(2)))
	e := progress(t, s, ann).Exercise("policies", "deny")
	equal(t, "hints later", []int{e.Hints, e.FirstPass.Hints, e.Tries, e.FirstPass.Try}, []int{4, 2, 1, 1})
}

func testSolution(t *testing.T, open opener) {
	s, _ := open(t)
	ctx := t.Context()
	passed := CheckResult{Passed: true, At: at(3)}
	for _, shown := range []int{1, 2} { // the first time counts
		must(t, s.ShowSolution(ctx, ann, "policies", "deny", 4, at(shown)))
	}
	e := progress(t, s, ann).Exercise("policies", "deny")
	equal(t, "shown", e, Exercise{Lesson: "policies", Exercise: "deny", Hints: 4, SolutionAt: at(1)})
	must(t, s.RecordCheck(ctx, ann, "policies", "deny", passed))
	e = progress(t, s, ann).Exercise("policies", "deny")
	equal(t, "passed with it", []any{e.Passed(), e.WithSolution(), e.FirstPass.WithSolution, e.SolutionAt}, []any{true, true, true, at(1)})
	must(t, s.RecordCheck(ctx, ann, "policies", "deny", passed))
	if e := progress(t, s, ann).Exercise("policies", "deny"); !e.WithSolution() {
		t.Error("a second pass makes the first one clean")
	}

	must(t, s.RecordCheck(ctx, ann, "policies", "dns", passed))
	must(t, s.ShowSolution(ctx, ann, "policies", "dns", 4, at(4)))
	must(t, s.RecordCheck(ctx, ann, "policies", "dns", passed))
	if e := progress(t, s, ann).Exercise("policies", "dns"); !e.Passed() || e.WithSolution() || !e.SolutionAt.Equal(at(4)) {
		t.Errorf("a pass before the solution was shown: %+v, want it clean", e)
	}
	must(t, s.UseHint(ctx, ann, "policies", "tags", 3, at(5)))
	must(t, s.RecordCheck(ctx, ann, "policies", "tags", CheckResult{At: at(5)}))
	must(t, s.RecordCheck(ctx, ann, "policies", "tags", passed))
	if e := progress(t, s, ann).Exercise("policies", "tags"); e.WithSolution() {
		t.Error("hints alone are taken for the solution")
	}
}

func testSkip(t *testing.T, open opener) {
	s, _ := open(t)
	ctx := t.Context()
	must(t, s.SkipExercise(ctx, ann, "policies", "deny", at(1)))
	e := progress(t, s, ann).Exercise("policies", "deny")
	equal(t, "skipped", e, Exercise{Lesson: "policies", Exercise: "deny", SkippedAt: at(1)})
	if !e.Skipped() || e.Passed() {
		t.Error("a skipped exercise is not told so")
	}
	must(t, s.RecordCheck(ctx, ann, "policies", "deny", CheckResult{At: at(2)}))
	if e := progress(t, s, ann).Exercise("policies", "deny"); e.Skipped() || e.Tries != 1 {
		t.Errorf("after a check: %+v, want one try and not skipped", e)
	}
	must(t, s.RecordCheck(ctx, ann, "policies", "deny", CheckResult{Passed: true, At: at(3)}))
	must(t, s.SkipExercise(ctx, ann, "policies", "deny", at(4)))
	if e := progress(t, s, ann).Exercise("policies", "deny"); e.Skipped() || !e.Passed() {
		t.Errorf("skipped after a pass: %+v, want passed", e)
	}
}

func testPredictions(t *testing.T, open opener) {
	s, _ := open(t)
	ctx := t.Context()
	first := map[string]string{"shell->api:8080": "open", "shell->db:5432": "blocked"}
	second := map[string]string{"shell->api:8080": "blocked"}
	must(t, s.SavePredictions(ctx, ann, "policies", "deny", "start", first, at(1)))
	equal(t, "predictions", progress(t, s, ann).Exercises, []Exercise{{Lesson: "policies", Exercise: "deny", Predictions: first, PredictedOf: "start", PredictedAt: at(1)}})
	must(t, s.RecordCheck(ctx, ann, "policies", "deny", CheckResult{At: at(2)}))
	equal(t, "after a check", progress(t, s, ann).Exercise("policies", "deny").Predictions, first)
	before := record(t, s, ann)
	if err := s.SavePredictions(ctx, ann, "policies", "deny", "start", second, at(3)); !errors.Is(err, ErrPredicted) {
		t.Errorf("a second prediction: error %v, want ErrPredicted", err)
	}
	equal(t, "after a second prediction", record(t, s, ann), before)
	// The exercise asks about another moment by now.
	must(t, s.SavePredictions(ctx, ann, "policies", "deny", "given", second, at(3)))
	e := progress(t, s, ann).Exercise("policies", "deny")
	equal(t, "replaced", e.Predictions, second)
	equal(t, "replaced at", e.PredictedAt, at(3))
	equal(t, "replaced of", e.PredictedOf, "given")
	equal(t, "tries", e.Tries, 1)
}

func testAttempts(t *testing.T, open opener) {
	s, _ := open(t)
	tries := []Attempt{attempt("a", 1, 1), attempt("b", 2, 2), attempt("c", 2, 3), attempt("d", 0, 4)}
	other := attempt("e", 3, 5)
	other.Quiz = "dns"
	for _, a := range append(tries, other) {
		kept, err := s.RecordAttempt(t.Context(), ann, a)
		must(t, err)
		equal(t, "kept", kept, a)
	}
	p := progress(t, s, ann)
	equal(t, "quizzes", p.Quizzes, []Quiz{
		{Quiz: "dns", Version: "v1", Attempts: 1, Best: other, Latest: other},
		{Quiz: "basics", Version: "v1", Attempts: 4, Best: tries[1], Latest: tries[3]},
	})
	q, ok := p.Quiz("basics")
	equal(t, "basics", fmt.Sprint(q.Attempts, ok), "4 true")
	if _, ok := p.Quiz("other"); ok {
		t.Error("a quiz that was never tried has attempts")
	}
}

func testSentTwice(t *testing.T, open opener) {
	s, _ := open(t)
	first := attempt("a", 2, 1)
	again := first
	again.At, again.Answers = at(2), map[string][]string{"q": {"a"}}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if kept, err := s.RecordAttempt(context.Background(), bob, first); err != nil || !reflect.DeepEqual(kept, first) {
				t.Errorf("at once: %+v, %v", kept, err)
			}
		})
	}
	group.Wait()
	kept, err := s.RecordAttempt(t.Context(), bob, again)
	must(t, err)
	equal(t, "kept", kept, first)
	q, _ := progress(t, s, bob).Quiz("basics")
	equal(t, "attempts", q, Quiz{Quiz: "basics", Version: "v1", Attempts: 1, Best: first, Latest: first})

	kept, err = s.RecordAttempt(t.Context(), ann, again)
	must(t, err)
	equal(t, "somebody else's of the same ID", kept.At, at(2))
}

func testOtherAnswers(t *testing.T, open opener) {
	s, _ := open(t)
	first := attempt("a", 2, 1)
	_, err := s.RecordAttempt(t.Context(), ann, first)
	must(t, err)
	before := record(t, s, ann)
	for name, edit := range map[string]func(*Attempt){
		"answers":    func(a *Attempt) { a.Answers = map[string][]string{"q": {"z"}} },
		"more":       func(a *Attempt) { a.Answers = map[string][]string{"q": {"a", "z"}} },
		"no answers": func(a *Attempt) { a.Answers = nil },
		"quiz":       func(a *Attempt) { a.Quiz = "dns" },
		"version":    func(a *Attempt) { a.Version = "v2" },
	} {
		a := first
		edit(&a)
		if _, err := s.RecordAttempt(t.Context(), ann, a); !errors.Is(err, ErrOtherAttempt) {
			t.Errorf("other %s: error %v, want ErrOtherAttempt", name, err)
		}
	}
	equal(t, "record", record(t, s, ann), before)
}

func testVersions(t *testing.T, open opener) {
	s, _ := open(t)
	old, older, current := attempt("a", 3, 2), attempt("b", 2, 1), attempt("c", 1, 3)
	older.Version, current.Version = "v0", "v2"
	for _, a := range []Attempt{older, old} {
		_, err := s.RecordAttempt(t.Context(), ann, a)
		must(t, err)
	}
	got, ok := progress(t, s, ann).Quiz("basics")
	equal(t, "the version tried last", fmt.Sprint(got.Version, " ", ok), "v1 true")
	_, err := s.RecordAttempt(t.Context(), ann, current)
	must(t, err)
	got, _ = progress(t, s, ann).Quiz("basics")
	equal(t, "current version", got, Quiz{Quiz: "basics", Version: "v2", Attempts: 1, Best: current, Latest: current})
}

func testClock(t *testing.T, open opener) {
	s, _ := open(t)
	ctx := t.Context()
	for i, minutes := range []int{10, 5, -100 * 365 * 24 * 60} {
		id := fmt.Sprint(i)
		must(t, s.VisitSection(ctx, ann, "policies", id, at(minutes)))
		must(t, s.RecordCheck(ctx, ann, "policies", "deny", CheckResult{Open: i, Passed: i > 0, At: at(minutes)}))
		_, err := s.RecordAttempt(ctx, ann, attempt(id, 1, minutes))
		must(t, err)
	}
	p := progress(t, s, ann)
	left, _ := p.LeftOff("")
	equal(t, "left off", left.Section, "2")
	equal(t, "its time", left.VisitedAt, at(-100*365*24*60))
	e := p.Exercise("policies", "deny")
	equal(t, "latest check, first pass", []int{e.Latest.Open, e.FirstPass.Open}, []int{2, 1})
	equal(t, "latest and best attempt", p.Quizzes[0].Latest.ID+p.Quizzes[0].Best.ID, "20")
}

func testBadInput(t *testing.T, open opener) {
	s, _ := open(t)
	ctx := t.Context()
	must(t, s.VisitSection(ctx, ann, "policies", "intro", noon))
	before := record(t, s, ann)
	long, big := strings.Repeat("x", MaxKey+1), json.RawMessage(`"`+strings.Repeat("x", MaxJSON)+`"`)
	check := func(r CheckResult) error { return s.RecordCheck(ctx, ann, "policies", "deny", r) }
	quiz := func(edit func(*Attempt)) error {
		a := attempt("a", 1, 0)
		edit(&a)
		_, err := s.RecordAttempt(ctx, ann, a)
		return err
	}
	for name, tt := range map[string]struct {
		err   error
		field string
	}{
		"no owner":           {s.VisitSection(ctx, "", "policies", "intro", noon), "owner"},
		"no owner's name":    {s.SetName(ctx, "", "Ann", noon), "owner"},
		"forget nobody":      {s.Forget(ctx, ""), "owner"},
		"no lesson":          {s.VisitSection(ctx, ann, "", "intro", noon), "lesson"},
		"long section":       {s.CompleteSection(ctx, ann, "policies", long, noon), "section"},
		"NUL in exercise":    {s.SkipExercise(ctx, ann, "policies", "a\x00b", noon), "exercise"},
		"bad text":           {s.UseHint(ctx, ann, "policies", "a\xff", 1, noon), "exercise"},
		"hint 0":             {s.UseHint(ctx, ann, "policies", "deny", 0, noon), "hint"},
		"hint 101":           {s.UseHint(ctx, ann, "policies", "deny", 101, noon), "hint"},
		"no time":            {s.VisitSection(ctx, ann, "policies", "intro", time.Time{}), "time"},
		"a time not in JSON": {s.VisitSection(ctx, ann, "policies", "intro", time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)), "time"},
		"no verdict":         {s.SavePredictions(ctx, ann, "policies", "deny", "start", map[string]string{"a": "open", "b": ""}, noon), "verdict"},
		"no moment":          {s.SavePredictions(ctx, ann, "policies", "deny", "", map[string]string{"a": "open"}, noon), "moment"},
		"solution 0":         {s.ShowSolution(ctx, ann, "policies", "deny", 0, noon), "hint"},
		"long flow":          {s.SavePredictions(ctx, ann, "policies", "deny", "start", map[string]string{long: "open"}, noon), "flow"},
		"half JSON":          {check(CheckResult{Detail: json.RawMessage(`{"a":`), At: noon}), "detail"},
		"empty JSON":         {check(CheckResult{Detail: json.RawMessage{}, At: noon}), "detail"},
		"JSON, bad text":     {check(CheckResult{Detail: json.RawMessage("\"\xff\""), At: noon}), "detail"},
		"big JSON":           {check(CheckResult{Detail: big, At: noon}), "detail"},
		"minus one open":     {check(CheckResult{Open: -1, At: noon}), "open flows"},
		"no check time":      {check(CheckResult{}), "time"},
		"no attempt":         {quiz(func(a *Attempt) { a.ID = "" }), "attempt"},
		"no version":         {quiz(func(a *Attempt) { a.Version = "" }), "version"},
		"no questions":       {quiz(func(a *Attempt) { a.Right, a.Total = 0, 0 }), "right answers"},
		"4 of 3":             {quiz(func(a *Attempt) { a.Right = 4 }), "right answers"},
		"big answers":        {quiz(func(a *Attempt) { a.Answers = map[string][]string{"q": {string(big)}} }), "answers"},
		"bad answers":        {quiz(func(a *Attempt) { a.Answers = map[string][]string{"q": {"\xff"}} }), "answers"},
		"no question":        {quiz(func(a *Attempt) { a.Answers = map[string][]string{"": {"a"}} }), "question"},
	} {
		var input *InputError
		if !errors.As(tt.err, &input) || input.Field != tt.field || !strings.HasSuffix(input.Problem, ".") {
			t.Errorf("%s: error %v, want an InputError about %s", name, tt.err, tt.field)
		}
	}
	equal(t, "record", record(t, s, ann), before)
	equal(t, "learners", count(t, s, "learners"), 1)
}

// fill does one of everything.
func fill(t *testing.T, s *Store, owner string) {
	t.Helper()
	ctx := t.Context()
	must(t, s.SetName(ctx, owner, "I am "+owner, at(0)))
	must(t, s.VisitSection(ctx, owner, "policies", "intro", at(1)))
	must(t, s.CompleteSection(ctx, owner, "policies", "intro", at(2)))
	must(t, s.SavePredictions(ctx, owner, "policies", "deny", "start", map[string]string{"web->api": owner}, at(3)))
	must(t, s.UseHint(ctx, owner, "policies", "deny", 1, at(4)))
	must(t, s.RecordCheck(ctx, owner, "policies", "deny", CheckResult{Open: 3, Blocked: 1, Detail: json.RawMessage(`{"of":"` + owner + `"}`), At: at(5)}))
	must(t, s.RecordCheck(ctx, owner, "policies", "deny", CheckResult{Passed: true, Open: 2, Blocked: 2, At: at(6)}))
	must(t, s.SkipExercise(ctx, owner, "policies", "dns", at(7)))
	_, err := s.RecordAttempt(ctx, owner, Attempt{ID: "token", Quiz: "basics", Version: "v1", Right: 2, Total: 3, Answers: map[string][]string{"of": {owner}}, At: at(8)})
	must(t, err)
}

const filled = `{"format":1,"name":"I am OWNER","createdAt":"2026-03-04T12:00:00.123Z","seenAt":"2026-03-04T12:08:00.123Z",` +
	`"sections":[{"lesson":"policies","section":"intro","visitedAt":"2026-03-04T12:01:00.123Z","completedAt":"2026-03-04T12:02:00.123Z"}],` +
	`"exercises":[{"lesson":"policies","exercise":"dns","tries":0,"hints":0,"skippedAt":"2026-03-04T12:07:00.123Z"},` +
	`{"lesson":"policies","exercise":"deny","tries":2,"hints":1,"predictions":{"web-\u003eapi":"OWNER"},"predictedOf":"start","predictedAt":"2026-03-04T12:03:00.123Z",` +
	`"latest":{"passed":true,"open":2,"blocked":2,"at":"2026-03-04T12:06:00.123Z"},` +
	`"firstPass":{"passed":true,"open":2,"blocked":2,"at":"2026-03-04T12:06:00.123Z","try":2,"hints":1,"withSolution":false}}],` +
	`"attempts":[{"id":"token","quiz":"basics","version":"v1","right":2,"total":3,"answers":{"of":["OWNER"]},"at":"2026-03-04T12:08:00.123Z"}]}`

func filledOf(owner string) string { return strings.ReplaceAll(filled, "OWNER", owner) }

func testRecord(t *testing.T, open opener) {
	s, _ := open(t)
	fill(t, s, ann)
	equal(t, "record", record(t, s, ann), filledOf(ann))
}

func testMix(t *testing.T, open opener) {
	s, _ := open(t)
	fill(t, s, ann)
	fill(t, s, bob)
	for _, owner := range []string{ann, bob} {
		equal(t, "record", record(t, s, owner), filledOf(owner))
		p := progress(t, s, owner)
		equal(t, "progress", fmt.Sprint(p.Name, len(p.Sections), len(p.Exercises), len(p.Quizzes), p.Quizzes[0].Best.Answers["of"]),
			fmt.Sprint("I am "+owner, 1, 2, 1, []string{owner}))
	}
}

func testForget(t *testing.T, open opener) {
	s, _ := open(t)
	fill(t, s, ann)
	fill(t, s, bob)
	must(t, s.Forget(t.Context(), ann))
	equal(t, "the forgotten one", record(t, s, ann), emptyRecord)
	equal(t, "the other", record(t, s, bob), filledOf(bob))
	for table, want := range map[string]int{"learners": 1, "sections": 1, "exercises": 2, "attempts": 1} {
		equal(t, table, count(t, s, table), want)
	}
	fill(t, s, ann)
	equal(t, "begun again", record(t, s, ann), filledOf(ann))
}

func testSeen(t *testing.T, open opener) {
	s, _ := open(t)
	ctx := t.Context()
	must(t, s.Seen(ctx, ann, at(1)))
	equal(t, "learners", count(t, s, "learners"), 0)
	seen := func() time.Time {
		t.Helper()
		r, err := s.Export(ctx, ann)
		must(t, err)
		return r.SeenAt
	}
	must(t, s.VisitSection(ctx, ann, "policies", "intro", at(5)))
	equal(t, "seen", seen(), at(5))
	must(t, s.Seen(ctx, ann, at(9)))
	must(t, s.Seen(ctx, bob, at(10)))
	equal(t, "seen later", seen(), at(9))
	must(t, s.Seen(ctx, ann, at(2)))
	must(t, s.VisitSection(ctx, ann, "policies", "deny", at(3)))
	equal(t, "seen by a clock that went back", seen(), at(9))
}

func testForgetStrangers(t *testing.T, open opener) {
	s, _ := open(t)
	ctx := t.Context()
	fill(t, s, "named, away")
	for owner, seen := range map[string]int{"away": 8, "here": 20, "back again": 8} {
		fill(t, s, owner)
		must(t, s.SetName(ctx, owner, "", at(9)))
		must(t, s.Seen(ctx, owner, at(seen)))
	}
	must(t, s.Seen(ctx, "back again", at(30)))
	n, err := s.ForgetStrangers(ctx, at(10))
	must(t, err)
	equal(t, "forgotten", n, 1)
	equal(t, "the stranger", record(t, s, "away"), emptyRecord)
	for table, want := range map[string]int{"learners": 3, "sections": 3, "exercises": 6, "attempts": 3} {
		equal(t, table, count(t, s, table), want)
	}
	equal(t, "the named one", record(t, s, "named, away"), filledOf("named, away"))
	n, err = s.ForgetStrangers(ctx, at(10))
	must(t, err)
	equal(t, "forgotten the second time", n, 0)
}

func testReopen(t *testing.T, open opener) {
	s, reopen := open(t)
	fill(t, s, ann)
	must(t, s.VisitSection(t.Context(), ann, "policies", "deny", at(9)))
	before := record(t, s, ann)
	s = reopen()
	equal(t, "record", record(t, s, ann), before)
	must(t, s.VisitSection(t.Context(), ann, "policies", "intro", at(-9)))
	left, _ := progress(t, s, ann).LeftOff("")
	equal(t, "left off", left.Section, "intro")
}

func testConcurrent(t *testing.T, open opener) {
	s, _ := open(t)
	const workers, rounds = 8, 5
	var group sync.WaitGroup
	for w := range workers {
		owner := []string{ann, bob}[w%2]
		group.Go(func() {
			for i := range rounds {
				if err := s.RecordCheck(context.Background(), owner, "policies", "deny", CheckResult{Passed: true, At: noon}); err != nil {
					t.Error(err)
				}
				if _, err := s.RecordAttempt(context.Background(), owner, attempt(fmt.Sprint(w, "-", i), w%4, i)); err != nil {
					t.Error(err)
				}
				if _, err := s.Progress(context.Background(), owner); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, owner := range []string{ann, bob} {
		p := progress(t, s, owner)
		equal(t, "tries and attempts", []int{p.Exercises[0].Tries, p.Exercises[0].FirstPass.Try, p.Quizzes[0].Attempts}, []int{workers / 2 * rounds, 1, workers / 2 * rounds})
	}
}

// testOneMoment writes pairs, the section first, and looks for a read in which
// the exercise is ahead, which no moment has.
func testOneMoment(t *testing.T, open opener) {
	s, _ := open(t)
	const rounds = 40
	done := make(chan error, 1)
	go func() {
		for i := range rounds {
			if err := s.VisitSection(context.Background(), ann, "policies", fmt.Sprint(i), noon); err != nil {
				done <- err
				return
			}
			if err := s.RecordCheck(context.Background(), ann, "policies", "deny", CheckResult{At: noon}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for reads := 0; ; reads++ {
		p := progress(t, s, ann)
		if visits, tries := len(p.Sections), p.Exercise("policies", "deny").Tries; visits != tries && visits != tries+1 {
			t.Fatalf("read %d: %d visits and %d tries", reads, visits, tries)
		}
		select {
		case err := <-done:
			must(t, err)
			return
		default:
		}
	}
}

func testCancelled(t *testing.T, open opener) {
	s, _ := open(t)
	fill(t, s, ann)
	before := record(t, s, ann)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, attemptErr := s.RecordAttempt(ctx, ann, attempt("late", 1, 0))
	_, progressErr := s.Progress(ctx, ann)
	for name, err := range map[string]error{
		"visit": s.VisitSection(ctx, ann, "policies", "late", noon), "attempt": attemptErr, "forget": s.Forget(ctx, ann), "progress": progressErr,
	} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: error %v, want context.Canceled", name, err)
		}
	}
	equal(t, "record", record(t, s, ann), before)
	must(t, s.VisitSection(t.Context(), ann, "policies", "after", noon))
}
