// Package sandbox holds what a learner's sandbox is and does: its states, its
// topology, its flows, the events that tell of it, and the Manager that runs
// sandboxes on a Provider.
//
// The package knows no technology: sandbox/kind makes sandboxes out of kind
// clusters running Calico.
//
// A Manager's locks are taken in this order, and let go of before anything is
// asked of a cluster, a provider or the records: instance.turn (which alone is held
// while the cluster carries out a change), Manager.mu, instance.mu, feed.mu.
// What owner has which sandbox, and what takes a place, is decided under
// Manager.mu alone. instance.writing is held while a record is written, and
// feed.mu may be taken in it; availability.mu is taken on its own.
package sandbox

import (
	"context"
	"errors"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// ID names a sandbox: ten lower-case letters and digits, unguessable enough
// to be unique on a machine but not a secret: whoever calls the Manager for
// somebody checks first whether the sandbox is theirs to use.
type ID string

// State is where a sandbox is in its life.
type State string

// The states. A sandbox moves only along transitions; see [State.CanBecome].
const (
	// Queued waits for a cluster; see [Waiting].
	Queued   State = "queued"
	Creating State = "creating"
	Ready    State = "ready"
	// Paused keeps all that it has and costs no CPU; whoever looks at it or changes it
	// wakes it.
	Paused   State = "paused"
	Stopping State = "stopping"
	Stopped  State = "stopped"
	Failed   State = "failed"
)

var transitions = map[State][]State{
	Queued:   {Creating, Stopping, Failed},
	Creating: {Ready, Stopping, Failed},
	Ready:    {Paused, Stopping, Failed},
	Paused:   {Ready, Stopping, Failed},
	Stopping: {Stopped},
	Failed:   {Stopping},
	Stopped:  {},
}

// CanBecome reports whether a sandbox may go from s to next.
func (s State) CanBecome(next State) bool {
	for _, t := range transitions[s] {
		if t == next {
			return true
		}
	}
	return false
}

// live reports whether a sandbox in the state is one to be used, now or soon.
func (s State) live() bool {
	switch s {
	case Queued, Creating, Ready, Paused:
		return true
	}
	return false
}

// Observation is one measured flow.
type Observation struct {
	// Flow is a [Flow.ID].
	Flow    string        `json:"flow"`
	Verdict probe.Verdict `json:"verdict"`
	// LatencyMicros is the time from the first packet to the answer, in
	// microseconds; 0 where there was no answer.
	LatencyMicros int64 `json:"latencyMicros,omitempty"`
	// Server is who answered, "namespace/pod" or an outside host's name, as
	// the answer itself says; empty where nobody did.
	Server string `json:"server,omitempty"`
	// Detail says in plain English why a verdict is unknown or dns-failed.
	Detail string `json:"detail,omitempty"`
}

// PolicyRef names a NetworkPolicy.
type PolicyRef = policy.Ref

// Progress receives a provider's named steps as they begin and end.
type Progress func(Step)

// Step is one named step of a sandbox's creation.
type Step struct {
	// Index counts from 1; Total is the number of steps.
	Index int `json:"index"`
	Total int `json:"total"`
	// Name is what a learner reads: "Start the node".
	Name   string     `json:"name"`
	Status StepStatus `json:"status"`
	// ElapsedMillis is how long the step took or, in a snapshot, has taken so
	// far; 0 in the event that it began.
	ElapsedMillis int64 `json:"elapsedMillis,omitempty"`
}

// StepStatus is how far a step is.
type StepStatus string

// The statuses of a step.
const (
	StepPending StepStatus = "pending"
	StepRunning StepStatus = "running"
	StepDone    StepStatus = "done"
	StepFailed  StepStatus = "failed"
)

// Simulated is the name of the provider whose sandboxes are no clusters, and in
// which nothing is measured. Whoever shows what is seen there must say so.
const Simulated = "simulated"

// Provider boots clusters.
type Provider interface {
	// Name is the provider's short name, "kind" or [Simulated].
	Name() string
	// Check reports whether clusters can be booted here at all. Its error says
	// what is missing and how to get it, for whoever runs the server. Check
	// returns when ctx ends.
	Check(ctx context.Context) error
	// Steps lists the names of the steps that Boot and then Lay go through.
	Steps() Steps
	// Boot makes a cluster that knows no lesson, and proves that policies are enforced
	// in it before it returns. When ctx ends, or a step fails, everything that was
	// made is removed before Boot returns. A failure that a learner can
	// understand is a *[Failure].
	Boot(ctx context.Context, id ClusterID, progress Progress) (Booted, error)
	// Adopt takes over a cluster that an earlier process has booted, whatever is laid in
	// it. One that was paused is woken. It fails with [ErrGone] where none is there, and
	// where it was never booted to the end.
	Adopt(ctx context.Context, id ClusterID) (Booted, error)
	// Delete removes all that a cluster has left on the machine, whether it
	// was fully booted or not, paused or not. To delete what is not there is no error.
	Delete(ctx context.Context, id ClusterID) error
	// List names every cluster of this provider's instance that has left
	// anything on the machine.
	List(ctx context.Context) ([]ClusterID, error)
	// Sweep removes what this instance has on the machine beside its clusters and none of
	// them uses.
	Sweep(ctx context.Context) error
}

// ClusterID names a cluster on the machine, as [ID] names the sandbox that it is, or
// will be, one learner's.
type ClusterID string

// Steps are the names of the steps that a provider goes through.
type Steps struct {
	Boot, Lay []string
}

// Booted is a cluster that runs and enforces policies. Nothing is laid in it, or one
// topology. Its methods may be called concurrently, but for Lay, Laid, Clear, Pause and
// Wake, which take turns.
type Booted interface {
	// Lay lays the topology in the cluster, in the place of what is laid there, and
	// measures every flow of it open before it returns; what was laid before is gone with
	// its policies, and its Cluster closed. After a Lay that has failed nothing counts as laid.
	// A failure that a learner can understand is a *[Failure].
	Lay(ctx context.Context, t *Topology, progress Progress) (Cluster, error)
	// Laid is the topology as it was laid in the cluster, by an earlier process it may
	// be. It fails with [ErrNotLaid] where nothing, or something else, is laid.
	Laid(ctx context.Context, t *Topology) (Cluster, error)
	// Clear takes away what is laid.
	Clear(ctx context.Context) error
	// Pause freezes the cluster: it costs no CPU, and nothing can be asked of it or of
	// what is laid in it, until it is woken. Policies, pods and streams stay as they are.
	// One that is paused already stays so.
	Pause(ctx context.Context) error
	// Wake ends a pause, and proves that policies are enforced before it returns: what is
	// measured from then on is true. It proves that also where the cluster was not paused.
	// It fails with [ErrGone] where the cluster is gone for good.
	Wake(ctx context.Context) error
	// Close lets go of the connections to the cluster, also those of what is laid in it.
	// The cluster goes on running, or stays paused.
	Close() error
}

// Cluster is a topology that is laid in a cluster. Its methods may be called concurrently.
type Cluster interface {
	// Apply server-side applies the policies, all or none: each is tried
	// without effect first. A policy that the API server refuses gives
	// a *[policy.Error] with the position of what is wrong.
	Apply(ctx context.Context, policies []policy.Policy) error
	// Delete removes the named policies; one that is not there is no error.
	Delete(ctx context.Context, refs []PolicyRef) error
	// Policies lists the NetworkPolicies of the lab's namespaces, sorted.
	Policies(ctx context.Context) ([]policy.Policy, error)
	// WatchPolicies calls changed once the watch has begun, and again whenever the
	// NetworkPolicies of the lab's namespaces may be others than before, whoever changed
	// them: of a burst of changes not each need be told, the last always is, and a watch
	// that was cut off tells when it goes on. Policies then has them. changed must not
	// block; it may be called from several goroutines at once. WatchPolicies returns when
	// ctx ends.
	WatchPolicies(ctx context.Context, changed func())
	// Addresses are the topology's addresses in this cluster, as they were last read.
	// What is not known is left out. The caller may keep what it is given.
	Addresses() Addresses
	// Probe measures each flow once, over a fresh connection, all at the same
	// time, and calls report for each as its verdict is known (from several
	// goroutines at once). A flow without an answer after timeout is probe.Blocked. Probe returns
	// when every flow has been reported. A flow that cannot be measured is
	// reported probe.Unknown, never left out. When ctx ends Probe returns
	// early, and what it has not reported by then stays unreported.
	Probe(ctx context.Context, flows []Flow, timeout time.Duration, report func(Observation))
	// Peek looks which of the flows are open by now. It is Probe, but for flows without an
	// answer after timeout: these are not reported, and no longer waited for.
	Peek(ctx context.Context, flows []Flow, timeout time.Duration, report func(Observation))
	// Health fails with [ErrGone] where the cluster is gone for good, and with
	// another error where it is out of order at the moment.
	Health(ctx context.Context) error
	// Close lets go of the connections to what is laid, which goes on running.
	Close() error
}

// The ways in which a sandbox can be the wrong one to ask.
var (
	// ErrNotFound: there is no such sandbox.
	ErrNotFound = errors.New("no such sandbox")
	// ErrNoFlow: the sandbox's topology has no such flow.
	ErrNoFlow = errors.New("no such flow")
	// ErrNotReady: the sandbox's state does not allow that now.
	ErrNotReady = errors.New("the sandbox is not ready")
	// ErrBusy: as many wait for a sandbox as may.
	ErrBusy = errors.New("too many wait for a sandbox")
	// ErrWaitedFor: others wait for a place, so nobody keeps theirs for longer.
	ErrWaitedFor = errors.New("others wait for a sandbox")
	// ErrUnavailable: what makes the sandboxes is out of order.
	ErrUnavailable = errors.New("no sandbox can be made here now")
	// ErrGone: the sandbox's cluster is not there any more.
	ErrGone = errors.New("the sandbox's cluster is gone")
	// ErrNotLaid: that topology is not laid in the cluster.
	ErrNotLaid = errors.New("the topology is not laid in the cluster")
)

// Failure is an error with a sentence for the learner apart from the details
// for the log.
type Failure struct {
	// Message is what the learner reads: what happened and what to do.
	Message string
	Err     error
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Message
	}
	return f.Message + ": " + f.Err.Error()
}

func (f *Failure) Unwrap() error { return f.Err }
