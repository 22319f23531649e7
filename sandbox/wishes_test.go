package sandbox_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/build"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// lessonLabs are the topologies of the lab's own lessons.
func lessonLabs(t *testing.T) []*sandbox.Topology {
	t.Helper()
	files, err := filepath.Glob("../lessons/content/*/topology.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no lessons' topologies: %v", err)
	}
	var out []*sandbox.Topology
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		topology, err := sandbox.ParseTopology(src)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, topology)
	}
	return out
}

// TestWishes_for_what_any_policies_do_are_always_fulfilled takes policies by chance and
// wishes for just what they make of a lesson's flows: so it is known that it can be done.
func TestWishes_for_what_any_policies_do_are_always_fulfilled(t *testing.T) {
	before, after := 0, 0
	for _, lab := range lessonLabs(t) {
		a := lab.PlannedAddresses()
		for seed := range uint64(50) {
			draw := policytest.New(seed, lab.Network(a))
			draw.Namespaces = lab.NamespaceNames()
			drawn := draw.Policies(6)
			p, err := sandbox.NewPredictor(lab, a, drawn)
			if err != nil {
				t.Fatal(err)
			}
			wishes := map[string]sandbox.Wish{}
			for id, verdict := range p.Verdicts(lab.Flows()) {
				wishes[id] = sandbox.WishClosed
				if verdict == probe.Open {
					wishes[id] = sandbox.WishOpen
				}
			}
			plan := fulfilled(t, fmt.Sprintf("%s, seed %d", lab.Name, seed), lab, wishes)
			before, after = before+len(drawn), after+len(plan.Policies)
		}
	}
	t.Logf("%d policies drawn, %d written that do the same", before, after)
}

// fulfilled builds for the wishes and holds that they are met.
func fulfilled(t *testing.T, what string, lab *sandbox.Topology, wishes map[string]sandbox.Wish) build.Plan {
	t.Helper()
	a := lab.PlannedAddresses()
	plan, err := lab.Build(a, wishes)
	if err != nil || len(plan.Refusals) > 0 {
		t.Fatalf("%s: %v, %+v", what, err, plan.Refusals)
	}
	var made []policy.Policy
	for _, p := range plan.Policies {
		made = append(made, policy.Policy{NetworkPolicy: p.NetworkPolicy})
	}
	predictor, err := sandbox.NewPredictor(lab, a, made)
	if err != nil {
		t.Fatal(err)
	}
	if unmet, err := predictor.Unmet(wishes); err != nil || len(unmet) > 0 {
		t.Fatalf("%s: %v, not as wished: %v", what, err, unmet)
	}
	return plan
}

// TestWishes_of_the_first_lesson_give_a_handful_of_policies asks for the lesson's end:
// web to api, api to db, Prometheus to the api's metrics, DNS for production; the rest
// of production is closed.
func TestWishes_of_the_first_lesson_give_a_handful_of_policies(t *testing.T) {
	lab := lessonLabs(t)[0]
	open := map[string]bool{
		"production/web>production/api:8080/TCP": true, "production/web>production/api:8080/TCP@name": true,
		"production/api>production/db:5432/TCP": true, "production/api>production/db:5432/TCP@name": true,
		"monitoring/prometheus>production/api:9090/TCP": true,
		"production/web>kube-system/kube-dns:53/UDP":    true, "production/api>kube-system/kube-dns:53/UDP": true,
	}
	wishes := map[string]sandbox.Wish{}
	for _, f := range lab.Flows() {
		inside := strings.HasPrefix(f.From, "production/") || strings.HasPrefix(f.To, "production/")
		switch {
		case !inside || f.From == "monitoring/node-agent":
		case open[f.ID]:
			wishes[f.ID] = sandbox.WishOpen
		default:
			wishes[f.ID] = sandbox.WishClosed
		}
	}
	delete(wishes, "production/web>kube-system/kube-dns:53/TCP")
	delete(wishes, "production/api>kube-system/kube-dns:53/TCP")
	plan := fulfilled(t, lab.Name, lab, wishes)
	var names []string
	for _, p := range plan.Policies {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	if got, want := strings.Join(names, " "), "production/allow-dns production/api production/db production/default-deny production/web"; got != want {
		t.Errorf("got %s, want %s", got, want)
		for _, p := range plan.Policies {
			t.Log("\n" + p.YAML)
		}
	}
}

// TestWishes_by_chance_are_met_or_refused draws a wish for a few flows of each lesson.
func TestWishes_by_chance_are_met_or_refused(t *testing.T) {
	met, refused := 0, 0
	for _, lab := range lessonLabs(t) {
		flows := lab.Flows()
		for seed := range uint64(50) {
			r := rand.New(rand.NewPCG(seed, 7))
			wishes := map[string]sandbox.Wish{}
			for range 1 + r.IntN(12) {
				wishes[flows[r.IntN(len(flows))].ID] = []sandbox.Wish{sandbox.WishOpen, sandbox.WishClosed}[r.IntN(2)]
			}
			plan, err := lab.Build(lab.PlannedAddresses(), wishes)
			if err != nil {
				t.Fatalf("%s, seed %d: %v", lab.Name, seed, err)
			}
			if len(plan.Refusals) > 0 {
				refused++
				continue
			}
			met++
			fulfilled(t, fmt.Sprintf("%s, seed %d", lab.Name, seed), lab, wishes)
		}
	}
	t.Logf("%d met, %d refused", met, refused)
	if met == 0 || refused == 0 {
		t.Error("the draw is not fair")
	}
}

func TestAlwaysOpen_is_what_cannot_be_wished_closed(t *testing.T) {
	for _, lab := range lessonLabs(t) {
		a := lab.PlannedAddresses()
		always, err := lab.AlwaysOpen(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range lab.Flows() {
			plan, err := lab.Build(a, map[string]sandbox.Wish{f.ID: sandbox.WishClosed})
			if err != nil {
				t.Fatal(err)
			}
			if is := slices.Contains(always, f.ID); is != (len(plan.Refusals) > 0) {
				t.Errorf("%s: %s is always open: %t; a wish for it closed is refused: %+v", lab.Name, f.ID, is, plan.Refusals)
			}
		}
	}
}

func TestWishes_for_a_flow_that_is_not_there_are_an_error(t *testing.T) {
	lab := lessonLabs(t)[0]
	if _, err := lab.Build(lab.PlannedAddresses(), map[string]sandbox.Wish{"a/b>c/d:1/TCP": sandbox.WishOpen}); !errors.Is(err, sandbox.ErrNoFlow) {
		t.Errorf("got %v, want %v", err, sandbox.ErrNoFlow)
	}
}
