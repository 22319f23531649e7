package web

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"regexp"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/web/store"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// fieldVersion is the form's field with the quiz's version. No question can have
// such an ID.
const fieldVersion = "_version"

// attemptToken is what rand.Text gives.
var attemptToken = regexp.MustCompile(`^[A-Z2-7]{26}$`)

func (s *server) findQuiz(slug string) *quizzes.Quiz {
	for _, q := range s.Quizzes {
		if q.Slug == slug {
			return q
		}
	}
	return nil
}

var errNoQuiz = refuse(http.StatusNotFound, "There is no such quiz. The front page lists those that there are.")

// showQuiz begins an attempt, or shows the one in the address. The attempt decides
// the order of the questions.
func (s *server) showQuiz(w http.ResponseWriter, r *http.Request) error {
	quiz := s.findQuiz(chi.URLParam(r, "slug"))
	if quiz == nil {
		return errNoQuiz
	}
	attempt := r.URL.Query().Get("attempt")
	if !attemptToken.MatchString(attempt) {
		attempt = rand.Text()
	}
	return s.renderQuiz(w, r, http.StatusOK, quiz, views.Quiz{Attempt: attempt})
}

// gradeQuiz grades the form's answers. Where some cannot be graded, or the quiz is
// another by now, the page says so and keeps the others.
func (s *server) gradeQuiz(w http.ResponseWriter, r *http.Request) error {
	quiz := s.findQuiz(chi.URLParam(r, "slug"))
	if quiz == nil {
		return errNoQuiz
	}
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	page := views.Quiz{Attempt: r.URL.Query().Get("attempt"), Answers: quizzes.Answers{}}
	if !attemptToken.MatchString(page.Attempt) {
		page.Attempt = rand.Text()
	}
	for _, q := range quiz.Questions {
		if sent := r.PostForm[q.ID]; len(sent) > 0 {
			page.Answers[q.ID] = sent
		}
	}
	if r.PostForm.Get(fieldVersion) != quiz.Version {
		page.Changed, page.Answers = true, quiz.Fitting(page.Answers)
		return s.renderQuiz(w, r, http.StatusConflict, quiz, page)
	}
	result, err := quiz.Grade(page.Answers)
	var problems *quizzes.AnswerError
	switch {
	case errors.As(err, &problems):
		page.Problems = problems.Problems
		return s.renderQuiz(w, r, http.StatusUnprocessableEntity, quiz, page)
	case err != nil:
		return fmt.Errorf("grade quiz %s: %w", quiz.Slug, err)
	}
	page.Result = &result
	attempt := store.Attempt{
		ID: page.Attempt, Quiz: quiz.Slug, Version: quiz.Version,
		Answers: page.Answers, Right: result.Right, Total: len(quiz.Questions), At: time.Now(),
	}
	switch _, err := s.Progress.RecordAttempt(r.Context(), ownerOf(r.Context()), attempt); {
	case errors.Is(err, store.ErrOtherAttempt):
		page.NotCounted = "This attempt was counted before, with the answers that you sent first. Press Try again for a new one."
	case err != nil:
		// The learner is to see what came of it in any case.
		page.NotCounted = "Your answers were graded, but the attempt could not be kept. To have it counted, reload this page and send the form again."
		s.logQuiz(r, quiz, "a quiz's attempt is not kept", err)
	}
	return s.renderQuiz(w, r, http.StatusOK, quiz, page)
}

func (s *server) logQuiz(r *http.Request, quiz *quizzes.Quiz, message string, err error) {
	s.log(r.Context()).Log(r.Context(), levelOf(err), message, "quiz", quiz.Slug, "error", err)
}

// renderQuiz writes the page with the quiz in the attempt's order.
func (s *server) renderQuiz(w http.ResponseWriter, r *http.Request, status int, quiz *quizzes.Quiz, page views.Quiz) error {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(page.Attempt)) // never fails
	page.Quiz, page.LessonURL = quiz.Shuffled(seed.Sum64()), "/lessons/"+quiz.Lesson
	progress, err := s.Progress.Progress(r.Context(), ownerOf(r.Context()))
	if err != nil {
		s.logQuiz(r, quiz, "a quiz's attempts cannot be read", err)
	}
	if kept, ok := progress.Quiz(quiz.Slug); ok {
		page.Kept = &kept
	}
	return render(w, r, status, views.QuizPage(s.page(r, quiz.Title), page))
}
