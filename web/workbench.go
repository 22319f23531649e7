package web

import (
	"net/http"
	"net/url"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// The places that a lab is shown at, as its forms name them.
const (
	placeLesson    = "lesson"
	placeWorkbench = "workbench"
)

// placeURL is the address of the page that shows the lab at the place.
func placeURL(place, lab string) string {
	if place == placeWorkbench {
		return "/workbench?lab=" + url.QueryEscape(lab) + "#lab"
	}
	return "/lessons/" + url.PathEscape(lab) + "#lab"
}

func (s *server) showWorkbench(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	slug, input := query.Get("lab"), labInput{}
	if query.Has("quiz") {
		var err error
		if slug, input, err = s.quizInput(query.Get("quiz"), query.Get("question")); err != nil {
			return err
		}
	}
	if slug == "" {
		slug = s.Lessons[0].Slug
		if snapshot, _, ok := s.Sandboxes.ByOwner(ownerOf(r.Context())); ok && s.lesson(snapshot.Lab) != nil {
			slug = snapshot.Lab
		}
	}
	lesson := s.lesson(slug)
	if lesson == nil {
		return refuse(http.StatusNotFound, "There is no such lab. The front page lists the lessons; each has one.")
	}
	return s.renderLab(w, r, http.StatusOK, placeWorkbench, lesson, input)
}

// quizInput is the lab of a quiz's question, with the question's policies.
func (s *server) quizInput(slug, id string) (lab string, input labInput, err error) {
	quiz := s.findQuiz(slug)
	if quiz == nil {
		return "", labInput{}, errNoQuiz
	}
	question, ok := quiz.Question(id)
	switch {
	case !ok:
		return "", labInput{}, refuse(http.StatusNotFound, "The quiz has no such question.")
	case !question.Provable():
		return "", labInput{}, refuse(http.StatusNotFound, "This question is not about something that a sandbox of the lesson has.")
	}
	proof := &views.Proof{Quiz: quiz.Slug, Title: quiz.Title, Question: question.ID, Prompt: question.Prompt}
	return quiz.Lesson, labInput{yaml: question.Policies, given: true, proof: proof}, nil
}

// proof is the question of the form's fields quiz and question, where the lab's
// workbench can be opened with it; else nil.
func (s *server) proof(r *http.Request, lab string) *views.Proof {
	if place(r) != placeWorkbench {
		return nil
	}
	lesson, input, err := s.quizInput(r.PostForm.Get("quiz"), r.PostForm.Get("question"))
	if err != nil || lesson != lab {
		return nil
	}
	return input.proof
}

// labInput is what stands in the editor: what a learner has sent by a form and is
// shown again, or what the page itself gives.
type labInput struct {
	yaml     string
	given    bool
	problems []string
	// proof is the quiz's question that is tried out; nil where none is.
	proof *views.Proof
	// exercise is the one that was just dealt with; nil where none was.
	exercise *views.Exercise
}

// renderLab writes the page that shows the lesson's lab at the place.
func (s *server) renderLab(w http.ResponseWriter, r *http.Request, status int, place string, lesson *lessons.Lesson, input labInput) error {
	title := lesson.Title
	if place == placeWorkbench {
		title = "Workbench"
	}
	page := s.page(r, title)
	lab := views.Lab{
		Slug: lesson.Slug, Place: place, Simulated: page.Simulated,
		Sandbox: sandbox.Snapshot{State: views.StateNone},
		YAML:    input.yaml, Given: input.given, Problems: input.problems, Proof: input.proof,
	}
	if snapshot, seq, ok := s.Sandboxes.ByOwner(ownerOf(r.Context())); ok && snapshot.Lab == lesson.Slug {
		lab.Sandbox, lab.Seq = snapshot, seq
	}
	if lab.CanStart() {
		if err := s.Sandboxes.Available(r.Context()); err != nil {
			lab.Unavailable = err.Error()
		}
	}
	lab.Matrix = views.NewMatrix(lesson.Topology, lab.Sandbox.Observations)
	if place == placeWorkbench {
		return render(w, r, status, views.Workbench(page, lab))
	}
	exercises := map[string]views.Exercise{}
	progress, err := s.Progress.Progress(r.Context(), ownerOf(r.Context()))
	if err != nil {
		return err
	}
	for _, e := range lesson.Exercises {
		exercises[e.ID] = s.exerciseView(progress, lesson, e)
	}
	done := map[string]bool{}
	for _, section := range lesson.Sections {
		done[section.ID] = progress.Section(lesson.Slug, section.ID).Completed()
	}
	if input.exercise != nil {
		exercises[input.exercise.ID] = *input.exercise
	}
	return render(w, r, status, views.Lesson(page, lesson, s.video(lesson.Slug), lab, exercises, done, s.quizEntries(lesson.Slug)))
}
