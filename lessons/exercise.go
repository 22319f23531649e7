package lessons

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Exercise is something to do in a lesson. It is graded by what is then observed:
// by the flows that are open and those that are blocked, never by the text of the
// policies.
type Exercise struct {
	// ID names the exercise in its lesson; it is the name of its folder.
	ID    string
	Title string
	// Task says what is wanted.
	Task markdown.Text
	// Predict are the flows whose verdicts the learner is asked to predict; none where
	// the exercise asks for no prediction. It is about the moment when the start is in
	// force and, where there are any, the policies Given come to it; never about the end
	// of the exercise.
	Predict []sandbox.Flow
	// Given are policies as YAML that the prediction is about; "" where it is about the
	// start alone.
	Given string
	// Answers are what the engine says of the flows to predict at that moment, by flow
	// ID.
	Answers map[string]Answer
	// Checks are what must be observed, and named to the learner one by one. At least
	// one flow must be blocked, which proves that a deny is a deny, and one open, which
	// proves that it is not everything that stopped.
	Checks []Check
	// Free are the flows that are not graded. Every flow that is neither checked nor
	// free has to be as it is with the solution.
	Free []Free
	// Exact says that nothing may be open that need not be: with it, an answer that
	// opens more does not pass, and without, it passes as wider than needed.
	Exact bool
	// Final says that it is graded only when the learner asks for it, and with a
	// score.
	Final bool
	// Hints are three, each giving away more than the one before.
	Hints []markdown.Text
	// Explanation tells why the solution is one.
	Explanation markdown.Text
	// Start are the policies in force when the exercise begins, as YAML; "" for
	// none. Solution are those that solve it.
	Start, Solution string
	// Deletes are the policies of the start that the solution is without: to apply it
	// does not do away with them.
	Deletes []policy.Ref
	// Wrong are plausible answers that must not pass.
	Wrong []WrongAnswer

	// needed are the flows that are open with the solution.
	needed map[string]bool
	// moment is the meaning of the policies that the prediction is about.
	moment string
}

// Check is one flow and what must be observed of it.
type Check struct {
	Flow sandbox.Flow
	// Want is probe.Open, or probe.Blocked, which probe.DNSFailed and
	// probe.Refused also meet: nothing was reached.
	Want probe.Verdict
	// Why says what the flow is good for, and Hint what to look at where the check
	// fails. Neither gives the fix away. Both stand in a line.
	Why, Hint markdown.Text
}

// Free is a flow that is left free, and why.
type Free struct {
	Flow   sandbox.Flow
	Reason markdown.Text
}

// WrongAnswer is an answer that must not pass, kept to test the checks by.
type WrongAnswer struct {
	// Name is the file's name without its ending.
	Name string
	YAML string
}

// exerciseFile is checks.yaml as it is written.
type exerciseFile struct {
	Title       string      `yaml:"title"`
	Final       bool        `yaml:"final"`
	Exact       *bool       `yaml:"exact"`
	Task        string      `yaml:"task"`
	Predict     []flowName  `yaml:"predict"`
	Given       string      `yaml:"given"`
	Checks      []checkFile `yaml:"checks"`
	Free        []freeFile  `yaml:"free"`
	Hints       []string    `yaml:"hints"`
	Explanation string      `yaml:"explanation"`
}

type checkFile struct {
	flowName `yaml:",inline"`
	Want     string `yaml:"want"`
	Why      string `yaml:"why"`
	Hint     string `yaml:"hint"`
}

type freeFile struct {
	flowName `yaml:",inline"`
	Reason   string `yaml:"reason"`
}

// loadExercise reads the folder exercises/ID of a lesson whose topology is known.
func (l *Lesson) loadExercise(fsys fs.FS, dir string) (*Exercise, error) {
	file := path.Join(dir, "checks.yaml")
	src, err := readFile(fsys, file)
	if err != nil {
		return nil, err
	}
	var raw exerciseFile
	root, err := decodeStrict(file, src, &raw)
	if err != nil {
		return nil, err
	}
	e := &Exercise{ID: path.Base(dir), Title: raw.Title, Final: raw.Final, Exact: raw.Exact == nil || *raw.Exact}
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %s: %s", file, lineOfField(root, field), field, fmt.Sprintf(format, args...)))
	}
	for _, f := range []struct{ field, text string }{{"title", raw.Title}, {"task", raw.Task}, {"explanation", raw.Explanation}} {
		if strings.TrimSpace(f.text) == "" {
			bad(f.field, "is missing")
		}
	}
	if err := markdown.Plain(raw.Title); err != nil {
		bad("title", "%v", err)
	}
	read := func(made func(string) (markdown.Text, error), field, text string) markdown.Text {
		t, err := made(text)
		if err != nil {
			bad(field, "%v", err)
		}
		for _, block := range markdown.YAML(text) {
			if policies, err := l.policies(block); err != nil || len(policies) == 0 {
				bad(field, "its block of yaml cannot be applied: mark as text what is not to be: %v", err)
			}
		}
		return t
	}
	e.Task, e.Explanation = read(markdown.Paragraphs, "task", raw.Task), read(markdown.Paragraphs, "explanation", raw.Explanation)
	if len(raw.Hints) != 3 {
		bad("hints", "there are %d: want three, each giving away more than the one before", len(raw.Hints))
	}
	for i, h := range raw.Hints {
		if strings.TrimSpace(h) == "" {
			bad(fmt.Sprintf("hints[%d]", i), "is empty")
		}
		e.Hints = append(e.Hints, read(markdown.Paragraphs, fmt.Sprintf("hints[%d]", i), h))
	}
	for i, name := range raw.Predict {
		flows, err := l.find(name)
		if err != nil {
			bad(fmt.Sprintf("predict[%d]", i), "%v", err)
		}
		e.Predict = append(e.Predict, flows...)
	}
	seen := map[string]bool{}
	wanted := map[probe.Verdict]int{}
	for i, c := range raw.Checks {
		field := fmt.Sprintf("checks[%d]", i)
		flows, err := l.find(c.flowName)
		if err != nil {
			bad(field, "%v", err)
		}
		want := probe.Verdict(c.Want)
		if want != probe.Open && want != probe.Blocked {
			bad(field+".want", "%q: want open or blocked", c.Want)
		}
		if c.Why == "" || c.Hint == "" {
			bad(field, "why and hint are needed: what the flow is good for, and what to look at where the check fails")
		}
		why, hint := read(markdown.Line, field+".why", c.Why), read(markdown.Line, field+".hint", c.Hint)
		for _, f := range flows {
			if seen[f.ID] {
				bad(field, "%s is checked twice", f.ID)
			}
			seen[f.ID] = true
			wanted[want]++
			e.Checks = append(e.Checks, Check{Flow: f, Want: want, Why: why, Hint: hint})
		}
	}
	if len(raw.Checks) > 0 && (wanted[probe.Open] == 0 || wanted[probe.Blocked] == 0) || len(raw.Checks) == 0 {
		bad("checks", "want at least one flow that must be open and one that must be blocked")
	}
	if e.Final && !e.Exact {
		bad("exact", "a final challenge is always exact")
	}
	free := map[string]bool{}
	for i, f := range raw.Free {
		field := fmt.Sprintf("free[%d]", i)
		if strings.TrimSpace(f.Reason) == "" {
			bad(field, "reason is missing: why it does not matter here")
		}
		reason := read(markdown.Line, field+".reason", f.Reason)
		flows := l.matching(f.flowName)
		if len(flows) == 0 {
			bad(field, "the topology has no such flow")
		}
		for _, flow := range flows {
			if seen[flow.ID] {
				bad(field, "%s is checked, so it cannot be free", flow.ID)
			}
			if !free[flow.ID] {
				e.Free = append(e.Free, Free{flow, reason})
			}
			free[flow.ID] = true
		}
	}
	if err := l.readAnswers(fsys, dir, e); err != nil {
		errs = append(errs, err)
	}
	e.Given = raw.Given
	if strings.TrimSpace(e.Given) != "" {
		if len(e.Predict) == 0 {
			bad("given", "there is nothing to predict of it")
		}
		// The text of a block begins in the line below its field.
		if _, err := l.parsePolicies(file, lineOfField(root, "given"), []byte(e.Given)); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		if err := l.answer(e); err != nil {
			bad("predict", "%v", err)
		}
		errs = append(errs, l.prove(dir, e)...)
	}
	return e, errors.Join(errs...)
}

// readAnswers reads start.yaml, which may be missing, solution.yaml and the
// wrong answers, wrong-*.yaml.
func (l *Lesson) readAnswers(fsys fs.FS, dir string, e *Exercise) error {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return err
	}
	var errs []error
	names := map[string][]policy.Ref{} // by file
	for _, entry := range entries {
		name := entry.Name()
		file := path.Join(dir, name)
		src, err := fs.ReadFile(fsys, file)
		if err != nil {
			return err
		}
		switch {
		case name == "checks.yaml":
			continue
		case name == "start.yaml":
			e.Start = string(src)
		case name == "solution.yaml":
			e.Solution = string(src)
		case strings.HasPrefix(name, "wrong-") && strings.HasSuffix(name, ".yaml"):
			e.Wrong = append(e.Wrong, WrongAnswer{Name: strings.TrimSuffix(name, ".yaml"), YAML: string(src)})
		default:
			errs = append(errs, fmt.Errorf("%s: is none of checks.yaml, start.yaml, solution.yaml, wrong-NAME.yaml", file))
			continue
		}
		policies, err := l.parsePolicies(file, 0, src)
		if err != nil {
			errs = append(errs, err)
		}
		for _, p := range policies {
			names[name] = append(names[name], p.Ref())
		}
	}
	if e.Solution == "" {
		errs = append(errs, fmt.Errorf("%s/solution.yaml: is missing", dir))
	}
	for _, ref := range names["start.yaml"] {
		if !slices.Contains(names["solution.yaml"], ref) {
			e.Deletes = append(e.Deletes, ref)
		}
	}
	if len(e.Wrong) < minWrong {
		errs = append(errs, fmt.Errorf("%s: there are %d wrong answers: want %d or more, wrong-NAME.yaml", dir, len(e.Wrong), minWrong))
	}
	return errors.Join(errs...)
}
