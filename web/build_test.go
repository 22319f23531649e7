package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/build"
	"github.com/netpol-lab/netpol-lab/sandbox/simulated"
)

// built asks for policies that do what is wished for.
func (v *learner) built(wishes map[string]sandbox.Wish) Built {
	v.t.Helper()
	body, err := json.Marshal(Wishes{wishes})
	if err != nil {
		v.t.Fatal(err)
	}
	a := v.send("POST", "/labs/network-policies/policies-for", strings.NewReader(string(body)), "Content-Type", "application/json")
	if a.status != http.StatusOK {
		v.t.Fatalf("policies for wishes: status %d: %s", a.status, a.body)
	}
	var out Built
	strict(v.t, a.body, &out)
	return out
}

const (
	webToAPI   = "production/web>production/api:8080/TCP"
	shellToAPI = "development/shell>production/api:8080/TCP"
)

func TestWishes_without_a_sandbox_give_policies_with_their_sentences(t *testing.T) {
	got := newLab(t, setup{}).learner(t).built(map[string]sandbox.Wish{webToAPI: sandbox.WishOpen, shellToAPI: sandbox.WishClosed})
	if len(got.Refusals) > 0 || len(got.Files) != 1 {
		t.Fatalf("got %+v", got)
	}
	f := got.Files[0]
	parsed, err := policy.Parse([]byte(f.YAML), policy.ParseOptions{})
	if err != nil || len(parsed) != 1 || parsed[0].Name != f.Name || parsed[0].Namespace != f.Namespace {
		t.Errorf("%v: %+v", err, f)
	}
	if len(f.Sentences) < 2 || !strings.HasPrefix(f.YAML, "# ") {
		t.Errorf("%+v", f)
	}
	if !slices.ContainsFunc(got.Changes, func(c sandbox.Flip) bool { return c.Flow == shellToAPI }) || slices.Contains(got.Free, shellToAPI) {
		t.Errorf("the changes are %v, those without a wish %v", got.Changes, got.Free)
	}
	if len(got.Else) == 0 || !strings.HasSuffix(got.Summary, ".") {
		t.Errorf("%q, %q", got.Else, got.Summary)
	}
}

func TestWishes_are_compared_with_the_policies_in_force(t *testing.T) {
	provider, err := simulated.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v := newLab(t, setup{provider: provider}).learner(t)
	id := v.start()
	if a := v.put(id, denyProduction); a.status != http.StatusOK {
		t.Fatalf("%d: %s", a.status, a.body)
	}
	got := v.built(map[string]sandbox.Wish{webToAPI: sandbox.WishOpen, shellToAPI: sandbox.WishClosed})
	want := policy.Ref{Namespace: "production", Name: "default-deny-all"}
	if !slices.Equal(got.Others, []policy.Ref{want}) || !slices.Equal(got.Beside, []string{webToAPI}) || got.Change == 0 {
		t.Errorf("beside %v the wishes for %v are not met (change %d); want %v and %s", got.Others, got.Beside, got.Change, want, webToAPI)
	}
}

func TestWishes_that_no_policy_meets_are_refused_with_the_cause(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	for flow, cause := range map[string]build.Cause{
		"monitoring/node-agent>production/api:8080/TCP": build.CauseNode,
		"monitoring/node-agent>internet:443/TCP":        build.CauseUnselected,
	} {
		got := v.built(map[string]sandbox.Wish{flow: sandbox.WishClosed})
		if len(got.Files) > 0 || len(got.Refusals) != 1 || got.Refusals[0].Cause != cause {
			t.Errorf("%s: got %+v, want a refusal for %s", flow, got, cause)
		}
	}
	got := v.built(map[string]sandbox.Wish{webToAPI: sandbox.WishClosed, webToAPI + "@name": sandbox.WishOpen})
	if len(got.Refusals) != 1 || got.Refusals[0].Cause != build.CauseTwice {
		t.Errorf("got %+v", got.Refusals)
	}
}

func TestWishes_are_bounded_and_read_strictly(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	long := fmt.Sprintf(`{"flows": {"%s": "open"}}`, strings.Repeat("x", maxWishBytes))
	for _, c := range []struct {
		name, path, contentType, body string
		want                          int
	}{
		{"no JSON", "network-policies", "text/plain", "{}", http.StatusUnsupportedMediaType},
		{"half of it", "network-policies", "application/json", `{"flows": {`, http.StatusBadRequest},
		{"another field", "network-policies", "application/json", `{"flow": {}}`, http.StatusBadRequest},
		{"another wish", "network-policies", "application/json", `{"flows": {"` + webToAPI + `": "ajar"}}`, http.StatusBadRequest},
		{"another flow", "network-policies", "application/json", `{"flows": {"a/b>c/d:1/TCP": "open"}}`, http.StatusNotFound},
		{"another lab", "nowhere", "application/json", `{"flows": {}}`, http.StatusNotFound},
		{"too much", "network-policies", "application/json", long, http.StatusRequestEntityTooLarge},
		{"nothing", "network-policies", "application/json", `{"flows": {}}`, http.StatusOK},
	} {
		if a := v.send("POST", "/labs/"+c.path+"/policies-for", strings.NewReader(c.body), "Content-Type", c.contentType); a.status != c.want {
			t.Errorf("%s: status %d, want %d: %s", c.name, a.status, c.want, a.body)
		}
	}
}
