package web

import (
	"errors"
	"net/http"

	"github.com/netpol-lab/netpol-lab/web/views"
)

func (s *server) showWorkbench(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	lab, input := query.Get("lab"), labInput{}
	if query.Has("quiz") {
		var err error
		if lab, input, err = s.quizInput(query.Get("quiz"), query.Get("question")); err != nil {
			return err
		}
	}
	if lab == "" {
		lab = s.Lessons[0].Topology.Name
		if snapshot, _, ok := s.Sandboxes.ByOwner(ownerOf(r.Context())); ok {
			switch _, err := s.lab(r, snapshot.Lab); {
			case err == nil:
				lab = snapshot.Lab
			case !errors.Is(err, errNoLab):
				return err
			}
		}
	}
	lesson, err := s.lab(r, lab)
	if err != nil {
		return err
	}
	return s.renderLab(w, r, http.StatusOK, place{lesson, true}, input)
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
	return s.lesson(quiz.Lesson).Topology.Name, labInput{yaml: question.Policies, given: true, proof: proof}, nil
}

// proof is the question of the form's fields quiz and question, where the place is the
// workbench that can be opened with it; else nil.
func (s *server) proof(r *http.Request, at place) *views.Proof {
	if !at.workbench || at.lesson == nil {
		return nil
	}
	lab, input, err := s.quizInput(r.PostForm.Get("quiz"), r.PostForm.Get("question"))
	if err != nil || lab != at.lesson.Topology.Name {
		return nil
	}
	return input.proof
}
