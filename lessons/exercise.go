package lessons

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
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

// Moment names what is predicted, "start-" or "given-" and a hash: it changes with the
// policies that are then in force and with the flows that are asked about.
func (e *Exercise) Moment() string {
	sum := sha256.New()
	io.WriteString(sum, e.moment)
	for _, f := range e.Predict {
		io.WriteString(sum, "\n"+f.ID)
	}
	at := "start"
	if e.Given != "" {
		at = "given"
	}
	return fmt.Sprintf("%s-%x", at, sum.Sum(nil)[:6])
}

// Answer is what the engine says of a flow, and why in words.
type Answer struct {
	Verdict probe.Verdict
	Why     string
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

// Outcome is what came of an exercise.
type Outcome struct {
	// Passed: every check is met, nothing is Missing and nothing Unknown; and nothing is
	// Wider, where the exercise is exact.
	Passed bool
	Checks []Checked
	// Wider are flows, among those that no check is about, that are open and need not
	// be: with the solution they are not.
	Wider []sandbox.Flow
	// Missing are flows, among those that no check is about, that have to stay open, as
	// they are with the solution, and are not.
	Missing []sandbox.Flow
	// Graded counts the flows that are graded: all but the free ones. Met counts those of
	// them that are as they should be, and Unknown those that could not be measured.
	Graded, Met, Unknown int
	// Narrow says that it is passed and that nothing is open that is not with the
	// solution, not even of what is free.
	Narrow bool
	// Observed is what was graded, by flow ID.
	Observed map[string]probe.Verdict
}

// Checked is a check and what was observed.
type Checked struct {
	Check
	Got probe.Verdict
	OK  bool
}

// Score is the share of the graded flows that are as they should be, in whole percent,
// rounded down: 100 is a pass.
func (o Outcome) Score() int { return 100 * o.Met / o.Graded }

// Grade grades what was observed of the lesson's flows, by their IDs.
func (e *Exercise) Grade(l *Lesson, observed map[string]probe.Verdict) Outcome {
	out := Outcome{Observed: observed}
	seen := func(f sandbox.Flow) probe.Verdict {
		if v, ok := observed[f.ID]; ok {
			return v
		}
		return probe.Unknown
	}
	count := func(got probe.Verdict, ok bool) {
		out.Graded++
		if ok {
			out.Met++
		}
		if got == probe.Unknown {
			out.Unknown++
		}
	}
	settled := map[string]bool{} // what no default is for
	failed, beyond := false, false
	for _, c := range e.Checks {
		got := seen(c.Flow)
		settled[c.Flow.ID] = true
		r := Checked{Check: c, Got: got, OK: meets(got, c.Want)}
		count(got, r.OK)
		failed = failed || !r.OK
		out.Checks = append(out.Checks, r)
	}
	for _, f := range e.Free {
		settled[f.Flow.ID] = true
		beyond = beyond || !e.needed[f.Flow.ID] && !meets(seen(f.Flow), probe.Blocked)
	}
	for _, f := range l.Flows {
		if settled[f.ID] {
			continue
		}
		want := probe.Blocked
		if e.needed[f.ID] {
			want = probe.Open
		}
		got := seen(f)
		ok := meets(got, want)
		count(got, ok)
		switch {
		case ok || got == probe.Unknown:
		case want == probe.Open:
			out.Missing = append(out.Missing, f)
		default:
			out.Wider = append(out.Wider, f)
		}
	}
	out.Passed = !failed && out.Unknown == 0 && len(out.Missing) == 0 && (len(out.Wider) == 0 || !e.Exact)
	out.Narrow = out.Passed && len(out.Wider) == 0 && !beyond
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

// minWrong is how many wrong answers an exercise has at least.
const minWrong = 6

// prove holds, by the evaluator, that the start fails, that the solution passes, and
// that each wrong answer fails; and of the wrong answers that no two are the same, and
// that one is too wide, so that it has been seen that width shows.
func (l *Lesson) prove(dir string, e *Exercise) (errs []error) {
	bad := func(file, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s/%s: %s", dir, file, fmt.Sprintf(format, args...)))
	}
	solved, err := l.Predicted(e.Solution)
	if err != nil {
		bad("solution.yaml", "%v", err)
		return errs
	}
	e.needed = map[string]bool{}
	for id, v := range solved {
		e.needed[id] = v == probe.Open
	}
	for _, c := range e.Grade(l, solved).Checks {
		if !c.OK {
			bad("solution.yaml", "%s is %s, but must be %s", c.Flow.ID, c.Got, c.Want)
		}
	}
	must := func(file, yaml string) (wide bool) {
		verdicts, err := l.Predicted(yaml)
		if err != nil {
			bad(file, "%v", err)
		} else if e.Grade(l, verdicts).Passed {
			bad(file, "passes, and must not")
		}
		for id, v := range verdicts {
			wide = wide || v == probe.Open && !e.needed[id]
		}
		return wide
	}
	must("start.yaml", e.Start)
	wide := false
	same := map[string]string{}
	for _, w := range e.Wrong {
		file := w.Name + ".yaml"
		wide = must(file, w.YAML) || wide
		policies, err := l.policies(w.YAML)
		if err != nil {
			bad(file, "%v", err)
			continue
		}
		means := meaningOf(policies)
		if other, ok := same[means]; ok {
			bad(file, "says the same as %s: one of them is enough", other)
		} else {
			same[means] = file
		}
	}
	if !wide {
		errs = append(errs, fmt.Errorf("%s: no wrong answer is too wide: want one that opens a connection which need not be open", dir))
	}
	return errs
}

// answer finds what the engine says of the flows to predict at their moment.
func (l *Lesson) answer(e *Exercise) error {
	start, err := l.policies(e.Start)
	if err != nil {
		return err
	}
	given, err := l.policies(e.Given)
	if err != nil {
		return err
	}
	// Applied, they take the place of those of the same name.
	all := slices.DeleteFunc(start, func(p policy.Policy) bool {
		return slices.ContainsFunc(given, func(g policy.Policy) bool { return g.Ref() == p.Ref() })
	})
	all = append(all, given...)
	predictor, err := sandbox.NewPredictor(l.Topology, l.Topology.PlannedAddresses(), all)
	if err != nil {
		return err
	}
	e.moment, e.Answers = meaningOf(all), map[string]Answer{}
	for _, f := range e.Predict {
		p, err := predictor.Predict(f)
		if err != nil {
			return err
		}
		e.Answers[f.ID] = Answer{p.Verdict, p.Decisions[len(p.Decisions)-1].String()}
	}
	return nil
}

// AtMoment reports whether the policies in force are those that the prediction is about.
func (e *Exercise) AtMoment(inForce []policy.Policy) bool { return meaningOf(inForce) == e.moment }

// policies are those of the YAML, which may be none.
func (l *Lesson) policies(yaml string) ([]policy.Policy, error) {
	if strings.TrimSpace(yaml) == "" {
		return nil, nil
	}
	return policy.Parse([]byte(yaml), policy.ParseOptions{Namespaces: l.Topology.NamespaceNames()})
}

// meaningOf is what the policies say, whatever their names, their order and their
// comments.
func meaningOf(policies []policy.Policy) string {
	var all []string
	for _, p := range policies {
		all = append(all, p.Namespace+" "+p.Spec.String())
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// Predicted is what the evaluator predicts of every flow of the lesson under the
// policies.
func (l *Lesson) Predicted(yaml string) (map[string]probe.Verdict, error) {
	policies, err := l.policies(yaml)
	if err != nil {
		return nil, err
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
		if slices.ContainsFunc(l.Flows, func(f sandbox.Flow) bool {
			return f.Via == sandbox.ViaDNS && f.To == name.To && f.Port == name.Port
		}) {
			via = sandbox.ViaDNS
		}
	}
	var out []sandbox.Flow
	for _, f := range l.Flows {
		if isEnd(name.From, f.From) && f.To == name.To && f.Port == name.Port && f.Protocol == protocol && f.Via == via {
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

// matching are the flows that have what the name says; what it leaves out may be
// anything. To may have a "*" as From may.
func (l *Lesson) matching(name flowName) (out []sandbox.Flow) {
	for _, f := range l.Flows {
		if isEnd(name.From, f.From) && isEnd(name.To, f.To) &&
			(name.Port == 0 || name.Port == f.Port) &&
			(name.Protocol == "" || sandbox.Protocol(name.Protocol) == f.Protocol) &&
			(name.Via == "" || sandbox.Via(name.Via) == f.Via) {
			out = append(out, f)
		}
	}
	return out
}

// isEnd reports that the name, which may be "*" or "namespace/*", stands for the end of
// a flow.
func isEnd(name, end string) bool {
	namespace, _, inside := strings.Cut(end, "/")
	return name == "*" || name == end || inside && name == namespace+"/*"
}
