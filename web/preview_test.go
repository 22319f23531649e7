package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/lint"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/simulated"
)

const (
	denyProduction = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: default-deny-all\n  namespace: production\nspec:\n  podSelector: {}\n  policyTypes: [Ingress, Egress]\n"
	webIntoAPI     = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: allow-web-to-api\n  namespace: production\nspec:\n  podSelector:\n    matchLabels:\n      app: api\n  policyTypes: [Ingress]\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: web\n    ports:\n    - port: 8080\n"
)

// analysis asks about a draft whose files are called a, b, and so on.
func (v *learner) analysis(files ...string) Analysis {
	v.t.Helper()
	a := v.draft(AnalysisRequest{Files: draftFiles(files...)})
	if a.status != http.StatusOK {
		v.t.Fatalf("analysis: status %d: %s", a.status, a.body)
	}
	var out Analysis
	strict(v.t, a.body, &out)
	return out
}

func draftFiles(texts ...string) []DraftFile {
	out := []DraftFile{}
	for i, text := range texts {
		out = append(out, DraftFile{ID: string(rune('a' + i)), Text: text})
	}
	return out
}

func (v *learner) draft(draft AnalysisRequest) reply {
	v.t.Helper()
	body, err := json.Marshal(draft)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.send("POST", "/labs/network-policies/analysis", strings.NewReader(string(body)), "Content-Type", "application/json")
}

func TestA_draft_without_a_sandbox_is_compared_with_no_policies(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	got := v.analysis(denyProduction)
	if len(got.Changes) == 0 || got.Change != 0 {
		t.Fatalf("got %+v", got)
	}
	for _, c := range got.Changes {
		if c.From != probe.Open || c.To == probe.Open {
			t.Errorf("%+v", c)
		}
	}
	if want := summary(len(got.Changes), 0, 0); got.Summary != want {
		t.Errorf("summary = %q, want %q", got.Summary, want)
	}
	flows := 0
	for _, e := range got.Expected {
		flows += len(e.Flows)
	}
	if want := len(v.lab.lessons[0].Topology.Flows()); flows != want {
		t.Errorf("%d flows are expected, want %d", flows, want)
	}
	p := got.Files[0].Policies
	if len(p) != 1 || p[0].Name != "default-deny-all" || !slices.Contains(p[0].Selects, "production/web") || !slices.Equal(p[0].Isolates, []string{"Ingress", "Egress"}) || len(p[0].Sentences) == 0 || p[0].EndLine != 8 {
		t.Errorf("policies: %+v", p)
	}
}

func TestA_draft_is_compared_with_what_is_in_force(t *testing.T) {
	provider, err := simulated.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, setup{provider: provider})
	v := l.learner(t)
	id := v.start()
	if a := v.put(id, denyProduction); a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	if got := v.analysis(denyProduction); len(got.Changes) != 0 || got.Summary != "No flow would change." || got.Change != 1 {
		t.Errorf("the same again: %d changes, %q, change %d", len(got.Changes), got.Summary, got.Change)
	}
	got := v.analysis(webIntoAPI)
	opens := map[string]bool{}
	for _, c := range got.Changes {
		opens[c.Flow] = c.To == probe.Open && c.From != probe.Open
	}
	if !opens["production/web>production/api:8080/TCP"] {
		t.Errorf("without the default deny, web reaches api: %+v", got.Changes)
	}
	// Nothing was sent to the cluster.
	if now := v.policies(id); len(now) != 1 || now[0].Name != "default-deny-all" {
		t.Errorf("in force: %+v", now)
	}
	// Somebody else's draft is not compared with this sandbox.
	if other := l.learner(t).analysis(denyProduction); other.Change != 0 || len(other.Changes) == 0 {
		t.Errorf("another learner is told of this sandbox: %+v", other)
	}
}

func TestA_draft_with_an_error_has_no_preview_and_says_where(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	got := v.analysis(denyProduction, strings.Replace(webIntoAPI, "    ports:", "    prots:", 1))
	if got.Expected != nil || got.Changes != nil || got.Summary != "No preview: line 16 has an error." {
		t.Errorf("got %+v", got)
	}
	if len(got.Files[1].Problems) != 1 {
		t.Fatalf("problems: %+v", got.Files[1].Problems)
	}
	p := got.Files[1].Problems[0]
	if p.Severity != SeverityError || p.Position != (policy.Position{Line: 16, Column: 5}) || p.EndLine != 16 || p.EndColumn != 10 {
		t.Errorf("got %+v", p)
	}
}

func TestWhat_may_well_be_meant_is_a_hint_and_no_warning(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	egress := strings.NewReplacer("name: default-deny-all", "name: some-egress", "policyTypes: [Ingress, Egress]", "policyTypes: [Egress]\n  egress:\n    - to:\n        - podSelector: {}").Replace(denyProduction)
	for _, c := range []struct {
		policy string
		want   Severity
	}{{denyProduction, SeverityInfo}, {egress, SeverityWarning}} {
		got := v.analysis(c.policy).Files[0].Problems
		if len(got) != 1 || got[0].Code != string(lint.CheckDNSNotAllowed) || got[0].Severity != c.want {
			t.Errorf("got %+v, want one %s", got, c.want)
		}
	}
}

func TestA_policy_that_two_files_have_is_an_error(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	got := v.analysis(denyProduction, webIntoAPI, denyProduction)
	if n := len(got.Files[0].Problems); n != 0 && got.Files[0].Problems[0].Severity == SeverityError {
		t.Errorf("the first has %+v", got.Files[0].Problems)
	}
	p := got.Files[2].Problems
	if i := slices.IndexFunc(p, func(p Problem) bool {
		return p.Field == "metadata.name" && p.Line == 4 && p.Column == 9 && p.EndColumn == 25
	}); i < 0 || got.Expected != nil {
		t.Errorf("got %+v", p)
	}
}

func TestWhat_is_no_policy_is_set_aside_with_a_sentence(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	got := v.analysis("apiVersion: v1\nkind: Namespace\nmetadata: {name: production}\n---\n" + denyProduction)
	f := got.Files[0]
	if len(f.SetAside) != 1 || f.SetAside[0].Kind != "Namespace" || f.SetAside[0].Message == "" || len(f.Policies) != 1 || f.Policies[0].Line != 5 {
		t.Errorf("got %+v", f)
	}
	if got.Expected == nil {
		t.Error("there is no preview")
	}
}

func TestAn_empty_file_is_no_policy_and_no_error(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	got := v.analysis("", "# nothing yet\n---\n")
	if len(got.Files) != 2 || len(got.Files[0].Problems)+len(got.Files[1].Problems) != 0 || got.Summary != "No flow would change." {
		t.Errorf("got %+v", got)
	}
}

func TestA_draft_is_bounded(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	long := strings.Repeat("# "+strings.Repeat("x", 1000)+"\n", 300)
	refusal(t, v.draft(AnalysisRequest{Files: draftFiles(long)}), http.StatusRequestEntityTooLarge)
	refusal(t, v.draft(AnalysisRequest{Files: make([]DraftFile, maxDraftFiles+1)}), http.StatusRequestEntityTooLarge)
	refusal(t, v.send("POST", "/labs/network-policies/analysis", strings.NewReader(`{"filse": []}`), "Content-Type", "application/json"), http.StatusBadRequest)
	refusal(t, v.send("POST", "/labs/network-policies/analysis", strings.NewReader(`{}`)), http.StatusUnsupportedMediaType)
	refusal(t, v.send("POST", "/labs/none/analysis", strings.NewReader(`{}`), "Content-Type", "application/json"), http.StatusNotFound)
}

func TestA_draft_that_is_more_than_a_sandbox_holds_is_told_so(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	var all strings.Builder
	for i := range sandbox.MaxPolicies + 1 {
		all.WriteString(strings.Replace(denyProduction, "default-deny-all", "deny-"+string(rune('a'+i/26))+string(rune('a'+i%26)), 1) + "---\n")
	}
	if got := v.analysis(all.String()); !strings.Contains(got.Refusal, "101 policies") {
		t.Errorf("refusal = %q", got.Refusal)
	}
}

func TestSelectors_have_the_pods_that_they_select(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	got := v.analysis(webIntoAPI).Files[0].Selectors
	want := []Selector{
		{policy.Position{Line: 7, Column: 3}, policy.Position{Line: 9, Column: 15}, []string{"production/api"}, "selects production/api"},
		{policy.Position{Line: 13, Column: 7}, policy.Position{Line: 15, Column: 19}, []string{"production/web"}, "selects production/web"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i].From != want[i].From || got[i].To != want[i].To || !slices.Equal(got[i].Pods, want[i].Pods) || got[i].Text != want[i].Text {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
}

func TestA_question_whose_client_has_gone_is_given_up(t *testing.T) {
	top, files := lessonLab(t)
	baseline, err := sandbox.NewBaseline(top, top.PlannedAddresses(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if a, err := newPreviews().analyse(ctx, top, baseline, AnalysisRequest{Files: files}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestPreviews_wait_for_one_another_and_what_was_given_up_is_never_looked_at(t *testing.T) {
	top, files := lessonLab(t)
	baseline, err := sandbox.NewBaseline(top, top.PlannedAddresses(), nil)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPreviews()
		var all []func()
		for range p.turns.most {
			done, err := p.turns.take(t.Context(), everybody)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, done)
		}
		type answer struct {
			of string
			*Analysis
			error
		}
		answers := make(chan answer, 2)
		ask := func(ctx context.Context, id string) {
			a, err := p.analyse(ctx, top, baseline, AnalysisRequest{Files: []DraftFile{{ID: id, Text: files[0].Text + "# " + id}}})
			answers <- answer{id, a, err}
		}
		older, giveUp := context.WithCancel(t.Context())
		go ask(older, "older")
		go ask(t.Context(), "newer")
		synctest.Wait()
		if len(answers) != 0 {
			t.Fatal("a preview was made beside as many as there may be")
		}
		giveUp()
		if got := <-answers; got.of != "older" || !errors.Is(got.error, context.Canceled) {
			t.Errorf("the older question: %+v", got)
		}
		for _, done := range all {
			done()
		}
		if got := <-answers; got.error != nil || got.Files[0].ID != "newer" {
			t.Errorf("the newer question: %+v", got)
		}
		if len(p.turns.by) != 0 || len(p.files.fresh) != 1 {
			t.Errorf("%d queues are left, and %d files were read", len(p.turns.by), len(p.files.fresh))
		}
	})
}

func TestA_fast_typist_is_never_told_to_wait(t *testing.T) {
	// Fifteen keys a second for a minute are more than anybody types.
	if got := defaultLimits.previews.learner; float64(got.requests)/got.window.Seconds() < 15 {
		t.Errorf("%+v", got)
	}
}
