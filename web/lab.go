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

// place is where the request's form stood.
func place(r *http.Request) string {
	if r.PostForm.Get("page") == placeWorkbench {
		return placeWorkbench
	}
	return placeLesson
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
	return render(w, r, status, views.LessonPage(page, views.Lesson{
		Lesson: lesson, Video: s.video(lesson.Slug), Lab: lab, Exercises: exercises, Done: done, Quizzes: s.quizEntries(lesson.Slug),
	}))
}
