package web

import (
	"sync"
	"testing"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/static"
)

// What is in the binary is loaded once: the server only reads it, and to prove every
// exercise anew for each test takes most of the tests' time.
var (
	loadedLessons = sync.OnceValues(func() ([]*lessons.Lesson, error) { return lessons.Load(lessons.Content()) })
	loadedFiles   = sync.OnceValues(func() (*static.Files, error) { return static.Load(static.Content()) })
	loadedQuizzes = sync.OnceValues(func() ([]*quizzes.Quiz, error) {
		all, err := loadedLessons()
		if err != nil {
			return nil, err
		}
		return quizzes.Load(quizzes.Content(), topologies(all))
	})
)

// topologies are the lessons' topologies, by the lessons' slugs.
func topologies(all []*lessons.Lesson) map[string]*sandbox.Topology {
	labs := map[string]*sandbox.Topology{}
	for _, l := range all {
		labs[l.Slug] = l.Topology
	}
	return labs
}

func theLessons(t testing.TB) []*lessons.Lesson {
	t.Helper()
	all, err := loadedLessons()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func theFiles(t testing.TB) *static.Files {
	t.Helper()
	files, err := loadedFiles()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func theQuizzes(t testing.TB) []*quizzes.Quiz {
	t.Helper()
	all, err := loadedQuizzes()
	if err != nil {
		t.Fatal(err)
	}
	return all
}
