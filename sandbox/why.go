package sandbox

import (
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

// PolicyFile is a policy with its text.
type PolicyFile struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	YAML      string `json:"yaml"`
}
