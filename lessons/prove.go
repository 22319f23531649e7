package lessons

import (
	"fmt"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

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
	must := func(file, yaml string) (policies []policy.Policy, wide bool) {
		policies, err := l.policies(yaml)
		if err != nil {
			bad(file, "%v", err)
			return nil, false
		}
		verdicts, err := l.predicted(policies)
		if err != nil {
			bad(file, "%v", err)
		} else if e.Grade(l, verdicts).Passed {
			bad(file, "passes, and must not")
		}
		for id, v := range verdicts {
			wide = wide || v == probe.Open && !e.needed[id]
		}
		return policies, wide
	}
	must("start.yaml", e.Start)
	wide := false
	same := map[string]string{}
	for _, w := range e.Wrong {
		file := w.Name + ".yaml"
		policies, wider := must(file, w.YAML)
		wide = wide || wider
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

// policies are those of the YAML, which may be none.
func (l *Lesson) policies(yaml string) ([]policy.Policy, error) {
	if strings.TrimSpace(yaml) == "" {
		return nil, nil
	}
	return policy.Parse([]byte(yaml), policy.ParseOptions{Namespaces: l.Topology.NamespaceNames()})
}

// Predicted is what the evaluator predicts of every flow of the lesson under the
// policies.
func (l *Lesson) Predicted(yaml string) (map[string]probe.Verdict, error) {
	policies, err := l.policies(yaml)
	if err != nil {
		return nil, err
	}
	return l.predicted(policies)
}

func (l *Lesson) predicted(policies []policy.Policy) (map[string]probe.Verdict, error) {
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
