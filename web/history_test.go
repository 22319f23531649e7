package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

func (v *learner) history(id string) sandbox.History {
	v.t.Helper()
	var h sandbox.History
	strict(v.t, v.send("GET", "/sandboxes/"+id+"/history", nil).body, &h)
	return h
}

// restore goes back as the page's script does.
func (v *learner) restore(id string, change int64, query string) reply {
	v.t.Helper()
	return v.send("POST", fmt.Sprintf("/sandboxes/%s/history/%d/restore%s", id, change, query), nil, "Accept", "application/json")
}

func TestHistory_tells_each_change_with_its_flips_and_goes_back_to_one(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	if h := v.history(id); len(h.Entries) != 0 || h.From != 0 {
		t.Errorf("at first the history is %+v", h)
	}
	second := strings.Replace(denyAll, "default-deny-all", "second", 1)
	v.put(id, denyAll)
	v.until("the first change has settled", func() bool { h := v.history(id); return len(h.Entries) == 1 && h.Entries[0].Settled })
	v.put(id, second)
	h := v.history(id)
	first := h.Entries[0]
	if len(h.Entries) != 2 || first.Origin != sandbox.OriginApply || first.Change != 1 || len(first.Added) != 1 || len(first.Flips) == 0 || first.Flips[0].From != probe.Open {
		t.Fatalf("the history is %+v", h)
	}
	var point policiesInForce
	strict(t, v.send("GET", "/sandboxes/"+id+"/history/1", nil).body, &point)
	if point.Change != 1 || len(point.Policies) != 1 || point.Policies[0].YAML != denyAll {
		t.Errorf("point 1 is %+v", point)
	}

	refusal(t, v.restore(id, 1, "?base=1"), http.StatusConflict)
	if a := v.restore(id, 1, "?base=2"); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if now := v.inForce(id); now.Change != 3 || len(now.Policies) != 1 || now.Policies[0].YAML != denyAll {
		t.Errorf("in force is %+v", now)
	}
	if h := v.history(id); len(h.Entries) != 3 || h.Entries[2].Origin != sandbox.OriginRestore || len(h.Entries[2].Removed) != 1 {
		t.Errorf("the history is %+v", h)
	}

	// A browser without scripts comes back to the page.
	a := v.page("POST", "/sandboxes/"+id+"/history/0/restore", url.Values{"lab": {"network-policies"}})
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/workbench?lab=network-policies#lab" {
		t.Errorf("status %d to %q", a.status, a.header.Get("Location"))
	}
	if now := v.inForce(id); now.Change != 4 || len(now.Policies) != 0 {
		t.Errorf("in force is %+v", now)
	}

	for _, change := range []string{"9", "-1", "x", "99999999999999999999"} {
		refusal(t, v.send("GET", "/sandboxes/"+id+"/history/"+change, nil), http.StatusNotFound)
		refusal(t, v.send("POST", "/sandboxes/"+id+"/history/"+change+"/restore", nil, "Accept", "application/json"), http.StatusNotFound)
	}
}

func TestHistory_is_its_learner_s_alone(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	id := v.start()
	v.put(id, denyAll)
	other := l.learner(t)
	for _, path := range []string{"/history", "/history/1"} {
		refusal(t, other.send("GET", "/sandboxes/"+id+path, nil), http.StatusNotFound)
	}
	refusal(t, other.restore(id, 0, ""), http.StatusNotFound)
	if now := v.inForce(id); len(now.Policies) != 1 {
		t.Errorf("in force is %+v", now)
	}
}

func TestApply_sets_aside_what_is_no_NetworkPolicy_and_says_so(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	const beside = "apiVersion: v1\nkind: Namespace\nmetadata: {name: production}\n---\n" + denyAll +
		"---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: l7, namespace: production}\nspec: {}\n"
	for _, query := range []string{"", "?prune=true"} {
		a := v.send("PUT", "/sandboxes/"+id+"/policies"+query, strings.NewReader(beside), "Content-Type", "application/yaml", "Accept", "application/json")
		if a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		var changed policiesChanged
		strict(t, a.body, &changed)
		if s := changed.SetAside; len(s) != 2 || s[0].Kind != "Namespace" || s[0].Line != 1 || s[1].Line != 14 || !strings.Contains(s[1].Message, "another kind") {
			t.Errorf("set aside is %+v", s)
		}
		if now := v.policies(id); len(now) != 1 || strings.Contains(now[0].YAML, "Namespace\n") {
			t.Errorf("in force is %+v", now)
		}
	}

	// Where nothing is left, nothing is done: it is no wish to delete everything.
	a := v.send("PUT", "/sandboxes/"+id+"/policies?prune=true", strings.NewReader("apiVersion: v1\nkind: Namespace\nmetadata: {name: production}\n"), "Content-Type", "application/yaml", "Accept", "application/json")
	refusal(t, a, http.StatusUnprocessableEntity)
	if now := v.policies(id); len(now) != 1 {
		t.Errorf("in force is %+v", now)
	}
	// And a mistake in a policy beside it is still the policy's.
	a = v.put(id, strings.Replace(beside, "podSelector: {}", "podSelektor: {}", 1))
	refusal(t, a, http.StatusUnprocessableEntity)
	contains(t, a.body, "podSelektor")
	if strings.Contains(a.body, "Cilium") {
		t.Errorf("what is set aside is called a problem, too: %s", a.body)
	}
}
