package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/web/store"
)

const (
	lab       = "network-policies"
	lesson    = "/lessons/network-policies"
	workbench = "/workbench?lab=network-policies"
	// small is the workbench with a lab that is drawn quickly.
	small = "/workbench?lab=tenants"
	quiz  = "/quizzes/network-policies?attempt=ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// The policies of the stories.
const (
	deny = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: production
spec:
  podSelector: {}
  policyTypes:
    - Ingress
    - Egress
`
	denyRed = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: red
spec:
  podSelector: {}
  policyTypes:
    - Ingress
`
	dns = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-dns
  namespace: production
spec:
  podSelector: {}
  policyTypes:
    - Egress
  egress:
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - {protocol: UDP, port: 53}
        - {protocol: TCP, port: 53}
`
	api = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-web-to-api
  namespace: production
spec:
  podSelector:
    matchLabels:
      app: api
  policyTypes:
    - Ingress
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: web
      ports:
        - {protocol: TCP, port: 8080}
`
)

// typed is what stands in the terminal.
const typed = "Welcome to your own cluster. kubectl and probe are here.\r\n" +
	"$ kubectl get networkpolicies --namespace production\r\n" +
	"NAME               POD-SELECTOR   AGE\r\n" +
	"default-deny-all   <none>         2m11s\r\n" +
	"$ probe production/web production/api 8080\r\n" +
	"production/web > production/api 8080/TCP by IP: blocked\r\n" +
	"$ "

// stories are all of them, in the order of the index.
func stories(c content) []story {
	first := c.lessons[0]
	var all []story
	group := ""
	add := func(name, title string, s story) {
		s.Name, s.Group, s.Title = name, group, title
		if s.Scene != nil && s.Lab == "" {
			s.Lab = lab
		}
		all = append(all, s)
	}
	ready := func(applied ...string) func(*scene) {
		return func(sc *scene) { sc.isReady(applied...) }
	}
	ends := func(reason string) func(*scene) {
		return func(sc *scene) {
			sc.becomes(sandbox.Stopping, reason)
			sc.becomes(sandbox.Stopped, reason)
		}
	}
	done := func(what func(l learner)) func(context.Context, *store.Store, string) error {
		return func(ctx context.Context, kept *store.Store, owner string) error {
			l := learner{ctx: ctx, kept: kept, owner: owner, content: c, err: new(error)}
			what(l)
			return *l.err
		}
	}
	half := done(func(l learner) {
		l.is("Ada")
		for _, s := range first.Sections[:4] {
			l.section(first, s.ID)
		}
		l.visits(first, first.Sections[4].ID)
		l.passes(first, "cut-off", 1)
		l.passes(first, "close-production", 3)
		l.quiz(0, 8)
	})
	everything := done(func(l learner) {
		l.is("Grace")
		for _, lesson := range c.lessons {
			l.all(lesson)
		}
		for i := range c.quizzes {
			l.quiz(i, len(c.quizzes[i].Questions))
		}
	})
	end := done(func(l learner) { l.all(first) })

	group = "Home and record"
	add("home-new", "The front page, to somebody new", story{Path: "/"})
	add("home-new-simulated", "The same where the lab simulates", story{Path: "/", Simulated: true})
	add("home-begun", "The front page, to somebody who has begun", story{Path: "/", Learner: half})
	add("home-all", "The front page, to somebody who has done it all", story{Path: "/", Learner: everything})
	add("me-new", "The record of somebody new", story{Path: "/me"})
	add("me-begun", "The record of somebody who has begun", story{Path: "/me", Learner: half})
	add("me-name", "A name that cannot be one", story{Path: "/me/name", Form: url.Values{"name": {"Ada\nLovelace"}}})

	group = "Lesson"
	add("lesson", "A lesson, without a sandbox", story{Path: lesson})
	add("lesson-done", "An exercise that is done", story{Path: lesson + "#exercise-cut-off", Learner: half, Scene: ready(deny)})
	add("lesson-end", "The end of a lesson", story{Path: lesson + "#end", Learner: end, Scene: ready(deny, dns)})
	add("lesson-starting", "A lesson whose sandbox starts", story{Path: lesson, Scene: func(sc *scene) { sc.starts(2, sandbox.StepRunning) }})
	add("lesson-menu", "The menu", story{Path: lesson, Scene: ready(deny)})

	group = "Quiz"
	grade := func(answer func(q int) []string) url.Values {
		asked := c.quizzes[0]
		form := url.Values{"_version": {asked.Version}}
		for i, q := range asked.Questions {
			form[q.ID] = answer(i)
		}
		return form
	}
	add("quiz", "A quiz, unanswered", story{Path: quiz})
	add("quiz-right", "All answers right", story{Path: quiz, Form: grade(func(q int) []string { return rightAnswers(c.quizzes[0].Questions[q]) })})
	add("quiz-wrong", "No answer right", story{Path: quiz, Form: grade(func(q int) []string { return wrongAnswers(c.quizzes[0].Questions[q]) })})

	group = "The sandbox"
	add("sandbox-none", "Not started", story{Path: small})
	add("sandbox-queued", "Waits for its turn", story{Path: small, Lab: "tenants", Scene: func(sc *scene) {
		sc.Tell(sandbox.Event{Type: sandbox.EventWaiting, Waiting: &sandbox.Waiting{Place: 3, Of: 7, Seconds: 40}})
	}})
	add("sandbox-queued-full", "Waits until somebody else stops", story{Path: small, Lab: "tenants", Scene: func(sc *scene) {
		sc.Tell(sandbox.Event{Type: sandbox.EventWaiting, Waiting: &sandbox.Waiting{Place: 1, Of: 2, Full: true}})
	}})
	add("sandbox-waiting-long", "Waits for what was there before", story{Path: small, Lab: "tenants", Scene: func(sc *scene) {
		sc.Tell(sandbox.Event{Type: sandbox.EventNotice, Notice: &sandbox.Notice{Level: sandbox.NoticeWarning, Message: "Your sandbox waits until what was there before is cleared away. That takes longer than usual; the lab keeps trying."}})
	}})
	for i := range kindSteps {
		add(fmt.Sprintf("sandbox-step-%d", i+1), "Starts: "+kindSteps[i].Name, story{Path: small, Lab: "tenants", Scene: func(sc *scene) { sc.starts(i+1, sandbox.StepRunning) }})
	}
	add("sandbox-ready", "Ready, nothing applied", story{Path: small, Lab: "tenants", Scene: ready()})
	add("sandbox-asleep", "Asleep, and about to wake up", story{Path: small, Lab: "tenants", Scene: func(sc *scene) {
		sc.isReady(denyRed)
		sc.becomes(sandbox.Paused, "")
	}})
	add("sandbox-ends", "Ends soon", story{Path: small, Lab: "tenants", Scene: func(sc *scene) {
		sc.isReady(denyRed)
		sc.Tell(sandbox.Event{Type: sandbox.EventEnds, Ends: &sandbox.Ending{At: time.Now().Add(12*time.Minute + 10*time.Second)}})
	}})
	add("sandbox-simulated", "Ready, and simulated", story{Path: small, Lab: "tenants", Simulated: true, Scene: ready(denyRed)})
	add("sandbox-reconnecting", "The connection is lost", story{
		Path: small, Lab: "tenants", Scene: ready(denyRed), Cut: true, Provokes: []string{"/events"},
	})
	add("sandbox-refused", "No place for one more page", story{
		Path: small, Lab: "tenants", Scene: ready(denyRed), Refused: true, Provokes: []string{"/events"},
	})
	add("sandbox-notice", "The cluster's API does not answer", story{Path: small, Lab: "tenants", Scene: func(sc *scene) {
		sc.isReady(denyRed)
		sc.Tell(sandbox.Event{Type: sandbox.EventNotice, Notice: &sandbox.Notice{Level: sandbox.NoticeWarning, Message: "The cluster's API does not answer. Flows that cannot be measured are shown as unknown; the lab keeps trying."}})
		var lost []sandbox.Observation
		for i, f := range sc.flows {
			if i%3 == 0 {
				lost = append(lost, observed(f, probe.Unknown))
			}
		}
		sc.Tell(sandbox.Event{Type: sandbox.EventObservations, Observations: &sandbox.Observations{Change: sc.change, Flows: lost}})
	}})
	add("sandbox-failed", "The start has failed", story{Path: small, Lab: "tenants", Scene: func(sc *scene) {
		sc.starts(3, sandbox.StepFailed)
		sc.becomes(sandbox.Failed, "The network did not come up within 2 minutes. Press Start to try again; the server's log says what went wrong.")
	}})
	add("sandbox-gone", "The cluster has stopped running", story{Path: small, Lab: "tenants", Scene: func(sc *scene) {
		sc.isReady(denyRed)
		sc.becomes(sandbox.Failed, "The sandbox's cluster has stopped running. Press Reset for a fresh one: the policies that were in force are put into force again there.")
	}})
	add("sandbox-expired", "Expired while the page was open", story{Path: small, Lab: "tenants", Scene: ready(denyRed), Then: ends("Sandboxes live 12 hours at most. Press Start for a new one; your policies stay in the workspace as drafts.")})
	add("sandbox-stopped", "Stopped while the page was open", story{Path: small, Lab: "tenants", Scene: ready(denyRed), Then: ends("You stopped it.")})
	add("sandbox-stopping", "Being stopped", story{Path: small, Lab: "tenants", Scene: func(sc *scene) {
		sc.isReady(denyRed)
		sc.becomes(sandbox.Stopping, "You stopped it.")
	}})
	add("sandbox-unavailable", "None can be made here", story{Path: small, Lab: "tenants", Unavailable: sandbox.ErrUnavailable})
	add("sandbox-full", "Too many wait", story{Path: small, Lab: "tenants", Full: true, Provokes: []string{"/sandboxes"}})
	add("sandbox-other", "There is one of another lab", story{Path: small, Scene: ready(deny), Provokes: []string{"/sandboxes"}})

	group = "Write"
	add("write-files", "Files: in force, edited, new and to go", story{Path: workbench, Scene: ready(deny + "---\n" + dns + "---\n" + api)})
	add("write-applied", "Just applied", story{Path: workbench, Scene: ready(deny)})
	add("write-problem", "A problem in the text", story{Path: workbench, Scene: ready(deny)})
	add("write-conflict", "Changed meanwhile in another tab", story{Path: workbench, Scene: ready(deny), Applying: func(sc *scene) error {
		theirs, _, err := sc.parse(context.Background(), []byte(denyIngress))
		if err != nil {
			return err
		}
		change := sc.carryOut(sandbox.OriginCluster, theirs, nil)
		return &sandbox.OutdatedError{Change: change.Change, Policies: change.Policies}
	}, Provokes: []string{"/policies"}})
	add("write-keys", "The sheet with the keys", story{Path: workbench, Scene: ready(deny)})
	add("write-proof", "A quiz's question, tried out", story{Path: proofPath(c), Scene: ready()})
	add("history", "The history", story{Path: workbench, Scene: ready(deny, deny+"---\n"+dns, deny+"---\n"+dns+"---\n"+api)})
	add("history-empty", "The history, before anything was changed", story{Path: workbench, Scene: ready()})
	add("history-compare", "What changed, in the history", story{Path: workbench, Scene: ready(deny, deny+"---\n"+dns)})
	add("share", "A link to the workspace", story{Path: workbench, Scene: ready(deny)})
	add("terminal", "The terminal", story{Path: workbench, Scene: ready(deny)})
	add("terminal-simulated", "Where there is no terminal", story{Path: workbench, Simulated: true, Scene: ready(deny)})

	group = "See"
	add("see-preview", "What a draft would change", story{Path: workbench, Scene: ready(deny)})
	add("see-filter", "Filtered", story{Path: workbench, Scene: ready(deny)})
	add("see-picture", "The picture", story{Path: workbench, Scene: ready(deny + "---\n" + dns)})
	add("see-disagreement", "Not as predicted", story{Path: workbench, Scene: func(sc *scene) {
		sc.isReady()
		policies, _, err := sc.parse(context.Background(), []byte(deny))
		if err != nil {
			panic(err) // The text is a constant.
		}
		sc.carryOut(sandbox.OriginApply, policies, map[string]probe.Verdict{apiFlow: probe.Open})
	}})
	add("why-open", "Why: open", story{Path: workbench, Scene: ready(api)})
	add("why-blocked", "Why: blocked", story{Path: workbench, Scene: ready(deny + "---\n" + dns)})
	add("why-dns", "Why: fails at DNS", story{Path: workbench, Scene: ready(deny)})
	add("build-wishes", "Wishes, and the policies for them", story{Path: workbench, Scene: ready()})
	add("build-refusal", "Wishes that no policy can do", story{Path: workbench, Scene: ready()})

	group = "Labs and errors"
	add("labs", "The labs", story{Path: "/labs"})
	add("labs-error", "An own lab with an error", story{Path: "/labs#make", Form: url.Values{"do": {"keep"}, "yaml": {ownLabBroken}}})
	add("labs-looks", "How an own lab looks", story{Path: "/labs#looks", Form: url.Values{"do": {"look"}, "yaml": {ownLab}}})
	add("instead", "May the other sandbox be stopped?", story{Path: "/sandboxes", Form: url.Values{"lab": {"tenants"}, "lesson": {"tenants"}}, Scene: ready(deny)})
	add("error-404", "Nothing at this address", story{Path: "/nothing"})
	add("error-full", "Too many wait for a sandbox", story{Path: "/sandboxes", Form: url.Values{"lab": {lab}}, Full: true})

	group = "Whoever runs the lab"
	add("operator", "All sandboxes of a class", story{Path: "/operator", Operator: aClass()})
	add("operator-found", "Those that have a text", story{Path: "/operator?q=paused", Operator: aClass()})
	add("operator-empty", "Nobody has one, and none can be made", story{Path: "/operator", Operator: &class{overview: sandbox.Overview{MaxSandboxes: 12, MaxWaiting: 200, PoolReserve: 1}}, Unavailable: fmt.Errorf("%w: Docker does not answer", sandbox.ErrUnavailable)})
	add("operator-login", "Not logged in", story{Path: "/operator", Operator: aClass(), LoggedOut: true})
	add("operator-wrong", "Not the right token", story{Path: "/operator/login", Operator: aClass(), LoggedOut: true, Form: url.Values{"token": {"not this one"}}})
	return all
}

// apiFlow is from web to api, by its address.
const apiFlow = "production/web>production/api:8080/TCP"

// denyIngress is what somebody else makes of deny.
const denyIngress = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: production
spec:
  podSelector: {}
  policyTypes:
    - Ingress
`

// ownLab is a learner's own, and ownLabBroken one with an error.
const (
	ownLab = `title: My shop
namespaces:
  - name: shop
    pods:
      - name: front
        labels: {app: front}
        ports:
          - {port: 8080}
      - name: stock
        labels: {app: stock}
        ports:
          - {port: 5432}
`
	ownLabBroken = `title: My shop
namespaces:
  - name: shop
    pods:
      - name: front
        labels: {app: front}
        ports:
          - {port: 808080}
      - name: front
        labels: {app: stock}
`
)

// learner does what a learner has done.
type learner struct {
	ctx     context.Context
	kept    *store.Store
	owner   string
	content content
	err     *error
}

func (l learner) note(err error) {
	if *l.err == nil {
		*l.err = err
	}
}

// ago is some time before now: what was done was not done just now.
func ago(minutes int) time.Time { return time.Now().Add(-time.Duration(minutes) * time.Minute) }

func (l learner) is(name string) { l.note(l.kept.SetName(l.ctx, l.owner, name, ago(90))) }

func (l learner) section(of *lessons.Lesson, id string) {
	if id != "" {
		l.note(l.kept.CompleteSection(l.ctx, l.owner, of.Slug, id, ago(60)))
	}
}

func (l learner) visits(of *lessons.Lesson, id string) {
	l.note(l.kept.VisitSection(l.ctx, l.owner, of.Slug, id, ago(30)))
}

// passes an exercise with the last of so many tries.
func (l learner) passes(of *lessons.Lesson, exercise string, tries int) {
	for try := 1; try <= tries; try++ {
		met := 60
		if try < tries {
			met = 41
		}
		detail, err := json.Marshal(map[string]any{"met": met, "of": 60, "provider": "kind"})
		l.note(err)
		l.note(l.kept.RecordCheck(l.ctx, l.owner, of.Slug, exercise, store.CheckResult{At: ago(50 - try), Passed: try == tries, Detail: detail}))
	}
}

func (l learner) all(of *lessons.Lesson) {
	for _, s := range of.Sections {
		l.section(of, s.ID)
	}
	for _, e := range of.Exercises {
		l.passes(of, e.ID, 1)
	}
}

func (l learner) quiz(i, right int) {
	q := l.content.quizzes[i]
	_, err := l.kept.RecordAttempt(l.ctx, l.owner, store.Attempt{ID: "AAAAAAAAAAAAAAAAAAAAAAAAA" + string(rune('A'+i)), Quiz: q.Slug, Version: q.Version, Right: min(right, len(q.Questions)), Total: len(q.Questions), At: ago(40)})
	l.note(err)
}

// proofPath is the workbench with the policies of a question.
func proofPath(c content) string {
	for _, q := range c.quizzes[0].Questions {
		if q.Provable() {
			return "/workbench?quiz=" + c.quizzes[0].Slug + "&question=" + q.ID
		}
	}
	return workbench
}

// rightAnswers are those to the question, and wrongAnswers are not.
func rightAnswers(q quizzes.Question) []string {
	if q.Fix != nil {
		return []string{q.Fix.Solution}
	}
	return chosen(q, true)
}

func wrongAnswers(q quizzes.Question) []string {
	if q.Fix != nil {
		return []string{q.Fix.Mistakes[0].Line}
	}
	return chosen(q, false)[:1]
}

func chosen(q quizzes.Question, correct bool) []string {
	var out []string
	for _, choice := range q.Choices {
		if choice.Correct == correct {
			out = append(out, choice.ID)
		}
	}
	return out
}
