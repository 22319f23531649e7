package sandbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

func readPolicies(t testing.TB, top *sandbox.Topology, src string) []policy.Policy {
	t.Helper()
	if strings.TrimSpace(src) == "" {
		return nil
	}
	policies, err := policy.Parse([]byte(src), policy.ParseOptions{Namespaces: top.NamespaceNames()})
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return policies
}

func predicted(t testing.TB, top *sandbox.Topology, policies []policy.Policy) *sandbox.Predictor {
	t.Helper()
	p, err := sandbox.NewPredictor(top, top.PlannedAddresses(), policies)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// checkWhy asks why each flow is as it is, and holds the answer against the evaluator's.
// It returns how many of the open flows can be closed, and how many of these alone.
func checkWhy(t *testing.T, top *sandbox.Topology, policies []policy.Policy) (open, closable, alone int) {
	t.Helper()
	before := predicted(t, top, policies)
	verdicts := before.Verdicts(top.Flows())
	for _, f := range top.Flows() {
		w, err := before.Why(f)
		if err != nil {
			t.Fatalf("%s: %v", f.ID, err)
		}
		if w.Verdict != verdicts[f.ID] || w.Flow != f.ID {
			t.Errorf("%s is %s, and why says %s of %s", f.ID, verdicts[f.ID], w.Verdict, w.Flow)
		}
		passes := true
		for _, s := range w.Steps {
			passes = passes && s.OK != nil && *s.OK
			if s.Title == "" || s.Text == "" && s.OK != nil {
				t.Errorf("%s: a step without words: %+v", f.ID, s)
			}
			for _, at := range s.Places {
				i := slices.IndexFunc(policies, func(p policy.Policy) bool { return p.Namespace == at.Namespace && p.Name == at.Name })
				if i < 0 || at.Line < policies[i].Line || at.EndLine < at.Line || at.EndLine > policies[i].EndLine() {
					t.Errorf("%s: %+v is no place in a policy", f.ID, at)
				}
			}
		}
		if passes != (w.Verdict == probe.Open) {
			t.Errorf("%s is %s, and its steps say otherwise: %+v", f.ID, w.Verdict, w.Steps)
		}
		if w.Verdict == probe.Open {
			open++
		}
		if w.Remedy == nil {
			continue
		}
		after := predicted(t, top, patched(t, top, policies, w.Remedy)).Verdicts(top.Flows())
		if (after[f.ID] == probe.Open) == (w.Verdict == probe.Open) {
			t.Errorf("%s: the remedy leaves it %s: %+v", f.ID, after[f.ID], w.Remedy)
		}
		others := 0
		for _, o := range top.Flows() {
			same := o.From == f.From && o.To == f.To && o.Port == f.Port && o.Protocol == f.Protocol
			opened, closed := after[o.ID] == probe.Open && verdicts[o.ID] != probe.Open, after[o.ID] != probe.Open && verdicts[o.ID] == probe.Open
			if w.Verdict == probe.Open && opened || w.Verdict != probe.Open && closed {
				t.Errorf("%s: the remedy does the opposite to %s: %+v", f.ID, o.ID, w.Remedy)
			}
			if !same && (opened || closed) {
				others++
			}
		}
		if (others > 0) != strings.Contains(w.Remedy.Text, ", too") {
			t.Errorf("%s: %d others change, and the remedy says: %s", f.ID, others, w.Remedy.Text)
		}
		if w.Verdict == probe.Open {
			closable++
			if others == 0 {
				alone++
			}
		}
	}
	return open, closable, alone
}

// patched are the policies with the remedy's in the place of those of the same names.
func patched(t *testing.T, top *sandbox.Topology, policies []policy.Policy, r *sandbox.Remedy) []policy.Policy {
	t.Helper()
	out := slices.Clone(policies)
	for _, file := range r.Files {
		out = slices.DeleteFunc(out, func(p policy.Policy) bool { return p.Namespace == file.Namespace && p.Name == file.Name })
		read := readPolicies(t, top, file.YAML)
		if len(read) != 1 || read[0].Namespace != file.Namespace || read[0].Name != file.Name {
			t.Errorf("%s/%s is %+v", file.Namespace, file.Name, read)
		}
		out = append(out, read...)
	}
	return out
}

func TestWhy_agrees_with_the_evaluator_and_its_remedies_do_what_they_say(t *testing.T) {
	top := lessonTopology(t)
	open, closable, alone := checkWhy(t, top, nil)
	t.Logf("no policies: %d open, %d closable, %d alone", open, closable, alone)
	// No policy selects node-agent, which uses its node's network and is always let in
	// from there. Who may not ask DNS reaches nothing by name any more.
	var node, questions int
	for _, f := range top.Flows() {
		if f.From == "monitoring/node-agent" {
			node++
		} else if f.ToDNS() && f.Protocol == sandbox.UDP {
			questions++
		}
	}
	if closable != open-node || alone != closable-questions || node == 0 || questions == 0 {
		t.Errorf("of %d open flows %d can be closed, %d of them alone; %d begin at a node, %d ask DNS", open, closable, alone, node, questions)
	}
	for seed := range uint64(4) {
		draw := policytest.New(seed, top.Network(top.PlannedAddresses()))
		draw.Namespaces = top.NamespaceNames()
		var src strings.Builder
		for _, p := range draw.Policies(6) {
			fmt.Fprintf(&src, "---\n%s", policy.YAML(p.NetworkPolicy))
		}
		o, c, a := checkWhy(t, top, readPolicies(t, top, src.String()))
		t.Logf("seed %d: %d open, %d closable, %d alone", seed, o, c, a)
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, src.String())
		}
	}
}
