package sandbox

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Why is why a flow is as it is expected to be: the packet's way, step by step, and
// what would have to be written for the opposite.
type Why struct {
	Flow string `json:"flow"`
	// Verdict is what is expected.
	Verdict probe.Verdict `json:"verdict"`
	// Steps are the packet's way, in its order. Where a step fails, the later ones say
	// what would come of the packet if it got that far.
	Steps []WhyStep `json:"steps"`
	// Remedy would allow the flow, or close it where it is open; nil where no policy can.
	Remedy *Remedy `json:"remedy"`
}

// WhyStep is one step of a packet's way.
type WhyStep struct {
	Of StepOf `json:"of"`
	// OK says whether the step lets the packet pass; nil where that cannot be said.
	OK *bool `json:"ok"`
	// Title says it in a few words, Text in a sentence or two.
	Title string `json:"title"`
	Text  string `json:"text"`
	// Policies are those that isolate the pod that the step is about, in its direction.
	Policies []policy.Ref `json:"policies"`
	// Places are what decides, in the policies' texts.
	Places []Place `json:"places"`
}

// StepOf is what a step of a packet's way is.
type StepOf string

// The steps.
const (
	StepName    StepOf = "name"    // The name is looked up.
	StepService StepOf = "service" // The Service's address becomes a pod's.
	StepEgress  StepOf = "egress"  // The source's policies.
	StepIngress StepOf = "ingress" // The destination's policies.
)

// Place is a part of a policy's text, from the first line up to and with the last.
type Place struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Line and Column are counted from 1, in the text that the policy was read from.
	Line    int `json:"line"`
	Column  int `json:"column"`
	EndLine int `json:"endLine"`
}

// Remedy is the smallest change of policies that makes of a flow the opposite.
type Remedy struct {
	// Title names the change in a few words; Text says what it does, and what else it
	// does where that cannot be helped.
	Title string `json:"title"`
	Text  string `json:"text"`
	// Files are whole policies, to be put in the place of those of the same name.
	Files []PolicyFile `json:"files"`
}

// Why says why the flow is as it is expected to be. It fails where Predict does.
func (p *Predictor) Why(f Flow) (*Why, error) {
	r, err := p.route(f)
	if err != nil {
		return nil, err
	}
	verdict, err := p.Verdict(f)
	if err != nil {
		return nil, err
	}
	w := &Why{Flow: f.ID, Verdict: verdict, Steps: []WhyStep{}}
	connection := p.evaluator.Explain(r.connection)
	switch {
	case r.byName:
		w.Steps = append(w.Steps, p.nameStep(f, p.evaluator.Explain(r.question)))
	case f.Via == ViaIP:
		w.Steps = append(w.Steps, newStep(StepName, true, "Address", "Dialled by its address: there is no name to look up."))
	}
	if connection.Service != "" {
		w.Steps = append(w.Steps, p.serviceStep(f, connection))
	}
	w.Steps = append(w.Steps, p.endStep(connection, networkingv1.PolicyTypeEgress), p.endStep(connection, networkingv1.PolicyTypeIngress))
	if verdict != probe.Open {
		if d, err := p.Diagnose(f, true); err == nil {
			w.diagnose(d)
		}
	}
	w.Remedy, err = p.remedy(f, r, verdict)
	return w, err
}

func newStep(of StepOf, ok bool, title, text string) WhyStep {
	return WhyStep{Of: of, OK: &ok, Title: title, Text: text, Policies: []policy.Ref{}, Places: []Place{}}
}

// account fills a step with what decides at an end.
func (s *WhyStep) account(a policy.Account) {
	s.Policies = append(s.Policies, a.Policies...)
	for _, c := range a.Places {
		s.Places = append(s.Places, Place{Namespace: c.Policy.Namespace, Name: c.Policy.Name, Line: c.From.Line, Column: c.From.Column, EndLine: c.To.Line})
	}
}

func shortName(name string) string { return name[strings.LastIndex(name, "/")+1:] }

func (p *Predictor) nameStep(f Flow, d policy.Decision) WhyStep {
	from, to := shortName(f.From), shortName(f.To)
	s := newStep(StepName, d.Allowed, fmt.Sprintf("%s may look up the name %s", from, to), "")
	egress, ingress := p.evaluator.Account(d, networkingv1.PolicyTypeEgress), p.evaluator.Account(d, networkingv1.PolicyTypeIngress)
	s.Text = egress.Text
	if !d.Allowed {
		s.Title = fmt.Sprintf("%s cannot look up the name %s", from, to)
		s.Text = "It may not ask the cluster's DNS on 53/UDP. " + egress.Text
		if d.Egress.Allowed {
			s.Text = "The cluster's DNS does not take its question. " + ingress.Text
		}
	}
	s.account(egress)
	if !d.Ingress.Allowed {
		s.account(ingress)
	}
	return s
}

func (p *Predictor) serviceStep(f Flow, d policy.Decision) WhyStep {
	name := shortName(d.Service)
	if d.Egress.Because == policy.NoBackend {
		return newStep(StepService, false, fmt.Sprintf("The Service %s leads to no pod", name), p.evaluator.Account(d, networkingv1.PolicyTypeEgress).Text)
	}
	text := fmt.Sprintf("Its address becomes that of the pod %s, on the same port, %d.", d.To, d.Port)
	switch {
	case f.ToDNS():
		text = fmt.Sprintf("Its address becomes that of a pod of the cluster's DNS, on port %d.", d.Port)
	case f.ServicePort != int(d.Port):
		text = fmt.Sprintf("Its address becomes that of the pod %s, and its port %d the pod's own, %d. Policies see the pod and its port.", d.To, f.ServicePort, d.Port)
	}
	return newStep(StepService, true, fmt.Sprintf("The Service %s leads to a pod", name), text)
}

// endStep is the step at one end of the connection.
func (p *Predictor) endStep(d policy.Decision, kind networkingv1.PolicyType) WhyStep {
	from, to := shortName(d.From), shortName(d.To)
	if from == to {
		from, to = d.From, d.To
	}
	way, of := d.Egress, StepEgress
	yes, no := from+" may open it", from+" may not open it"
	if kind == networkingv1.PolicyTypeIngress {
		way, of = d.Ingress, StepIngress
		yes, no = to+" takes it", to+" does not take it"
		if !d.Egress.Allowed {
			yes, no = to+" would take it", to+" would not take it either"
		}
	}
	title := no
	if way.Allowed {
		title = yes
	}
	s := newStep(of, way.Allowed, title, "")
	if way.Because == policy.NoBackend {
		s.OK, s.Title, s.Text = nil, "It does not come this far", ""
		return s
	}
	a := p.evaluator.Account(d, kind)
	s.Text = a.Text
	s.account(a)
	return s
}

// diagnose adds what is probably the mistake to the step that it is about.
func (w *Why) diagnose(d policy.Diagnosis) {
	if d.Field == "" || d.Cause == policy.CauseNothingAllows || d.Cause == policy.CauseOneEnd {
		return // The steps say it already.
	}
	failed := func(of StepOf) int {
		return slices.IndexFunc(w.Steps, func(s WhyStep) bool { return s.OK != nil && !*s.OK && (of == "" || s.Of == of) })
	}
	at := -1
	switch {
	case strings.HasPrefix(d.Field, "spec.ingress"):
		at = failed(StepIngress)
	case strings.HasPrefix(d.Field, "spec.egress"):
		at = failed(StepEgress)
	}
	if at < 0 {
		at = failed("")
	}
	if at < 0 {
		return
	}
	s := &w.Steps[at]
	s.Text += " " + d.Message
	if d.Position.Line > 0 && !slices.ContainsFunc(s.Places, func(p Place) bool {
		return p.Namespace == d.Policy.Namespace && p.Name == d.Policy.Name && p.Line == d.Position.Line
	}) {
		s.Places = append(s.Places, Place{Namespace: d.Policy.Namespace, Name: d.Policy.Name, Line: d.Position.Line, Column: d.Position.Column, EndLine: d.Position.Line})
	}
}
