package lessons

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Answer is what the engine says of a flow, and why in words.
type Answer struct {
	Verdict probe.Verdict
	Why     string
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

// AtMoment reports whether the policies in force are those that the prediction is about.
func (e *Exercise) AtMoment(inForce []policy.Policy) bool { return meaningOf(inForce) == e.moment }

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
