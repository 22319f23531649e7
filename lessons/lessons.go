// Package lessons reads the lessons: a text each, and the topology of the
// sandbox that it is tried out in. A lesson is content alone; there is no Go
// code for any one of them.
package lessons

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/picture"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/place"
)

//go:embed content
var embedded embed.FS

// Content is the lessons that are part of the binary, for [Load].
func Content() fs.FS {
	sub, err := fs.Sub(embedded, "content")
	if err != nil {
		panic(err) // the folder's name is a constant that was embedded
	}
	return sub
}

// Lesson is one lesson.
type Lesson struct {
	// Slug names the lesson in addresses.
	Slug string
	// Title is the heading, Summary one sentence of plain text.
	Title   string
	Summary string
	// Minutes is how long the lesson takes somebody who is new to it.
	Minutes int
	// Sections are the text, cut at its headings of the second level; the first one
	// is what stands before them.
	Sections []Section
	// Exercises are those of the folder exercises, in the order of the text.
	Exercises []*Exercise
	// Snippets are the blocks of YAML in the text's order. Each can be applied
	// as it is.
	Snippets []Snippet
	// Walkthrough is walkthrough.yaml, the lesson in a few pictures; nil where there is
	// none.
	Walkthrough []Step
	// Topology is what stands in the lesson's lab. Lessons may share one; it has the
	// name of the lesson that it belongs to.
	Topology *sandbox.Topology
	// Flows are all that the topology's sandbox measures.
	Flows []sandbox.Flow
}

// Section is a part of a lesson under a heading.
type Section struct {
	// ID is the heading's anchor, Title its text; both are empty for what stands
	// before the first heading.
	ID, Title string
	Blocks    []Block
}

// Block is a piece of a section: exactly one of its fields is set.
type Block struct {
	// HTML is text. It has no style attributes, no scripts and no heading above the
	// third level. A block of YAML is a div.snippet of the code and a
	// button[data-insert].
	HTML     string
	Exercise *Exercise
	Picture  *picture.Picture
	// Answer is what gives away the answer of a prediction.
	Answer *Answered
}

// Answered is a part of a section that is to be read only after a prediction.
type Answered struct {
	// Exercise is the one whose prediction has to be kept first; nil where the text asks
	// and the learner opens the answer by hand.
	Exercise *Exercise
	// Blocks has no Answer in it.
	Blocks []Block
}

// Step is a picture of the walk-through.
type Step struct {
	*picture.Picture
	// After is the exercise whose prediction's answer it gives away; nil where it gives
	// away none.
	After *Exercise
}

// All are the section's blocks, those within an Answer in its place.
func (s Section) All() iter.Seq[Block] {
	return func(yield func(Block) bool) {
		for _, b := range s.Blocks {
			within := []Block{b}
			if b.Answer != nil {
				within = b.Answer.Blocks
			}
			for _, b := range within {
				if !yield(b) {
					return
				}
			}
		}
	}
}

// Exercise is the lesson's exercise of that ID; nil where there is none.
func (l *Lesson) Exercise(id string) *Exercise {
	for _, e := range l.Exercises {
		if e.ID == id {
			return e
		}
	}
	return nil
}

// Snippet is a block of YAML in a lesson.
type Snippet struct {
	// Line is the line of lesson.md that the YAML begins at, from 1.
	Line int
	YAML string
}

var (
	folderName = regexp.MustCompile(`^[0-9]{2}-[a-z0-9]+(-[a-z0-9]+)*$`)
	slugName   = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// Load reads every lesson in the folders NN-name of fsys, sorted by the number.
// Everything is checked strictly; the error lists all that is wrong as
// "file:line: field: message". Beside are lessons that are there already: no slug is
// theirs, links may lead to them, and a topology of theirs may be shared.
func Load(fsys fs.FS, beside ...*Lesson) ([]*Lesson, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("lessons: %w", err)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	var (
		all     []*Lesson
		sources []*source
		errs    []error
		slugs   = map[string]*source{}
	)
	for _, l := range beside {
		slugs[l.Slug] = &source{dir: "the lab itself", lesson: l, shares: l.sharesWith()}
	}
	for _, e := range entries {
		if !e.IsDir() || !folderName.MatchString(e.Name()) {
			errs = append(errs, fmt.Errorf("%s: not a lesson's folder: want a name like 01-network-policies", e.Name()))
			continue
		}
		src, err := open(fsys, e.Name())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, ok := slugs[src.lesson.Slug]; ok && src.lesson.Slug != "" {
			errs = append(errs, fmt.Errorf("%s: slug: %q is taken by %s", src.textFile(), src.lesson.Slug, other.dir))
		} else {
			slugs[src.lesson.Slug] = src
		}
		sources = append(sources, src)
	}
	for _, src := range sources {
		src.share(slugs)
		src.load(fsys)
		errs = append(errs, src.errs...)
		all = append(all, src.lesson)
	}
	if len(errs) == 0 {
		for _, src := range sources {
			src.checkReferences(fsys, slices.Concat(beside, all))
			errs = append(errs, src.errs...)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("lessons: %w", err)
	}
	if len(all) == 0 {
		return nil, errors.New("lessons: there are none: each is a folder with a name like 01-network-policies")
	}
	return all, nil
}

// sharesWith is the slug of the lesson whose topology this one shares; "" where it has
// its own.
func (l *Lesson) sharesWith() string {
	if l.Topology.Name == l.Slug {
		return ""
	}
	return l.Topology.Name
}

// source is a lesson's folder.
type source struct {
	dir    string
	lesson *Lesson
	// src is lesson.md, whose text begins at the offset text.
	src  []byte
	text int
	// shares is the slug of the lesson whose topology this one shares, from the front
	// matter's line sharesAt; "" where it has one of its own.
	shares   string
	sharesAt int
	errs     []error
}

func (s *source) textFile() string { return path.Join(s.dir, "lesson.md") }

// open reads the front matter, and the topology where the lesson has one of its own.
func open(fsys fs.FS, dir string) (*source, error) {
	s := &source{dir: dir, lesson: &Lesson{}}
	var err error
	if s.src, err = readFile(fsys, s.textFile()); err != nil {
		return nil, err
	}
	front, text, err := splitFrontMatter(s.src)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", s.textFile(), err)
	}
	s.text = text
	s.readFrontMatter(front)
	topologyFile := path.Join(dir, "topology.yaml")
	raw, err := fs.ReadFile(fsys, topologyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.sharesAt > 0:
		return s, nil
	case errors.Is(err, fs.ErrNotExist):
		s.bad("%s: is missing; a lesson that shares another's says so in its front matter: topology: that-lessons-slug", topologyFile)
		return s, nil
	case err != nil:
		return nil, err
	case s.sharesAt > 0:
		s.bad("%s:%d: topology: there is a topology.yaml too: leave out the one or the other", s.textFile(), s.sharesAt)
		return s, nil
	}
	topology, err := sandbox.ParseTopology(raw)
	if err != nil {
		s.errs = append(s.errs, topologyErrors(topologyFile, raw, err))
		return s, nil
	}
	s.lesson.Topology = topology
	if s.lesson.Slug != "" && topology.Name != s.lesson.Slug {
		s.bad("%s: name: %q differs from the lesson's slug %q", topologyFile, topology.Name, s.lesson.Slug)
	}
	return s, nil
}

func (s *source) bad(format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

// share takes the topology of the lesson that the front matter names.
func (s *source) share(slugs map[string]*source) {
	if s.shares == "" || s.lesson.Topology != nil {
		return
	}
	other := slugs[s.shares]
	switch {
	case other == nil:
		s.bad("%s:%d: topology: there is no lesson %q", s.textFile(), s.sharesAt, s.shares)
	case other.shares != "":
		s.bad("%s:%d: topology: the lesson %q has none of its own: name the one that has", s.textFile(), s.sharesAt, s.shares)
	default:
		s.lesson.Topology = other.lesson.Topology // nil where it could not be read
	}
}

// load reads all that needs the topology.
func (s *source) load(fsys fs.FS) {
	lesson := s.lesson
	if lesson.Topology == nil {
		return
	}
	lesson.Flows = lesson.Topology.Flows()
	parts := &parts{exercises: map[string]*Exercise{}, pictures: map[string]*picture.Picture{}, mounted: map[string]bool{}}
	for _, kind := range []struct {
		folder, ending, directive string
		load                      func(at, id string) error
	}{
		{"exercises", "", "exercise", func(at, id string) (err error) {
			parts.exercises[id], err = lesson.loadExercise(fsys, at)
			return err
		}},
		{"pictures", ".yaml", "picture", func(at, id string) (err error) {
			parts.pictures[id], err = lesson.loadPicture(fsys, at)
			return err
		}},
	} {
		entries, err := fs.ReadDir(fsys, path.Join(s.dir, kind.folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.errs = append(s.errs, err)
			continue
		}
		for _, entry := range entries {
			at := path.Join(s.dir, kind.folder, entry.Name())
			id, ok := strings.CutSuffix(entry.Name(), kind.ending)
			if entry.IsDir() != (kind.ending == "") || !ok || !slugName.MatchString(id) {
				s.bad("%s: is not one of the lesson's %s: want a name of lower-case words with hyphens between, such as first-steps%s", at, kind.folder, kind.ending)
				continue
			}
			if err := kind.load(at, id); err != nil {
				s.errs = append(s.errs, err)
			}
			if !mentions(s.src[s.text:], kind.directive, id) {
				s.bad("%s: the text does not mention it: write a line :::%s %s", at, kind.directive, id)
			}
		}
	}
	var err error
	if lesson.Walkthrough, err = lesson.loadWalkthrough(fsys, path.Join(s.dir, "walkthrough.yaml"), parts.exercises); err != nil {
		s.errs = append(s.errs, err)
	}
	s.errs = append(s.errs, lesson.readText(s.textFile(), s.src, s.text, parts)...)
}

// parts are what a lesson's text can mount, by ID. What is there and could not be
// read is nil.
type parts struct {
	exercises map[string]*Exercise
	pictures  map[string]*picture.Picture
	// mounted holds what the text has mounted so far, "exercise ID".
	mounted map[string]bool
}

func mentions(text []byte, directive, id string) bool {
	return regexp.MustCompile(`(?m)^:::` + directive + ` +` + regexp.QuoteMeta(id) + `\s*$`).Match(text)
}

// topologyErrors puts what is wrong with a topology as "file:line: field: message".
func topologyErrors(file string, src []byte, err error) error {
	var root yaml.Node
	if err := yaml.Unmarshal(src, &root); err != nil {
		return yamlErrors(file, err)
	}
	var errs []error
	for _, message := range strings.Split(strings.TrimPrefix(err.Error(), "topology: "), "\n") {
		line := 1
		if parts := unknownKey.FindStringSubmatch(message); parts != nil {
			line, message = lineOfKey(&root, parts[1]), parts[1]+": is not a field here"
		} else if field, _, ok := strings.Cut(message, ": "); ok {
			line = lineOfField(&root, field)
		}
		errs = append(errs, fmt.Errorf("%s:%d: %s", file, line, message))
	}
	return errors.Join(errs...)
}

var unknownKey = regexp.MustCompile(`unknown field "(?:.*\.)?([^".]+)"`)

// lineOfKey is the line of the first entry of that key, at any depth; 1 where there
// is none.
func lineOfKey(node *yaml.Node, key string) int {
	if k := place.Key(node, key); k != nil {
		return k.Line
	}
	return 1
}

// readFile reads a file that must be there.
func readFile(fsys fs.FS, file string) ([]byte, error) {
	src, err := fs.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: is missing", file)
	}
	return src, err
}

var fence = []byte("---\n")

// splitFrontMatter cuts src in the YAML between two lines "---" at its top and
// the offset of the text behind it.
func splitFrontMatter(src []byte) (front []byte, text int, err error) {
	if !bytes.HasPrefix(src, fence) {
		return nil, 0, errors.New("1: want front matter between two lines of ---")
	}
	end := bytes.Index(src, []byte("\n---\n"))
	if end < 0 {
		return nil, 0, errors.New("1: the front matter has no end: want a second line of ---")
	}
	return src[len(fence) : end+1], end + len("\n---\n"), nil
}

// readFrontMatter fills in the fields, which begin at the file's second line.
func (s *source) readFrontMatter(front []byte) {
	file, l := s.textFile(), s.lesson
	var root yaml.Node
	if err := yaml.Unmarshal(append([]byte("\n"), front...), &root); err != nil {
		s.errs = append(s.errs, yamlErrors(file, err))
		return
	}
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		s.bad("%s:2: the front matter is not a list of fields", file)
		return
	}
	fields := root.Content[0].Content
	line := map[string]int{}
	bad := func(at int, field, format string, args ...any) {
		s.bad("%s:%d: %s: %s", file, at, field, fmt.Sprintf(format, args...))
	}
	for i := 0; i < len(fields); i += 2 {
		key, value := fields[i].Value, fields[i+1]
		if _, twice := line[key]; twice {
			bad(fields[i].Line, key, "is there twice")
			continue
		}
		line[key] = fields[i].Line
		var err error
		switch key {
		case "title":
			err = value.Decode(&l.Title)
		case "slug":
			err = value.Decode(&l.Slug)
		case "summary":
			err = value.Decode(&l.Summary)
		case "topology":
			s.sharesAt = fields[i].Line
			err = value.Decode(&s.shares)
		case "minutes":
			if err = value.Decode(&l.Minutes); err != nil || l.Minutes < 1 || l.Minutes > 600 {
				err = errors.New("want a number of minutes from 1 to 600")
			}
		default:
			err = errors.New("is not a field: want title, slug, summary, minutes and, where another lesson's is shared, topology")
		}
		if err != nil {
			bad(fields[i].Line, key, "%v", err)
		}
	}
	for _, key := range []string{"title", "slug", "summary", "minutes"} {
		if _, ok := line[key]; !ok {
			bad(1, key, "is missing")
		}
	}
	for key, value := range map[string]string{"title": l.Title, "slug": l.Slug, "summary": l.Summary, "topology": s.shares} {
		if at, ok := line[key]; ok && value == "" {
			bad(at, key, "is empty")
		}
		if err := markdown.Plain(value); err != nil {
			bad(line[key], key, "%v", err)
		}
	}
	if l.Slug != "" && !slugName.MatchString(l.Slug) {
		bad(line["slug"], "slug", "%q: want lower-case words with hyphens between", l.Slug)
	}
}
