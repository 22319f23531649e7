// Package quizzes reads the quizzes and grades answers to them. A question has
// one right choice, and every choice has an explanation.
package quizzes

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"

	"go.yaml.in/yaml/v3"
)

//go:embed content
var embedded embed.FS

// Content is the quizzes that are part of the binary, for [Load].
func Content() fs.FS {
	sub, err := fs.Sub(embedded, "content")
	if err != nil {
		panic(err) // the folder's name is a constant that was embedded
	}
	return sub
}

// Quiz is a list of questions.
type Quiz struct {
	// Slug names the quiz in addresses.
	Slug  string `yaml:"slug"`
	Title string `yaml:"title"`
	// Lesson is the slug of the lesson that the quiz is about.
	Lesson    string     `yaml:"lesson"`
	Questions []Question `yaml:"questions"`
}

// Question is a question with one right choice.
type Question struct {
	// ID is unique in the quiz.
	ID      string   `yaml:"id"`
	Prompt  string   `yaml:"prompt"`
	Choices []Choice `yaml:"choices"`
}

// Choice is one of a question's possible answers.
type Choice struct {
	// ID is unique in the question.
	ID   string `yaml:"id"`
	Text string `yaml:"text"`
	// Explanation says why the choice is right or wrong.
	Explanation string `yaml:"explanation"`
	Correct     bool   `yaml:"correct"`
}

var (
	fileName = regexp.MustCompile(`^[0-9]{2}-[a-z0-9]+(-[a-z0-9]+)*\.yaml$`)
	idName   = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// Load reads every quiz in the files NN-name.yaml of fsys, sorted by the
// number. Everything is checked strictly; the error lists all that is wrong as
// "file:line: field: message".
func Load(fsys fs.FS) ([]*Quiz, error) {
	entries, err := fs.ReadDir(fsys, ".") // sorted by name
	if err != nil {
		return nil, fmt.Errorf("quizzes: %w", err)
	}
	var (
		all   []*Quiz
		errs  []error
		slugs = map[string]string{}
	)
	for _, e := range entries {
		if e.IsDir() || !fileName.MatchString(e.Name()) {
			errs = append(errs, fmt.Errorf("%s: not a quiz: want a file with a name like 01-network-policies.yaml", e.Name()))
			continue
		}
		quiz, err := load(fsys, e.Name())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, ok := slugs[quiz.Slug]; ok {
			errs = append(errs, fmt.Errorf("%s: slug: %q is taken by %s", e.Name(), quiz.Slug, other))
		}
		slugs[quiz.Slug] = e.Name()
		all = append(all, quiz)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("quizzes: %w", err)
	}
	if len(all) == 0 {
		return nil, errors.New("quizzes: there are none")
	}
	return all, nil
}

func load(fsys fs.FS, file string) (*Quiz, error) {
	src, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, err
	}
	quiz := &Quiz{}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	decoder.KnownFields(true)
	if err := decoder.Decode(quiz); err != nil {
		return nil, fmt.Errorf("%s: %w", path.Base(file), err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(src, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", path.Base(file), err)
	}
	c := checker{file: file, root: root.Content[0]}
	quiz.check(&c)
	return quiz, errors.Join(c.errs...)
}

// checker collects what is wrong, with the line of the field.
type checker struct {
	file string
	root *yaml.Node
	errs []error
}

// bad reports the field at the end of the steps, which are field names and
// indices; where that is missing, the line is that of what should hold it.
func (c *checker) bad(message string, steps ...any) {
	node, line, field := c.root, c.root.Line, ""
	for _, step := range steps {
		var next *yaml.Node
		switch step := step.(type) {
		case int:
			field += fmt.Sprintf("[%d]", step)
			if node != nil && step < len(node.Content) {
				next = node.Content[step]
			}
		case string:
			if field != "" {
				field += "."
			}
			field += step
			if node != nil && node.Kind == yaml.MappingNode {
				for i := 0; i < len(node.Content); i += 2 {
					if node.Content[i].Value == step {
						next = node.Content[i+1]
					}
				}
			}
		}
		if node = next; node != nil {
			line = node.Line
		}
	}
	c.errs = append(c.errs, fmt.Errorf("%s:%d: %s: %s", c.file, line, field, message))
}

func (c *checker) text(value string, steps ...any) {
	if value == "" {
		c.bad("is missing", steps...)
	}
}

func (c *checker) id(value string, seen map[string]bool, steps ...any) {
	switch {
	case value == "":
		c.bad("is missing", steps...)
	case !idName.MatchString(value):
		c.bad(fmt.Sprintf("%q: want lower-case words with hyphens between", value), steps...)
	case seen[value]:
		c.bad(fmt.Sprintf("%q is there twice", value), steps...)
	}
	seen[value] = true
}

func (q *Quiz) check(c *checker) {
	c.text(q.Title, "title")
	c.id(q.Slug, map[string]bool{}, "slug")
	c.id(q.Lesson, map[string]bool{}, "lesson")
	if len(q.Questions) == 0 {
		c.bad("want at least one question", "questions")
	}
	questions := map[string]bool{}
	for i, question := range q.Questions {
		at := func(steps ...any) []any { return append([]any{"questions", i}, steps...) }
		c.id(question.ID, questions, at("id")...)
		c.text(question.Prompt, at("prompt")...)
		if len(question.Choices) < 2 {
			c.bad("want at least two choices", at("choices")...)
			continue
		}
		choices, correct := map[string]bool{}, 0
		for j, choice := range question.Choices {
			c.id(choice.ID, choices, at("choices", j, "id")...)
			c.text(choice.Text, at("choices", j, "text")...)
			c.text(choice.Explanation, at("choices", j, "explanation")...)
			if choice.Correct {
				correct++
			}
		}
		if correct != 1 {
			c.bad(fmt.Sprintf("%d choices are correct, want exactly one", correct), at("choices")...)
		}
	}
}
