package lessons

import (
	"fmt"
	"html"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/netpol-lab/netpol-lab/lessons/prose"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// loaded are the lessons of the binary, loaded once: that proves every exercise.
var loaded = sync.OnceValues(func() ([]*Lesson, error) { return Load(Content()) })

func content(t *testing.T) []*Lesson {
	t.Helper()
	all, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Load proves the same; here it can be seen for each exercise, with what the
// learner is told.
func TestEach_exercise_starts_unsolved_is_solved_by_its_solution_and_by_no_wrong_answer(t *testing.T) {
	grade := func(t *testing.T, l *Lesson, e *Exercise, yaml string) Outcome {
		t.Helper()
		verdicts, err := l.Predicted(yaml)
		if err != nil {
			t.Fatal(err)
		}
		return e.Grade(l, verdicts)
	}
	for _, l := range content(t) {
		for _, e := range l.Exercises {
			t.Run(l.Slug+"/"+e.ID, func(t *testing.T) {
				if grade(t, l, e, e.Start).Passed {
					t.Error("the start passes")
				}
				solved := grade(t, l, e, e.Solution)
				if !solved.Passed || !solved.Narrow || solved.Met != solved.Graded {
					t.Errorf("the solution: %+v", solved)
				}
				if n := len(e.Predict); n < 3 || n > 5 {
					t.Errorf("%d flows to predict: want a handful", n)
				}
				seen := map[string]string{}
				for _, w := range e.Wrong {
					does := effect(t, l, w.YAML)
					if other, ok := seen[does]; ok {
						t.Errorf("%s does the same as %s", w.Name, other)
					}
					seen[does] = w.Name
					out := grade(t, l, e, w.YAML)
					var hints []string
					for _, c := range out.Checks {
						if !c.OK && len(strings.Fields(c.Hint.HTML())) > 4 {
							hints = append(hints, c.Hint.HTML())
						}
					}
					if out.Passed || out.Unknown > 0 || len(hints)+len(out.Wider)+len(out.Missing) == 0 {
						t.Errorf("%s: passed %v, unknown %d, hints %q, wider %v, missing %v", w.Name, out.Passed, out.Unknown, hints, out.Wider, out.Missing)
					}
					if !strings.HasPrefix(w.YAML, "# ") {
						t.Errorf("%s: want a first line that says what is wrong with it", w.Name)
					}
				}
			})
		}
	}
}

// effect is what the policies do at each end of every flow: where one end only is
// opened nothing gets through, and yet it matters which.
func effect(t *testing.T, l *Lesson, yaml string) string {
	t.Helper()
	policies, err := policy.Parse([]byte(yaml), policy.ParseOptions{Namespaces: l.Topology.NamespaceNames()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := sandbox.NewPredictor(l.Topology, l.Topology.PlannedAddresses(), policies)
	if err != nil {
		t.Fatal(err)
	}
	var ends []byte
	for _, f := range l.Flows {
		prediction, err := p.Predict(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range prediction.Decisions {
			ends = fmt.Appendf(ends, "%t %t,", d.Egress.Allowed, d.Ingress.Allowed)
		}
	}
	return string(ends)
}

// A prediction is worth making where the answer is not the same for all that it asks.
func TestPredictions_are_no_foregone_conclusion(t *testing.T) {
	for _, l := range content(t) {
		for _, e := range l.Exercises {
			open, closed := 0, 0
			for _, a := range e.Answers {
				if a.Verdict == probe.Open {
					open++
				} else {
					closed++
				}
			}
			if open == 0 || closed == 0 {
				t.Errorf("%s/%s: %d open and %d not", l.Slug, e.ID, open, closed)
			}
		}
	}
}

// What shows the moment that is predicted opens when the prediction has been kept: no
// picture and no step of the walk-through shows it before.
func TestPictures_show_nothing_that_is_still_to_be_predicted(t *testing.T) {
	folders := slices.Sorted(maps.Keys(sources(t)))
	shown := 0
	for i, l := range content(t) {
		folder := path.Dir(folders[i])
		// look tells of each exercise whose moment these policies are.
		look := func(what, yaml string, opens *Exercise) {
			t.Helper()
			policies, err := l.policies(yaml)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range l.Exercises {
				if !e.AtMoment(policies) {
					continue
				}
				shown++
				if e != opens {
					t.Errorf("%s: %s shows what %s asks to predict", l.Slug, what, e.ID)
				}
			}
		}
		read := func(name string, into any) {
			t.Helper()
			src, err := fs.ReadFile(Content(), path.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decodeStrict(name, src, into); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range l.Sections {
			for _, b := range s.Blocks {
				within, opens := []Block{b}, (*Exercise)(nil)
				if b.Answer != nil {
					within, opens = b.Answer.Blocks, b.Answer.Exercise
				}
				for _, b := range within {
					if b.Picture != nil {
						var file pictureFile
						read("pictures/"+b.Picture.ID+".yaml", &file)
						look("the picture "+b.Picture.ID, file.Policies, opens)
					}
				}
			}
		}
		if len(l.Walkthrough) > 0 {
			var file walkthroughFile
			read("walkthrough.yaml", &file)
			var inForce []string
			for i, step := range file.Steps {
				if step.Apply != "" {
					inForce = append(inForce, step.Apply)
				}
				look(fmt.Sprintf("step %d of the walk-through", i+1), strings.Join(inForce, "---\n"), l.Walkthrough[i].After)
			}
		}
	}
	if shown < 8 {
		t.Errorf("%d pictures of a predicted moment were found", shown)
	}
}

func TestA_title_does_not_give_the_fix_away(t *testing.T) {
	for _, l := range content(t) {
		for _, e := range l.Exercises {
			for _, word := range []string{"selector", "egress", "ingress", "policytypes", "udp", "8080", "default deny", "ipblock", "label"} {
				if strings.Contains(strings.ToLower(e.Title), word) {
					t.Errorf("%s/%s: the title %q has %q in it", l.Slug, e.ID, e.Title, word)
				}
			}
		}
	}
}

// The editor is filled from the text: a policy of the start that has to be changed
// must stand there.
func TestWhat_has_to_be_changed_stands_in_the_text(t *testing.T) {
	for _, l := range content(t) {
		for _, e := range l.Exercises {
			if e.Start == "" {
				continue
			}
			sources := func(yaml string) map[string]string {
				out := map[string]string{}
				policies, err := policy.Parse([]byte(yaml), policy.ParseOptions{Namespaces: l.Topology.NamespaceNames()})
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range policies {
					out[p.Namespace+"/"+p.Name] = p.Spec.String()
				}
				return out
			}
			solution := sources(e.Solution)
			for name, spec := range sources(e.Start) {
				if solution[name] == spec {
					continue
				}
				if !slices.ContainsFunc(l.Snippets, func(s Snippet) bool { return sources(s.YAML)[name] == spec }) {
					t.Errorf("%s/%s: no snippet of the text has %s as it is at the start", l.Slug, e.ID, name)
				}
			}
		}
	}
}

func TestEach_section_has_a_picture_and_something_to_predict(t *testing.T) {
	for _, l := range content(t)[:2] {
		for _, s := range l.Sections {
			if s.ID == "" {
				continue
			}
			pictures, predicts := 0, false
			for b := range s.All() {
				if b.Picture != nil {
					pictures++
				}
				predicts = predicts || strings.Contains(b.HTML, "<strong>Predict")
			}
			if pictures == 0 {
				t.Errorf("%s, %s: no picture", l.Slug, s.Title)
			}
			if !predicts && s.ID != "what-to-take-along" {
				t.Errorf("%s, %s: nothing to predict", l.Slug, s.Title)
			}
		}
	}
}

// Somebody who reads English as a second language reads some 120 words a minute of
// such a text, YAML among them, and needs six minutes for an exercise: to predict, to
// write, to look, to be wrong once. A challenge takes two for each connection that it
// names.
func TestMinutes_are_those_that_a_lesson_takes(t *testing.T) {
	words := map[string]int{}
	for folder, text := range sources(t) {
		words[folder] = len(strings.Fields(text))
	}
	folders := slices.Sorted(maps.Keys(words))
	for i, l := range content(t) {
		minutes := words[folders[i]] / 120
		for _, e := range l.Exercises {
			if e.Final {
				minutes += 2 * len(e.Checks)
			} else {
				minutes += 6
			}
		}
		if l.Minutes < minutes-5 || l.Minutes > minutes+5 {
			t.Errorf("%s: says %d minutes, and takes about %d", l.Slug, l.Minutes, minutes)
		}
	}
}

// The lessons are read one after the other: each ends with a link to the next.
func TestLessons_end_with_a_link_to_the_next(t *testing.T) {
	all := content(t)
	for i, l := range all[:len(all)-1] {
		sections := l.Sections
		blocks := sections[len(sections)-1].Blocks
		if next := "/lessons/" + all[i+1].Slug; !strings.Contains(blocks[len(blocks)-1].HTML, `href="`+next+`"`) {
			t.Errorf("%s does not end with a link to %s", l.Slug, next)
		}
	}
	last := all[len(all)-1]
	if !slices.ContainsFunc(last.Exercises, func(e *Exercise) bool { return e.Final }) {
		t.Errorf("the last lesson, %s, is not the final challenge", last.Slug)
	}
}

// What stands in the place of a video tells the lesson's story: the intruder has the
// database at first, the shop has nothing in between, and in the end each has what is
// theirs.
func TestThe_first_lessons_walkthrough_tells_its_story(t *testing.T) {
	steps := content(t)[0].Walkthrough
	if len(steps) < 6 || len(steps) > 8 {
		t.Fatalf("%d steps: want 6 to 8", len(steps))
	}
	const (
		byIP       = "From production/web to production/api, port 8080/TCP."
		byName     = "From production/web to production/api by the name api, port 8080/TCP."
		prometheus = "From monitoring/prometheus to production/api, port 9090/TCP."
		grafana    = "From monitoring/grafana to production/api, port 9090/TCP."
		intruder   = "From development/shell to production/db, port 5432/TCP."
	)
	last := len(steps) - 1
	for step, open := range map[int][]string{
		0:    {byIP, byName, prometheus, grafana, intruder},
		1:    {},
		2:    {},
		last: {byIP, byName, prometheus},
	} {
		for _, flow := range []string{byIP, byName, prometheus, grafana, intruder} {
			i := slices.IndexFunc(steps[step].Sentences, func(s string) bool { return strings.HasPrefix(s, flow) })
			if i < 0 {
				t.Fatalf("step %d does not draw the flow %q: %q", step+1, flow, steps[step].Sentences)
			}
			sentence := steps[step].Sentences[i]
			if got, want := strings.Contains(sentence, "Allowed"), slices.Contains(open, flow); got != want {
				t.Errorf("step %d: allowed %v, want %v: %s", step+1, got, want, sentence)
			}
		}
	}
	for i := 1; i <= last; i++ {
		if slices.Equal(steps[i].Sentences, steps[i-1].Sentences) {
			t.Errorf("nothing turns between the steps %d and %d", i, i+1)
		}
	}
}

func TestLessons_have_the_facts_that_they_are_for(t *testing.T) {
	for i, facts := range [][]string{{
		"lateral movement", "Calico, Cilium and Antrea", "Flannel", "accepted without an error", "<em>isolated</em>", "default deny",
		"microsegmentation", "allow list", "enforces policies in production", "<em>probes</em>",
		"environment: monitoring", "kubernetes.io/metadata.name", "by UDP and TCP", "headless", "169.254.20.10", "openshift-dns", "resolv.conf", "DNS tunnelling",
		"service mesh", "ICMP", "SCTP", "ipBlock", "::/0", "externalTrafficPolicy", "no order", "ClusterNetworkPolicy",
	}, {
		"kube-proxy", "endPort", "SCTP", "Calico lets them go on", "start unprotected",
		"kubectl apply", "kubectl describe networkpolicy", "kubectl debug", "netpol-lab eval --topology", "netpol-lab lint", "netpol-lab diff",
	}} {
		l := content(t)[i]
		text := htmlOf(l)
		for _, fact := range facts {
			if !strings.Contains(text, fact) {
				t.Errorf("%s does not say %q", l.Slug, fact)
			}
		}
	}
}

// Load holds that a link leads somewhere; those of the lab's own lessons lead nowhere
// outside of it, since it works without the internet.
func TestLinks_stay_within_the_lab(t *testing.T) {
	links := 0
	for _, l := range content(t) {
		for _, m := range linkTo.FindAllStringSubmatch(htmlOf(l), -1) {
			links++
			if !strings.HasPrefix(m[1], "/") && !strings.HasPrefix(m[1], "#") {
				t.Errorf("%s: the link %s leads out of the lab", l.Slug, m[1])
			}
		}
	}
	if links < 3 {
		t.Errorf("%d links were looked at", links)
	}
}

// sources are the texts of the lessons as they are written, without the front matter,
// by file.
func sources(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	front := regexp.MustCompile(`(?s)\A---\n.*?\n---\n`)
	err := fs.WalkDir(Content(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "lesson.md") {
			return err
		}
		src, err := fs.ReadFile(Content(), path)
		files[path] = front.ReplaceAllString(string(src), "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// texts are the texts of a lesson's files that are read as sentences, by file.
func texts(t *testing.T) map[string]string {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^```.*?^```$")
	notProse := regexp.MustCompile(`(?m)^(#|\||:::).*$`)
	files := sources(t)
	for path, text := range files {
		files[path] = notProse.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
	}
	shown := regexp.MustCompile(`(?s)<pre.*?</pre>|<button.*?</button>`)
	for _, l := range content(t) {
		for _, e := range l.Exercises {
			text := e.Task.HTML() + "\n" + shown.ReplaceAllString(e.Explanation.HTML(), "")
			for _, hint := range e.Hints {
				text += "\n" + hint.HTML()
			}
			for _, c := range e.Checks {
				text += "\n\n" + c.Hint.HTML()
			}
			files[l.Slug+"/"+e.ID] = html.UnescapeString(regexp.MustCompile(`<[^>]+>`).ReplaceAllString(regexp.MustCompile(`</?code>`).ReplaceAllString(text, "`"), ""))
		}
		var captions []string
		for _, s := range l.Sections {
			for b := range s.All() {
				if b.Picture != nil {
					captions = append(captions, b.Picture.Caption)
				}
			}
		}
		for _, p := range l.Walkthrough {
			captions = append(captions, p.Caption)
		}
		files[l.Slug+"/captions"] = strings.Join(append(captions, l.Summary), "\n\n")
	}
	return files
}

func TestThe_text_is_easy_to_read(t *testing.T) {
	for file, text := range texts(t) {
		for _, problem := range prose.HardToRead(text) {
			t.Errorf("%s: %s", file, problem)
		}
	}
}

func TestThe_text_is_free_of_slips(t *testing.T) {
	for file, text := range texts(t) {
		for _, problem := range prose.Slips(text) {
			t.Errorf("%s: %s", file, problem)
		}
	}
}

func TestThe_text_is_spelt_as_a_dictionary_has_it(t *testing.T) {
	for file, text := range texts(t) {
		for _, word := range prose.Misspelt(t, text) {
			t.Errorf("%s: %q is in no dictionary: correct it, or add it to prose/words.txt", file, word)
		}
	}
}
