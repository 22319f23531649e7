package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// place is a page that shows a lab: a lesson's, or the workbench.
type place struct {
	// lesson is the lesson, or one that has the workbench's lab; nil where there is
	// none.
	lesson    *lessons.Lesson
	workbench bool
}

// placeOf is the page that the form was on: that of the lesson in its field lesson,
// else the workbench with the lab of its field lab.
func (s *server) placeOf(r *http.Request) place {
	if r.PostForm.Has("lesson") {
		return place{lesson: s.lesson(r.PostForm.Get("lesson"))}
	}
	lesson, err := s.lab(r, r.PostForm.Get("lab"))
	if err != nil {
		lesson = nil // The form has been dealt with; all that is lost is the way back to its page.
	}
	return place{lesson: lesson, workbench: true}
}

// url is the page's address, at the lab; the front page's where there is no lesson.
func (p place) url() string {
	switch {
	case p.lesson == nil:
		return "/"
	case p.workbench:
		return "/workbench?lab=" + url.QueryEscape(p.lesson.Topology.Name) + "#lab"
	}
	return "/lessons/" + url.PathEscape(p.lesson.Slug) + "#lab"
}

var errNoLab = refuse(http.StatusNotFound, "There is no such lab. The front page lists the lessons; each has one.")

// lab is the lesson that a lab belongs to, by the name of its topology; a learner's own
// labs are found for them alone. errNoLab says that there is none.
func (s *server) lab(r *http.Request, name string) (*lessons.Lesson, error) {
	lesson, err := s.Labs.Find(r.Context(), ownerOf(r.Context()), name)
	if lesson == nil && err == nil {
		err = errNoLab
	}
	return lesson, err
}

// labInput is what stands in the text area in place of what is in force: what a learner
// has sent by a form and is shown again, or what the page itself gives.
type labInput struct {
	yaml        string
	given, sent bool
	problems    []string
	// said is what there is to say of an Apply that has gone well.
	said []string
	// proof is the quiz's question that is tried out; nil where none is.
	proof *views.Proof
	// exercise is the one that was just dealt with; nil where none was.
	exercise *views.Exercise
}

// isWaiting reports that a sandbox in the state will soon be in another by itself.
func isWaiting(state sandbox.State) bool {
	return state == sandbox.Queued || state == sandbox.Creating || state == sandbox.Paused || state == sandbox.Stopping
}

// renderLab writes the place's page.
func (s *server) renderLab(w http.ResponseWriter, r *http.Request, status int, at place, input labInput) error {
	lesson := at.lesson
	title, shownBy := lesson.Title, lesson.Slug
	if at.workbench {
		title, shownBy = "Workbench", ""
	}
	page := s.page(r, title)
	page.LabScriptURL = s.Static.URL("dist/lab.js")
	lab := views.Lab{
		Name: lesson.Topology.Name, Lesson: shownBy, Simulated: page.Simulated,
		Sandbox: sandbox.Snapshot{State: views.StateNone},
		YAML:    input.yaml, Given: input.given, Problems: input.problems, Said: input.said, Proof: input.proof,
	}
	if snapshot, seq, ok := s.Sandboxes.ByOwner(ownerOf(r.Context())); ok && snapshot.Lab == lab.Name {
		lab.Sandbox, lab.Seq = snapshot, seq
		if snapshot.State == sandbox.Paused { // Whoever looks at it wakes it.
			if err := s.Sandboxes.Wake(snapshot.ID); err != nil && !errors.Is(err, sandbox.ErrNotFound) {
				return err
			}
		}
		// It may have ended meanwhile: then there is nothing to tell.
		var err error
		if lab.History, err = s.Sandboxes.History(snapshot.ID); err != nil && !errors.Is(err, sandbox.ErrNotFound) {
			return err
		}
	}
	// To load anew a page that a form has led to would lose what was sent.
	if r.Method == http.MethodGet && isWaiting(lab.Sandbox.State) {
		// With a fragment there, a browser would only scroll.
		lab.Refresh, _, _ = strings.Cut(at.url(), "#")
	}
	if other, ok := s.otherLab(r, lab.Name); ok {
		lab.Other = s.labTitle(r, other.Lab)
	}
	if !input.given && !input.sent {
		lab.YAML = applied(lab.Sandbox)
	}
	if lab.CanStart() {
		if err := s.Sandboxes.Available(); err != nil {
			lab.Unavailable = answerTo(err).Error
		}
	}
	lab.Matrix = views.NewMatrix(lesson.Topology, lab.Sandbox.Observations)
	if at.workbench {
		return render(w, r, status, views.Workbench(page, lab))
	}
	progress, err := s.Progress.Progress(r.Context(), ownerOf(r.Context()))
	if err != nil {
		return err
	}
	view := s.lessonView(lesson, progress)
	view.Lab = lab
	for _, e := range lesson.Exercises {
		view.Exercises[e.ID] = s.exerciseView(progress, lesson, e)
	}
	if input.exercise != nil {
		view.Exercises[input.exercise.ID] = *input.exercise
	}
	return render(w, r, status, views.LessonPage(page, view))
}
