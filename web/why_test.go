package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

func TestWhy_is_told_step_by_step_with_the_lines_that_decide(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	id := v.start()
	ask := func(flow string) reply {
		return v.send("GET", "/sandboxes/"+id+"/why?flow="+url.QueryEscape(flow), nil)
	}
	v.put(id, denyProduction+"---\n"+webIntoAPI)
	var told sandbox.Why
	const byName = "production/web>production/api:8080/TCP@name"
	strict(t, ask(byName).body, &told)
	if told.Flow != byName || told.Verdict != probe.DNSFailed {
		t.Errorf("told %+v", told)
	}
	var of []sandbox.StepOf
	for _, s := range told.Steps {
		of = append(of, s.Of)
		switch s.Of {
		case sandbox.StepName, sandbox.StepEgress:
			if s.OK == nil || *s.OK || !strings.Contains(s.Text, "default-deny-all") || len(s.Places) != 1 || s.Places[0] != (sandbox.Place{Namespace: "production", Name: "default-deny-all", Line: 7, Column: 3, EndLine: 7}) {
				t.Errorf("%+v", s)
			}
		case sandbox.StepIngress:
			if s.OK == nil || !*s.OK || !slices.Contains(s.Places, sandbox.Place{Namespace: "production", Name: "allow-web-to-api", Line: 12, Column: 5, EndLine: 17}) {
				t.Errorf("%+v", s)
			}
		}
	}
	if want := []sandbox.StepOf{sandbox.StepName, sandbox.StepService, sandbox.StepEgress, sandbox.StepIngress}; !slices.Equal(of, want) {
		t.Errorf("steps %v, want %v", of, want)
	}
	if told.Remedy == nil || len(told.Remedy.Files) != 2 {
		t.Fatalf("remedy %+v", told.Remedy)
	}
	// Put beside the others, it opens the flow.
	drafts := []string{denyProduction, webIntoAPI}
	for _, f := range told.Remedy.Files {
		drafts = append(drafts, f.YAML)
	}
	if got := v.analysis(drafts...); !slices.Contains(got.Changes, sandbox.Flip{Flow: byName, From: probe.DNSFailed, To: probe.Open}) {
		t.Errorf("with the remedy: %+v", got.Changes)
	}

	refusal(t, ask("production/web>nowhere:1/TCP"), http.StatusNotFound)
	if a := l.learner(t).send("GET", "/sandboxes/"+id+"/why?flow="+url.QueryEscape(byName), nil); a.status != http.StatusNotFound {
		t.Errorf("somebody else's: status %d", a.status)
	}
}

func TestWhy_of_a_draft_is_about_the_draft(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	a := v.draft(AnalysisRequest{Files: draftFiles(denyProduction, webIntoAPI), Flow: "production/web>production/api:8080/TCP"})
	var got Analysis
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Why == nil || got.Why.Verdict != probe.Blocked || len(got.Why.Steps) != 3 || got.Why.Remedy == nil || len(got.Why.Remedy.Files) != 1 {
		t.Errorf("got %+v", got.Why)
	}
	refusal(t, v.draft(AnalysisRequest{Files: draftFiles(denyProduction), Flow: "nowhere"}), http.StatusNotFound)
}
