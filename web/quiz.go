package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"regexp"
	"slices"
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
	if s.Attempts != nil {
		attempt := quizzes.Attempt{
			Token: page.Attempt, Quiz: quiz.Slug, Version: quiz.Version,
			Answers: page.Answers, Right: result.Right, Total: len(quiz.Questions), At: time.Now(),
		}
		if page.NotCounted, err = s.recordAttempt(r, attempt); err != nil {
			// The learner is to see what came of it in any case.
			s.logQuiz(r, quiz, "a quiz's attempt is not kept", err)
		}
	}
	return s.renderQuiz(w, r, http.StatusOK, quiz, page)
}

// recordAttempt keeps the attempt, or says to the learner why it does not count.
func (s *server) recordAttempt(r *http.Request, a quizzes.Attempt) (notCounted string, err error) {
	const notKept = "Your answers were graded, but the attempt could not be kept. To have it counted, reload this page and send the form again."
	owner := ownerOf(r.Context())
	if err := s.Attempts.RecordAttempt(r.Context(), owner, a); err != nil {
		return notKept, err
	}
	_, latest, err := s.Attempts.BestAndLatest(r.Context(), owner, a.Quiz)
	if err != nil {
		return "", err
	}
	if latest == nil || latest.Token != a.Token || !maps.EqualFunc(latest.Answers, a.Answers, slices.Equal) {
		return "This attempt was counted before, with the answers that you sent first. Press Try again for a new one.", nil
	}
	return "", nil
}

func (s *server) logQuiz(r *http.Request, quiz *quizzes.Quiz, message string, err error) {
	s.Log.ErrorContext(r.Context(), message, "request", requestID(r.Context()), "quiz", quiz.Slug, "error", err)
}

// renderQuiz writes the page with the quiz in the attempt's order.
func (s *server) renderQuiz(w http.ResponseWriter, r *http.Request, status int, quiz *quizzes.Quiz, page views.Quiz) error {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(page.Attempt)) // never fails
	page.Quiz, page.LessonURL = quiz.Shuffled(seed.Sum64()), "/lessons/"+quiz.Lesson
	if s.Attempts != nil {
		var err error
		if page.Best, page.Latest, err = s.Attempts.BestAndLatest(r.Context(), ownerOf(r.Context()), quiz.Slug); err != nil {
			s.logQuiz(r, quiz, "a quiz's attempts cannot be read", err)
		}
	}
	return render(w, r, status, views.QuizPage(s.page(r, quiz.Title), page))
}
