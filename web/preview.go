package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/lint"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// AnalysisRequest is what a learner writes at the moment, to be told what it would
// come to. Nothing of it is kept, and nothing is sent to a cluster.
type AnalysisRequest struct {
	// Files are all policies that there would be.
	Files []DraftFile `json:"files"`
	// Flow is the ID of the flow to explain; empty for none.
	Flow string `json:"flow,omitempty"`
}

// DraftFile is one of the files of a workspace.
type DraftFile struct {
	// ID is the page's own name for the file, which the answer gives back.
	ID string `json:"id"`
	// Text is YAML; none, or nothing but comments, is no policy.
	Text string `json:"text"`
}

// Analysis is what a draft of a lab's policies would come to, compared with what is in
// force in the learner's sandbox, or with no policies where there is none.
type Analysis struct {
	// Change is the number of the change that the draft is compared with; 0 without a
	// sandbox.
	Change int64 `json:"change"`
	// Files are those of the request, in its order.
	Files []AnalysedFile `json:"files"`
	// Policies are those that the reasons of Expected speak of.
	Policies []policy.Ref `json:"policies,omitempty"`
	// Expected has each flow once, as it would be. It is left out while a file has an
	// error, and so are Policies and Changes.
	Expected []sandbox.Expected `json:"expected,omitempty"`
	// Changes are the flows that would be otherwise than now.
	Changes []sandbox.Flip `json:"changes,omitempty"`
	// Summary says in a sentence or two what Apply would change, or why that is not
	// known.
	Summary string `json:"summary"`
	// Refusal is why Apply would refuse the whole, which has more than a sandbox may
	// hold; empty where it would not.
	Refusal string `json:"refusal,omitempty"`
	// Why explains the request's flow as it would be.
	Why *sandbox.Why `json:"why"`
}

// AnalysedFile is what there is to say of one file.
type AnalysedFile struct {
	ID        string           `json:"id"`
	Policies  []AnalysedPolicy `json:"policies"`
	Problems  []Problem        `json:"problems"`
	Selectors []Selector       `json:"selectors"`
	SetAside  []SetAside       `json:"setAside"`
}

// AnalysedPolicy is a policy of a file.
type AnalysedPolicy struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Line and EndLine are its first and its last line in the file, from 1.
	Line    int `json:"line"`
	EndLine int `json:"endLine"`
	// Selects are the pods that it selects, "namespace/pod".
	Selects []string `json:"selects"`
	// Isolates are the directions in which it isolates them.
	Isolates []string `json:"isolates"`
	// Sentences say in plain English what it does.
	Sentences []string `json:"sentences"`
}

// Problem is something wrong in a file, or hardly meant, from its place up to but
// without its end. Lines and columns are counted from 1, columns in characters.
type Problem struct {
	policy.Position
	EndLine   int      `json:"endLine"`
	EndColumn int      `json:"endColumn"`
	Severity  Severity `json:"severity"`
	// Code is the lint's name; "invalid" of what makes the file none.
	Code string `json:"code"`
	// Field is the path of the field, "spec.ingress[0].from"; empty where the file
	// could not be read that far.
	Field   string       `json:"field"`
	Message string       `json:"message"`
	Fixes   []policy.Fix `json:"fixes"`
}

// Severity is how much a problem weighs.
type Severity string

// The severities. With an error, nothing can be applied.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityInfo    Severity = "info"
)

// codeInvalid is the code of problems that make a file no policy.
const codeInvalid = "invalid"

// codeLeftOut is the code of fields that only a cluster writes.
const codeLeftOut = "left-out"

// Selector is a part of a file that selects pods or hosts, from its first character
// up to but without its last.
type Selector struct {
	From policy.Position `json:"from"`
	To   policy.Position `json:"to"`
	// Pods are what it selects: "namespace/pod", a host's name, or
	// "kube-system/kube-dns" for the cluster's DNS.
	Pods []string `json:"pods"`
	// Text says so: "selects production/api".
	Text string `json:"text"`
}

// SetAside is an object of a file that is no NetworkPolicy, and is left alone.
type SetAside struct {
	Line    int    `json:"line"`
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

const (
	// maxDraftFiles is how many files a draft may have.
	maxDraftFiles = 2 * sandbox.MaxPolicies
	// maxDraftBytes is how long a draft may be as JSON, which writes line ends and
	// quotes with two characters.
	maxDraftBytes = 2*policy.MaxBytes + maxFormBytes
)

// analyse tells what the draft of the body would come to.
func (s *server) analyse(w http.ResponseWriter, r *http.Request) error {
	lesson, err := s.lab(r, chi.URLParam(r, "lab"))
	if err != nil {
		return err
	}
	var draft AnalysisRequest
	if err := readDraft(w, r, &draft); err != nil {
		return err
	}
	baseline, err := s.baseline(r, lesson.Topology)
	if err != nil {
		return err
	}
	analysis, err := s.previews.analyse(r.Context(), lesson.Topology, baseline, draft)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, analysis)
}

// readDraft reads one JSON value of the body.
func readDraft(w http.ResponseWriter, r *http.Request, draft *AnalysisRequest) error {
	if contentType(r) != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, `Send JSON such as {"files": [{"id": "1", "text": "…"}]} as application/json.`)
	}
	err := readJSON(w, r, maxDraftBytes, draft)
	var tooBig *http.MaxBytesError
	switch size := 0; {
	case errors.As(err, &tooBig):
		return tooMuchDraft(err)
	case err != nil:
		return err
	case len(draft.Files) > maxDraftFiles:
		return refuse(http.StatusRequestEntityTooLarge, "These are %d files; the lab looks at %d at most.", len(draft.Files), maxDraftFiles)
	default:
		for _, f := range draft.Files {
			size += len(f.Text)
		}
		if size > policy.MaxBytes {
			return tooMuchDraft(nil)
		}
	}
	return nil
}

func tooMuchDraft(err error) error {
	return &statusError{
		status: http.StatusRequestEntityTooLarge, err: err,
		message: fmt.Sprintf("That is too much YAML for a preview: the lab takes %d KiB at most.", policy.MaxBytes>>10),
	}
}

// baseline is what the learner's draft for the lab is compared with: what is in force
// in their ready sandbox of it, or nothing at all.
func (s *server) baseline(r *http.Request, lab *sandbox.Topology) (*sandbox.Baseline, error) {
	if snapshot, ready := s.readyOf(r, lab); ready {
		b, err := s.Sandboxes.Baseline(snapshot.ID)
		// It may have been stopped in between.
		if err == nil || !errors.Is(err, sandbox.ErrNotFound) && !errors.Is(err, sandbox.ErrNotReady) {
			return b, err
		}
	}
	return s.previews.baselines.get(lab, 1, func() (*sandbox.Baseline, error) {
		return sandbox.NewBaseline(lab, lab.PlannedAddresses(), nil)
	})
}

// previews makes analyses of drafts. Of a draft only one file changes with a key, so it
// keeps what the others were read as: reading is half of the work.
type previews struct {
	files     *recent[draftKey, *analysed]
	baselines *recent[*sandbox.Topology, *sandbox.Baseline]
	// turns leaves a processor to the pages, however many learners type: their questions
	// wait for one another. Whoever has given one up, for a newer one, waits no longer.
	turns   *turns
	metrics Metrics
}

// draftKey is all that reading a file depends on.
type draftKey struct {
	lab  *sandbox.Topology
	text string
}

const (
	// keptDrafts is how many bytes of files are kept as they were read, which take some
	// twenty times as much then.
	keptDrafts = 1 << 20
	// keptBaselines is of how many labs what no policies come to is kept.
	keptBaselines = 64
)

func newPreviews() *previews {
	return &previews{
		files: newRecent[draftKey, *analysed](keptDrafts), baselines: newRecent[*sandbox.Topology, *sandbox.Baseline](keptBaselines),
		turns: newTurns(max(1, runtime.GOMAXPROCS(0)-1)), metrics: uncounted{},
	}
}

// analysed is one file with the policies that were read of it.
type analysed struct {
	AnalysedFile
	policies []policy.Policy
}

// analyse tells what the draft comes to in the lab. The error is the context's, or one
// of the server's own.
func (p *previews) analyse(ctx context.Context, lab *sandbox.Topology, baseline *sandbox.Baseline, draft AnalysisRequest) (*Analysis, error) {
	done, err := p.turns.take(ctx, everybody)
	if err != nil {
		return nil, err
	}
	defer done()
	out := &Analysis{Change: baseline.Change, Files: []AnalysedFile{}}
	files := make([]analysed, len(draft.Files))
	seen := map[policy.Ref]bool{}
	var all []policy.Policy
	errorLines := []int{}
	for i, f := range draft.Files {
		file, err := p.read(ctx, lab, f)
		if err != nil {
			return nil, err
		}
		for _, p := range file.policies {
			if seen[p.Ref()] {
				file.Problems = append(file.Problems, duplicate(p))
				continue
			}
			seen[p.Ref()] = true
			all = append(all, p)
		}
		for _, p := range file.Problems {
			if p.Severity == SeverityError {
				errorLines = append(errorLines, p.Line)
			}
		}
		files[i] = file
	}
	if err := ctx.Err(); err != nil {
		return nil, err // Nobody waits for it any more.
	}
	predictor, err := sandbox.NewPredictor(lab, baseline.Addresses, all)
	if err != nil {
		return nil, err
	}
	about := predictor.Evaluator()
	whole := len(errorLines) == 0
	findings := lint.Findings(about)
	for i := range files {
		f := &files[i]
		for j := range f.policies {
			p := &f.policies[j]
			f.Policies = append(f.Policies, analysedPolicy(about, p))
			f.Selectors = append(f.Selectors, selectors(about, p)...)
			for _, finding := range findings {
				// What rests on all policies is not known while some cannot be read.
				if finding.Policy == p.Ref() && (whole || !finding.Check.RestsOnAll()) {
					f.Problems = append(f.Problems, problemOf(finding))
				}
			}
		}
		slices.SortStableFunc(f.Problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		out.Files = append(out.Files, f.AnalysedFile)
	}
	if !whole {
		out.Summary = inTheWay(errorLines)
		return out, nil
	}
	var limit *sandbox.LimitError
	if err := sandbox.Allowed(all); errors.As(err, &limit) {
		out.Refusal = limit.Message
	}
	predictions := predictor.Expect(baseline.Change, baseline.Flows)
	out.Policies, out.Expected = predictions.Policies, predictions.Expected
	out.Changes, out.Summary = compare(baseline, predictions.Verdicts())
	if draft.Flow != "" {
		if out.Why, err = baseline.WhyOf(predictor, draft.Flow); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// read is what a file is read as.
func (p *previews) read(ctx context.Context, lab *sandbox.Topology, f DraftFile) (analysed, error) {
	const least = 512 // A short file takes some room, too.
	kept, err := p.files.get(draftKey{lab, f.Text}, len(f.Text)+least, func() (*analysed, error) {
		begun := time.Now()
		defer func() { p.metrics.Read(time.Since(begun)) }()
		return readFile(ctx, lab, f.Text)
	})
	if err != nil {
		return analysed{}, err
	}
	out := *kept
	out.ID, out.Problems = f.ID, slices.Clone(out.Problems)
	return out, nil
}

// readFile reads a file's policies, and says what is wrong with it.
func readFile(ctx context.Context, lab *sandbox.Topology, text string) (*analysed, error) {
	out := &analysed{AnalysedFile: AnalysedFile{Policies: []AnalysedPolicy{}, Problems: []Problem{}, Selectors: []Selector{}, SetAside: []SetAside{}}}
	src := []byte(text)
	if policy.Blank(src) {
		return out, nil
	}
	policies, others, err := policy.ParseSettingAside(ctx, src, policy.ParseOptions{Namespaces: lab.NamespaceNames()})
	out.SetAside = setAside(others)
	if err != nil && len(others) > 0 {
		// The policies may be in other files.
		if only, _ := policy.OnlyPolicies(src); only == nil {
			return out, nil
		}
	}
	var invalid *policy.Error
	switch {
	case errors.As(err, &invalid):
		for _, p := range invalid.Problems {
			out.Problems = append(out.Problems, Problem{
				Position: p.Position, EndLine: p.End.Line, EndColumn: p.End.Column,
				Severity: SeverityError, Code: codeInvalid, Field: p.Field, Message: p.Message, Fixes: fixes(p.Fixes),
			})
		}
	case err != nil:
		return nil, err
	}
	out.policies = policies
	if i := slices.IndexFunc(policies, func(p policy.Policy) bool { return len(p.LeftOut) > 0 }); i >= 0 {
		field := "metadata." + policies[i].LeftOut[0]
		at := policies[i].Position(field)
		end := policies[i].TokenEnd(at)
		out.Problems = append(out.Problems, Problem{
			Position: at, EndLine: end.Line, EndColumn: end.Column, Severity: SeverityInfo, Code: codeLeftOut, Field: field,
			Message: leftOut(policy.LeftOut(policies)), Fixes: []policy.Fix{},
		})
	}
	return out, nil
}

func setAside(others []policy.Other) []SetAside {
	out := make([]SetAside, len(others))
	for i, o := range others {
		out[i] = SetAside{Line: o.Line, Kind: o.Kind, Name: o.Name, Message: o.Sentence()}
	}
	return out
}

// leftOut says which fields of what kubectl has printed are no part of a policy.
func leftOut(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	return fmt.Sprintf("Left out, since only a cluster writes it: %s.", policy.List(fields, len(fields), "and"))
}

func fixes(all []policy.Fix) []policy.Fix {
	if all == nil {
		return []policy.Fix{}
	}
	return all
}

// duplicate is the problem of a policy whose name another file's has.
func duplicate(p policy.Policy) Problem {
	at := p.Position("metadata.name")
	end := p.TokenEnd(at)
	return Problem{
		Position: at, EndLine: end.Line, EndColumn: end.Column, Severity: SeverityError, Code: codeInvalid, Field: "metadata.name",
		Message: fmt.Sprintf("the policy %s is in another file, too; give one of the two another name", p.Ref()), Fixes: []policy.Fix{},
	}
}

func problemOf(f lint.Finding) Problem {
	severity := SeverityWarning
	if f.Hint {
		severity = SeverityInfo
	}
	return Problem{
		Position: f.Position, EndLine: f.End.Line, EndColumn: f.End.Column,
		Severity: severity, Code: string(f.Check), Field: f.Field, Message: f.Message, Fixes: fixes(f.Fixes),
	}
}

func analysedPolicy(e *policy.Evaluator, p *policy.Policy) AnalysedPolicy {
	out := AnalysedPolicy{
		Namespace: p.Namespace, Name: p.Name, Line: p.Line, EndLine: p.EndLine(),
		Selects: e.Selected(p), Isolates: []string{}, Sentences: e.Sentences(p),
	}
	for _, direction := range p.Isolates() {
		out.Isolates = append(out.Isolates, string(direction))
	}
	return out
}

// selectors are the parts of the policy that select something.
func selectors(e *policy.Evaluator, p *policy.Policy) []Selector {
	var out []Selector
	for _, s := range e.Selectors(p) {
		out = append(out, Selector{From: s.From, To: s.To, Pods: s.Selects, Text: s.Text})
	}
	return out
}

// inTheWay says which errors keep a preview from being made.
func inTheWay(lines []int) string {
	if len(lines) == 1 && lines[0] > 0 {
		return fmt.Sprintf("No preview: line %d has an error.", lines[0])
	}
	if len(lines) == 1 {
		return "No preview: there is an error."
	}
	return fmt.Sprintf("No preview: there are %d errors.", len(lines))
}

// compare tells which flows would change with the next verdicts, and says so in a
// sentence or two.
func compare(baseline *sandbox.Baseline, next map[string]probe.Verdict) ([]sandbox.Flip, string) {
	var changes []sandbox.Flip
	closes, opens, other := 0, 0, 0
	for _, f := range baseline.Flows {
		from, known := baseline.Verdicts[f.ID]
		to, predicted := next[f.ID]
		if !known || !predicted || from == to {
			continue
		}
		changes = append(changes, sandbox.Flip{Flow: f.ID, From: from, To: to})
		switch probe.Open {
		case from:
			closes++
		case to:
			opens++
		default:
			other++
		}
	}
	return changes, summary(closes, opens, other)
}

// summary says what Apply would change: "12 flows would close, 2 would open."
func summary(closes, opens, other int) string {
	flows := func(n int) string {
		if n == 1 {
			return "1 flow"
		}
		return fmt.Sprintf("%d flows", n)
	}
	var out []string
	switch {
	case closes > 0 && opens > 0:
		out = append(out, fmt.Sprintf("%s would close, %d would open.", flows(closes), opens))
	case closes > 0:
		out = append(out, flows(closes)+" would close.")
	case opens > 0:
		out = append(out, flows(opens)+" would open.")
	}
	if other > 0 {
		stay := "stay"
		if other == 1 {
			stay = "stays"
		}
		out = append(out, fmt.Sprintf("%s %s closed, for another reason.", flows(other), stay))
	}
	if len(out) == 0 {
		return "No flow would change."
	}
	return strings.Join(out, " ")
}
