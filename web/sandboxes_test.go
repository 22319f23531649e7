package web

import (
	"bytes"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
	"github.com/netpol-lab/netpol-lab/web/views"
)

func TestA_sandbox_is_made_by_JSON(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	a := v.send("POST", "/sandboxes", strings.NewReader(`{"lab": "network-policies"}`), "Content-Type", "application/json; charset=utf-8")
	if a.status != http.StatusAccepted {
		t.Fatalf("status = %d: %s", a.status, a.body)
	}
	s := v.snapshot(a)
	if got := a.header.Get("Location"); got != "/sandboxes/"+s.id() || s.Lab != "network-policies" {
		t.Errorf("Location = %q, snapshot = %+v", got, s.Snapshot)
	}
	v.await(s.id(), sandbox.Ready)
	if again := v.create(); again != s.id() {
		t.Errorf("a second POST made %s beside %s", again, s.id())
	}
}

func TestA_sandbox_is_made_reset_and_stopped_by_forms(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	form := url.Values{"lab": {"network-policies"}}
	a := v.page("POST", "/sandboxes", form)
	if want := "/workbench?lab=network-policies#lab"; a.status != http.StatusSeeOther || a.header.Get("Location") != want {
		t.Fatalf("start: status %d to %q, want 303 to %q", a.status, a.header.Get("Location"), want)
	}
	id := v.create()
	v.await(id, sandbox.Ready)

	form.Set("lesson", "network-policies")
	a = v.page("POST", "/sandboxes/"+id+"/reset", form)
	if want := "/lessons/network-policies#lab"; a.status != http.StatusSeeOther || a.header.Get("Location") != want {
		t.Fatalf("reset: status %d to %q, want 303 to %q", a.status, a.header.Get("Location"), want)
	}
	fresh := v.create()
	if fresh == id {
		t.Error("reset kept the sandbox")
	}
	if a := v.page("POST", "/sandboxes/"+fresh+"/stop", form); a.status != http.StatusSeeOther {
		t.Errorf("stop: status %d", a.status)
	}
	v.until("the sandbox is gone", func() bool { return v.send("GET", "/sandboxes/"+fresh, nil).status == http.StatusNotFound })
	contains(t, v.page("GET", "/lessons/network-policies", nil).body, `data-sandbox="" data-state="none"`)
}

func TestTwoLessonsWithOneLab_share_the_sandbox(t *testing.T) {
	text := "---\ntitle: More\nslug: more\nsummary: More of it.\nminutes: 5\ntopology: network-policies\n---\n\n## Go on\n\nText.\n"
	l := newLab(t, setup{more: fstest.MapFS{"98-more/lesson.md": {Data: []byte(text)}}})
	v := l.learner(t)
	id := v.await(v.create(), sandbox.Ready)
	page := v.page("GET", "/lessons/more", nil).body
	contains(t, page, `data-lab="network-policies"`, `data-sandbox="`+id+`" data-state="ready"`, `name="lab" value="network-policies"`, `name="lesson" value="more"`)

	// Its forms come back to it, and begin no second sandbox.
	form := url.Values{"lab": {"network-policies"}, "lesson": {"more"}}
	if a := v.page("POST", "/sandboxes", form); a.status != http.StatusSeeOther || a.header.Get("Location") != "/lessons/more#lab" {
		t.Errorf("start: status %d to %q", a.status, a.header.Get("Location"))
	}
	if again := v.create(); again != id {
		t.Errorf("the second lesson began %s beside %s", again, id)
	}
	form.Set("yaml", "kind: NetworkPolice")
	contains(t, v.page("POST", "/sandboxes/"+id+"/policies", form).body, "Nothing was applied:", `<h1 id="title">More</h1>`)

	// A lab is named by its topology, not by each of its lessons.
	if a := v.page("GET", "/workbench?lab=more", nil); a.status != http.StatusNotFound {
		t.Errorf("a lab that is none: status %d", a.status)
	}
	if a := v.page("POST", "/sandboxes", url.Values{"lab": {"more"}}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a sandbox of a lab that is none: status %d", a.status)
	}
}

func TestA_multipart_form_works_too(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := errors.Join(w.WriteField("lab", "network-policies"), w.Close()); err != nil {
		t.Fatal(err)
	}
	if a := v.send("POST", "/sandboxes", &b, "Content-Type", w.FormDataContentType()); a.status != http.StatusAccepted {
		t.Errorf("status = %d: %s", a.status, a.body)
	}
}

func TestReset_and_stop_by_script(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	a := v.send("POST", "/sandboxes/"+id+"/reset", nil, "Accept", "application/json")
	fresh := v.snapshot(a)
	if a.status != http.StatusAccepted || fresh.id() == id || a.header.Get("Location") != "/sandboxes/"+fresh.id() {
		t.Errorf("status %d, Location %q, sandbox %s after %s", a.status, a.header.Get("Location"), fresh.id(), id)
	}
	if a := v.send("DELETE", "/sandboxes/"+fresh.id(), nil); a.status != http.StatusAccepted {
		t.Errorf("DELETE: status %d", a.status)
	}
}

func TestBad_requests_for_a_sandbox_are_explained(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	for name, c := range map[string]struct {
		body, contentType string
		status            int
		want              string
	}{
		"unknown lab":        {`{"lab": "none"}`, "application/json", 422, `no lab "none"`},
		"no lab":             {`{}`, "application/json", 422, `no lab ""`},
		"malformed JSON":     {`{"lab": `, "application/json", 400, "could not be read"},
		"unknown field":      {`{"lab": "network-policies", "size": 9}`, "application/json", 400, "size"},
		"two values":         {`{"lab": "network-policies"} {}`, "application/json", 400, "more than one value"},
		"another type":       {`lab: network-policies`, "application/yaml", 415, "application/json"},
		"no type":            {`{"lab": "network-policies"}`, "", 415, "application/json"},
		"too long":           {`{"lab": "` + strings.Repeat("x", maxFormBytes) + `"}`, "application/json", 413, "64 KiB"},
		"a malformed form":   {`lab=%zz`, "application/x-www-form-urlencoded", 400, "could not be read"},
		"an unknown in form": {`lab=none`, "application/x-www-form-urlencoded", 422, `no lab "none"`},
	} {
		t.Run(name, func(t *testing.T) {
			a := v.send("POST", "/sandboxes", strings.NewReader(c.body), "Content-Type", c.contentType)
			contains(t, refusal(t, a, c.status), c.want)
		})
	}
}

func TestSandboxOf_another_learners_is_not_found_at_any_address(t *testing.T) {
	l := newLab(t, setup{})
	v, other := l.learner(t), l.learner(t)
	id := v.start()
	routes := 0
	err := chi.Walk(l.Config.Handler.(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if !strings.Contains(route, "/sandboxes/{id}") {
			return nil
		}
		routes++
		path := strings.NewReplacer("{id}", id, "{namespace}", "production", "{name}", "default-deny-all").Replace(route)
		a := other.send(method, path, strings.NewReader("yaml=x"), "Content-Type", "application/x-www-form-urlencoded")
		if strings.HasPrefix(route, operatorPath) {
			contains(t, refusal(t, a, http.StatusUnauthorized), "whoever runs the lab")
		} else {
			contains(t, refusal(t, a, http.StatusNotFound), "no such sandbox")
		}
		return nil
	})
	if err != nil || routes < 10 {
		t.Errorf("%d routes name a sandbox: %v", routes, err)
	}
	v.await(id, sandbox.Ready)
	contains(t, other.page("GET", "/workbench", nil).body, `data-sandbox="" data-state="none"`)
}

func TestWho_comes_when_all_sandboxes_are_in_use_waits_and_sees_their_place(t *testing.T) {
	l := newLab(t, setup{max: 1, waiting: 2})
	first := l.learner(t)
	used := first.start()
	var waiting []*learner
	for i := range 2 {
		v := l.learner(t)
		v.create()
		v.until("its place is told", func() bool {
			return strings.Contains(v.page("GET", "/workbench", nil).body, fmt.Sprintf("it is number %d of %d. All sandboxes are in use", i+1, i+1))
		})
		waiting = append(waiting, v)
	}
	a := l.learner(t).send("POST", "/sandboxes", strings.NewReader(`{"lab":"network-policies"}`), "Content-Type", "application/json")
	contains(t, refusal(t, a, http.StatusTooManyRequests), "So many people wait")
	if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 30 || after > 90 {
		t.Errorf("Retry-After is %q, want 30 to 90 seconds", a.header.Get("Retry-After"))
	}
	if a := first.send("DELETE", "/sandboxes/"+used, nil); a.status != http.StatusAccepted {
		t.Fatalf("stop: status %d", a.status)
	}
	waiting[0].until("the first gets the place", func() bool {
		return strings.Contains(waiting[0].page("GET", "/workbench", nil).body, `data-state="ready"`)
	})
	waiting[1].until("the second is next", func() bool {
		return strings.Contains(waiting[1].page("GET", "/workbench", nil).body, "it is number 1 of 1.")
	})
}

func TestExtend_puts_off_the_end_unless_others_wait(t *testing.T) {
	l := newLab(t, setup{max: 1})
	v := l.learner(t)
	id := v.start()
	a := v.send("POST", "/sandboxes/"+id+"/extend", nil)
	var ending sandbox.Ending
	strict(t, a.body, &ending)
	if a.status != http.StatusOK || !ending.Extended || time.Until(ending.At) < time.Hour {
		t.Errorf("status %d, %+v", a.status, ending)
	}
	if a := v.page("POST", "/sandboxes/"+id+"/extend", url.Values{"lesson": {"network-policies"}}); a.status != http.StatusSeeOther {
		t.Errorf("the form: status %d", a.status)
	}
	waits := l.learner(t)
	waits.create()
	waits.until("its place is told", func() bool {
		return strings.Contains(waits.page("GET", "/workbench", nil).body, "it is number 1 of 1.")
	})
	contains(t, refusal(t, v.send("POST", "/sandboxes/"+id+"/extend", nil), http.StatusConflict), "Others wait for a sandbox")
}

func TestPolicies_are_applied_and_deleted(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	second := strings.Replace(denyAll, "default-deny-all", "second", 1)
	a := v.put(id, denyAll+"---\n"+second)
	var put policiesChanged
	strict(t, a.body, &put)
	if a.status != http.StatusOK || put.Change != 1 || len(put.Added) != 2 || len(put.Policies) != 2 || put.Policies[1].YAML != second {
		t.Fatalf("PUT: status %d, %+v", a.status, put)
	}
	var change sandbox.PolicyChange
	for _, c := range []struct {
		path    string
		removed int
		left    string
	}{
		{"/policies/production/second", 1, denyAll}, {"/policies/production/second", 0, denyAll}, {"/policies", 1, ""},
	} {
		a := v.send("DELETE", "/sandboxes/"+id+c.path, nil)
		change = sandbox.PolicyChange{}
		strict(t, a.body, &change)
		if a.status != http.StatusOK || len(change.Removed) != c.removed || len(change.Added)+len(change.Changed) != 0 {
			t.Errorf("DELETE %s: status %d, %+v, want %d removed", c.path, a.status, change, c.removed)
		}
		left := v.policies(id)
		if c.left == "" && len(left) != 0 || c.left != "" && (len(left) != 1 || left[0].YAML != c.left) {
			t.Errorf("after DELETE %s: %+v, want the text %q", c.path, left, c.left)
		}
	}
}

func TestToo_many_policies_are_refused_with_the_limit_and_the_way_below_it(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	var many strings.Builder
	for i := range sandbox.MaxPolicies + 1 {
		fmt.Fprintf(&many, "%s---\n", strings.Replace(denyAll, "default-deny-all", fmt.Sprintf("p%d", i), 1))
	}
	contains(t, refusal(t, v.put(id, many.String()), http.StatusUnprocessableEntity), "101 policies", "may have 100", "Delete 1 ", "Nothing was applied")
	half := denyAll + "# " + strings.Repeat("x", sandbox.MaxPolicyBytes/2)
	if a := v.put(id, half); a.status != http.StatusOK {
		t.Fatalf("half of what may be: status %d: %.200s", a.status, a.body)
	}
	second := strings.Replace(half, "default-deny-all", "second", 1)
	contains(t, refusal(t, v.put(id, second), http.StatusUnprocessableEntity), "256 KiB", "255 KiB", "Delete", "shorten")
	if s := v.snapshot(v.send("GET", "/sandboxes/"+id, nil)); len(s.Policies) != 1 || s.Change != 1 {
		t.Errorf("change %d, policies %+v", s.Change, s.Policies)
	}
	// In the place of the first it is no more than before.
	if a := v.put(id, half); a.status != http.StatusOK {
		t.Errorf("the same again: status %d: %.200s", a.status, a.body)
	}
}

func TestWrong_YAML_is_told_by_place_and_field(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	for name, yaml := range map[string]string{
		"broken":              "apiVersion: [",
		"unknown field":       denyAll + "  podSelectr: {}\n",
		"namespace of nobody": strings.Replace(denyAll, "namespace: production", "namespace: kube-system", 1),
		"one of two is wrong": denyAll + "---\n" + strings.NewReplacer("default-deny-all", "second", "podSelector", "podSelektor").Replace(denyAll),
		"nothing":             "",
	} {
		t.Run(name, func(t *testing.T) {
			a := v.put(id, yaml)
			refusal(t, a, http.StatusUnprocessableEntity)
			var said answer
			strict(t, a.body, &said)
			if len(said.Problems) == 0 || said.Problems[0].Message == "" || said.Problems[0].Line == 0 && yaml != "" {
				t.Errorf("problems = %+v", said.Problems)
			}
		})
	}
	if s := v.snapshot(v.send("GET", "/sandboxes/"+id, nil)); s.Change != 0 || len(s.Policies) != 0 {
		t.Errorf("something was applied: %+v", s.Policies)
	}
}

func TestAs_many_policies_as_may_be_in_force_go_as_one_text(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	var all []string
	for i := range sandbox.MaxPolicies {
		text := strings.Replace(denyAll, "default-deny-all", fmt.Sprintf("p%d", i), 1) + "# "
		all = append(all, text+strings.Repeat("x", sandbox.MaxPolicyBytes/sandbox.MaxPolicies-len(text)-1)+"\n")
	}
	if a := v.put(id, strings.Join(all, "---\n")); a.status != http.StatusOK {
		t.Errorf("status %d: %.200s", a.status, a.body)
	}
}

func TestToo_much_YAML_is_refused_with_the_limit(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	big := denyAll + "# " + strings.Repeat("x", 1<<20)
	contains(t, refusal(t, v.put(id, big), http.StatusRequestEntityTooLarge), "256 KiB")

	text := denyAll + "# " + strings.Repeat("x", policy.MaxBytes)
	if a := v.put(id, text[:sandbox.MaxPolicyBytes]); a.status != http.StatusOK {
		t.Errorf("exactly the limit: status %d: %.200s", a.status, a.body)
	}
	form := url.Values{"lab": {"network-policies"}, "lesson": {"network-policies"}, "yaml": {text[:policy.MaxBytes+1]}}
	a := v.page("POST", "/sandboxes/"+id+"/policies", form)
	if a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("form above the limit: status %d", a.status)
	}
	contains(t, a.body, "256 KiB", "default-deny-all")
	form.Set("yaml", big)
	if a := v.page("POST", "/sandboxes/"+id+"/policies", form); a.status != http.StatusRequestEntityTooLarge || !strings.Contains(a.body, "256 KiB") {
		t.Errorf("form far above the limit: status %d: %.300s", a.status, a.body)
	}
}

func TestA_forms_problems_are_shown_beside_the_text_that_has_them(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	form := url.Values{"lab": {"network-policies"}, "yaml": {denyAll + "  # </textarea><b>\n  podSelectr: {}\n"}}
	a := v.page("POST", "/sandboxes/"+id+"/policies", form)
	if a.status != http.StatusUnprocessableEntity {
		t.Fatalf("status = %d", a.status)
	}
	contains(t, a.body, ">Workbench</h1>", "<li>line 10, column 3: ", "podSelectr: {}", "&lt;/textarea&gt;&lt;b&gt;")
}

func TestWhat_the_sandbox_is_not_ready_for_is_said(t *testing.T) {
	gate := make(chan struct{})
	v := newLab(t, setup{provider: sandboxtest.Slow(gate)}).learner(t)
	id := v.create()
	v.until("the second step runs", func() bool {
		s := v.snapshot(v.send("GET", "/sandboxes/"+id, nil))
		return s.State == sandbox.Creating && s.Steps[1].Status == sandbox.StepRunning
	})
	contains(t, refusal(t, v.put(id, denyAll), http.StatusConflict), "not ready")
	form := url.Values{"lab": {"network-policies"}, "lesson": {"network-policies"}, "yaml": {denyAll}}
	a := v.page("POST", "/sandboxes/"+id+"/policies", form)
	if a.status != http.StatusConflict {
		t.Errorf("status = %d", a.status)
	}
	contains(t, a.body, "The sandbox is not ready", "name: default-deny-all", `data-state="creating"`, `<li data-step="2" data-status="running">`)
	close(gate)
	v.await(id, sandbox.Ready)
}

func TestA_page_without_its_script_loads_itself_anew_until_the_sandbox_is_ready(t *testing.T) {
	gate := make(chan struct{})
	v := newLab(t, setup{provider: sandboxtest.Slow(gate)}).learner(t)
	id := v.create()
	for _, path := range []string{"/lessons/network-policies", "/workbench?lab=network-policies"} {
		// With a fragment in it a browser would only scroll.
		contains(t, v.page("GET", path, nil).body, `<noscript><meta http-equiv="refresh" content="4; url=`+path+`"></noscript>`)
	}
	// What somebody has sent is not loaded away.
	form := url.Values{"lab": {"network-policies"}, "lesson": {"network-policies"}, "yaml": {denyAll}}
	if a := v.page("POST", "/sandboxes/"+id+"/policies", form); strings.Contains(a.body, "http-equiv") {
		t.Error("the page with the learner's text loads itself anew")
	}
	close(gate)
	v.await(id, sandbox.Ready)
	if a := v.page("GET", "/lessons/network-policies", nil); strings.Contains(a.body, "http-equiv") {
		t.Error("the ready page loads itself anew")
	}
}

func TestA_failed_start_says_why(t *testing.T) {
	v := newLab(t, setup{provider: sandboxtest.FailsOnBoot(&sandbox.Failure{Message: "The disk is full. Free some space, then press Start.", Err: errors.New("exit status 1")})}).learner(t)
	v.await(v.create(), sandbox.Failed)
	body := v.page("GET", "/lessons/network-policies", nil).body
	contains(t, body, `data-state="failed"`, "The disk is full. Free some space, then press Start.", `data-status="failed"`, `<form id="start" method="post" action="/sandboxes">`)
	if strings.Contains(body, "exit status 1") {
		t.Error("the learner reads the log's text")
	}
}

func TestA_policy_outside_the_lab_cannot_be_deleted(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	contains(t, refusal(t, v.send("DELETE", "/sandboxes/"+id+"/policies/kube-system/x", nil), http.StatusNotFound), "kube-system", "production")
}

func TestPrune_makes_the_policies_the_only_ones(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	one, other := strings.Replace(denyAll, "default-deny-all", "one", 1), strings.Replace(denyAll, "default-deny-all", "other", 1)
	names := func() (all []string) {
		for _, p := range v.snapshot(v.page("GET", "/sandboxes/"+id, nil)).Policies {
			all = append(all, p.Name)
		}
		return all
	}
	v.put(id, one)
	if a := v.send("PUT", "/sandboxes/"+id+"/policies?prune=true", strings.NewReader(other), "Content-Type", "application/yaml"); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if got := names(); !slices.Equal(got, []string{"other"}) {
		t.Errorf("in force are %v, want other alone", got)
	}
	v.put(id, one)
	if got := names(); !slices.Equal(got, []string{"one", "other"}) {
		t.Errorf("without prune in force are %v, want both", got)
	}
}

// startOther starts a sandbox of another lab than the first lesson's.
func (v *learner) startOther() string {
	v.t.Helper()
	a := v.send("POST", "/sandboxes", strings.NewReader(`{"lab":"shop-challenge"}`), "Content-Type", "application/json")
	if a.status != http.StatusAccepted {
		v.t.Fatalf("status %d: %s", a.status, a.body)
	}
	return v.await(v.snapshot(a).id(), sandbox.Ready)
}

func TestStarting_another_lab_asks_first_by_JSON(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	other := v.startOther()
	ask := func(body string) reply {
		return v.send("POST", "/sandboxes", strings.NewReader(body), "Content-Type", "application/json")
	}
	for _, body := range []string{`{"lab":"network-policies"}`, `{"lab":"network-policies","instead":"another"}`} {
		a := ask(body)
		contains(t, a.body, `"instead":"`+other+`"`, "No policy is in force in it.")
		if a.status != http.StatusConflict {
			t.Errorf("status %d, want 409", a.status)
		}
	}
	if s := v.snapshot(v.page("GET", "/sandboxes/"+other, nil)); s.State != sandbox.Ready {
		t.Fatalf("the question alone made it %s", s.State)
	}
	if a := ask(`{"lab":"network-policies","instead":"` + other + `"}`); a.status != http.StatusAccepted {
		t.Errorf("agreed: status %d: %s", a.status, a.body)
	}
	if a := ask(`{"lab":"network-policies"}`); a.status != http.StatusAccepted {
		t.Errorf("one of the same lab is not in the way: status %d: %s", a.status, a.body)
	}
}

func TestStarting_another_lab_asks_first_without_scripts(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	other := v.startOther()
	page := v.page("GET", "/lessons/network-policies", nil)
	contains(t, page.body, `id="other"`, "to start one here stops that one")
	form := url.Values{"lab": {"network-policies"}, "lesson": {"network-policies"}}
	a := v.page("POST", "/sandboxes", form)
	contains(t, a.body, views.Said.Instead, `name="instead" value="`+other+`"`, `name="lab" value="network-policies"`, `name="lesson" value="network-policies"`, `href="/lessons/network-policies#lab"`)
	form.Set("instead", other)
	if a := v.page("POST", "/sandboxes", form); a.status != http.StatusSeeOther {
		t.Errorf("agreed: status %d: %s", a.status, a.body)
	}
	v.until("the other one is gone", func() bool {
		a := v.page("GET", "/sandboxes/"+other, nil)
		return a.status == http.StatusNotFound || v.snapshot(a).State != sandbox.Ready
	})
}

func TestWho_leaves_leaves_no_sandbox_behind(t *testing.T) {
	for _, way := range []string{"/me/new", "/me/forget"} {
		t.Run(way, func(t *testing.T) {
			l := newLab(t, setup{max: 1})
			v := l.learner(t)
			v.start()
			v.page("POST", way, url.Values{})
			other := l.learner(t)
			other.start() // in the place that is free
		})
	}
}
