package web

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// replace applies the workspace, as the page does it on top of a change.
func (v *learner) replace(id, yaml string, base int64) reply {
	v.t.Helper()
	path := fmt.Sprintf("/sandboxes/%s/policies?prune=true&base=%d", id, base)
	return v.send("PUT", path, strings.NewReader(yaml), "Content-Type", "application/yaml", "Accept", "application/json")
}

func TestApply_on_top_of_an_older_change_changes_nothing_and_tells_what_is_in_force(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	second := strings.Replace(denyAll, "default-deny-all", "second", 1)
	if a := v.replace(id, denyAll, 0); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	a := v.replace(id, second, 0)
	contains(t, refusal(t, a, http.StatusConflict), "changed meanwhile", "nothing was applied", "apply again")
	var said answer
	strict(t, a.body, &said)
	if said.InForce == nil || said.InForce.Change != 1 || len(said.InForce.Policies) != 1 || said.InForce.Policies[0].YAML != denyAll {
		t.Fatalf("it tells %+v", said.InForce)
	}
	if now := v.inForce(id); now.Change != 1 || len(now.Policies) != 1 || now.Policies[0].YAML != denyAll {
		t.Errorf("in force is %+v", now)
	}
	if a := v.replace(id, second, said.InForce.Change); a.status != http.StatusOK {
		t.Errorf("on top of the change that was told: status %d: %s", a.status, a.body)
	}
	if now := v.inForce(id); now.Change != 2 || len(now.Policies) != 1 || now.Policies[0].YAML != second {
		t.Errorf("in force is %+v", now)
	}
	refusal(t, v.send("PUT", "/sandboxes/"+id+"/policies?prune=true&base=one", strings.NewReader(second), "Content-Type", "application/yaml"), http.StatusBadRequest)
}

func TestApply_in_two_tabs_at_once_carries_out_one_of_them(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	for round := range int64(20) {
		base := v.inForce(id).Change
		if base != round {
			t.Fatalf("round %d begins on top of change %d", round, base)
		}
		var wait sync.WaitGroup
		answers := make([]reply, 2)
		for tab := range answers {
			yaml := strings.Replace(denyAll, "default-deny-all", fmt.Sprintf("tab-%d-%d", tab, round), 1)
			wait.Go(func() { answers[tab] = v.replace(id, yaml, base) })
		}
		wait.Wait()
		won := 0
		if answers[1].status == http.StatusOK {
			won = 1
		}
		if answers[won].status != http.StatusOK || answers[1-won].status != http.StatusConflict {
			t.Fatalf("the tabs were answered %d and %d, want one 200 and one 409", answers[0].status, answers[1].status)
		}
		want := sandbox.PolicyRef{Namespace: "production", Name: fmt.Sprintf("tab-%d-%d", won, round)}
		if now := v.policies(id); len(now) != 1 || now[0].PolicyRef != want {
			t.Fatalf("in force is %+v, want %s alone", now, want)
		}
	}
}

// workspaceForm is what the lesson's page sends for the text area, on top of a change.
func workspaceForm(yaml string, base int64, more ...string) url.Values {
	form := url.Values{"lab": {"network-policies"}, "lesson": {"network-policies"}, "base": {fmt.Sprint(base)}, "yaml": {strings.ReplaceAll(yaml, "\n", "\r\n")}}
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return form
}

func TestWorkspace_without_scripts_is_one_text_with_all_policies(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	path := "/sandboxes/" + id + "/policies"
	second := strings.Replace(denyAll, "default-deny-all", "second", 1)
	both := denyAll + "---\n" + second
	if a := v.page("POST", path, workspaceForm(both, 0)); a.status != http.StatusSeeOther || a.header.Get("Location") != "/lessons/network-policies#lab" {
		t.Fatalf("apply: status %d to %q", a.status, a.header.Get("Location"))
	}
	if now := v.inForce(id); now.Change != 1 || len(now.Policies) != 2 || now.Policies[0].YAML != denyAll || now.Policies[1].YAML != second {
		t.Fatalf("in force is %+v", now)
	}
	contains(t, html.UnescapeString(v.page("GET", "/lessons/network-policies", nil).body), ">"+strings.TrimSpace(both)+"</textarea>", `name="base" value="1"`)
}

func TestWorkspace_without_scripts_names_what_apply_would_delete_and_deletes_nothing_unasked(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	path := "/sandboxes/" + id + "/policies"
	second := strings.Replace(denyAll, "default-deny-all", "second", 1)
	v.replace(id, denyAll+"---\n"+second, 0)
	for name, yaml := range map[string]string{"one is left out": denyAll, "the text is empty": "", "one is renamed": strings.Replace(denyAll, "default-deny-all", "renamed", 1) + "---\n" + denyAll} {
		asked := v.page("POST", path, workspaceForm(yaml, 1))
		if asked.status != http.StatusConflict {
			t.Errorf("%s: status %d", name, asked.status)
		}
		contains(t, asked.body, "<code>production/second</code>", `name="delete" value="production/second"`, `name="base" value="1"`, "Go back to the text")
		if now := v.policies(id); len(now) != 2 {
			t.Fatalf("%s: in force is %+v", name, now)
		}
	}
	// To go back keeps the text.
	contains(t, html.UnescapeString(v.page("POST", path, workspaceForm(denyAll+"# mine\n", 1, "back", "yes", "delete", "production/second")).body), "# mine\n</textarea>", `name="base" value="1"`)
	if len(v.policies(id)) != 2 {
		t.Fatal("going back has changed something")
	}
	// Who agreed to one is asked about another.
	contains(t, v.page("POST", path, workspaceForm("", 1, "delete", "production/second")).body, "Delete 2 policies?")
	if a := v.page("POST", path, workspaceForm(denyAll, 1, "delete", "production/second")); a.status != http.StatusSeeOther {
		t.Errorf("agreed: status %d: %.300s", a.status, a.body)
	}
	if now := v.policies(id); len(now) != 1 || now[0].YAML != denyAll {
		t.Errorf("in force is %+v", now)
	}
	if a := v.page("POST", path, workspaceForm("", 2, "delete", "production/default-deny-all")); a.status != http.StatusSeeOther {
		t.Errorf("the last one: status %d: %.300s", a.status, a.body)
	}
	if now := v.policies(id); len(now) != 0 {
		t.Errorf("in force is %+v", now)
	}
}

func TestWorkspace_without_scripts_keeps_the_text_on_errors(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	path := "/sandboxes/" + id + "/policies"
	wrong := v.page("POST", path, workspaceForm(denyAll+"  podSelectr: {}\n", 0))
	contains(t, wrong.body, "Nothing was applied:", "<li>line 9, column 3: ", "podSelectr: {}", `name="base" value="0"`)
	v.replace(id, denyAll, 0) // in another tab
	mine := strings.Replace(denyAll, "podSelector: {}", "podSelector: {matchLabels: {app: mine}}", 1)
	late := v.page("POST", path, workspaceForm(mine, 0))
	if late.status != http.StatusConflict {
		t.Errorf("status %d", late.status)
	}
	contains(t, late.body, "changed meanwhile", "app: mine", `name="base" value="1"`)
	if now := v.policies(id); len(now) != 1 || now[0].YAML != denyAll {
		t.Errorf("in force is %+v", now)
	}
	if a := v.page("POST", path, workspaceForm(mine, 1)); a.status != http.StatusSeeOther {
		t.Errorf("again, on top of what is in force now: status %d", a.status)
	}
}

// printed is a policy as kubectl get -o yaml prints it.
const printed = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"networking.k8s.io/v1"}
  creationTimestamp: "2026-01-02T15:04:05Z"
  generation: 1
  managedFields:
  - fieldsV1: {f:spec: {}}
    manager: kubectl
    operation: Update
  name: default-deny-all
  namespace: production
  resourceVersion: "12"
  uid: 5b1c
spec:
  podSelector: {}
  policyTypes:
  - Ingress
  - Egress
status: {}
`

func TestWorkspace_what_kubectl_prints_is_taken_and_it_is_said_what_is_left_out(t *testing.T) {
	const said = "Left out, since only a cluster writes it: creationTimestamp, generation, managedFields, resourceVersion, uid and status."
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	got := v.analysis(printed)
	if got.Expected == nil || got.Files[0].Problems[0].Message != said || got.Files[0].Problems[0].Severity != SeverityInfo || got.Files[0].Problems[0].Line != 7 {
		t.Fatalf("preview: %s, %+v", got.Summary, got.Files[0].Problems)
	}
	contains(t, v.replace(id, printed, 0).body, said)
	now := v.policies(id)
	if len(now) != 1 || strings.Contains(now[0].YAML, "uid") || strings.Contains(now[0].YAML, "last-applied") {
		t.Fatalf("in force is %+v", now)
	}
	contains(t, now[0].YAML, "name: default-deny-all", "- Egress")
	// Without scripts it is said as well, beside what is in force now.
	again := v.page("POST", "/sandboxes/"+id+"/policies", workspaceForm(printed, 1))
	contains(t, html.UnescapeString(again.body), "Applied. "+said, strings.TrimSpace(now[0].YAML)+"</textarea>")
	if again.status != http.StatusOK {
		t.Errorf("status %d", again.status)
	}
}

func TestWorkspace_without_scripts_says_what_was_set_aside(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	path := "/sandboxes/" + id + "/policies"
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata: {name: production}\n---\n"
	a := v.page("POST", path, workspaceForm(namespace+denyAll, 0))
	contains(t, html.UnescapeString(a.body), "Applied. Namespace production is set aside: ", strings.TrimSpace(denyAll)+"</textarea>")
	if now := v.policies(id); len(now) != 1 {
		t.Fatalf("in force is %+v", now)
	}
	// Alone it is no policy, and nothing is applied.
	a = v.page("POST", path, workspaceForm(namespace, 1))
	contains(t, a.body, "Nothing was applied:", "line 2, column 7: kind: this is a Namespace")
}

func TestWorkspace_two_policies_of_one_name_are_refused_with_both_lines(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	a := v.page("POST", "/sandboxes/"+id+"/policies", workspaceForm(denyAll+"---\n"+denyAll, 0))
	contains(t, a.body, "Nothing was applied:", "the policy production/default-deny-all is here twice; the first is on line 1", "</textarea>")
	if len(v.policies(id)) != 0 {
		t.Error("one of them was applied")
	}
}
