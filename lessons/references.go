package lessons

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// TakenAnchors are the IDs that a lesson's page has for itself. A heading must not get
// one of them, or the page's script would take it for what it looks for.
var TakenAnchors = []string{
	"again",
	"agreement",
	"applied",
	"apply",
	"back-to-exercise",
	"compare-body",
	"compare-close",
	"compare-title",
	"conflict",
	"connection",
	"contents",
	"disagreement",
	"end",
	"end-title",
	"ends",
	"export",
	"extend",
	"file-actions",
	"file-state",
	"files",
	"files-bar",
	"files-in-out",
	"history",
	"history-compare",
	"history-list",
	"history-said",
	"import",
	"import-files",
	"in-force",
	"in-out-said",
	"kept",
	"lab",
	"lesson",
	"main",
	"matrix",
	"matrix-caption",
	"menu",
	"new-file",
	"open-file",
	"other",
	"plan",
	"policies",
	"policies-view",
	"policy",
	"policy-form",
	"policy-label",
	"problems",
	"progress",
	"proof",
	"redo",
	"reset",
	"sandbox",
	"schemes-label",
	"see",
	"settled",
	"share",
	"simulated",
	"start",
	"start-bar",
	"state-chip",
	"status",
	"step",
	"steps",
	"stop",
	"terminal",
	"terminal-again",
	"terminal-keys",
	"terminal-panel",
	"terminal-screen",
	"terminal-status",
	"title",
	"unavailable",
	"undo",
	"want",
	"want-from",
	"why",
	"write",
}

var (
	headingID = regexp.MustCompile(`<h[2-6] id="([^"]*)"`)
	linkTo    = regexp.MustCompile(`<a href="([^"]*)"`)
)

// anchors are where a link into the lesson's page can lead.
func (l *Lesson) anchors() map[string]bool {
	at := map[string]bool{"": true}
	for _, s := range l.Sections {
		at[s.ID] = true
		for b := range s.All() {
			for _, m := range headingID.FindAllStringSubmatch(b.HTML, -1) {
				at[m[1]] = true
			}
		}
	}
	for _, e := range l.Exercises {
		at["exercise-"+e.ID] = true
	}
	return at
}

// checkReferences holds, of lessons that were read, that their links lead somewhere and
// that each start is made of policies that the learner knows.
func (s *source) checkReferences(fsys fs.FS, all []*Lesson) {
	l := s.lesson
	for anchor := range l.anchors() {
		if slices.Contains(TakenAnchors, anchor) {
			s.bad("%s:%d: the page has something called %s itself: word this heading in another way", s.textFile(), lineWith(s.src, "(?im)^#+ .*"+anchor), anchor)
		}
	}
	pages := map[string]map[string]bool{}
	for _, other := range all {
		pages["/lessons/"+other.Slug] = other.anchors()
	}
	check := func(file string, src []byte, html string) {
		for _, m := range linkTo.FindAllStringSubmatch(html, -1) {
			if problem := linkProblem(pages, l.Slug, m[1]); problem != "" {
				s.bad("%s:%d: the link %q %s", file, lineWith(src, regexp.QuoteMeta("]("+m[1])), m[1], problem)
			}
		}
	}
	for _, section := range l.Sections {
		for b := range section.All() {
			check(s.textFile(), s.src, b.HTML)
		}
	}
	for _, e := range l.Exercises {
		file := path.Join(s.dir, "exercises", e.ID, "checks.yaml")
		src, err := fs.ReadFile(fsys, file)
		if err != nil {
			s.errs = append(s.errs, err)
			continue
		}
		var html strings.Builder
		html.WriteString(e.Task.HTML() + e.Explanation.HTML())
		for _, h := range e.Hints {
			html.WriteString(h.HTML())
		}
		for _, c := range e.Checks {
			html.WriteString(c.Why.HTML() + c.Hint.HTML())
		}
		for _, f := range e.Free {
			html.WriteString(f.Reason.HTML())
		}
		check(file, src, html.String())
	}
	s.checkStarts(all)
}

// linkProblem says what is wrong with a link on the page of the lesson of that slug;
// "" where it leads somewhere. Addresses outside of the lab are the author's matter.
func linkProblem(pages map[string]map[string]bool, slug, link string) string {
	if strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://") {
		return ""
	}
	page, anchor, _ := strings.Cut(link, "#")
	switch page {
	case "/", "/me", "/workbench":
		return ""
	case "":
		if anchor == "" {
			return "leads nowhere"
		}
		page = "/lessons/" + slug
	}
	if strings.HasPrefix(page, "/quizzes/") {
		return "" // Quizzes are read after the lessons.
	}
	anchors, ok := pages[page]
	switch {
	case !ok:
		return "leads nowhere: there is no such page"
	case !anchors[anchor]:
		return "leads nowhere: the page has no heading with that anchor"
	}
	return ""
}

// checkStarts holds that each policy of a start stands in the text, or is one that the
// learner was to write before: of the solution of an exercise that comes earlier, in
// this lesson or in one with the same topology.
func (s *source) checkStarts(all []*Lesson) {
	known := map[policy.Ref][]string{} // what was shown of each policy
	learn := func(l *Lesson, yaml string) {
		policies, _ := l.policies(yaml) // What is wrong with it is said elsewhere.
		for _, p := range policies {
			known[p.Ref()] = append(known[p.Ref()], p.Spec.String())
		}
	}
	for _, l := range all {
		if l.Topology != s.lesson.Topology {
			continue
		}
		for _, snippet := range l.Snippets {
			learn(l, snippet.YAML)
		}
		for _, e := range l.Exercises {
			if l == s.lesson {
				file := path.Join(s.dir, "exercises", e.ID, "start.yaml")
				policies, _ := l.policies(e.Start)
				for _, p := range policies {
					if !slices.Contains(known[p.Ref()], p.Spec.String()) {
						s.bad("%s:%d: the text does not show %s as it is here: write it as a block of yaml", file, max(p.Line, 1), p.Ref())
					}
				}
			}
			learn(l, e.Solution)
			learn(l, e.Given)
		}
		if l == s.lesson {
			return
		}
	}
}

// lineWith is the line of the first match in the file, 1 where there is none.
func lineWith(src []byte, pattern string) int {
	if at := regexp.MustCompile(pattern).FindIndex(src); at != nil {
		return 1 + bytes.Count(src[:at[0]], []byte("\n"))
	}
	return 1
}

// appliable reads what an author's text offers to put into the editor.
func (l *Lesson) appliable(file string, snippet Snippet) error {
	policies, err := l.parsePolicies(file, snippet.Line-1, []byte(snippet.YAML))
	if err == nil && len(policies) == 0 {
		err = fmt.Errorf("%s:%d: this block of yaml has no policy in it: mark as text what is not to be applied", file, snippet.Line)
	}
	return err
}
