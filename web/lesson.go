package web

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/web/store"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// lesson is the lesson of that slug, nil where there is none.
func (s *server) lesson(slug string) *lessons.Lesson {
	for _, l := range s.Lessons {
		if l.Slug == slug {
			return l
		}
	}
	return nil
}

// index is the front page, as the learner has come so far.
func (s *server) index(w http.ResponseWriter, r *http.Request) error {
	progress, err := s.Progress.Progress(r.Context(), ownerOf(r.Context()))
	if err != nil {
		return err
	}
	home := views.Home{Name: progress.Name, LeftOff: s.leftOff(progress), Quizzes: s.quizRecords(progress)}
	next := true
	for _, l := range s.Lessons {
		lesson := views.HomeLesson{LessonRecord: lessonRecord(l, progress), Summary: l.Summary, Minutes: l.Minutes}
		if next && !lesson.Completed() {
			lesson.Next, next = true, false
		}
		home.Lessons = append(home.Lessons, lesson)
	}
	return render(w, r, http.StatusOK, views.Index(s.page(r, "Lessons"), home))
}

func (s *server) showLesson(w http.ResponseWriter, r *http.Request) error {
	lesson := s.lesson(chi.URLParam(r, "slug"))
	if lesson == nil {
		return refuse(http.StatusNotFound, "There is no such lesson. The front page lists those that there are.")
	}
	return s.renderLab(w, r, http.StatusOK, place{lesson: lesson}, labInput{})
}

// quizEntries lists the quizzes about the lesson, or all of them.
func (s *server) quizEntries(lesson string) []views.Entry {
	var list []views.Entry
	for _, q := range s.Quizzes {
		if lesson == "" || q.Lesson == lesson {
			list = append(list, views.Entry{URL: "/quizzes/" + q.Slug, Title: q.Title, Detail: fmt.Sprintf("%d questions", len(q.Questions))})
		}
	}
	return list
}

// lessonView is the lesson as the learner has come through it so far, without its lab and
// exercises.
func (s *server) lessonView(l *lessons.Lesson, progress store.Progress) views.Lesson {
	view := views.Lesson{
		Lesson: l, Video: s.video(l.Slug), Exercises: map[string]views.Exercise{}, Done: map[string]bool{},
		Record: lessonRecord(l, progress), Quizzes: s.quizEntries(l.Slug),
	}
	for _, section := range l.Sections {
		view.Done[section.ID] = progress.Section(l.Slug, section.ID).Completed()
	}
	if i := slices.Index(s.Lessons, l); i >= 0 && i+1 < len(s.Lessons) {
		next := s.Lessons[i+1]
		view.Next = &views.Entry{URL: "/lessons/" + next.Slug, Title: next.Title}
	}
	return view
}
