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
	// Predict are the flows whose verdicts the learner is asked to predict before
	// anything is applied; none where the exercise asks for no prediction.
	Predict []sandbox.Flow
	// Checks are what must be observed. At least one flow must be blocked, which
	// proves that a deny is a deny, and one open, which proves that it is not
	// everything that stopped.
	Checks []Check
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
	// Wrong are plausible answers that must not pass.
	Wrong []WrongAnswer

	// needed are the flows that are open with the solution.
	needed map[string]bool
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

// WrongAnswer is an answer that must not pass, kept to test the checks by.
type WrongAnswer struct {
	// Name is the file's name without its ending.
	Name string
	YAML string
}

// Outcome is what came of an exercise.
type Outcome struct {
	// Passed: every check is met.
	Passed bool
	Checks []Checked
	// TooBroad are flows, among those that no check is about, that are open and need
	// not be: with the solution they are closed.
	TooBroad []sandbox.Flow
	// Unknown counts the checks whose flow could not be measured.
	Unknown int
	// Observed is what was graded, by flow ID.
	Observed map[string]probe.Verdict
}

// Checked is a check and what was observed.
type Checked struct {
	Check
	Got probe.Verdict
	OK  bool
}

// Met counts the checks that are met.
func (o Outcome) Met() int {
	n := 0
	for _, c := range o.Checks {
		if c.OK {
			n++
		}
	}
	return n
}

// Score is the share of the checks that are met, in whole percent, rounded down: 100
// is a pass.
func (o Outcome) Score() int { return 100 * o.Met() / len(o.Checks) }

// Grade grades what was observed of the lesson's flows, by their IDs.
func (e *Exercise) Grade(l *Lesson, observed map[string]probe.Verdict) Outcome {
	out := Outcome{Passed: true, Observed: observed}
	checked := map[string]bool{}
	for _, c := range e.Checks {
		got, ok := observed[c.Flow.ID]
		if !ok {
			got = probe.Unknown
		}
		checked[c.Flow.ID] = true
		r := Checked{Check: c, Got: got, OK: meets(got, c.Want)}
		if got == probe.Unknown {
			out.Unknown++
		}
		out.Passed = out.Passed && r.OK
		out.Checks = append(out.Checks, r)
	}
	for _, f := range l.Flows {
		if observed[f.ID] == probe.Open && !e.needed[f.ID] && !checked[f.ID] {
			out.TooBroad = append(out.TooBroad, f)
		}
	}
	return out
}

// meets reports whether the verdict is what is wanted: open, or not reached.
func meets(got, want probe.Verdict) bool {
	if want == probe.Open {
		return got == probe.Open
	}
	return got == probe.Blocked || got == probe.DNSFailed || got == probe.Refused
}

// exerciseFile is checks.yaml as it is written.
type exerciseFile struct {
	Title       string      `yaml:"title"`
	Final       bool        `yaml:"final"`
	Task        string      `yaml:"task"`
	Predict     []flowName  `yaml:"predict"`
	Checks      []checkFile `yaml:"checks"`
	Hints       []string    `yaml:"hints"`
	Explanation string      `yaml:"explanation"`
}

type checkFile struct {
	flowName `yaml:",inline"`
	Want     string `yaml:"want"`
	Why      string `yaml:"why"`
	Hint     string `yaml:"hint"`
}

// flowName names flows of the topology. From may be "namespace/*" or "*", for all
// the pods that have such a flow.
type flowName struct {
	From     string `yaml:"from"`
	To       string `yaml:"to"`
	Port     int    `yaml:"port"`
	Protocol string `yaml:"protocol"`
	Via      string `yaml:"via"`
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
	e := &Exercise{ID: path.Base(dir), Title: raw.Title, Final: raw.Final}
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
	if err := l.readAnswers(fsys, dir, e); err != nil {
		errs = append(errs, err)
	}
	if len(errs) == 0 {
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
		if _, err := l.parsePolicies(file, 0, src); err != nil {
			errs = append(errs, err)
		}
	}
	if e.Solution == "" {
		errs = append(errs, fmt.Errorf("%s/solution.yaml: is missing", dir))
	}
	if len(e.Wrong) < 3 {
		errs = append(errs, fmt.Errorf("%s: there are %d wrong answers: want three or more, wrong-NAME.yaml", dir, len(e.Wrong)))
	}
	return errors.Join(errs...)
}

// prove holds, by the evaluator, that the start fails, that the solution passes and
// allows nothing that it calls too broad, and that each wrong answer fails.
func (l *Lesson) prove(dir string, e *Exercise) (errs []error) {
	solved, err := l.Predicted(e.Solution)
	if err != nil {
		return []error{fmt.Errorf("%s/solution.yaml: %w", dir, err)}
	}
	e.needed = map[string]bool{}
	for id, v := range solved {
		e.needed[id] = v == probe.Open
	}
	for _, c := range e.Grade(l, solved).Checks {
		if !c.OK {
			errs = append(errs, fmt.Errorf("%s/solution.yaml: %s is %s, but must be %s", dir, c.Flow.ID, c.Got, c.Want))
		}
	}
	must := func(file, yaml string) {
		verdicts, err := l.Predicted(yaml)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", dir, file, err))
		} else if e.Grade(l, verdicts).Passed {
			errs = append(errs, fmt.Errorf("%s/%s: passes every check, and must not", dir, file))
		}
	}
	must("start.yaml", e.Start)
	for _, w := range e.Wrong {
		must(w.Name+".yaml", w.YAML)
	}
	return errs
}

// Predicted is what the evaluator predicts of every flow of the lesson under the
// policies.
func (l *Lesson) Predicted(yaml string) (map[string]probe.Verdict, error) {
	var policies []policy.Policy
	if strings.TrimSpace(yaml) != "" {
		var err error
		if policies, err = policy.Parse([]byte(yaml), policy.ParseOptions{Namespaces: l.Topology.NamespaceNames()}); err != nil {
			return nil, err
		}
	}
	p, err := sandbox.NewPredictor(l.Topology, l.Topology.PlannedAddresses(), policies)
	if err != nil {
		return nil, err
	}
	out := make(map[string]probe.Verdict, len(l.Flows))
	for _, f := range l.Flows {
		if out[f.ID], err = p.Verdict(f); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// find finds the flows that a name stands for.
func (l *Lesson) find(name flowName) ([]sandbox.Flow, error) {
	protocol := sandbox.Protocol(name.Protocol)
	if protocol == "" {
		protocol = sandbox.TCP
	}
	via := sandbox.Via(name.Via)
	if via == "" {
		via = sandbox.ViaIP
		if name.To == sandbox.DNSNamespace+"/"+sandbox.DNSName {
			via = sandbox.ViaDNS
		}
	}
	var out []sandbox.Flow
	for _, f := range l.Flows {
		namespace, _, _ := strings.Cut(f.From, "/")
		from := name.From == "*" || name.From == namespace+"/*" || name.From == f.From
		if from && f.To == name.To && f.Port == name.Port && f.Protocol == protocol && f.Via == via {
			out = append(out, f)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	switch {
	case name.From != "*" && !slices.ContainsFunc(l.Topology.Sources(), func(s string) bool {
		return s == name.From || strings.HasSuffix(name.From, "/*") && strings.HasPrefix(s, strings.TrimSuffix(name.From, "*"))
	}):
		return nil, fmt.Errorf("from: the topology has no pod %q", name.From)
	case !slices.ContainsFunc(l.Topology.Destinations(), func(d sandbox.Destination) bool { return d.To == name.To }):
		return nil, fmt.Errorf("to: the topology has no destination %q", name.To)
	}
	return nil, fmt.Errorf("the topology has no flow from %s to %s on port %d/%s by %s", name.From, name.To, name.Port, protocol, via)
}
