package web

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/store"
)

var (
	formOf     = regexp.MustCompile(`<form id="quiz" method="post" action="([^"]*)" autocomplete="off"><input type="hidden" name="_version" value="([^"]*)">`)
	questionID = regexp.MustCompile(`data-question="([^"]*)"`)
	choiceID   = regexp.MustCompile(`data-choice="([^"]*)"`)
)

// form is a quiz's form as a browser sends it.
type form struct {
	action string
	url.Values
}

// formIn is the form of the page, without answers yet.
func formIn(t *testing.T, page reply) form {
	t.Helper()
	m := formOf.FindStringSubmatch(page.body)
	if m == nil {
		t.Fatalf("the page has no form: status %d, %.300s", page.status, page.body)
	}
	return form{html.UnescapeString(m[1]), url.Values{fieldVersion: {m[2]}}}
}

// quiz visits the quiz: each visit begins an attempt.
func (v *learner) quiz(slug string) reply {
	v.t.Helper()
	return v.page("GET", "/quizzes/"+slug, nil)
}

func (v *learner) answer(f form) reply {
	v.t.Helper()
	return v.page("POST", f.action, f.Values)
}

// with is the form with the answers to the quiz: the right ones, or else wrong
// ones.
func with(values form, quiz *quizzes.Quiz, right bool) form {
	for _, q := range quiz.Questions {
		values.Del(q.ID)
		if q.Fix != nil {
			values.Set(q.ID, q.Fix.Fault)
			if right {
				values.Set(q.ID, q.Fix.Solution)
			}
			continue
		}
		for _, c := range q.Choices {
			if c.Correct == right && (right || values.Get(q.ID) == "") {
				values.Add(q.ID, c.ID)
			}
		}
	}
	return values
}

// order is the page's questions and choices, in their order.
func order(page reply) string {
	var all []string
	for _, expr := range []*regexp.Regexp{questionID, choiceID} {
		for _, m := range expr.FindAllStringSubmatch(page.body, -1) {
			all = append(all, m[1])
		}
	}
	return strings.Join(all, " ")
}

// attempts are all of the learner's that are kept, the newest first.
func (v *learner) attempts() []store.Attempt {
	v.t.Helper()
	var record store.Record
	strict(v.t, v.send("GET", "/me/record.json", nil).body, &record)
	return record.Attempts
}

func TestEach_quiz_is_answered_and_graded_without_scripts(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	for _, quiz := range v.lab.quizzes {
		path := "/quizzes/" + quiz.Slug
		t.Run(quiz.Slug, func(t *testing.T) {
			empty := v.quiz(quiz.Slug)
			if n := len(questionID.FindAllString(empty.body, -1)); n != len(quiz.Questions) || empty.status != http.StatusOK {
				t.Fatalf("status %d with %d questions, want %d", empty.status, n, len(quiz.Questions))
			}
			if strings.Contains(empty.body, "explanation") {
				t.Error("the explanations are there before anything was answered")
			}
			drawn := slices.ContainsFunc(quiz.Questions, func(q quizzes.Question) bool { return q.Asked != nil })
			if strings.Contains(empty.body, "pic-flow asked") != drawn || strings.Contains(empty.body, "pic-flow open") || strings.Contains(empty.body, "pic-flow blocked") {
				t.Error("the pictures do not ask, or they answer")
			}
			form := with(formIn(t, empty), quiz, true)
			right := v.answer(form)
			if strings.Contains(right.body, "pic-flow asked") || (strings.Contains(right.body, "pic-flow open") || strings.Contains(right.body, "pic-flow blocked")) != drawn {
				t.Error("the pictures of what was graded still ask")
			}
			if right.status != http.StatusOK {
				t.Fatalf("status %d", right.status)
			}
			contains(t, right.body, "All ", " answers are right.", "Try again", `href="`+path+`"`)
			if strings.Contains(right.body, "Check the answers") {
				t.Error("what was graded can be sent again")
			}
			wrong := v.answer(with(form, quiz, false))
			contains(t, wrong.body, "0 of ")
			for _, page := range []reply{right, wrong} {
				text := html.UnescapeString(page.body)
				for _, q := range quiz.Questions {
					for _, c := range q.Choices {
						contains(t, text, c.Reason)
						contains(t, page.body, c.Explanation.HTML())
					}
				}
				if got := order(page); got != order(empty) {
					t.Errorf("the order is another after grading:\n%s\nwas\n%s", got, order(empty))
				}
			}
		})
	}
}

func TestThe_first_quiz_says_what_is_right(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	quiz := v.lab.quizzes[0]
	form := with(formIn(t, v.quiz(quiz.Slug)), quiz, true)
	form.Set("who-enforces", "flannel")
	page := v.answer(form).body
	contains(t, page, "Your answer: Wrong.", "Your answer: Right.", `value="every-pod" checked disabled`)
	question, _ := quiz.Question("who-enforces")
	for _, c := range question.Choices {
		if c.ID == "flannel" {
			contains(t, page, c.Explanation.HTML())
		}
	}
}

func TestA_quiz_is_shuffled_anew_at_each_visit(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	quiz := v.lab.quizzes[0]
	first := order(v.quiz(quiz.Slug))
	for range 20 {
		if order(v.quiz(quiz.Slug)) != first {
			return
		}
	}
	t.Error("the order was the same 20 times")
}

func TestAnswers_that_cannot_be_graded_lose_nothing(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	quiz := v.lab.quizzes[0]
	empty := v.quiz(quiz.Slug)
	for name, c := range map[string]struct {
		sent []string
		want string
	}{
		"missing":   {nil, "Choose an answer to this question."},
		"unknown":   {[]string{"none-of-yours"}, "none of these"},
		"very long": {[]string{strings.Repeat("x", 10_000)}, "none of these"},
		"script":    {[]string{"<script>alert(1)</script>"}, "none of these"},
		"two":       {[]string{"flannel", "none"}, "More than one answer"},
	} {
		t.Run(name, func(t *testing.T) {
			form := with(formIn(t, empty), quiz, true)
			form.Values["who-enforces"] = c.sent
			a := v.answer(form)
			if a.status != http.StatusUnprocessableEntity {
				t.Errorf("status %d, want 422", a.status)
			}
			contains(t, a.body, c.want, `value="dns" checked`, `id="q-who-enforces-problem"`, "not graded yet", "Check the answers")
			if strings.Contains(a.body, "explanation") || strings.Contains(a.body, "<script>alert") {
				t.Error("answers were given away though nothing was graded, or a script got in")
			}
			if again := formIn(t, a); again.action != formIn(t, empty).action || again.Encode() != formIn(t, empty).Encode() || order(a) != order(empty) {
				t.Errorf("the attempt or the order is another: %v", again)
			}
		})
	}
	form := with(formIn(t, empty), quiz, true)
	form.Set("who-enforces", strings.Repeat("x", maxFormBytes))
	if big := v.answer(form); big.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge answer: status %d, want 413", big.status)
	}
}

// fixOf is the first quiz with a line to fix.
func fixOf(t *testing.T, l *lab) (*quizzes.Quiz, quizzes.Question) {
	t.Helper()
	for _, quiz := range l.quizzes {
		for _, q := range quiz.Questions {
			if q.Fix != nil {
				return quiz, q
			}
		}
	}
	t.Fatal("no quiz has a line to fix")
	return nil, quizzes.Question{}
}

func TestA_line_that_cannot_be_read_is_told_and_kept(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	quiz, q := fixOf(t, v.lab)
	form := with(formIn(t, v.quiz(quiz.Slug)), quiz, true)
	for _, line := range []string{`  - "><script>alert(1)</script>: [`, strings.Repeat("x", 10_000), "\x00"} {
		form.Set(q.ID, line)
		a := v.answer(form)
		if a.status != http.StatusUnprocessableEntity || strings.Contains(a.body, "<script>alert") {
			t.Errorf("%.40q: status %d, or a script got in", line, a.status)
		}
		contains(t, a.body, `id="q-`+q.ID+`-problem"`, `value="`+html.EscapeString(line)+`"`)
	}
	form.Set(q.ID, q.Fix.Mistakes[0].Line)
	a := v.answer(form)
	contains(t, a.body, "(not as wanted)", "A line that does it:")
	if a.status != http.StatusOK {
		t.Errorf("a line that is a mistake: status %d", a.status)
	}
}

func TestA_quiz_that_changed_says_so_and_keeps_what_fits(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	quiz := v.lab.quizzes[0]
	for _, version := range []string{"0123456789abcdef", "", "<script>"} {
		form := with(formIn(t, v.quiz(quiz.Slug)), quiz, true)
		form.Set(fieldVersion, version)
		form.Set("who-enforces", "gone-by-now")
		a := v.answer(form)
		if a.status != http.StatusConflict {
			t.Errorf("version %q: status %d, want 409", version, a.status)
		}
		contains(t, a.body, "This quiz has changed since you opened it", `value="every-pod" checked`, `name="_version" value="`+quiz.Version+`"`)
		if strings.Contains(a.body, "gone-by-now") || strings.Contains(a.body, "explanation") {
			t.Error("an answer that does not fit is there, or one was given away")
		}
		form = formIn(t, a)
		if again := v.answer(with(form, quiz, true)); again.status != http.StatusOK {
			t.Errorf("sent again: status %d", again.status)
		}
	}
	if n := len(v.attempts()); n != 3 {
		t.Errorf("%d attempts are kept, want the 3 that were graded", n)
	}
}

func TestQuiz_two_attempts_both_count_and_one_sent_again_does_not(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	quiz := v.lab.quizzes[0]
	first := v.quiz(quiz.Slug)
	if strings.Contains(first.body, "Your best attempt") {
		t.Error("an attempt is told of before there is one")
	}
	const before = "This attempt was counted before"
	form := with(formIn(t, first), quiz, true)
	for range 2 { // The button pressed twice, or the page loaded again.
		a := v.answer(form)
		contains(t, a.body, "Your best attempt")
		if strings.Contains(a.body, before) {
			t.Error("the same attempt is told to be another")
		}
	}
	if again := v.page("GET", form.action, nil); order(again) != order(first) {
		t.Error("gone back to, the page has another order")
	}
	// Sent again from there with other answers, it is graded and not counted.
	contains(t, v.answer(with(form, quiz, false)).body, "0 of ", before)
	all := v.attempts()
	if len(all) != 1 || all[0].Right != len(quiz.Questions) || all[0].Total != len(quiz.Questions) || all[0].Quiz != quiz.Slug || all[0].Version != quiz.Version || all[0].At.IsZero() || len(all[0].Answers) != len(quiz.Questions) {
		t.Errorf("kept are %+v, want the one attempt", all)
	}
	second := v.answer(with(formIn(t, v.quiz(quiz.Slug)), quiz, false))
	contains(t, second.body, "Your best attempt: "+strconv.Itoa(len(quiz.Questions))+" of "+strconv.Itoa(len(quiz.Questions)), "Your latest: 0 of ")
	if strings.Contains(second.body, before) {
		t.Error("a second attempt is told to have been counted before")
	}
	if all := v.attempts(); len(all) != 2 || all[0].Right != 0 || all[1].Right != len(quiz.Questions) {
		t.Errorf("kept are %+v, want both attempts", all)
	}
	if other := v.lab.learner(t).quiz(quiz.Slug); strings.Contains(other.body, "Your best attempt") {
		t.Error("another learner is shown it")
	}
}

func TestWithout_a_token_of_its_own_an_attempt_gets_one(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	quiz := v.lab.quizzes[0]
	for _, token := range []string{"", "x", strings.Repeat("A", 10_000), "<script>"} {
		form := with(formIn(t, v.quiz(quiz.Slug)), quiz, true)
		form.action = "/quizzes/" + quiz.Slug + "?" + url.Values{"attempt": {token}}.Encode()
		if a := v.answer(form); a.status != http.StatusOK || formIn(t, a).action == form.action {
			t.Errorf("token %.20q: status %d, and it is taken as it is", token, a.status)
		}
		if a := v.page("GET", form.action, nil); a.status != http.StatusOK || formIn(t, a).action == form.action {
			t.Errorf("token %.20q: status %d, and it is taken as it is", token, a.status)
		}
	}
	if n := len(v.attempts()); n != 4 {
		t.Errorf("%d attempts are kept, want 4", n)
	}
}

// full is a store whose disk has no space for another attempt.
type full struct{ kept }

// kept is the store under another name: embedded, a Progress would hide its own method.
type kept = interface{ Progress }

func (full) UseHint(context.Context, string, string, string, int, time.Time) error {
	return fmt.Errorf("use hint: %w", store.ErrUnavailable)
}

func (full) RecordAttempt(context.Context, string, store.Attempt) (store.Attempt, error) {
	return store.Attempt{}, errors.New("the disk is full")
}

func TestA_store_that_fails_takes_nothing_from_the_learner(t *testing.T) {
	v := newLab(t, setup{progress: func(p Progress) Progress { return full{p} }}).learner(t)
	quiz := v.lab.quizzes[0]
	a := v.answer(with(formIn(t, v.quiz(quiz.Slug)), quiz, true))
	contains(t, a.body, "answers are right.", "could not be kept")
	if a.status != http.StatusOK || strings.Contains(a.body, "the disk is full") {
		t.Errorf("status %d, or the learner reads the log's text", a.status)
	}
	contains(t, v.lab.log.String(), "the disk is full")
	hint := v.page("POST", closeProduction+"hint", url.Values{})
	if hint.status != http.StatusServiceUnavailable || hint.header.Get("Retry-After") == "" {
		t.Errorf("a hint that cannot be kept: status %d", hint.status)
	}
	contains(t, hint.body, "cannot be kept at the moment", "disk is full")
}

func TestProve_it_opens_the_workbench_with_the_questions_policies(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	proved := 0
	for _, quiz := range v.lab.quizzes {
		graded := v.answer(with(formIn(t, v.quiz(quiz.Slug)), quiz, true))
		for _, q := range quiz.Questions {
			link := "/workbench?" + url.Values{"quiz": {quiz.Slug}, "question": {q.ID}}.Encode()
			a := v.page("GET", link, nil)
			if linked := strings.Contains(html.UnescapeString(graded.body), `"`+link+`"`); linked != q.Provable() {
				t.Errorf("%s/%s: linked %v, want %v", quiz.Slug, q.ID, linked, q.Provable())
			}
			if !q.Provable() {
				if a.status != http.StatusNotFound {
					t.Errorf("%s: status %d, want 404", link, a.status)
				}
				continue
			}
			proved++
			if text := html.UnescapeString(a.body); a.status != http.StatusOK || !strings.Contains(text, " data-given>"+q.Policies+"</textarea>") {
				t.Errorf("%s: status %d without the policies", link, a.status)
			}
			lesson := slices.IndexFunc(v.lab.lessons, func(l *lessons.Lesson) bool { return l.Slug == quiz.Lesson })
			contains(t, a.body, `data-lab="`+v.lab.lessons[lesson].Topology.Name+`"`)
		}
	}
	if proved == 0 {
		t.Error("no question can be proved")
	}
	for _, path := range []string{"/workbench?quiz=none&question=x", "/workbench?quiz=network-policies&question=none", "/workbench?quiz=network-policies", "/workbench?quiz="} {
		if a := v.page("GET", path, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, a.status)
		}
	}
	if a := v.page("GET", "/workbench", nil); strings.Contains(a.body, "data-given") {
		t.Error("the workbench alone gives a text")
	}
}

// formsOn are the hidden fields of each form of the lab, by its ID.
func formsOn(page reply) map[string]url.Values {
	forms := map[string]url.Values{}
	for _, m := range regexp.MustCompile(`(?s)<form id="([^"]*)".*?</form>`).FindAllStringSubmatch(page.body, -1) {
		forms[m[1]] = url.Values{}
		for _, field := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(m[0], -1) {
			forms[m[1]].Add(field[1], html.UnescapeString(field[2]))
		}
	}
	return forms
}

func TestProve_it_needs_no_script(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	quiz := v.lab.quizzes[0]
	question, _ := quiz.Question("one-end-is-not-enough")
	link := "/workbench?question=one-end-is-not-enough&quiz=network-policies"
	given := " data-given>" + html.EscapeString(question.Policies) + "</textarea>"

	page := v.page("GET", link, nil)
	contains(t, page.body, given, `You are trying out the policies of this question:`, `href="/quizzes/network-policies"`)
	send := func(form, path string, more url.Values) reply {
		t.Helper()
		values, ok := formsOn(page)[form]
		if !ok {
			t.Fatalf("the page has no form %s", form)
		}
		for name, value := range more {
			values[name] = value
		}
		return v.page("POST", path, values)
	}
	comesBack := func(a reply) {
		t.Helper()
		if a.status != http.StatusSeeOther || a.header.Get("Location") != link+"#lab" {
			t.Fatalf("status %d to %q, want 303 to %q", a.status, a.header.Get("Location"), link+"#lab")
		}
		page = v.page("GET", link, nil)
		contains(t, page.body, given)
	}
	comesBack(send("start", "/sandboxes", nil))
	id := v.await(v.create(), sandbox.Ready)
	page = v.page("GET", link, nil)

	wrong := send("policy-form", "/sandboxes/"+id+"/policies", url.Values{"yaml": {"kind: NetworkPolice"}})
	contains(t, wrong.body, "Nothing was applied:", ">kind: NetworkPolice</textarea>", `name="question" value="one-end-is-not-enough"`)
	if strings.Contains(wrong.body, "data-given") {
		t.Error("what the learner wrote is told to be the question's")
	}
	comesBack(send("policy-form", "/sandboxes/"+id+"/policies", url.Values{"yaml": {question.Policies}}))
	if now := v.policies(id); len(now) != 2 || now[0].Name != "allow-web-to-api" {
		t.Errorf("in force is %v", now)
	}
	asked := send("policy-form", "/sandboxes/"+id+"/policies", url.Values{"yaml": {""}})
	contains(t, asked.body, "<code>production/allow-web-to-api</code>", `name="question" value="one-end-is-not-enough"`)
	comesBack(send("reset", "/sandboxes/"+id+"/reset", nil))
	comesBack(send("stop", "/sandboxes/"+v.await(v.create(), sandbox.Ready)+"/stop", nil))
}

func TestA_form_comes_back_to_no_question_that_its_page_cannot_have(t *testing.T) {
	for name, c := range map[string]struct{ lesson, lab, quiz, question, want string }{
		"no such quiz":        {"", "network-policies", "none", "one-end-is-not-enough", "/workbench?lab=network-policies#lab"},
		"no such question":    {"", "network-policies", "network-policies", "none", "/workbench?lab=network-policies#lab"},
		"an address":          {"", "network-policies", "//elsewhere.example/", "/../..", "/workbench?lab=network-policies#lab"},
		"a line break":        {"", "network-policies", "network-policies\r\nX: y", "one-end-is-not-enough", "/workbench?lab=network-policies#lab"},
		"nothing to prove":    {"", "network-policies", "network-policies", "who-enforces", "/workbench?lab=network-policies#lab"},
		"another lesson's":    {"", "tenants", "network-policies", "one-end-is-not-enough", "/workbench?lab=tenants#lab"},
		"the lesson's own":    {"network-policies", "network-policies", "network-policies", "one-end-is-not-enough", "/lessons/network-policies#lab"},
		"no fields of a quiz": {"", "network-policies", "", "", "/workbench?lab=network-policies#lab"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newLab(t, setup{}).learner(t)
			form := url.Values{"lab": {c.lab}, "quiz": {c.quiz}, "question": {c.question}}
			if c.lesson != "" {
				form.Set("lesson", c.lesson)
			}
			a := v.page("POST", "/sandboxes", form)
			if a.status != http.StatusSeeOther || a.header.Get("Location") != c.want {
				t.Errorf("status %d to %q, want 303 to %q", a.status, a.header.Get("Location"), c.want)
			}
		})
	}
	if a := newLab(t, setup{}).learner(t).page("GET", "/workbench", nil); strings.Contains(a.body, `id="proof"`) || strings.Contains(a.body, `name="quiz"`) {
		t.Error("the workbench alone speaks of a question")
	}
}

// A lesson may share another's lab: its quizzes are tried out there.
func TestEachQuestionThatCanBeTriedOut_opens_the_lab_of_its_lesson(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	all := theLessons(t)
	labs, shared := map[string]string{}, 0
	for _, lesson := range all {
		labs[lesson.Slug] = lesson.Topology.Name
	}
	for _, q := range l.quizzes {
		for _, question := range q.Questions {
			if !question.Provable() {
				continue
			}
			if labs[q.Lesson] != q.Lesson {
				shared++
			}
			a := v.page("GET", "/workbench?quiz="+q.Slug+"&question="+question.ID, nil)
			if a.status != http.StatusOK || !strings.Contains(a.body, `data-lab="`+labs[q.Lesson]+`"`) {
				t.Errorf("%s/%s: status %d, or not the lab %s", q.Slug, question.ID, a.status, labs[q.Lesson])
			}
		}
	}
	if shared == 0 {
		t.Error("no quiz is about a lesson that shares a lab")
	}
}
