package web

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/build"
)

// Wishes are what a learner wants of a lab's flows.
type Wishes struct {
	// Flows are the wishes by the flows' IDs. A flow without one is free: it stays open
	// unless a pod has to be isolated, and then it is closed.
	Flows map[string]sandbox.Wish `json:"flows"`
}

// Built is what was made of wishes: policies, or the reasons why none can do it.
type Built struct {
	// Change is the number of the change that Changes are compared with; 0 without a
	// sandbox.
	Change int64 `json:"change"`
	// Files are the policies. There are none where nothing has to be closed, and none
	// where there are refusals.
	Files    []BuiltFile `json:"files"`
	Refusals []NotBuilt  `json:"refusals"`
	// More is how many refusals are not told.
	More int `json:"more,omitempty"`
	// Else says what the policies also let through or close: of pods to come, and of
	// connections that nobody asked for.
	Else []string `json:"else"`
	// Changes are the flows that would be otherwise than now if the policies were the
	// only ones, and Summary says so in a sentence. Free are those without a wish.
	Changes []sandbox.Flip `json:"changes"`
	Free    []string       `json:"free"`
	Summary string         `json:"summary"`
	// AlwaysOpen are the flows that no policy can close.
	AlwaysOpen []string `json:"alwaysOpen"`
	// Others are the policies in force that would have to go. Beside are the wishes, as
	// IDs of flows, that would not be met if they stayed.
	Others []policy.Ref `json:"others"`
	Beside []string     `json:"beside"`
}

// BuiltFile is one of the policies.
type BuiltFile struct {
	sandbox.PolicyFile
	Sentences []string `json:"sentences"`
}

// NotBuilt is one thing that no policies can do.
type NotBuilt struct {
	Cause build.Cause `json:"cause"`
	// Ends are the two that no policy tells apart, or between which the wish is: pods as
	// "namespace/pod", hosts by name.
	Ends   []string `json:"ends"`
	Text   string   `json:"text"`
	Advice string   `json:"advice"`
}

// maxWishBytes is how long wishes may be: enough for each flow of the largest lab.
const maxWishBytes = 256 << 10

// policiesFor makes policies of the body's wishes. Nothing of it is kept or applied.
func (s *server) policiesFor(w http.ResponseWriter, r *http.Request) error {
	lesson, err := s.lab(r, chi.URLParam(r, "lab"))
	if err != nil {
		return err
	}
	wishes, err := readWishes(w, r)
	if err != nil {
		return err
	}
	baseline, err := s.baseline(r, lesson.Topology)
	if err != nil {
		return err
	}
	built, err := buildFor(lesson.Topology, baseline, wishes)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, built)
}

func readWishes(w http.ResponseWriter, r *http.Request) (map[string]sandbox.Wish, error) {
	if contentType(r) != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, `Send JSON such as {"flows": {"production/web>production/api:8080/TCP": "open"}} as application/json.`)
	}
	var body Wishes
	if err := readJSON(w, r, maxWishBytes, &body); err != nil {
		return nil, err
	}
	for _, wish := range body.Flows {
		if wish != sandbox.WishOpen && wish != sandbox.WishClosed {
			return nil, refuse(http.StatusBadRequest, `A wish is "open" or "closed", not %q.`, string(wish))
		}
	}
	return body.Flows, nil
}

// buildFor makes the policies, and compares them with what is in force.
func buildFor(lab *sandbox.Topology, baseline *sandbox.Baseline, wishes map[string]sandbox.Wish) (*Built, error) {
	plan, err := lab.Build(baseline.Addresses, wishes)
	if err != nil {
		return nil, err
	}
	out := &Built{
		Change: baseline.Change, Files: []BuiltFile{}, Refusals: []NotBuilt{}, More: plan.More, Else: []string{},
		Changes: []sandbox.Flip{}, Free: []string{}, Others: []policy.Ref{}, Beside: []string{}, AlwaysOpen: []string{},
	}
	always, err := lab.AlwaysOpen(baseline.Addresses)
	if err != nil {
		return nil, err
	}
	out.AlwaysOpen = append(out.AlwaysOpen, always...)
	for _, refusal := range plan.Refusals {
		out.Refusals = append(out.Refusals, NotBuilt{refusal.Cause, refusal.Ends[:], refusal.Text, refusal.Advice})
	}
	if len(plan.Refusals) > 0 {
		out.Summary = "No policies can do all of this."
		return out, nil
	}
	out.Else = append(out.Else, plan.Else...)
	var made []policy.Policy
	for _, p := range plan.Policies {
		out.Files = append(out.Files, BuiltFile{sandbox.PolicyFile{PolicyRef: policy.Ref{Namespace: p.Namespace, Name: p.Name}, YAML: p.YAML}, p.Sentences})
		made = append(made, policy.Policy{NetworkPolicy: p.NetworkPolicy})
	}
	alone, err := sandbox.NewPredictor(lab, baseline.Addresses, made)
	if err != nil {
		return nil, err
	}
	if unmet, err := alone.Unmet(wishes); err != nil {
		return nil, err
	} else if len(unmet) > 0 {
		return nil, fmt.Errorf("policies were made of wishes that do not do it for %v", unmet)
	}
	changes, summary := compare(baseline, alone.Verdicts(baseline.Flows))
	out.Changes, out.Summary = append(out.Changes, changes...), summary
	for _, c := range changes {
		if _, wished := wishes[c.Flow]; !wished {
			out.Free = append(out.Free, c.Flow)
		}
	}
	both := made
	for _, p := range baseline.Predictor.Evaluator().Policies() {
		if !slices.ContainsFunc(made, func(m policy.Policy) bool { return m.Ref() == p.Ref() }) {
			out.Others = append(out.Others, p.Ref())
			both = append(both, p)
		}
	}
	beside, err := sandbox.NewPredictor(lab, baseline.Addresses, both)
	if err != nil {
		return nil, err
	}
	unmet, err := beside.Unmet(wishes)
	out.Beside = append(out.Beside, unmet...)
	return out, err
}
