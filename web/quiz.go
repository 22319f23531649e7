package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// Attempts keeps what came of learners' quizzes. An owner is a learner.
type Attempts interface {
	// RecordAttempt keeps the owner's attempt. Of several with one token the first
	// is kept, and the others are no error: somebody pressed the button twice, or
	// went back and sent the form again.
	RecordAttempt(ctx context.Context, owner string, a quizzes.Attempt) error
	// BestAndLatest are the owner's attempt at the quiz with the most right answers,
	// of several such the newest, and the one that was kept last; nil where there
	// is none.
	BestAndLatest(ctx context.Context, owner, quiz string) (best, latest *quizzes.Attempt, err error)
}

// The fields of a quiz's form that are not answers. No question can have such an ID.
const (
	fieldVersion = "_version"
	fieldSeed    = "_seed"
	fieldAttempt = "_attempt"
)

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

func (s *server) showQuiz(w http.ResponseWriter, r *http.Request) error {
	quiz := s.findQuiz(chi.URLParam(r, "slug"))
	if quiz == nil {
		return errNoQuiz
	}
	return s.renderQuiz(w, r, http.StatusOK, quiz, views.Quiz{Seed: mathrand.Uint64(), Attempt: rand.Text()})
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
	page := views.Quiz{Attempt: r.PostForm.Get(fieldAttempt), Answers: quizzes.Answers{}}
	if !attemptToken.MatchString(page.Attempt) {
		page.Attempt = rand.Text()
	}
	var err error
	if page.Seed, err = strconv.ParseUint(r.PostForm.Get(fieldSeed), 36, 64); err != nil {
		page.Seed = mathrand.Uint64()
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
	page.NotKept = s.recordAttempt(r, quizzes.Attempt{
		Token: page.Attempt, Quiz: quiz.Slug, Version: quiz.Version,
		Answers: page.Answers, Right: result.Right, Total: len(quiz.Questions), At: time.Now(),
	})
	return s.renderQuiz(w, r, http.StatusOK, quiz, page)
}

// recordAttempt keeps the attempt, or says to the learner that it is not kept: a
// learner is to see what came of it in any case.
func (s *server) recordAttempt(r *http.Request, a quizzes.Attempt) string {
	if s.Attempts == nil {
		return ""
	}
	if err := s.Attempts.RecordAttempt(r.Context(), ownerOf(r.Context()), a); err != nil {
		s.Log.ErrorContext(r.Context(), "a quiz's attempt is not kept", "request", requestID(r.Context()), "quiz", a.Quiz, "error", err)
		return "This attempt was graded, but it could not be kept. To have it counted, reload this page and send the form again."
	}
	return ""
}

// renderQuiz writes the page with the quiz in the order of the page's seed.
func (s *server) renderQuiz(w http.ResponseWriter, r *http.Request, status int, quiz *quizzes.Quiz, page views.Quiz) error {
	page.Quiz, page.LessonURL = quiz.Shuffled(page.Seed), "/lessons/"+quiz.Lesson
	if s.Attempts != nil {
		var err error
		if page.Best, page.Latest, err = s.Attempts.BestAndLatest(r.Context(), ownerOf(r.Context()), quiz.Slug); err != nil {
			s.Log.ErrorContext(r.Context(), "a quiz's attempts cannot be read", "request", requestID(r.Context()), "quiz", quiz.Slug, "error", err)
		}
	}
	return render(w, r, status, views.QuizPage(s.page(r, quiz.Title), page))
}
