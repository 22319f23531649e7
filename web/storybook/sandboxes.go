package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/web"
)

// sandboxes are those of a story: each learner who comes has the one of its scene.
type sandboxes struct {
	story   story
	content content

	mu      sync.Mutex
	byOwner map[string]*scene
	byID    map[string]*scene
}

var _ web.Sandboxes = (*sandboxes)(nil)

// scene is a sandbox that is made up.
type scene struct {
	*sandbox.Scene
	owner    string
	topology *sandbox.Topology
	flows    []sandbox.Flow

	mu sync.Mutex
	// policies are in force, change is the number of the last change of them.
	policies []policy.Policy
	change   int64
	applied  bool
}

// begin makes the learner's sandbox as the story has it.
func (s *sandboxes) begin(owner string) error {
	if s.story.Scene == nil {
		return nil
	}
	for _, l := range s.content.lessons {
		if l.Topology.Name == s.story.Lab {
			s.story.Scene(s.add(owner, l.Topology))
			return nil
		}
	}
	return fmt.Errorf("there is no lab %s", s.story.Lab)
}

// kindSteps are those of a cluster's start, with what they take.
var kindSteps = []sandbox.Step{
	{Name: "Start the node", ElapsedMillis: 2100},
	{Name: "Start Kubernetes", ElapsedMillis: 14300},
	{Name: "Start the network (Calico)", ElapsedMillis: 6200},
	{Name: "Start the lab's pods", ElapsedMillis: 3400},
	{Name: "Measure from every pod", ElapsedMillis: 1100},
	{Name: "Prove that policies are enforced", ElapsedMillis: 2600},
}

// add makes the learner a sandbox that waits for its turn.
func (s *sandboxes) add(owner string, t *sandbox.Topology) *scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.Sum256(fmt.Append(nil, s.story.Name, owner, len(s.byID)))
	id := hex.EncodeToString(sum[:5])
	picture := sandbox.Snapshot{ID: sandbox.ID(id), Owner: owner, Lab: t.Name, Provider: s.Provider(), State: sandbox.Queued}
	for i, step := range kindSteps {
		picture.Steps = append(picture.Steps, sandbox.Step{Index: i + 1, Total: len(kindSteps), Name: step.Name, Status: sandbox.StepPending})
	}
	sc := &scene{Scene: sandbox.NewScene(picture, t.Flows()), owner: owner, topology: t, flows: t.Flows()}
	s.byOwner[owner], s.byID[id] = sc, sc
	return sc
}

// becomes tells the state.
func (sc *scene) becomes(state sandbox.State, reason string) {
	sc.Tell(sandbox.Event{Type: sandbox.EventState, State: &sandbox.StateChange{State: state, Reason: reason}})
}

// starts goes through the steps up to the one of that number, counted from 1, which has
// that status.
func (sc *scene) starts(upTo int, status sandbox.StepStatus) {
	sc.becomes(sandbox.Creating, "")
	for i, step := range kindSteps[:upTo] {
		step.Index, step.Total, step.Status = i+1, len(kindSteps), sandbox.StepDone
		if step.Index == upTo {
			step.Status = status
		}
		if step.Status == sandbox.StepRunning {
			step.ElapsedMillis = 0
		}
		sc.Tell(sandbox.Event{Type: sandbox.EventStep, Step: &step})
	}
}

// isReady starts the sandbox, and measures it with the policies of each text applied in
// turn.
func (sc *scene) isReady(applied ...string) {
	sc.starts(len(kindSteps), sandbox.StepDone)
	sc.carryOut("", nil, nil)
	sc.becomes(sandbox.Ready, "")
	for _, text := range applied {
		policies, err := policy.Parse([]byte(text), policy.ParseOptions{Namespaces: sc.topology.NamespaceNames()})
		if err != nil {
			panic(err) // The texts are constants.
		}
		sc.carryOut(sandbox.OriginApply, policies, nil)
	}
}

// carryOut makes those the policies in force and tells what a change tells. What is seen
// is what is predicted, but for the flows of otherwise.
func (sc *scene) carryOut(origin sandbox.Origin, policies []policy.Policy, otherwise map[string]probe.Verdict) sandbox.PolicyChange {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if origin != "" {
		sc.change++
	}
	sc.policies = slices.Clone(policies)
	slices.SortFunc(sc.policies, func(a, b policy.Policy) int { return a.Ref().Compare(b.Ref()) })
	predictor, err := sandbox.NewPredictor(sc.topology, sc.topology.PlannedAddresses(), sc.policies)
	if err != nil {
		panic(err) // The lab's own flows, and policies that were parsed.
	}
	var now []sandbox.AppliedPolicy
	for _, p := range sc.policies {
		now = append(now, sandbox.AppliedPolicy{PolicyRef: p.Ref(), YAML: p.Source})
	}
	sc.Tell(sandbox.Event{Type: sandbox.EventPredictions, Predictions: predictor.Expect(sc.change, sc.flows)})
	told := sc.Policies(sc.change, origin, now)
	before, _ := sc.Snapshot()
	was := map[string]probe.Verdict{}
	for _, o := range before.Observations {
		was[o.Flow] = o.Verdict
	}
	var seen []sandbox.Observation
	var disagreed []sandbox.Disagreed
	flips := 0
	for _, f := range sc.flows {
		predicted, err := predictor.Verdict(f)
		if err != nil {
			continue
		}
		o := observed(f, predicted)
		if v, ok := otherwise[f.ID]; ok {
			o = observed(f, v)
			disagreed = append(disagreed, sandbox.Disagreed{Flow: f.ID, Predicted: predicted, Observed: v})
		}
		if was[f.ID] != o.Verdict {
			seen = append(seen, o)
			flips++
		}
	}
	sc.Tell(sandbox.Event{Type: sandbox.EventObservations, Observations: &sandbox.Observations{Change: sc.change, Flows: seen}})
	sc.Tell(sandbox.Event{Type: sandbox.EventSettled, Settled: &sandbox.Settled{Change: sc.change, TookMillis: 640, FirstFlipMillis: 130, Flows: len(sc.flows), Flips: flips}})
	if disagreed != nil {
		sc.Tell(sandbox.Event{Type: sandbox.EventDisagreement, Disagreement: &sandbox.Disagreement{Change: sc.change, Flows: disagreed}})
	}
	return told
}

func (sc *scene) inForce() []policy.Policy {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return slices.Clone(sc.policies)
}

// isFirstApply reports that there was no Apply before, once.
func (sc *scene) isFirstApply() bool {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	first := !sc.applied
	sc.applied = true
	return first
}

// observed is a flow with that verdict, as it is measured.
func observed(f sandbox.Flow, v probe.Verdict) sandbox.Observation {
	o := sandbox.Observation{Flow: f.ID, Verdict: v}
	switch v {
	case probe.Open:
		h := fnv.New32a()
		_, _ = h.Write([]byte(f.ID)) // never fails
		o.LatencyMicros, o.Server = 280+int64(h.Sum32()%600), f.To
	case probe.DNSFailed:
		o.Detail = "no answer from the DNS service"
	case probe.Unknown:
		o.Detail = "the pod could not be asked"
	}
	return o
}

// parse reads the policies of the text, and what is none in it.
func (sc *scene) parse(ctx context.Context, src []byte) ([]policy.Policy, []policy.Other, error) {
	if strings.TrimSpace(string(src)) == "" {
		return nil, nil, nil
	}
	return policy.ParseSettingAside(ctx, src, policy.ParseOptions{Namespaces: sc.topology.NamespaceNames()})
}

func (s *sandboxes) of(id sandbox.ID) (*scene, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sc := s.byID[string(id)]; sc != nil {
		return sc, nil
	}
	return nil, sandbox.ErrNotFound
}

// Provider is that of the story.
func (s *sandboxes) Provider() string {
	if s.story.Simulated {
		return sandbox.Simulated
	}
	return "kind"
}

// Surveyed says that it is known what is on the machine: nothing is.
func (s *sandboxes) Surveyed() bool { return true }

// Available fails as the story says.
func (s *sandboxes) Available() error { return s.story.Unavailable }

// Create makes one that waits for its turn.
func (s *sandboxes) Create(owner, _ string, lab *sandbox.Topology) (sandbox.Snapshot, int64, error) {
	if s.story.Full {
		return sandbox.Snapshot{}, 0, sandbox.ErrBusy
	}
	snapshot, seq := s.add(owner, lab).Snapshot()
	return snapshot, seq, nil
}

// Reset makes another.
func (s *sandboxes) Reset(id sandbox.ID, address string) (sandbox.Snapshot, int64, error) {
	sc, err := s.of(id)
	if err != nil {
		return sandbox.Snapshot{}, 0, err
	}
	return s.Create(sc.owner, address, sc.topology)
}

// Extend does what the button is for.
func (s *sandboxes) Extend(id sandbox.ID) (sandbox.Ending, error) {
	sc, err := s.of(id)
	if err != nil {
		return sandbox.Ending{}, err
	}
	ending := sandbox.Ending{At: time.Now().Add(2 * time.Hour), Extended: true}
	sc.Tell(sandbox.Event{Type: sandbox.EventEnds, Ends: &ending})
	return ending, nil
}

// Wake has nothing to wake: nobody sleeps long enough to be seen.
func (s *sandboxes) Wake(sandbox.ID) error { return nil }

// ByOwner is the learner's.
func (s *sandboxes) ByOwner(owner string) (sandbox.Snapshot, int64, bool) {
	s.mu.Lock()
	sc := s.byOwner[owner]
	s.mu.Unlock()
	if sc == nil {
		return sandbox.Snapshot{}, 0, false
	}
	snapshot, seq := sc.Snapshot()
	return snapshot, seq, true
}

// Get finds one.
func (s *sandboxes) Get(id sandbox.ID) (sandbox.Snapshot, int64, error) {
	sc, err := s.of(id)
	if err != nil {
		return sandbox.Snapshot{}, 0, err
	}
	snapshot, seq := sc.Snapshot()
	return snapshot, seq, nil
}

// Addresses are planned ones.
func (s *sandboxes) Addresses(id sandbox.ID) (sandbox.Addresses, error) {
	sc, err := s.of(id)
	if err != nil {
		return sandbox.Addresses{}, err
	}
	return sc.topology.PlannedAddresses(), nil
}

// Baseline is what is in force.
func (s *sandboxes) Baseline(id sandbox.ID) (*sandbox.Baseline, error) {
	sc, err := s.of(id)
	if err != nil {
		return nil, err
	}
	if snapshot, _ := sc.Snapshot(); snapshot.State != sandbox.Ready {
		return nil, sandbox.ErrNotReady
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	b, err := sandbox.NewBaseline(sc.topology, sc.topology.PlannedAddresses(), sc.policies)
	if err == nil {
		b.Change = sc.change
	}
	return b, err
}

// Apply adds the policies to those in force.
func (s *sandboxes) Apply(ctx context.Context, id sandbox.ID, src []byte) (sandbox.PolicyChange, error) {
	sc, err := s.of(id)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	added, _, err := sc.parse(ctx, src)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	kept := slices.DeleteFunc(sc.inForce(), func(p policy.Policy) bool {
		return slices.ContainsFunc(added, func(n policy.Policy) bool { return n.Ref() == p.Ref() })
	})
	return sc.carryOut(sandbox.OriginApply, append(kept, added...), nil), nil
}

// Replace puts the policies in force, after what the story has come in between.
func (s *sandboxes) Replace(ctx context.Context, id sandbox.ID, origin sandbox.Origin, src []byte, _ ...sandbox.ChangeOption) (sandbox.PolicyChange, error) {
	sc, err := s.of(id)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	if s.story.Applying != nil && sc.isFirstApply() {
		if err := s.story.Applying(sc); err != nil {
			return sandbox.PolicyChange{}, err
		}
	}
	policies, aside, err := sc.parse(ctx, src)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	change := sc.carryOut(origin, policies, nil)
	change.SetAside = aside
	return change, nil
}

// DeletePolicies removes them.
func (s *sandboxes) DeletePolicies(_ context.Context, id sandbox.ID, refs []sandbox.PolicyRef) (sandbox.PolicyChange, error) {
	sc, err := s.of(id)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	kept := slices.DeleteFunc(sc.inForce(), func(p policy.Policy) bool { return refs == nil || slices.Contains(refs, p.Ref()) })
	return sc.carryOut(sandbox.OriginDelete, kept, nil), nil
}

// History is what has become of the policies.
func (s *sandboxes) History(id sandbox.ID) (sandbox.History, error) {
	sc, err := s.of(id)
	if err != nil {
		return sandbox.History{}, err
	}
	return sc.History(), nil
}

// PoliciesAt are those of a point in it.
func (s *sandboxes) PoliciesAt(id sandbox.ID, change int64) ([]sandbox.AppliedPolicy, error) {
	sc, err := s.of(id)
	if err != nil {
		return nil, err
	}
	return sc.PoliciesAt(change)
}

// Restore goes back to it.
func (s *sandboxes) Restore(ctx context.Context, id sandbox.ID, change int64, _ ...sandbox.ChangeOption) (sandbox.PolicyChange, error) {
	then, err := s.PoliciesAt(id, change)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	var texts []string
	for _, p := range then {
		texts = append(texts, strings.TrimSuffix(p.YAML, "\n"))
	}
	return s.Replace(ctx, id, sandbox.OriginRestore, []byte(strings.Join(texts, "\n---\n")))
}

// Stop ends it.
func (s *sandboxes) Stop(id sandbox.ID) error {
	sc, err := s.of(id)
	if err != nil {
		return err
	}
	sc.becomes(sandbox.Stopping, "You stopped it.")
	sc.becomes(sandbox.Stopped, "You stopped it.")
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byOwner, sc.owner)
	return nil
}

// StopOwner ends the learner's.
func (s *sandboxes) StopOwner(owner string) error {
	if snapshot, _, ok := s.ByOwner(owner); ok {
		return s.Stop(snapshot.ID)
	}
	return nil
}

// Subscribe reads the scene's events.
func (s *sandboxes) Subscribe(id sandbox.ID, after int64, options ...sandbox.SubscribeOption) (*sandbox.Subscription, error) {
	sc, err := s.of(id)
	if err != nil {
		return nil, err
	}
	return sc.Subscribe(after, options...), nil
}

// Terminal shows what was typed in one before.
func (s *sandboxes) Terminal(_ context.Context, id sandbox.ID, size sandbox.TerminalSize) (*sandbox.TerminalView, error) {
	sc, err := s.of(id)
	switch {
	case err != nil:
		return nil, err
	case s.story.Simulated:
		return nil, sandbox.ErrNoTerminal
	}
	read, write := io.Pipe()
	go func() { _, _ = write.Write([]byte(typed)) }()
	return sc.Scene.Terminal(s.content.closing, shell{read}, size)
}

// shell has written what was typed, and takes no notice of more.
type shell struct{ *io.PipeReader }

func (shell) Write(p []byte) (int, error) { return len(p), nil }
func (shell) Resize(sandbox.TerminalSize) {}
