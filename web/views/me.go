package views

import (
	"fmt"
	"time"
)

// Me is a learner's own record.
type Me struct {
	// Name is empty where the learner is anonymous. Written is what stands in the
	// field, and Problem what is wrong with it.
	Name, Written, Problem string
	// LeftOffURL leads to where they left off; empty for nowhere.
	LeftOffURL string
	// CookieDays is how many days without a visit this browser's key to the record
	// lasts, and ForgetDays how many a record without a name is kept; 0 for always.
	CookieDays, ForgetDays int
	Lessons                []LessonRecord
	Quizzes                []QuizRecord
}

// Lasts says for how long the record is there.
func (m Me) Lasts() string {
	key := fmt.Sprintf("A cookie in this browser is the only key to this record. It lasts for %d days after your last visit.", m.CookieDays)
	switch {
	case m.ForgetDays == 0:
		return key
	case m.Name != "":
		return key + " A record with a name is kept until you delete it."
	}
	return key + fmt.Sprintf(" Without a name, the record is deleted %d days after that visit.", m.ForgetDays)
}

// LessonRecord is what was done of a lesson.
type LessonRecord struct {
	Title, URL             string
	Sections, SectionsDone int
	Exercises              []ExerciseRecord
	// CompletedAt is when the last of its sections was read and the last of its
	// exercises passed; zero while one is left.
	CompletedAt time.Time
}

// Completed says that every section was read and every exercise passed.
func (l LessonRecord) Completed() bool { return !l.CompletedAt.IsZero() }

// Measured says what was seen in the lesson's exercises that were passed.
func (l LessonRecord) Measured() string {
	flows, places := 0, map[string]bool{}
	for _, e := range l.Exercises {
		if e.Passed {
			flows += e.Of
			places[e.Provider] = true
		}
	}
	switch {
	case flows == 0:
		return ""
	case places["simulated"] && len(places) > 1:
		return fmt.Sprintf("For that, %d connections were looked at, some of them measured in a real cluster and some simulated.", flows)
	case places["simulated"]:
		return fmt.Sprintf("For that, %d connections were worked out by simulation.", flows)
	}
	return fmt.Sprintf("For that, %d connections were measured in a real cluster. You did not take anybody’s word for it.", flows)
}

// Progress is the sentence about how far the lesson is.
func (l LessonRecord) Progress() string {
	if l.Completed() {
		return fmt.Sprintf("✓ Completed on %s: every section read, every exercise passed%s.", day(l.CompletedAt), l.helped())
	}
	return fmt.Sprintf("%d of %d sections read, %d of %d exercises passed%s.", l.SectionsDone, l.Sections, l.Passed(), len(l.Exercises), l.helped())
}

// helped says how many of those that are passed were done with the solution.
func (l LessonRecord) helped() string {
	n := 0
	for _, e := range l.Exercises {
		if e.WithSolution {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them with the solution", n)
}

func day(t time.Time) string { return t.Format("2 January 2006") }

// Passed counts the exercises that were passed.
func (l LessonRecord) Passed() int {
	n := 0
	for _, e := range l.Exercises {
		if e.Passed {
			n++
		}
	}
	return n
}

// ExerciseRecord is what was done of an exercise.
type ExerciseRecord struct {
	ID, Title, URL string
	// WithSolution says that it was passed after the solution had been shown.
	Passed, WithSolution, Skipped bool
	Tries, Hints                  int
	// Met of Of connections were as they should be, in the first check that passed or
	// else in the latest, at the time At. Provider says what was looked at.
	Met, Of  int
	Provider string
	At       time.Time
}

// State is what became of the exercise.
func (e ExerciseRecord) State() string {
	switch {
	case e.WithSolution:
		return "done with the solution"
	case e.Passed:
		return "✓ passed"
	case e.Skipped:
		return "skipped"
	case e.Tries > 0:
		return "not passed yet"
	}
	return "not begun"
}

// Seen says what was seen and in what.
func (e ExerciseRecord) Seen() string {
	if e.Of == 0 {
		return ""
	}
	where := "measured in a real cluster (" + e.Provider + ")"
	if e.Provider == "simulated" {
		where = "simulated"
	}
	return fmt.Sprintf("%d of %d connections as they should be, %s, %s", e.Met, e.Of, where, day(e.At))
}

// QuizRecord is what was done of a quiz. Best and Latest are right answers, of Of.
type QuizRecord struct {
	Title, URL                 string
	Attempts, Best, Latest, Of int
}

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
