package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
	"github.com/netpol-lab/netpol-lab/web/store"
)

const myShop = `name: My shop
namespaces:
- name: shop
  pods:
  - {name: web, labels: {app: web}, ports: [{port: 8080}]}
  - {name: db, labels: {app: db}, ports: [{port: 5432}]}
`

// makeLab makes a lab of the learner's own, and returns its name.
func (v *learner) makeLab(yaml string) string {
	v.t.Helper()
	a := v.page("POST", "/labs", url.Values{"yaml": {yaml}, "do": {"keep"}})
	name, ok := strings.CutPrefix(a.header.Get("Location"), "/workbench?lab=")
	if a.status != http.StatusSeeOther || !ok || !strings.HasPrefix(name, sandbox.OwnPrefix) {
		v.t.Fatalf("status %d to %q: %s", a.status, a.header.Get("Location"), a.body)
	}
	return name
}

func TestOwnLab_is_made_opened_started_and_applied_to_like_a_lesson_s(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	name := v.makeLab(strings.ReplaceAll(myShop, "\n", "\r\n"))
	contains(t, v.page("GET", "/workbench?lab="+name, nil).body, `data-lab="`+name+`"`, "shop")
	contains(t, v.page("GET", "/labs", nil).body, "My shop", "2 pods in 1 namespace, 8 connections")
	contains(t, v.send("GET", "/labs/"+name, nil).body, `"shop"`)
	contains(t, v.send("GET", "/labs/"+name+"/picture", nil).body, "<svg")

	if a := v.page("POST", "/sandboxes", url.Values{"lab": {name}}); a.status != http.StatusSeeOther || a.header.Get("Location") != "/workbench?lab="+name+"#lab" {
		t.Fatalf("start: status %d to %q", a.status, a.header.Get("Location"))
	}
	a := v.send("POST", "/sandboxes", strings.NewReader(`{"lab": "`+name+`"}`), "Content-Type", "application/json")
	id := v.await(v.snapshot(a).id(), sandbox.Ready)
	v.until("every flow is measured", func() bool {
		return v.snapshot(v.send("GET", "/sandboxes/"+id, nil)).Settled != nil
	})
	if a := v.put(id, strings.ReplaceAll(denyAll, "production", "shop")); a.status != http.StatusOK {
		t.Fatalf("apply: status %d: %s", a.status, a.body)
	}
	refusal(t, v.put(id, denyAll), http.StatusUnprocessableEntity) // production is not there
	contains(t, v.page("GET", "/workbench", nil).body, `data-lab="`+name+`"`)

	// It is not deleted from under its sandbox.
	refused := v.page("POST", "/labs/"+name+"/delete", url.Values{})
	if refused.status != http.StatusConflict {
		t.Errorf("delete: status %d", refused.status)
	}
	v.page("POST", "/sandboxes/"+id+"/stop", url.Values{"lab": {name}})
	v.until("the sandbox is gone", func() bool { return v.send("GET", "/sandboxes/"+id, nil).status == http.StatusNotFound })
	if a := v.page("POST", "/labs/"+name+"/delete", url.Values{}); a.status != http.StatusSeeOther {
		t.Errorf("delete: status %d: %s", a.status, a.body)
	}
	if a := v.page("GET", "/workbench?lab="+name, nil); a.status != http.StatusNotFound {
		t.Errorf("after it was deleted: status %d", a.status)
	}
}

// lostLabs are kept on a disk that is gone for a while.
type lostLabs struct {
	kept
	now *atomic.Bool
}

func (l lostLabs) Lab(ctx context.Context, learner, name string) (store.Lab, bool, error) {
	if l.now.Load() {
		return store.Lab{}, false, errors.New("the disk is gone")
	}
	return l.kept.Lab(ctx, learner, name)
}

func TestOwnLab_that_cannot_be_read_lets_nothing_be_deleted_and_no_other_lab_be_shown(t *testing.T) {
	var now atomic.Bool
	l := newLab(t, setup{progress: func(p Progress) Progress { return lostLabs{p, &now} }})
	v := l.learner(t)
	name := v.makeLab(myShop)
	id := v.await(v.snapshot(v.send("POST", "/sandboxes", strings.NewReader(`{"lab": "`+name+`"}`), "Content-Type", "application/json")).id(), sandbox.Ready)
	now.Store(true)
	for _, policy := range []string{"shop/any", "kube-system/any"} {
		if a := v.send("DELETE", "/sandboxes/"+id+"/policies/"+policy, nil); a.status != http.StatusInternalServerError {
			t.Errorf("delete %s: status %d: %s", policy, a.status, a.body)
		}
	}
	if a := v.page("GET", "/workbench", nil); a.status != http.StatusInternalServerError {
		t.Errorf("the workbench: status %d", a.status)
	}
	now.Store(false)
	contains(t, v.page("GET", "/workbench", nil).body, `data-lab="`+name+`"`)
}

func TestOwnLab_is_its_learner_s_alone(t *testing.T) {
	l := newLab(t, setup{})
	mine, other := l.learner(t), l.learner(t)
	name := mine.makeLab(myShop)
	if a := mine.page("GET", "/labs/"+name+"/yaml", nil); a.status != http.StatusOK || a.body != myShop {
		t.Errorf("the lab as it was written is answered with %d: %s", a.status, a.body)
	}
	for _, path := range []string{"/workbench?lab=" + name, "/labs/" + name, "/labs/" + name + "/picture", "/labs/" + name + "/yaml", "/labs?edit=" + name} {
		if a := other.page("GET", path, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
	refusal(t, other.send("POST", "/sandboxes", strings.NewReader(`{"lab": "`+name+`"}`), "Content-Type", "application/json"), http.StatusUnprocessableEntity)
	refusal(t, other.send("POST", "/labs/"+name+"/analysis", strings.NewReader(`{"files": []}`), "Content-Type", "application/json"), http.StatusNotFound)
	if strings.Contains(other.page("GET", "/labs", nil).body, name) {
		t.Error("it is listed for somebody else")
	}
}

func TestOwnLab_what_is_wrong_is_shown_with_its_place_and_the_text_stays(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	a := v.page("POST", "/labs", url.Values{"yaml": {strings.Replace(myShop, "port: 8080", "port: http", 1)}, "do": {"keep"}})
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("status %d", a.status)
	}
	contains(t, a.body, "line 5, column 52", "want a whole number", "port: http")
	a = v.page("POST", "/labs", url.Values{"yaml": {myShop}, "do": {"look"}})
	contains(t, a.body, "<svg", "2 pods in 1 namespace")
	if strings.Contains(v.page("GET", "/labs", nil).body, "My shop</a>") {
		t.Error("a look has kept it")
	}
	if a := v.page("POST", "/labs", url.Values{"yaml": {"name: <script>alert(1)</script>"}, "do": {"keep"}}); strings.Contains(a.body, "<script>alert") {
		t.Error("the text is not escaped")
	}
}

func TestOwnLab_is_written_by_the_form(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	a := v.page("POST", "/labs/form", url.Values{
		"title": {"Yes"}, "namespace-0": {"shop"}, "namespace-labels-0": {"team=a, on=true"},
		"pod-namespace-0": {"shop"}, "pod-0": {"web"}, "pod-labels-0": {"app=web"}, "pod-ports-0": {"http:8080, 53/udp"}, "pod-service-0": {"front"},
		"pod-namespace-1": {"tools"}, "pod-1": {"shell"}, "host-0": {"partner"}, "host-ports-0": {"443"},
	})
	if a.status != http.StatusOK {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	contains(t, a.body, `name: &#34;Yes&#34;`, "labels: {team: a, &#34;on&#34;: &#34;true&#34;}", "<svg",
		"- {name: web, labels: {app: web}, ports: [{name: http, port: 8080}, {port: 53, protocol: UDP}]}",
		"- {name: front, pod: web, ports: [{name: http, port: 8080, targetPort: 8080}, {name: port-2, port: 53, targetPort: 53, protocol: UDP}]}",
		"- name: tools\n  pods:\n  - {name: shell}\n", "external:\n- {name: partner, ports: [{port: 443}]}")
	a = v.page("POST", "/labs/form", url.Values{"title": {"x"}, "pod-namespace-0": {"a: b"}, "pod-0": {"]"}, "pod-ports-0": {"http:,}"}})
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: status %d", a.status)
	}
	contains(t, a.body, "want a whole number")
}

func TestOwnLab_s_sandbox_is_there_again_after_the_server_was_started_again(t *testing.T) {
	progress, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "learners.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer progress.Close()
	_, topology, err := sandbox.ParseOwn([]byte(myShop))
	if err != nil {
		t.Fatal(err)
	}
	if err := progress.SaveLab(t.Context(), "ann", store.Lab{Name: topology.Name, Title: "My shop", YAML: myShop, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	provider := &sandboxtest.Provider{AtOnce: true}
	start := func() *sandbox.Manager {
		t.Helper()
		m, err := sandbox.NewManager(sandbox.Options{Provider: provider, Records: progress.Sandboxes("fake"), Lab: NewLabs(nil, progress).Topology})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	settled := func(m *sandbox.Manager) sandbox.Snapshot {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if s, _, ok := m.ByOwner("ann"); ok && s.Settled != nil && s.Settled.Change == s.Change {
				return s
			}
		}
		t.Fatal("it has not settled within 10 s")
		return sandbox.Snapshot{}
	}
	m := start()
	if _, _, err := m.Create("ann", "", topology); err != nil {
		t.Fatal(err)
	}
	id := settled(m).ID
	if _, err := m.Apply(t.Context(), id, []byte(strings.ReplaceAll(denyAll, "production", "shop"))); err != nil {
		t.Fatal(err)
	}
	settled(m)
	m.Close()
	m = start()
	defer m.Close()
	if s := settled(m); s.ID != id || s.State != sandbox.Ready || s.Lab != topology.Name || len(s.Policies) != 1 {
		t.Errorf("there is %+v", s)
	}
	if h, err := m.History(id); err != nil || len(h.Entries) != 1 || !h.Entries[0].Settled {
		t.Errorf("its history is %+v, %v", h, err)
	}
}
