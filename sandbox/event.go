package sandbox

import (
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Event is one thing that happened to a sandbox, as every watcher is told it.
// web/EVENTS.md describes the protocol with an example of every event.
// Exactly one of the pointers is set, the one that Type names.
type Event struct {
	// Seq numbers a sandbox's events from 1 without a gap.
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	Type EventType `json:"type"`

	Snapshot     *Snapshot     `json:"snapshot,omitempty"`
	State        *StateChange  `json:"state,omitempty"`
	Waiting      *Waiting      `json:"waiting,omitempty"`
	Ends         *Ending       `json:"ends,omitempty"`
	Step         *Step         `json:"step,omitempty"`
	Predictions  *Predictions  `json:"predictions,omitempty"`
	Policies     *PolicyChange `json:"policies,omitempty"`
	Observations *Observations `json:"observations,omitempty"`
	Settled      *Settled      `json:"settled,omitempty"`
	Disagreement *Disagreement `json:"disagreement,omitempty"`
	Notice       *Notice       `json:"notice,omitempty"`
}

// EventType names what an event tells.
type EventType string

// The types of events.
const (
	EventSnapshot     EventType = "snapshot"
	EventState        EventType = "state"
	EventWaiting      EventType = "waiting"
	EventEnds         EventType = "ends"
	EventStep         EventType = "step"
	EventPredictions  EventType = "predictions"
	EventPolicies     EventType = "policies"
	EventObservations EventType = "observations"
	EventSettled      EventType = "settled"
	EventDisagreement EventType = "disagreement"
	EventNotice       EventType = "notice"
)

// Snapshot is everything a watcher needs to draw the sandbox: it is sent first
// on a connection whose last number is unknown or has left the log. Its Seq is
// that of the last event that it includes.
type Snapshot struct {
	ID ID `json:"id"`
	// Owner is who the sandbox was made for, as Create was told. Watchers are not
	// told it.
	Owner    string `json:"-"`
	Lab      string `json:"lab"`
	Provider string `json:"provider"`
	State    State  `json:"state"`
	Reason   string `json:"reason,omitempty"`
	// Waiting is there while the sandbox is queued and it is known what it waits for.
	Waiting *Waiting `json:"waiting,omitempty"`
	// Ends is there while the sandbox's end is near.
	Ends     *Ending         `json:"ends,omitempty"`
	Steps    []Step          `json:"steps"`
	Policies []AppliedPolicy `json:"policies"`
	// Change is the number of the last change of policies.
	Change int64 `json:"change"`
	// PoliciesChange is the number of the change that Policies come of. While a change
	// is at work, it is behind Change.
	PoliciesChange int64 `json:"-"`
	// Predictions are for that change, or for the one before while it is not known
	// what it comes to; absent until the sandbox is ready.
	Predictions *Predictions `json:"predictions,omitempty"`
	// Settled tells of the newest change that has settled, which need not be the
	// newest change; absent where none has.
	Settled      *Settled      `json:"settled,omitempty"`
	Observations []Observation `json:"observations"`
	// Flips are the flows that have another verdict now than before the newest change.
	Flips []Flip `json:"flips,omitempty"`
	// Disagreement is there while the flows have settled and are not as predicted.
	Disagreement *Disagreement `json:"disagreement,omitempty"`
	// Notice is the newest notice, where it was a warning: it still holds.
	Notice *Notice `json:"notice,omitempty"`
}

// StateChange tells the sandbox's new state. Reason is set where it failed or
// was stopped, in words for the learner.
type StateChange struct {
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// Waiting tells a sandbox that is queued where it stands.
type Waiting struct {
	// Place counts from 1, which is next; Of is how many wait.
	Place int `json:"place"`
	Of    int `json:"of"`
	// Full says that as many clusters are there as may be, so that somebody else has to
	// stop first.
	Full bool `json:"full,omitempty"`
	// Seconds is how long it will probably take to get a cluster, by what those before
	// have taken; absent where nothing is known.
	Seconds int `json:"seconds,omitempty"`
}

// Ending tells when the sandbox will be stopped, for it is as old as one may be.
type Ending struct {
	At time.Time `json:"at"`
	// Extended says that this was put off, so that the end is not near any more.
	Extended bool `json:"extended,omitempty"`
}

// AppliedPolicy is a policy that is in force, with its YAML as applied. The text is
// not part of an event: a sandbox may have many, and each is kept once.
type AppliedPolicy struct {
	PolicyRef
	YAML string `json:"-"`
}

// PolicyFile is a policy with its text, where that is told or written down.
type PolicyFile struct {
	PolicyRef
	YAML string `json:"yaml"`
}

// PolicyChange tells what a change has made of the policies in force. Changes are
// numbered from 1 per sandbox, and after a restart from a much larger number on, so that
// none ever stands for two; 0 is what a sandbox begins with.
type PolicyChange struct {
	Change int64 `json:"change"`
	// Origin is what the change came from; empty for the policies that an adopted
	// sandbox had.
	Origin Origin `json:"origin,omitempty"`
	// Added were not in force before; Changed were, with another text; Removed are
	// in force no more. Each is sorted.
	Added   []PolicyRef `json:"added,omitempty"`
	Changed []PolicyRef `json:"changed,omitempty"`
	Removed []PolicyRef `json:"removed,omitempty"`
	// Policies are all that are in force now. They are for whoever made the change,
	// and not part of the event.
	Policies []AppliedPolicy `json:"-"`
	// SetAside is what was in the input besides NetworkPolicies. It, too, is for whoever
	// made the change.
	SetAside []policy.Other `json:"-"`
	// LeftOut are the fields of the input's policies that only a cluster writes, each once.
	LeftOut []string `json:"-"`
}

// Origin is what a change of policies came from.
type Origin string

// The origins of a change.
const (
	OriginApply    Origin = "apply"
	OriginDelete   Origin = "delete"
	OriginExercise Origin = "exercise"
	// OriginRestore goes back to policies that were in force before.
	OriginRestore Origin = "restore"
	// OriginCluster was made in the cluster itself and not by way of the lab: by kubectl.
	OriginCluster Origin = "cluster"
)

// Predictions tells what is expected of every flow under the policies of a change,
// and why. It comes before the change's first observation.
type Predictions struct {
	// Change is the number of the policy change.
	Change int64 `json:"change"`
	// Policies are those that the reasons speak of.
	Policies []PolicyRef `json:"policies"`
	// Expected has each flow once, with those that share verdict and reasons. A flow
	// that cannot be predicted is left out.
	Expected []Expected `json:"expected"`
}

// Expected is what is expected of some flows, for the same reasons.
type Expected struct {
	Verdict probe.Verdict `json:"verdict"`
	// Why are the directions that decide: those that block, or all where none does.
	// It is left out where the reasons of all flows would be too long to tell.
	Why   []Reason `json:"why,omitempty"`
	Flows []string `json:"flows"`
}

// Reason is what the policies say of a flow in one direction.
type Reason struct {
	// Of is what the direction is one of: the connection itself, or the question to
	// the DNS service that must come before it.
	Of        ReasonOf       `json:"of"`
	Direction Way            `json:"direction"`
	Because   policy.Because `json:"because"`
	// Policies are positions in [Predictions.Policies]: the first that allows the
	// flow, or those that isolate the end and do not. More is how many of the latter
	// are left out.
	Policies []int `json:"policies,omitempty"`
	More     int   `json:"more,omitempty"`
}

// Way is a direction as seen from a pod.
type Way string

// The directions.
const (
	Egress  Way = "egress"
	Ingress Way = "ingress"
)

// ReasonOf is what a reason is about.
type ReasonOf string

// What a reason is about.
const (
	OfConnection ReasonOf = "connection"
	OfDNS        ReasonOf = "dns"
)

// Disagreement tells the flows that have settled at another verdict than predicted:
// the lab's own mistake, or a network that does not do what the rules say. One
// without flows says that they agree again.
type Disagreement struct {
	Change int64       `json:"change"`
	Flows  []Disagreed `json:"flows"`
}

// Disagreed is a flow that is not as predicted.
type Disagreed struct {
	Flow      string        `json:"flow"`
	Predicted probe.Verdict `json:"predicted"`
	Observed  probe.Verdict `json:"observed"`
}

// Observations tells verdicts that are new or changed. A change of verdict has
// been confirmed by a second probe before it is told.
type Observations struct {
	// Change is the number of the policy change that was in force.
	Change int64         `json:"change"`
	Flows  []Observation `json:"flows"`
}

// Settled tells that every flow has been measured after a change and agrees
// with what was told. A sandbox that is ready settles before its first change, too,
// and so does one that is adopted.
type Settled struct {
	Change int64 `json:"change"`
	// TookMillis is the time from the request, or from the first look where nothing
	// was requested, to the last flow's verdict.
	TookMillis int64 `json:"tookMillis"`
	// FirstFlipMillis is the time from the request to the first changed
	// verdict; absent where none changed.
	FirstFlipMillis int64 `json:"firstFlipMillis,omitempty"`
	Flows           int   `json:"flows"`
	Flips           int   `json:"flips"`
}

// Notice tells something that the learner should know and that is no change of
// state, such as that the cluster's API does not answer at the moment.
type Notice struct {
	Level   NoticeLevel `json:"level"`
	Message string      `json:"message"`
}

// NoticeLevel is a notice's weight.
type NoticeLevel string

// The levels of a notice.
const (
	NoticeInfo    NoticeLevel = "info"
	NoticeWarning NoticeLevel = "warning"
)
