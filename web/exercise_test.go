package web

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
	"github.com/netpol-lab/netpol-lab/sandbox/simulated"
	"github.com/netpol-lab/netpol-lab/web/store"
)

// simulatingLab is a lab on the simulator, whose flows follow the policies.
func simulatingLab(t *testing.T) *lab {
	t.Helper()
	provider, err := simulated.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return newLab(t, setup{provider: provider})
}

func exerciseOf(t *testing.T, id string) *lessons.Exercise {
	t.Helper()
	all := theLessons(t)
	e := all[0].Exercise(id)
	if e == nil {
		t.Fatalf("the lesson has no exercise %s", id)
	}
	return e
}

const closeProduction = "/lessons/network-policies/exercises/close-production/"

// exercise posts one of an exercise's forms and returns the whole page's text.
func (v *learner) exercise(what string, form url.Values) string {
	v.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	a := v.page("POST", closeProduction+what, form)
	if a.status != http.StatusOK {
		v.t.Fatalf("%s: status %d: %s", what, a.status, a.body)
	}
	return a.body
}

func TestAn_exercise_is_graded_by_what_is_observed(t *testing.T) {
	v := simulatingLab(t).learner(t)
	e := exerciseOf(t, "close-production")
	if body := v.exercise("check", nil); !strings.Contains(body, "You have no sandbox of this lesson yet") {
		t.Error("a check without a sandbox does not say what is missing")
	}
	id := v.start()
	if body := v.exercise("begin", nil); !strings.Contains(body, "Exercise: "+e.Title) {
		t.Error("the page is not the lesson's")
	}
	body := v.exercise("check", nil)
	if !strings.Contains(body, "Not yet: ") || !strings.Contains(body, e.Checks[0].Hint.HTML()) && !strings.Contains(body, "class=\"look\"") {
		t.Errorf("the start passes, or its checks give no hint")
	}
	if a := v.put(id, e.Solution); a.status != http.StatusOK {
		t.Fatalf("the solution: status %d: %s", a.status, a.body)
	}
	body = v.exercise("check", nil) // waits until it has settled
	if !strings.Contains(body, "Passed: all ") || !strings.Contains(body, "A solution, and why it is one") {
		t.Errorf("the solution does not pass")
	}
	if body := v.page("GET", "/lessons/network-policies", nil).body; !strings.Contains(body, `<span class="badge passed">passed</span>`) {
		t.Error("the lesson does not show that the exercise was passed")
	}
	// Setting up the start takes the learner's policies away.
	v.exercise("begin", nil)
	if s := v.snapshot(v.send("GET", "/sandboxes/"+id, nil)); len(s.Policies) != strings.Count(e.Start, "kind: NetworkPolicy") {
		t.Errorf("%d policies are in force at the start", len(s.Policies))
	}
}

// reluctant clusters answer for one flow, and for the others once the gate is open.
type reluctantCluster struct {
	sandbox.Cluster
	gate <-chan struct{}
}

func (c reluctantCluster) Probe(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	c.Cluster.Probe(ctx, flows[:1], timeout, report)
	select {
	case <-c.gate:
		c.Cluster.Probe(ctx, flows[1:], timeout, report)
	case <-ctx.Done():
	}
}

// subscribing tells of each subscription.
type subscribing struct {
	Sandboxes
	asked chan struct{}
}

func (s subscribing) Subscribe(id sandbox.ID, after int64, options ...sandbox.SubscribeOption) (*sandbox.Subscription, error) {
	sub, err := s.Sandboxes.Subscribe(id, after, options...)
	s.asked <- struct{}{}
	return sub, err
}

func TestAn_early_check_waits_until_every_flow_has_been_measured(t *testing.T) {
	provider, err := simulated.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gate, asked := make(chan struct{}), make(chan struct{}, 1)
	v := newLab(t, setup{
		provider:  sandboxtest.Wrapping{Provider: provider, Wrap: func(c sandbox.Cluster) sandbox.Cluster { return reluctantCluster{c, gate} }},
		sandboxes: func(s Sandboxes) Sandboxes { return subscribing{s, asked} },
	}).learner(t)
	id := v.await(v.create(), sandbox.Ready)
	v.until("one flow is measured", func() bool {
		return len(v.snapshot(v.send("GET", "/sandboxes/"+id, nil)).Observations) == 1
	})
	answered := make(chan reply, 1)
	go func() {
		answered <- v.send("POST", closeProduction+"check", strings.NewReader(""), "X-Fragment", "exercise", "Accept", "text/html", "Content-Type", "application/x-www-form-urlencoded")
	}()
	select {
	case a := <-answered:
		t.Fatalf("the check did not wait: status %d", a.status)
	case <-asked:
	}
	close(gate)
	if a := <-answered; a.status != http.StatusOK || !strings.Contains(a.body, "Not yet: ") || strings.Contains(a.body, "nothing is known") {
		t.Errorf("status %d, or a flow was graded that had not been measured: %s", a.status, a.body)
	}
}

func TestA_look_gives_nothing_away_and_counts_only_where_it_finds_a_pass(t *testing.T) {
	v := simulatingLab(t).learner(t)
	e := exerciseOf(t, "close-production")
	id := v.start()
	look := url.Values{"look": {"1"}}
	tries := func() string {
		t.Helper()
		a := v.send("GET", "/me/record.json", nil)
		if a.status != http.StatusOK {
			t.Fatalf("the export: status %d", a.status)
		}
		return a.body
	}
	before := tries()
	if a := v.put(id, e.Wrong[0].YAML); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	body := v.exercise("check", look)
	if !strings.Contains(body, "By now ") || strings.Contains(body, `class="look"`) || strings.Contains(body, "Not yet: ") {
		t.Error("a look that finds no pass does not say how far it has come, or says more")
	}
	if after := tries(); after != before {
		t.Errorf("a look was kept: %s", after)
	}
	if a := v.put(id, e.Solution); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if body := v.exercise("check", look); !strings.Contains(body, "Passed: all ") || strings.Contains(body, "data-look") && strings.Count(body, "data-look") != strings.Count(body, "data-exercise")-1 {
		t.Error("a look that finds a pass does not say so, or goes on looking")
	}
	passed := tries()
	if !strings.Contains(passed, `"exercise":"close-production"`) {
		t.Errorf("the pass was not kept: %s", passed)
	}
	v.exercise("check", look)
	if after := tries(); after != passed {
		t.Error("a look after the pass was kept")
	}

	// The final challenge is graded when the learner asks, and with a score.
	const final = "/lessons/shop-challenge/exercises/whole-shop/check"
	other := simulatingLab(t).learner(t)
	a := other.send("POST", "/sandboxes", strings.NewReader(`{"lab": "shop-challenge"}`), "Content-Type", "application/json")
	if a.status != http.StatusAccepted {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	other.await(other.snapshot(a).id(), sandbox.Ready)
	if body := other.page("POST", final, look).body; strings.Contains(body, "By now ") || strings.Contains(body, "Your score") || strings.Contains(body, "data-look") {
		t.Error("a look at the final challenge says something")
	}
	if body := other.page("POST", final, url.Values{}).body; !strings.Contains(body, "Your score: ") || !strings.Contains(body, "Not yet: ") {
		t.Error("the final challenge has no score")
	}
}

func TestHints_come_one_by_one_and_the_solution_last(t *testing.T) {
	v := simulatingLab(t).learner(t)
	e := exerciseOf(t, "close-production")
	for i := range e.Hints {
		if body := v.exercise("hint", nil); strings.Count(body, "<h4>Hints</h4>") != 1 || strings.Contains(body, "why it is one") {
			t.Errorf("after hint %d the solution is there, or the hint is not", i+1)
		}
	}
	for range 3 { // One too many is no error.
		if body := v.exercise("hint", nil); !strings.Contains(body, "why it is one") {
			t.Error("after the last hint there is no solution")
		}
	}
}

func TestPredictExercise_a_prediction_locks_when_it_is_kept_and_opens_the_answer(t *testing.T) {
	v := simulatingLab(t).learner(t)
	e := exerciseOf(t, "close-production")
	const kept = "Your prediction is kept."
	form := url.Values{}
	for i := range e.Predict {
		form.Set(fmt.Sprintf("flow-%d", i), "blocked")
	}
	partial := url.Values{"flow-0": {"blocked"}}
	if body := v.exercise("predict", partial); !strings.Contains(body, "Mark every connection") || strings.Contains(body, kept) || strings.Count(body, `value="blocked" checked`) != 1 {
		t.Error("an incomplete prediction is not told so, or its mark is lost")
	}
	if a := v.page("POST", closeProduction+"predict", url.Values{"flow-0": {"maybe"}}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a prediction that does not exist: status %d", a.status)
	}
	before := v.page("GET", "/lessons/network-policies", nil).body
	contains(t, before, "You cannot change it afterwards; the answer opens then.")
	box := func(page string) string {
		_, rest, _ := strings.Cut(page, `data-exercise="close-production"`)
		box, _, _ := strings.Cut(rest, `</section>`)
		return box
	}
	for _, f := range e.Predict {
		if why := html.EscapeString(e.Answers[f.ID].Why); why == "" || strings.Contains(box(before), why) {
			t.Errorf("%s: the answer %q is missing, or there before the prediction", f.ID, why)
		}
	}
	contains(t, v.exercise("predict", form), kept)
	after := box(v.page("GET", "/lessons/network-policies", nil).body)
	contains(t, after, kept, "≠ not so", "Simulated</th>", "data-open")
	for _, f := range e.Predict {
		contains(t, after, html.EscapeString(e.Answers[f.ID].Why))
	}
	if strings.Contains(after, "Measured</th>") || strings.Contains(after, `name="flow-0"`) {
		t.Error("where nothing is measured a column is called so, or the form is still there")
	}
	form.Set("flow-0", "open")
	if a := v.page("POST", closeProduction+"predict", form); a.status != http.StatusConflict || !strings.Contains(a.body, "cannot be changed any more") {
		t.Errorf("a second prediction: status %d: %s", a.status, a.body)
	}
	if again := box(v.page("GET", "/lessons/network-policies", nil).body); again != after {
		t.Error("the second prediction changed the first")
	}
	// Who has given up predicting sees the answer, and cannot predict it then.
	other := simulatingLab(t).learner(t)
	other.exercise("skip", nil)
	if a := other.page("POST", closeProduction+"predict", form); a.status != http.StatusConflict || !strings.Contains(a.body, "The answer is open already") {
		t.Errorf("a prediction of what is open: status %d: %s", a.status, a.body)
	}
}

// One column for the engine and one for what was measured, with a mark where they
// differ; the sandbox has to be at the moment that was predicted.
func TestPredictExercise_the_engine_is_compared_with_what_is_measured_at_that_moment(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	e := exerciseOf(t, "close-production")
	form := url.Values{}
	for i := range e.Predict {
		form.Set(fmt.Sprintf("flow-%d", i), "open")
	}
	v.exercise("begin", nil)
	if a := v.put(id, e.Given); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	v.exercise("check", nil) // waits until it has settled
	body := v.exercise("predict", form)
	contains(t, body, "The engine</th>", "Measured</th>")
	if strings.Contains(body, "It is measured when your sandbox is at that moment") {
		t.Error("the sandbox is at the moment, and the page does not show what is seen there")
	}
	// The script asks for this after a start was set up; nothing is graded by it.
	before := v.send("GET", "/me/record.json", nil).body
	body = v.exercise("check", url.Values{"look": {"moment"}})
	if strings.Contains(body, "By now ") || strings.Contains(body, "It is measured when your sandbox is at that moment") || !strings.Contains(body, "Measured</th>") {
		t.Error("a look at the moment grades, or does not show what is seen there")
	}
	if after := v.send("GET", "/me/record.json", nil).body; after != before {
		t.Errorf("a look at the moment was kept: %s", after)
	}
	if a := v.put(id, e.Solution); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	contains(t, v.exercise("check", nil), "It is measured when your sandbox is at that moment")
}

func TestHintExercise_a_pass_after_the_solution_is_told_everywhere(t *testing.T) {
	v := simulatingLab(t).learner(t)
	e := exerciseOf(t, "close-production")
	id := v.start()
	pass := func() string {
		t.Helper()
		if a := v.put(id, e.Solution); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		return v.exercise("check", nil)
	}
	for range len(e.Hints) + 1 {
		v.exercise("hint", nil)
	}
	contains(t, pass(), "Passed: all ", "it counts as done with the solution", ">done with the solution</span>")
	contains(t, v.page("GET", "/lessons/network-policies", nil).body, ">done with the solution</span>")
	me := v.page("GET", "/me", nil).body
	contains(t, me, `<td>done with the solution</td><td data-label="Tries">1</td><td data-label="Hints">3</td>`, "1 of ", ", 1 of them with the solution")
	if strings.Contains(me, "✓ passed") {
		t.Error("the record calls it passed")
	}
	contains(t, v.send("GET", "/me/record.json", nil).body, `"withSolution":true`, `"solutionAt":"`)

	// Whoever has passed before they looked has passed.
	v = simulatingLab(t).learner(t)
	id = v.start()
	pass()
	for range len(e.Hints) + 1 {
		v.exercise("hint", nil)
	}
	if body := v.page("GET", "/lessons/network-policies", nil).body; strings.Contains(body, ">done with the solution</span>") || !strings.Contains(body, ">passed</span>") {
		t.Error("a pass before the solution was shown is not clean")
	}
	contains(t, v.page("GET", "/me", nil).body, "✓ passed")
	contains(t, v.send("GET", "/me/record.json", nil).body, `"withSolution":false`)
}

func TestThe_script_is_given_the_box_alone(t *testing.T) {
	v := simulatingLab(t).learner(t)
	a := v.send("POST", closeProduction+"skip", strings.NewReader(""), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "X-Fragment", "exercise", "Sec-Fetch-Site", "same-origin")
	if a.status != http.StatusOK || !strings.HasPrefix(a.body, "<section") || !strings.Contains(a.body, "skipped") {
		t.Errorf("status %d: %.200s", a.status, a.body)
	}
	if a := v.page("POST", "/lessons/network-policies/exercises/none/check", url.Values{}); a.status != http.StatusNotFound {
		t.Errorf("an exercise that does not exist: status %d", a.status)
	}
}

func TestA_record_is_ones_own(t *testing.T) {
	l := simulatingLab(t)
	v := l.learner(t)
	id := v.start()
	if a := v.put(id, exerciseOf(t, "close-production").Solution); a.status != http.StatusOK {
		t.Fatalf("status %d", a.status)
	}
	v.exercise("check", nil)
	if a := v.page("POST", "/me/name", url.Values{"name": {"<script>Ada"}}); a.status != http.StatusSeeOther {
		t.Fatalf("status %d", a.status)
	}
	me := v.page("GET", "/me", nil).body
	if !strings.Contains(me, "What &lt;script&gt;Ada has done") || !strings.Contains(me, "✓ passed") || !strings.Contains(me, "simulated") {
		t.Error("the record lacks the name, the pass, or that it was simulated")
	}
	if a := v.page("POST", "/me/name", url.Values{"name": {strings.Repeat("a", 10000)}}); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "80") {
		t.Errorf("a name of 10,000 characters: status %d", a.status)
	}
	if a := v.send("GET", "/me/record.json", nil); a.status != http.StatusOK || !strings.Contains(a.body, `"exercise":"close-production"`) {
		t.Errorf("the export: status %d: %.300s", a.status, a.body)
	}
	other := l.learner(t)
	if body := other.page("GET", "/me", nil).body; strings.Contains(body, "Ada") || strings.Contains(body, "✓ passed") {
		t.Error("another learner sees the record")
	}
	// Somebody else sits down at the same browser.
	v.page("POST", "/me/new", url.Values{})
	if body := v.page("GET", "/me", nil).body; strings.Contains(body, "Ada") || strings.Contains(body, "✓ passed") {
		t.Error("the next learner at the browser sees the record")
	}
}

func TestForgetting_leaves_nothing(t *testing.T) {
	v := simulatingLab(t).learner(t)
	v.page("POST", "/me/name", url.Values{"name": {"Ada"}})
	v.exercise("hint", nil)
	if a := v.page("POST", "/me/forget", url.Values{}); a.status != http.StatusSeeOther {
		t.Fatalf("status %d", a.status)
	}
	if body := v.page("GET", "/me", nil).body; strings.Contains(body, "Ada") {
		t.Error("the name is still there")
	}
}

func TestA_section_that_is_done_leads_to_the_next(t *testing.T) {
	v := simulatingLab(t).learner(t)
	all := theLessons(t)
	var ids []string
	for _, s := range all[0].Sections {
		if s.ID != "" {
			ids = append(ids, s.ID)
		}
	}
	for i, id := range ids {
		want := "/lessons/network-policies#end"
		if i+1 < len(ids) {
			want = "/lessons/network-policies#" + ids[i+1]
		}
		if a := v.page("POST", "/lessons/network-policies/sections/"+id+"/done", url.Values{}); a.status != http.StatusSeeOther || a.header.Get("Location") != want {
			t.Errorf("%s: status %d, on to %q, want %q", id, a.status, a.header.Get("Location"), want)
		}
		if body := v.page("GET", "/me", nil).body; i+1 < len(ids) && !strings.Contains(body, want) {
			t.Errorf("after %s the record does not lead to %s", id, want)
		}
	}
	if a := v.page("POST", "/lessons/network-policies/sections/none/done", url.Values{}); a.status != http.StatusNotFound {
		t.Errorf("a section that does not exist: status %d", a.status)
	}
}

func TestA_lesson_is_completed_with_its_last_section_and_exercise(t *testing.T) {
	all := theLessons(t)
	l := all[len(all)-1]
	begin := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var whole store.Progress
	for i, s := range l.Sections {
		if s.ID != "" {
			whole.Sections = append(whole.Sections, store.Section{Lesson: l.Slug, Section: s.ID, CompletedAt: begin.Add(time.Duration(i) * time.Hour)})
		}
	}
	last := begin.Add(100 * time.Hour)
	for _, e := range l.Exercises {
		whole.Exercises = append(whole.Exercises, store.Exercise{Lesson: l.Slug, Exercise: e.ID, FirstPass: &store.Pass{CheckResult: store.CheckResult{Passed: true, At: last}}})
	}
	if r := lessonRecord(l, whole); !r.CompletedAt.Equal(last) || !strings.Contains(r.Progress(), "Completed on 5 May 2026") {
		t.Errorf("completed at %v: %s", r.CompletedAt, r.Progress())
	}
	lacking := whole
	lacking.Sections = whole.Sections[1:]
	if r := lessonRecord(l, lacking); !r.CompletedAt.IsZero() {
		t.Error("completed without a section")
	}
	lacking = whole
	lacking.Exercises = whole.Exercises[1:]
	if r := lessonRecord(l, lacking); !r.CompletedAt.IsZero() {
		t.Error("completed without an exercise")
	}
}

// Four mistakes that the page once answered with the same sentence.
func TestCheckExercise_feedback_names_policy_rule_and_line_of_what_the_learner_wrote(t *testing.T) {
	const check = "/lessons/network-policies/exercises/front-to-back/check"
	v := simulatingLab(t).learner(t)
	id := v.start()
	deny := "# Closes all.\n" + denyAll
	// The second line of each is its comment: lines are those of the learner's text.
	allow := func(selects, direction, peer string, port int) string {
		rules := map[string]string{"Ingress": "ingress: [{from: ", "Egress": "egress: [{to: "}[direction]
		return fmt.Sprintf(`apiVersion: networking.k8s.io/v1
# web needs api
kind: NetworkPolicy
metadata: {name: allow-%s, namespace: production}
spec:
  podSelector: {matchLabels: {app: %s}}
  policyTypes: [%s]
  %s[{podSelector: {matchLabels: {app: %s}}}],
    ports: [{port: %d}]}]
`, strings.ToLower(direction), selects, direction, rules, peer, port)
	}
	out := allow("web", "Egress", "api", 8080)
	seen := map[string]string{}
	for name, c := range map[string]struct {
		policies []string
		want     string
	}{
		"no policy at all":              {nil, "There is no policy yet"},
		"the wrong direction":           {[]string{deny, out, allow("api", "Egress", "web", 8080)}, "allow-egress"},
		"a selector that finds nothing": {[]string{deny, out, allow("apl", "Ingress", "web", 8080)}, "allow-ingress, line 6, selects app=apl"},
		"the wrong port":                {[]string{deny, out, allow("api", "Ingress", "web", 80)}, "allow-ingress, ingress rule 1, line 9,"},
	} {
		t.Run(name, func(t *testing.T) {
			if a := v.send("DELETE", "/sandboxes/"+id+"/policies", nil); a.status != http.StatusOK {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			for _, p := range c.policies {
				if a := v.put(id, p); a.status != http.StatusOK {
					t.Fatalf("status %d: %s", a.status, a.body)
				}
			}
			body := v.page("POST", check, url.Values{}).body
			said := regexp.MustCompile(`(?s)<span class="feedback">(.*?)</span>`).FindAllStringSubmatch(body, -1)
			if len(said) == 0 {
				t.Fatalf("no feedback:\n%s", body)
			}
			if !slices.ContainsFunc(said, func(m []string) bool { return strings.Contains(m[1], c.want) }) {
				t.Errorf("said %q\nwant in it %q", said, c.want)
			}
			all := fmt.Sprint(said)
			if other, ok := seen[all]; ok {
				t.Errorf("the same is said as of %s: %s", other, all)
			}
			seen[all] = name
			if !strings.Contains(body, "The idea behind it:") {
				t.Error("the section's own hint is not there")
			}
			// What the script asks for by itself gives nothing away.
			if body := v.page("POST", check, url.Values{"look": {"1"}}).body; strings.Contains(body, `class="feedback"`) {
				t.Error("a look says what is wrong")
			}
		})
	}
}

func TestSetting_up_the_start_says_what_it_replaces_and_goes_back(t *testing.T) {
	v := simulatingLab(t).learner(t)
	id := v.start()
	if body := v.exercise("begin", nil); !strings.Contains(body, "no policy is in force") || strings.Contains(body, "/restore") {
		t.Error("a start that replaces nothing offers a way back")
	}
	v.put(id, exerciseOf(t, "close-production").Solution)
	mine := v.policies(id)
	body := v.exercise("begin", nil)
	contains(t, body, "production/default-deny-all was in force before, and is gone.", "/restore")
	if left := v.policies(id); len(left) != 0 {
		t.Fatalf("the start has none, and in force are %v", left)
	}
	// Browsers send the lines of a field with CR LF.
	before := strings.ReplaceAll(mine[0].YAML, "\n", "\r\n")
	contains(t, v.exercise("restore", url.Values{"yaml": {before}}), "As before: production/default-deny-all is in force.")
	if back := v.policies(id); len(back) != 1 || back[0] != mine[0] {
		t.Errorf("put back are %v, want %v", back, mine)
	}
}

func TestSetting_up_a_start_puts_it_into_the_workspace_without_scripts(t *testing.T) {
	v := simulatingLab(t).learner(t)
	v.start()
	a := v.page("POST", "/lessons/network-policies/exercises/front-to-back/begin", url.Values{})
	start := exerciseOf(t, "front-to-back").Start
	contains(t, html.UnescapeString(a.body), "Its policies are in force, and in your workspace.", ">"+strings.TrimSpace(start)+"</textarea>")
}

// elsewhere is a lab whose outside host has another address than the planned one.
type elsewhere struct{ Sandboxes }

func (e elsewhere) Addresses(id sandbox.ID) (sandbox.Addresses, error) {
	a, err := e.Sandboxes.Addresses(id)
	a = a.Clone()
	for name := range a.External {
		a.External[name] = netip.MustParseAddr("203.0.113.9")
	}
	return a, err
}

func TestCheckExercise_feedback_knows_the_clusters_own_addresses(t *testing.T) {
	v := newLab(t, setup{sandboxes: func(s Sandboxes) Sandboxes { return elsewhere{s} }}).learner(t)
	id := v.start()
	deny := strings.Replace(denyAll, "policyTypes: [Ingress, Egress]", "policyTypes: [Egress]", 1)
	out := strings.Replace(strings.Replace(deny, "default-deny-all", "out", 1), "policyTypes: [Egress]", "policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: 203.0.113.9/32}}]}]", 1)
	for _, p := range []string{deny, out} {
		if a := v.put(id, p); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	body := v.page("POST", "/lessons/network-policies/exercises/outside/check", url.Values{}).body
	// The host is where the policy says, and the fake cluster has it elsewhere.
	if !strings.Contains(body, "By the policies it is as it should be.") || strings.Contains(body, "172.18.0.3") {
		t.Errorf("the feedback has planned addresses: %s", regexp.MustCompile(`(?s)<span class="feedback.*?</span>`).FindAllString(body, -1))
	}
}
