package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/web/store"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// settlePatience is how long a check waits for the last change to settle: on a busy
// machine silence has to last for seconds until it means something.
const settlePatience = 15 * time.Second

// exerciseRequest is one request about one exercise.
type exerciseRequest struct {
	lesson   *lessons.Lesson
	exercise *lessons.Exercise
	owner    string
	view     views.Exercise
}

// exerciseOf reads the exercise that the request is about, with what the learner
// has done of it.
func (s *server) exerciseOf(r *http.Request) (*exerciseRequest, error) {
	lesson := s.lesson(chi.URLParam(r, "slug"))
	if lesson == nil {
		return nil, refuse(http.StatusNotFound, "There is no such lesson. The front page lists those that there are.")
	}
	exercise := lesson.Exercise(chi.URLParam(r, "exercise"))
	if exercise == nil {
		return nil, refuse(http.StatusNotFound, "The lesson has no such exercise. It may have been renamed: open the lesson again.")
	}
	owner := ownerOf(r.Context())
	progress, err := s.Progress.Progress(r.Context(), owner)
	return &exerciseRequest{lesson: lesson, exercise: exercise, owner: owner, view: s.exerciseView(progress, lesson, exercise)}, err
}

func (s *server) exerciseView(progress store.Progress, lesson *lessons.Lesson, exercise *lessons.Exercise) views.Exercise {
	kept := progress.Exercise(lesson.Slug, exercise.ID)
	view := views.Exercise{
		Exercise: exercise, Lesson: lesson.Slug, Simulated: s.simulated(),
		Passed: kept.Passed(), WithSolution: kept.WithSolution(), Skipped: kept.Skipped(), Hints: kept.Hints,
	}
	if kept.PredictedOf == exercise.Moment() {
		view.Predicted = map[string]probe.Verdict{}
		for id, v := range kept.Predictions {
			view.Predicted[id] = probe.Verdict(v)
		}
	}
	return view
}

// observed is what is seen in the learner's sandbox, if that has settled at the moment
// that the exercise's prediction is about; nil at any other.
func (s *server) observed(r *http.Request, e *exerciseRequest) (map[string]probe.Verdict, error) {
	snapshot, _, ok := s.Sandboxes.ByOwner(e.owner)
	if !ok || snapshot.Lab != e.lesson.Topology.Name || !isSettled(snapshot) || len(e.exercise.Predict) == 0 || !e.view.Open() {
		return nil, nil
	}
	done, err := s.grading.take(r.Context(), e.owner)
	if err != nil {
		return nil, err
	}
	defer done()
	inForce, err := policiesOf(r.Context(), e.lesson.Topology, snapshot.Policies)
	if err != nil || !e.exercise.AtMoment(inForce) {
		return nil, err
	}
	return verdicts(snapshot), nil
}

func verdicts(snapshot sandbox.Snapshot) map[string]probe.Verdict {
	out := make(map[string]probe.Verdict, len(snapshot.Observations))
	for _, o := range snapshot.Observations {
		out[o.Flow] = o.Verdict
	}
	return out
}

// beginExercise lays the policies that the exercise begins with, and offers to put back
// those that were in force.
func (s *server) beginExercise(w http.ResponseWriter, r *http.Request) error {
	e, err := s.exerciseOf(r)
	if err != nil {
		return err
	}
	snapshot, _, ready := s.readySandbox(e)
	if !ready {
		return s.tellExercise(w, r, e)
	}
	change, err := s.Sandboxes.Replace(r.Context(), snapshot.ID, sandbox.OriginExercise, []byte(e.exercise.Start))
	if err != nil {
		return err
	}
	e.view.Began = &views.Began{Replaced: gone(snapshot.Policies, change.Policies), Before: applied(snapshot)}
	return s.tellExercise(w, r, e)
}

// restoreExercise makes the policies of the form's field yaml the only ones: those that
// were in force when the exercise began.
func (s *server) restoreExercise(w http.ResponseWriter, r *http.Request) error {
	e, err := s.exerciseOf(r)
	if err != nil {
		return err
	}
	snapshot, _, ready := s.readySandbox(e)
	if !ready {
		return s.tellExercise(w, r, e)
	}
	if err := parseForm(w, r, maxPolicyBytes); err != nil {
		return tooMuchYAML(err)
	}
	src := strings.ReplaceAll(r.PostForm.Get("yaml"), "\r\n", "\n")
	change, err := s.Sandboxes.Replace(r.Context(), snapshot.ID, sandbox.OriginRestore, []byte(src))
	if err != nil {
		return err
	}
	e.view.Restored = change.Policies
	return s.tellExercise(w, r, e)
}

// readySandbox is the learner's sandbox of the exercise's lab, with the number of the
// last event in it; where it is not ready, the exercise says what is missing.
func (s *server) readySandbox(e *exerciseRequest) (sandbox.Snapshot, int64, bool) {
	snapshot, seq, ok := s.Sandboxes.ByOwner(e.owner)
	there := ok && snapshot.Lab == e.lesson.Topology.Name
	if !there || snapshot.State != sandbox.Ready {
		e.view.Problem = noSandbox(snapshot, there)
		return snapshot, seq, false
	}
	return snapshot, seq, true
}

// gone are those of the policies before that are not the same after.
func gone(before, after []sandbox.AppliedPolicy) []sandbox.AppliedPolicy {
	return slices.DeleteFunc(slices.Clone(before), func(p sandbox.AppliedPolicy) bool { return slices.Contains(after, p) })
}

// checkExercise grades what is observed in the learner's sandbox. With the field
// "look" nobody has asked for a grade: the page's script looks on its own account
// after a change. Such a look counts only where it finds the exercise solved. Where it
// is "moment" nothing is graded: only what was predicted is compared.
func (s *server) checkExercise(w http.ResponseWriter, r *http.Request) error {
	e, err := s.exerciseOf(r)
	if err != nil {
		return err
	}
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	look := r.PostForm.Has("look")
	if look && (e.exercise.Final || e.view.Passed || r.PostForm.Get("look") == "moment") {
		return s.tellExercise(w, r, e)
	}
	snapshot, seq, ready := s.readySandbox(e)
	if !ready {
		return s.tellExercise(w, r, e)
	}
	snapshot, err = s.settled(r.Context(), snapshot, seq)
	var problem *exerciseProblem
	switch {
	case errors.As(err, &problem):
		e.view.Problem = problem.message
		return s.tellExercise(w, r, e)
	case err != nil:
		return err
	}
	observed := verdicts(snapshot)
	outcome := e.exercise.Grade(e.lesson, observed)
	e.view.Outcome = &outcome
	if e.view.Look = look && !outcome.Passed; e.view.Look {
		return s.tellExercise(w, r, e)
	}
	if e.view.Feedback, err = s.feedback(r.Context(), e, snapshot, &outcome); err != nil {
		return err
	}
	result := store.CheckResult{Passed: outcome.Passed, At: time.Now()}
	for _, f := range e.lesson.Flows {
		if observed[f.ID] == probe.Open {
			result.Open++
		} else {
			result.Blocked++
		}
	}
	if result.Detail, err = json.Marshal(checkDetail{Met: outcome.Met, Of: outcome.Graded, Provider: s.Sandboxes.Provider()}); err != nil {
		return err
	}
	if err := s.Progress.RecordCheck(r.Context(), e.owner, e.lesson.Slug, e.exercise.ID, result); err != nil {
		return err
	}
	if outcome.Passed && !e.view.Passed {
		e.view.Passed, e.view.WithSolution = true, e.view.SolutionShown()
	}
	return s.tellExercise(w, r, e)
}

// policiesOf are the policies in force, each with the lines of its own text.
func policiesOf(ctx context.Context, t *sandbox.Topology, inForce []sandbox.AppliedPolicy) ([]policy.Policy, error) {
	var policies []policy.Policy
	for _, p := range inForce {
		parsed, err := policy.ParseContext(ctx, []byte(p.YAML), policy.ParseOptions{Namespaces: t.NamespaceNames()})
		if err != nil {
			return nil, fmt.Errorf("policy in force: %s/%s: %w", p.Namespace, p.Name, err)
		}
		policies = append(policies, parsed...)
	}
	return policies, nil
}

// feedback says of what is not as it should be why the policies in force do that, by
// flow ID. Lines are counted in each policy's own text, as the learner wrote it. Of
// many flows that no check is about it speaks only of those that are seen at once.
func (s *server) feedback(ctx context.Context, e *exerciseRequest, snapshot sandbox.Snapshot, o *lessons.Outcome) (map[string]policy.Diagnosis, error) {
	done, err := s.grading.take(ctx, e.owner)
	if err != nil {
		return nil, err
	}
	defer done()
	inForce, err := policiesOf(ctx, e.lesson.Topology, snapshot.Policies)
	if err != nil {
		return nil, err
	}
	addresses, err := s.Sandboxes.Addresses(snapshot.ID)
	if err != nil {
		return nil, err
	}
	predictor, err := sandbox.NewPredictor(e.lesson.Topology, addresses, inForce)
	if err != nil {
		return nil, err
	}
	out := map[string]policy.Diagnosis{}
	diagnose := func(flows []sandbox.Flow, open bool) {
		for _, f := range flows {
			d, failed := predictor.Diagnose(f, open)
			out[f.ID], err = d, errors.Join(err, failed)
		}
	}
	for _, c := range o.Checks {
		if !c.OK && c.Got != probe.Unknown {
			diagnose([]sandbox.Flow{c.Flow}, c.Want == probe.Open)
		}
	}
	diagnose(o.Missing[:min(len(o.Missing), views.FlowsAtOnce)], true)
	diagnose(o.Wider[:min(len(o.Wider), views.FlowsAtOnce)], false)
	return out, err
}

// checkDetail is what is kept of a check besides its result.
type checkDetail struct {
	// Met of Of connections were as they should be.
	Met int `json:"met"`
	Of  int `json:"of"`
	// Provider says what was looked at: "kind" was measured, [sandbox.Simulated] was not.
	Provider string `json:"provider"`
}

func applied(s sandbox.Snapshot) string {
	var all []string
	for _, p := range s.Policies {
		all = append(all, strings.TrimSuffix(p.YAML, "\n"))
	}
	return strings.Join(all, "\n---\n")
}

// exerciseProblem is why an exercise cannot be graded now, for the learner.
type exerciseProblem struct{ message string }

func (p *exerciseProblem) Error() string { return p.message }

func noSandbox(s sandbox.Snapshot, there bool) string {
	switch {
	case !there:
		return "You have no sandbox of this lesson yet. Press Start beside the text; the exercise is graded by what is seen in it."
	case s.State == sandbox.Queued || s.State == sandbox.Creating:
		return "Your sandbox is still being made. Try again when it is ready."
	}
	return "Your sandbox is not running. Press Reset or Start for a fresh one."
}

// settled waits until the sandbox, as it is after event seq, has settled after its last
// change, and returns what was then observed.
func (s *server) settled(ctx context.Context, snapshot sandbox.Snapshot, seq int64) (sandbox.Snapshot, error) {
	if isSettled(snapshot) {
		return snapshot, nil
	}
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	sub, err := s.Sandboxes.Subscribe(snapshot.ID, seq)
	if err != nil {
		return snapshot, err
	}
	defer sub.Close()
	for !isSettled(snapshot) {
		if _, err := sub.Next(ctx); errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) {
			return snapshot, &exerciseProblem{"Your sandbox has not settled yet since the last change. Wait until the page says that it has, then check again."}
		} else if err != nil {
			return snapshot, err
		}
		if snapshot, _, err = s.Sandboxes.Get(snapshot.ID); err != nil {
			return snapshot, err
		}
	}
	return snapshot, nil
}

// isSettled reports that every flow has been measured since the last change, or
// since the sandbox became ready where there was none.
func isSettled(s sandbox.Snapshot) bool {
	return s.Settled != nil && s.Settled.Change == s.Change
}

// hintExercise shows one hint more, and after the last the solution.
func (s *server) hintExercise(w http.ResponseWriter, r *http.Request) error {
	e, err := s.exerciseOf(r)
	if err != nil {
		return err
	}
	keep := s.Progress.UseHint
	switch hints := len(e.exercise.Hints); {
	case e.view.Hints > hints:
		return s.tellExercise(w, r, e)
	case e.view.Hints == hints: // After the last hint comes the solution.
		keep = s.Progress.ShowSolution
	}
	e.view.Hints++
	if err := keep(r.Context(), e.owner, e.lesson.Slug, e.exercise.ID, e.view.Hints, time.Now()); err != nil {
		return err
	}
	return s.tellExercise(w, r, e)
}

func (s *server) skipExercise(w http.ResponseWriter, r *http.Request) error {
	e, err := s.exerciseOf(r)
	if err != nil {
		return err
	}
	if err := s.Progress.SkipExercise(r.Context(), e.owner, e.lesson.Slug, e.exercise.ID, time.Now()); err != nil {
		return err
	}
	e.view.Skipped = !e.view.Passed
	return s.tellExercise(w, r, e)
}

// Why a prediction is not taken.
var (
	errPredicted = refuse(http.StatusConflict, "You have kept your prediction for this exercise, and it cannot be changed any more. Open the lesson again to see it.")
	errAnswered  = refuse(http.StatusConflict, "The answer is open already, so there is nothing left to predict.")
)

// predictExercise keeps what the learner expects of the exercise's flows, once.
func (s *server) predictExercise(w http.ResponseWriter, r *http.Request) error {
	e, err := s.exerciseOf(r)
	if err != nil {
		return err
	}
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	switch {
	case len(e.exercise.Predict) == 0:
		return refuse(http.StatusNotFound, "This exercise asks for no prediction.")
	case e.view.Predicted != nil:
		return errPredicted
	case e.view.Open():
		return errAnswered
	}
	predicted := map[string]string{}
	marked := map[string]probe.Verdict{}
	for i, f := range e.exercise.Predict {
		switch v := probe.Verdict(r.PostForm.Get(fmt.Sprintf("flow-%d", i))); v {
		case probe.Open, probe.Blocked:
			predicted[f.ID], marked[f.ID] = string(v), v
		case "":
			e.view.Problem = "Mark every connection, then keep your prediction."
		default:
			return refuse(http.StatusUnprocessableEntity, "%q is no prediction: want open or blocked.", v)
		}
	}
	if e.view.Problem != "" {
		e.view.Marked = marked
		return s.tellExercise(w, r, e)
	}
	err = s.Progress.SavePredictions(r.Context(), e.owner, e.lesson.Slug, e.exercise.ID, e.exercise.Moment(), predicted, time.Now())
	if errors.Is(err, store.ErrPredicted) {
		return errPredicted
	} else if err != nil {
		return err
	}
	e.view.Predicted = marked
	return s.tellExercise(w, r, e)
}

// tellExercise shows the exercise again: the box alone to the page's script, and the
// whole page to a browser without.
func (s *server) tellExercise(w http.ResponseWriter, r *http.Request, e *exerciseRequest) error {
	var err error
	if e.view.Observed, err = s.observed(r, e); err != nil {
		return err
	}
	if r.Header.Get("X-Fragment") != "" {
		return render(w, r, http.StatusOK, views.ExerciseBox(e.view))
	}
	return s.renderLab(w, r, http.StatusOK, place{lesson: e.lesson}, labInput{exercise: &e.view})
}
