package sandbox

import "time"

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
	Step         *Step         `json:"step,omitempty"`
	Policies     *PolicyChange `json:"policies,omitempty"`
	Observations *Observations `json:"observations,omitempty"`
	Settled      *Settled      `json:"settled,omitempty"`
	Notice       *Notice       `json:"notice,omitempty"`
}

// EventType names what an event tells.
type EventType string

// The types of events.
const (
	EventSnapshot     EventType = "snapshot"
	EventState        EventType = "state"
	EventStep         EventType = "step"
	EventPolicies     EventType = "policies"
	EventObservations EventType = "observations"
	EventSettled      EventType = "settled"
	EventNotice       EventType = "notice"
)

// Snapshot is everything a watcher needs to draw the sandbox: it is sent first
// on a connection whose last number is unknown or has left the log. Its Seq is
// that of the last event that it includes.
type Snapshot struct {
	ID ID `json:"id"`
	// Owner is who the sandbox was made for, as Create was told. Watchers are not
	// told it.
	Owner    string          `json:"-"`
	Lab      string          `json:"lab"`
	Provider string          `json:"provider"`
	State    State           `json:"state"`
	Reason   string          `json:"reason,omitempty"`
	Steps    []Step          `json:"steps"`
	Policies []AppliedPolicy `json:"policies"`
	// Change is the number of the last change of policies.
	Change int64 `json:"change"`
	// Settled tells of the newest change that has settled, which need not be the
	// newest change; absent where none has.
	Settled      *Settled      `json:"settled,omitempty"`
	Observations []Observation `json:"observations"`
	// Notice is the newest notice, where it was a warning: it still holds.
	Notice *Notice `json:"notice,omitempty"`
}

// StateChange tells the sandbox's new state. Reason is set where it failed or
// was stopped, in words for the learner.
type StateChange struct {
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// AppliedPolicy is a policy that is in force, with its YAML as applied.
type AppliedPolicy struct {
	PolicyRef
	YAML string `json:"yaml"`
}

// PolicyChange tells the policies in force after a change. Changes are
// numbered from 1 per sandbox.
type PolicyChange struct {
	Change   int64           `json:"change"`
	Policies []AppliedPolicy `json:"policies"`
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
