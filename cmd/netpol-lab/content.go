package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
)

// content is what a lab teaches.
type content struct {
	lessons []*lessons.Lesson
	quizzes []*quizzes.Quiz
}

// ownContent is what is part of the binary.
func ownContent() (content, error) {
	var c content
	var err error
	if c.lessons, err = lessons.Load(lessons.Content()); err != nil {
		return c, err
	}
	c.quizzes, err = quizzes.Load(quizzes.Content(), c.topologies())
	return c, err
}

// add reads lessons and quizzes beside those that are there; "" for no folder. What is
// wrong with them is an inputError.
func (c *content) add(lessonsDir, quizzesDir string) error {
	if lessonsDir != "" {
		more, err := readFolder(lessonsDir, func(files fs.FS) ([]*lessons.Lesson, error) { return lessons.Load(files, c.lessons...) })
		if err != nil {
			return wrongIn(lessonsDir, "lessons: ", err)
		}
		c.lessons = append(c.lessons, more...)
	}
	if quizzesDir != "" {
		more, err := readFolder(quizzesDir, func(files fs.FS) ([]*quizzes.Quiz, error) { return quizzes.Load(files, c.topologies(), c.quizzes...) })
		if err != nil {
			return wrongIn(quizzesDir, "quizzes: ", err)
		}
		c.quizzes = append(c.quizzes, more...)
	}
	return nil
}

// readFolder reads what a folder holds, and nothing that a link in it leads to elsewhere: what
// others have written is not to show files of this machine.
func readFolder[T any](dir string, read func(fs.FS) ([]T, error)) ([]T, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return read(root.FS())
}

// topologies are those of the lessons by the lessons' slugs.
func (c *content) topologies() map[string]*sandbox.Topology {
	all := map[string]*sandbox.Topology{}
	for _, l := range c.lessons {
		all[l.Slug] = l.Topology
	}
	return all
}

// wrongIn puts the folder before each line of what is wrong in it.
func wrongIn(dir, prefix string, err error) inputError {
	var lines inputError
	for line := range strings.SplitSeq(strings.TrimPrefix(err.Error(), prefix), "\n") {
		lines = append(lines, dir+string(filepath.Separator)+line)
	}
	return lines
}
