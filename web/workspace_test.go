package web

import (
	"fmt"
	"net/http"
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
