package web

import (
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/web/views"
)

func (s *server) quiz(r *http.Request) (views.Quiz, error) {
	slug := chi.URLParam(r, "slug")
	for _, q := range s.Quizzes {
		if q.Slug == slug {
			return views.Quiz{Quiz: q, LessonURL: "/lessons/" + q.Lesson}, nil
		}
	}
	return views.Quiz{}, refuse(http.StatusNotFound, "There is no such quiz. The front page lists those that there are.")
}

func (s *server) showQuiz(w http.ResponseWriter, r *http.Request) error {
	quiz, err := s.quiz(r)
	if err != nil {
		return err
	}
	return render(w, r, http.StatusOK, views.QuizPage(s.page(r, quiz.Title), quiz))
}

// gradeQuiz grades the form's answers. Where some are missing, the page says so
// and keeps the others.
func (s *server) gradeQuiz(w http.ResponseWriter, r *http.Request) error {
	quiz, err := s.quiz(r)
	if err != nil {
		return err
	}
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	quiz.Answers = map[string]string{}
	for _, q := range quiz.Questions {
		quiz.Answers[q.ID] = r.PostForm.Get(q.ID)
	}
	status := http.StatusOK
	result, err := quiz.Grade(quiz.Answers)
	var problems *quizzes.AnswerError
	switch {
	case err == nil:
		quiz.Result = &result
	case errors.As(err, &problems):
		status, quiz.Problems = http.StatusUnprocessableEntity, problems.Problems
	default:
		return err
	}
	return render(w, r, status, views.QuizPage(s.page(r, quiz.Title), quiz))
}
