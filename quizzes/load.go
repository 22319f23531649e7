package quizzes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/picture"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/place"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// The form of the files; README.md tells authors of it.
type (
	quizSource struct {
		Title     string           `yaml:"title"`
		Slug      string           `yaml:"slug"`
		Lesson    string           `yaml:"lesson"`
		Questions []questionSource `yaml:"questions"`
	}
	questionSource struct {
		ID        string          `yaml:"id"`
		Kind      Kind            `yaml:"kind"`
		Prompt    string          `yaml:"prompt"`
		Topology  yaml.Node       `yaml:"topology"`
		Addresses addressesSource `yaml:"addresses"`
		Policies  string          `yaml:"policies"`
		Choices   []choiceSource  `yaml:"choices"`

		Flows []flowSource `yaml:"flows"` // of Flows
		None  string       `yaml:"none"`  // of Flows
		Flow  string       `yaml:"flow"`  // of Verdict

		// Of Fix.
		Fault       string          `yaml:"fault"`
		Open        []string        `yaml:"open"`
		Blocked     []string        `yaml:"blocked"`
		Solution    string          `yaml:"solution"`
		Explanation string          `yaml:"explanation"`
		Mistakes    []mistakeSource `yaml:"mistakes"`
	}
	addressesSource struct {
		Pods     map[string]netip.Addr `yaml:"pods"`
		Services map[string]netip.Addr `yaml:"services"`
		External map[string]netip.Addr `yaml:"external"`
	}
	choiceSource struct {
		ID          string `yaml:"id"`
		Text        string `yaml:"text"`
		Explanation string `yaml:"explanation"`
		Correct     bool   `yaml:"correct"`
	}
	flowSource struct {
		Flow        string `yaml:"flow"`
		Explanation string `yaml:"explanation"`
	}
	mistakeSource struct {
		Line        string `yaml:"line"`
		Explanation string `yaml:"explanation"`
	}
)

func (a *addressesSource) empty() bool {
	return len(a.Pods)+len(a.Services)+len(a.External) == 0
}

// fields are what a question of each kind may have besides id, kind and prompt.
var fields = map[Kind][]string{
	Single:   {"choices", "policies", "topology", "addresses"},
	Multiple: {"choices", "policies", "topology", "addresses"},
	Flows:    {"flows", "none", "policies", "topology", "addresses"},
	Verdict:  {"flow", "choices", "policies", "topology", "addresses"},
	Fix:      {"fault", "open", "blocked", "solution", "explanation", "mistakes", "policies", "topology", "addresses"},
}

var (
	fileName = regexp.MustCompile(`^[0-9]{2}-[a-z0-9]+(-[a-z0-9]+)*\.yaml$`)
	idName   = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// Load reads every quiz in the files NN-name.yaml of fsys, sorted by the
// number. Labs are the lessons' topologies by the lessons' slugs: a question's
// policies act on that of its lesson unless it has one of its own. Everything is
// checked strictly, and computed where it can be; the error lists all that is
// wrong as "file:line: field: message". Beside are quizzes that are there already: no
// slug is theirs.
func Load(fsys fs.FS, labs map[string]*sandbox.Topology, beside ...*Quiz) ([]*Quiz, error) {
	entries, err := fs.ReadDir(fsys, ".") // sorted by name
	if err != nil {
		return nil, fmt.Errorf("quizzes: %w", err)
	}
	var (
		all   []*Quiz
		errs  []error
		slugs = map[string]string{}
	)
	for _, q := range beside {
		slugs[q.Slug] = "the lab itself"
	}
	for _, e := range entries {
		if e.IsDir() || !fileName.MatchString(e.Name()) {
			errs = append(errs, fmt.Errorf("%s: not a quiz: want a file with a name like 01-network-policies.yaml", e.Name()))
			continue
		}
		quiz, err := load(fsys, e.Name(), labs)
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

func load(fsys fs.FS, file string, labs map[string]*sandbox.Topology) (*Quiz, error) {
	src, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, err
	}
	var source quizSource
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	decoder.KnownFields(true)
	if err := decoder.Decode(&source); err != nil {
		return nil, fmt.Errorf("%s: %w", path.Base(file), err)
	}
	if err := decoder.Decode(new(yaml.Node)); err != io.EOF {
		return nil, fmt.Errorf("%s: want one YAML document, not several", path.Base(file))
	}
	var root yaml.Node
	if err := yaml.Unmarshal(src, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", path.Base(file), err)
	}
	c := &checker{file: file, root: root.Content[0]}
	quiz := c.quiz(&source, labs)
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	quiz.Version, err = quiz.version()
	return quiz, err
}

// checker makes a quiz of its source and collects what is wrong, with the line
// of the field.
type checker struct {
	file string
	root *yaml.Node
	errs []error
}

// find is the node at the end of the steps, which are field names and indices;
// nil where that is missing. The line is then that of what should hold it.
func (c *checker) find(steps ...any) (node *yaml.Node, line int, field string) {
	found := place.Find(c.root, steps...)
	for _, step := range steps {
		switch step := step.(type) {
		case int:
			field += fmt.Sprintf("[%d]", step)
		case string:
			if field != "" {
				field += "."
			}
			field += step
		}
	}
	if found.Whole {
		node = found.Node
	}
	return node, found.Node.Line, field
}

// bad reports the field at the end of the steps.
func (c *checker) bad(message string, steps ...any) {
	_, line, field := c.find(steps...)
	c.badLine(line, field, message)
}

func (c *checker) badLine(line int, field, message string) {
	c.errs = append(c.errs, fmt.Errorf("%s:%d: %s: %s", c.file, line, field, message))
}

// text is a text of the author that must be there.
func (c *checker) text(value string, steps ...any) markdown.Text {
	c.there(value, steps...)
	t, err := markdown.Line(value)
	if err != nil {
		c.bad(err.Error(), steps...)
	}
	return t
}

// there reports a value that is missing.
func (c *checker) there(value string, steps ...any) {
	if strings.TrimSpace(value) == "" {
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

func (c *checker) quiz(source *quizSource, labs map[string]*sandbox.Topology) *Quiz {
	q := &Quiz{Title: source.Title, Slug: source.Slug, Lesson: source.Lesson}
	c.there(q.Title, "title")
	if err := markdown.Plain(q.Title); err != nil {
		c.bad(err.Error(), "title")
	}
	c.id(q.Slug, map[string]bool{}, "slug")
	lab := labs[q.Lesson]
	if lab == nil {
		c.bad(fmt.Sprintf("there is no lesson %q; there are %s", q.Lesson, strings.Join(slices.Sorted(maps.Keys(labs)), ", ")), "lesson")
		return q
	}
	if len(source.Questions) == 0 {
		c.bad("want at least one question", "questions")
	}
	ids := map[string]bool{}
	for i := range source.Questions {
		qc := &questionChecker{checker: c, steps: []any{"questions", i}, source: &source.Questions[i]}
		c.id(qc.source.ID, ids, qc.at("id")...)
		q.Questions = append(q.Questions, qc.check(lab))
	}
	return q
}

// questionChecker makes one question.
type questionChecker struct {
	*checker
	steps  []any
	source *questionSource
	out    Question
	// predictor is there where there are policies.
	predictor *sandbox.Predictor
	policies  []policy.Policy
}

func (c *questionChecker) at(steps ...any) []any { return append(slices.Clone(c.steps), steps...) }

func (c *questionChecker) check(lab *sandbox.Topology) Question {
	c.out = Question{ID: c.source.ID, Kind: c.source.Kind, Prompt: c.text(c.source.Prompt, c.at("prompt")...)}
	allowed, ok := fields[c.out.Kind]
	if !ok {
		c.bad(fmt.Sprintf("%q is no kind of question: want %s, %s, %s, %s or %s", c.out.Kind, Single, Multiple, Flows, Verdict, Fix), c.at("kind")...)
		return c.out
	}
	node, _, _ := c.find(c.steps...)
	for i := 0; i < len(node.Content); i += 2 {
		if name := node.Content[i].Value; !slices.Contains(append([]string{"id", "kind", "prompt"}, allowed...), name) {
			c.bad(fmt.Sprintf("a question of kind %s has no such field", c.out.Kind), c.at(name)...)
		}
	}
	before := len(c.errs)
	c.network(lab)
	if len(c.errs) > before {
		return c.out // Nothing can be computed.
	}
	switch c.out.Kind {
	case Single, Multiple:
		c.choices()
	case Flows:
		c.flows()
	case Verdict:
		c.verdict()
	case Fix:
		c.fix()
	}
	if flows := c.out.asked(); len(flows) > 0 && c.predictor != nil {
		c.draw(flows)
	}
	return c.out
}

// asked are the flows that the question is about, in the topology's order.
func (q Question) asked() []sandbox.Flow {
	about := map[string]bool{q.Flow.ID: true}
	for _, c := range q.Choices {
		if c.Flow != nil {
			about[c.Flow.ID] = true
		}
	}
	if q.Topology == nil {
		return nil
	}
	return slices.DeleteFunc(q.Topology.Flows(), func(f sandbox.Flow) bool { return !about[f.ID] })
}

// draw draws the flows as they are asked about, and what becomes of them.
func (c *questionChecker) draw(flows []sandbox.Flow) {
	about := map[string]bool{}
	for _, f := range flows {
		about[f.From], about[f.To] = true, true
	}
	ends := append(c.out.Topology.Sources(), sandbox.DNSNamespace+"/"+sandbox.DNSName)
	for _, x := range c.out.Topology.External {
		ends = append(ends, x.Name)
	}
	ends = slices.DeleteFunc(ends, func(name string) bool { return !about[name] })
	spec := picture.Spec{
		ID: c.out.ID + "-asked", Caption: "Open or not?", Ends: ends, Flows: flows,
		Policies: c.policies, Addresses: &c.out.addresses, Asked: true,
	}
	var err error
	if c.out.Asked, err = picture.Draw(c.out.Topology, spec); err != nil {
		c.bad("cannot be drawn: "+err.Error(), c.at()...)
		return
	}
	spec.ID, spec.Caption, spec.Asked = c.out.ID+"-answered", "The answer, as the policies give it.", false
	if c.out.Answered, err = picture.Draw(c.out.Topology, spec); err != nil {
		c.bad("cannot be drawn: "+err.Error(), c.at()...)
	}
}

// network reads what the policies act on, and the policies.
func (c *questionChecker) network(lab *sandbox.Topology) {
	c.out.Topology, c.out.Policies = lab, c.source.Policies
	if node := &c.source.Topology; !node.IsZero() {
		c.out.OwnTopology = true
		src, err := yaml.Marshal(node)
		if err == nil {
			c.out.Topology, err = sandbox.ParseTopology(src)
		}
		if err != nil {
			c.bad(err.Error(), c.at("topology")...)
			return
		}
	}
	if c.source.Policies == "" {
		if c.out.Kind != Single && c.out.Kind != Multiple {
			c.bad("is missing: a question of this kind is about policies", c.at("policies")...)
		}
		if !c.out.OwnTopology {
			c.out.Topology = nil
		}
		return
	}
	c.address()
	policies, err := parse(c.out.Topology, c.source.Policies)
	c.policies = policies
	var invalid *policy.Error
	switch {
	case errors.As(err, &invalid):
		node, line, field := c.find(c.at("policies")...)
		for _, p := range invalid.Problems {
			at := line
			if node.Style&yaml.LiteralStyle != 0 {
				at += p.Line // The text begins on the line below.
			}
			c.badLine(at, field, p.String())
		}
		return
	case err != nil:
		c.bad(err.Error(), c.at("policies")...)
		return
	}
	if len(c.out.Addresses) == 0 && slices.ContainsFunc(policies, hasIPBlock) {
		c.bad("the policies have an ipBlock, so write the addresses that it is about, such as external: {internet: 203.0.113.7}", c.at("addresses")...)
	}
	if c.predictor, err = sandbox.NewPredictor(c.out.Topology, c.out.addresses, policies); err != nil {
		c.bad(err.Error(), c.at("policies")...)
	}
}

// parse reads the policies of a question about the topology.
func parse(t *sandbox.Topology, src string) ([]policy.Policy, error) {
	return policy.Parse([]byte(src), policy.ParseOptions{Namespaces: t.NamespaceNames()})
}

func hasIPBlock(p policy.Policy) bool {
	for _, r := range p.Spec.Ingress {
		for _, peer := range r.From {
			if peer.IPBlock != nil {
				return true
			}
		}
	}
	for _, r := range p.Spec.Egress {
		for _, peer := range r.To {
			if peer.IPBlock != nil {
				return true
			}
		}
	}
	return false
}

// address gives an address to everything: the author's, or one of a range that
// is common in clusters. Where the author gives any, all of them are shown.
func (c *questionChecker) address() {
	a := c.out.Topology.PlannedAddresses()
	c.out.addresses = a
	given := &c.source.Addresses
	for _, kind := range []struct {
		field, label string
		given, all   map[string]netip.Addr
	}{{"pods", "pod ", given.Pods, a.Pods}, {"services", "Service ", given.Services, a.Services}, {"external", "", given.External, a.External}} {
		for _, name := range slices.Sorted(maps.Keys(kind.given)) {
			if _, ok := kind.all[name]; !ok {
				c.bad("there is nothing of that name in the topology", c.at("addresses", kind.field, name)...)
				continue
			}
			kind.all[name] = kind.given[name]
		}
		if given.empty() {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(kind.all)) {
			c.out.Addresses = append(c.out.Addresses, Address{kind.label + name, kind.all[name]})
		}
	}
}

// findFlow is the topology's flow of the ID.
func (c *questionChecker) findFlow(id string, steps ...any) (sandbox.Flow, bool) {
	all := c.out.Topology.Flows()
	i := slices.IndexFunc(all, func(f sandbox.Flow) bool { return f.ID == id })
	if i < 0 {
		c.bad(fmt.Sprintf("%q is no flow of the topology %s: want one such as %q", id, c.out.Topology.Name, all[0].ID), c.at(steps...)...)
		return sandbox.Flow{}, false
	}
	return all[i], true
}

// predict is what becomes of the flow, with the engine's reason.
func predict(p *sandbox.Predictor, f sandbox.Flow) (probe.Verdict, string, error) {
	prediction, err := p.Predict(f)
	if err != nil {
		return "", "", err
	}
	reason := prediction.Decisions[len(prediction.Decisions)-1].String()
	if prediction.Verdict == probe.DNSFailed {
		reason = "The name cannot be looked up. " + reason
	}
	return prediction.Verdict, reason, nil
}

func (c *questionChecker) choices() {
	if len(c.source.Choices) < 2 {
		c.bad("want at least two choices", c.at("choices")...)
		return
	}
	ids, correct := map[string]bool{}, 0
	for j, choice := range c.source.Choices {
		c.id(choice.ID, ids, c.at("choices", j, "id")...)
		text := c.text(choice.Text, c.at("choices", j, "text")...)
		explanation := c.text(choice.Explanation, c.at("choices", j, "explanation")...)
		if choice.Correct {
			correct++
		}
		c.out.Choices = append(c.out.Choices, Choice{ID: choice.ID, Text: text, Explanation: explanation, Correct: choice.Correct})
	}
	switch {
	case c.out.Kind == Single && correct != 1:
		c.bad(fmt.Sprintf("%d choices are correct, want exactly one", correct), c.at("choices")...)
	case c.out.Kind == Multiple && (correct == 0 || correct == len(c.source.Choices)):
		c.bad(fmt.Sprintf("%d of %d choices are correct, want at least one, and one that is not", correct, len(c.source.Choices)), c.at("choices")...)
	}
}

func (c *questionChecker) flows() {
	if len(c.source.Flows) < 2 {
		c.bad("want at least two flows", c.at("flows")...)
	}
	none := c.text(c.source.None, c.at("none")...)
	seen, open := map[string]bool{}, 0
	for j, source := range c.source.Flows {
		explanation := c.text(source.Explanation, c.at("flows", j, "explanation")...)
		flow, ok := c.findFlow(source.Flow, "flows", j, "flow")
		if !ok {
			continue
		}
		if seen[flow.ID] {
			c.bad("is there twice", c.at("flows", j, "flow")...)
		}
		seen[flow.ID] = true
		verdict, reason, err := predict(c.predictor, flow)
		if err != nil {
			c.bad(err.Error(), c.at("flows", j, "flow")...)
		}
		if verdict == probe.Open {
			open++
		}
		c.out.Choices = append(c.out.Choices, Choice{ID: flow.ID, Flow: &flow, Verdict: verdict, Reason: reason, Explanation: explanation, Correct: verdict == probe.Open})
	}
	c.out.Choices = append(c.out.Choices, Choice{ID: NoFlow, Text: c.text("None of them is open."), Explanation: none, Correct: open == 0})
}

// verdictTexts say what a verdict means, in the order of the choices.
var verdictTexts = []struct {
	verdict probe.Verdict
	text    string
}{
	{probe.Open, "It is open: the destination answers."},
	{probe.Blocked, "It is blocked: the packets are dropped, and no answer comes."},
	{probe.DNSFailed, "The name cannot be looked up, so the connection is never tried."},
}

func (c *questionChecker) verdict() {
	flow, ok := c.findFlow(c.source.Flow, "flow")
	if !ok {
		return
	}
	verdict, reason, err := predict(c.predictor, flow)
	if err != nil {
		c.bad(err.Error(), c.at("flow")...)
		return
	}
	c.out.Flow = flow
	given, explanations := map[string]bool{}, map[string]markdown.Text{}
	for j, source := range c.source.Choices {
		c.id(source.ID, given, c.at("choices", j, "id")...)
		if source.Text != "" {
			c.bad("a verdict has words of its own already", c.at("choices", j, "text")...)
		}
		if source.Correct {
			c.bad("is computed; leave it out", c.at("choices", j, "correct")...)
		}
		explanations[source.ID] = c.text(source.Explanation, c.at("choices", j, "explanation")...)
	}
	for _, t := range verdictTexts {
		j := slices.IndexFunc(c.source.Choices, func(s choiceSource) bool { return s.ID == string(t.verdict) })
		if j < 0 {
			if t.verdict != probe.DNSFailed || flow.Via == sandbox.ViaName {
				c.bad(fmt.Sprintf("the choice %s is missing", t.verdict), c.at("choices")...)
			}
			continue
		}
		delete(given, string(t.verdict))
		choice := Choice{ID: string(t.verdict), Text: c.text(t.text), Explanation: explanations[string(t.verdict)]}
		if t.verdict == verdict {
			choice.Correct, choice.Verdict, choice.Reason = true, verdict, reason
		}
		c.out.Choices = append(c.out.Choices, choice)
	}
	for _, id := range slices.Sorted(maps.Keys(given)) {
		c.bad(fmt.Sprintf("%q is no verdict that can be computed: want %s, %s or %s", id, probe.Open, probe.Blocked, probe.DNSFailed), c.at("choices")...)
	}
}

func (c *questionChecker) fix() {
	c.there(c.source.Fault, c.at("fault")...)
	c.there(c.source.Solution, c.at("solution")...)
	task := &FixTask{Solution: c.source.Solution, Explanation: c.text(c.source.Explanation, c.at("explanation")...)}
	lines := strings.SplitAfter(c.source.Policies, "\n")
	for i, line := range lines {
		if strings.TrimSpace(line) == strings.TrimSpace(c.source.Fault) {
			if task.Line > 0 {
				c.bad(fmt.Sprintf("the line is there twice in policies, on its lines %d and %d", task.Line, i+1), c.at("fault")...)
			}
			task.Line, task.Fault = i+1, strings.TrimRight(line, "\r\n")
			task.Before, task.After = strings.Join(lines[:i], ""), strings.Join(lines[i+1:], "")
		}
	}
	if task.Line == 0 {
		c.bad("policies has no such line", c.at("fault")...)
		return
	}
	c.out.Fix = task
	seen := map[string]bool{}
	for _, want := range []struct {
		field string
		ids   []string
	}{{"open", c.source.Open}, {"blocked", c.source.Blocked}} {
		if len(want.ids) == 0 {
			c.bad("want at least one flow", c.at(want.field)...)
		}
		for j, id := range want.ids {
			flow, ok := c.findFlow(id, want.field, j)
			if !ok {
				return
			}
			if seen[id] {
				c.bad("is there twice", c.at(want.field, j)...)
			}
			seen[id] = true
			task.Want = append(task.Want, Wanted{Flow: flow, Open: want.field == "open"})
		}
	}
	if outcomes, err := c.out.try(task.Fault); err == nil && allAsWanted(outcomes) {
		c.bad("nothing is wrong with this line: every flow is as wanted", c.at("fault")...)
	}
	c.fixSolution(task)
	if len(c.source.Mistakes) == 0 {
		c.bad("want at least one line that a learner may well write, with its explanation", c.at("mistakes")...)
	}
	for j, m := range c.source.Mistakes {
		c.there(m.Line, c.at("mistakes", j, "line")...)
		mistake := Mistake{Line: m.Line, Explanation: c.text(m.Explanation, c.at("mistakes", j, "explanation")...)}
		outcomes, err := c.out.try(m.Line)
		switch {
		case err != nil: // The learner is told of the error, not of the mistake.
			c.bad("with this line the policies cannot be applied, so nobody would read the explanation: "+err.Error(), c.at("mistakes", j, "line")...)
		case allAsWanted(outcomes):
			c.bad("this line is no mistake: every flow is as wanted", c.at("mistakes", j, "line")...)
		}
		task.Mistakes = append(task.Mistakes, mistake)
	}
}

func (c *questionChecker) fixSolution(task *FixTask) {
	outcomes, err := c.out.try(task.Solution)
	if err != nil {
		c.bad("with this line the policies cannot be applied: "+err.Error(), c.at("solution")...)
		return
	}
	for _, o := range outcomes {
		if !o.AsWanted() {
			c.bad(fmt.Sprintf("with this line %s is %s, which is not wanted: %s", o.Flow.ID, o.Verdict, o.Reason), c.at("solution")...)
		}
	}
}
