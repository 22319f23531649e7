package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/web/store"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// showMe is the learner's own record, which can be printed.
func (s *server) showMe(w http.ResponseWriter, r *http.Request) error {
	return s.renderMe(w, r, http.StatusOK, nil)
}

func (s *server) renderMe(w http.ResponseWriter, r *http.Request, status int, wrong *nameProblem) error {
	progress, err := s.Progress.Progress(r.Context(), ownerOf(r.Context()))
	if err != nil {
		return err
	}
	me := views.Me{Name: progress.Name, Written: progress.Name, CookieDays: int(sessionAge.Hours() / 24), ForgetDays: s.ForgetDays}
	if at := s.leftOff(progress); at != nil {
		me.LeftOffURL = at.URL
	}
	if wrong != nil {
		me.Written, me.Problem = wrong.name, wrong.message
	}
	for _, l := range s.Lessons {
		me.Lessons = append(me.Lessons, lessonRecord(l, progress))
	}
	me.Quizzes = s.quizRecords(progress)
	return render(w, r, status, views.MePage(s.page(r, "Your record"), me))
}

// lessonRecord is what the learner has done of a lesson.
func lessonRecord(l *lessons.Lesson, progress store.Progress) views.LessonRecord {
	record := views.LessonRecord{Title: l.Title, URL: "/lessons/" + l.Slug}
	var last time.Time
	done := func(at time.Time) {
		if at.After(last) {
			last = at
		}
	}
	for _, section := range l.Sections {
		if section.ID != "" {
			record.Sections++
			if kept := progress.Section(l.Slug, section.ID); kept.Completed() {
				record.SectionsDone++
				done(kept.CompletedAt)
			}
		}
	}
	for _, e := range l.Exercises {
		kept := progress.Exercise(l.Slug, e.ID)
		exercise := views.ExerciseRecord{ID: e.ID, Title: e.Title, URL: record.URL + "#exercise-" + e.ID, Tries: kept.Tries, Hints: min(kept.Hints, len(e.Hints)), Passed: kept.Passed(), WithSolution: kept.WithSolution(), Skipped: kept.Skipped()}
		check := kept.Latest
		if kept.FirstPass != nil {
			check = &kept.FirstPass.CheckResult
			done(check.At)
		}
		var detail checkDetail
		// What an older version has kept may lack it: then there is only less to say.
		if check != nil && json.Unmarshal(check.Detail, &detail) == nil {
			exercise.Met, exercise.Of, exercise.Provider, exercise.At = detail.Met, detail.Of, detail.Provider, check.At
		}
		record.Exercises = append(record.Exercises, exercise)
	}
	if record.SectionsDone == record.Sections && record.Passed() == len(record.Exercises) {
		record.CompletedAt = last
	}
	return record
}

// leftOff is the section that was visited last, with its lesson's title as detail; nil
// where none was, where it is not there any more, or where its lesson is completed.
func (s *server) leftOff(progress store.Progress) *views.Entry {
	section, ok := progress.LeftOff("")
	if !ok {
		return nil
	}
	l := s.lesson(section.Lesson)
	if l == nil || lessonRecord(l, progress).Completed() {
		return nil
	}
	i := slices.IndexFunc(l.Sections, func(x lessons.Section) bool { return x.ID == section.Section })
	if i < 0 {
		return nil
	}
	return &views.Entry{URL: "/lessons/" + l.Slug + "#" + url.PathEscape(section.Section), Title: l.Sections[i].Title, Detail: l.Title}
}

// quizRecords are what the learner has done of each quiz.
func (s *server) quizRecords(progress store.Progress) []views.QuizRecord {
	var records []views.QuizRecord
	for _, q := range s.Quizzes {
		record := views.QuizRecord{Title: q.Title, URL: "/quizzes/" + q.Slug, Of: len(q.Questions)}
		if kept, ok := progress.Quiz(q.Slug); ok {
			record.Attempts, record.Best, record.Latest, record.Of = kept.Attempts, kept.Best.Right, kept.Latest.Right, kept.Latest.Total
		}
		records = append(records, record)
	}
	return records
}

type nameProblem struct{ name, message string }

// nameMe changes the learner's name.
func (s *server) nameMe(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	name := r.PostForm.Get("name")
	err := s.Progress.SetName(r.Context(), ownerOf(r.Context()), name, time.Now())
	var input *store.InputError
	switch {
	case errors.As(err, &input):
		return s.renderMe(w, r, http.StatusUnprocessableEntity, &nameProblem{name, input.Problem})
	case err != nil:
		return err
	}
	http.Redirect(w, r, "/me", http.StatusSeeOther)
	return nil
}

// exportMe is the learner's record as a file.
func (s *server) exportMe(w http.ResponseWriter, r *http.Request) error {
	record, err := s.Progress.Export(r.Context(), ownerOf(r.Context()))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="netpol-lab-record.json"`)
	return writeJSON(w, http.StatusOK, record)
}

// forgetMe deletes everything that is kept of the learner, and stops their sandbox.
func (s *server) forgetMe(w http.ResponseWriter, r *http.Request) error {
	if err := s.Sandboxes.StopOwner(ownerOf(r.Context())); err != nil {
		return err
	}
	if err := s.Progress.Forget(r.Context(), ownerOf(r.Context())); err != nil {
		return err
	}
	http.Redirect(w, r, "/me", http.StatusSeeOther)
	return nil
}

// changeLearner makes whoever sits at this browser somebody new. The sandbox of who sat
// there before is stopped.
func (s *server) changeLearner(w http.ResponseWriter, r *http.Request) error {
	if err := s.Sandboxes.StopOwner(ownerOf(r.Context())); err != nil {
		return err
	}
	s.giveSession(w, r, newToken(), time.Now())
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// finishSection keeps that the learner is through with a section, and goes on to the
// next, or to the end: to the page's script it answers with what that changes.
func (s *server) finishSection(w http.ResponseWriter, r *http.Request) error {
	lesson := s.lesson(chi.URLParam(r, "slug"))
	if lesson == nil {
		return refuse(http.StatusNotFound, "There is no such lesson. The front page lists those that there are.")
	}
	id := chi.URLParam(r, "section")
	i := slices.IndexFunc(lesson.Sections, func(x lessons.Section) bool { return x.ID == id && id != "" })
	if i < 0 {
		return refuse(http.StatusNotFound, "The lesson has no such section. It may have been renamed: open the lesson again.")
	}
	owner, now := ownerOf(r.Context()), time.Now()
	if err := s.Progress.CompleteSection(r.Context(), owner, lesson.Slug, id, now); err != nil {
		return err
	}
	next := "end"
	if i+1 < len(lesson.Sections) {
		next = lesson.Sections[i+1].ID
		if err := s.Progress.VisitSection(r.Context(), owner, lesson.Slug, next, now); err != nil {
			return err
		}
	}
	if r.Header.Get("X-Fragment") != "" {
		progress, err := s.Progress.Progress(r.Context(), owner)
		if err != nil {
			return err
		}
		return render(w, r, http.StatusOK, views.LessonProgress(s.lessonView(lesson, progress), next))
	}
	http.Redirect(w, r, "/lessons/"+lesson.Slug+"#"+url.PathEscape(next), http.StatusSeeOther)
	return nil
}
