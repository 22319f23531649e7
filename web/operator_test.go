package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// operatorsToken is what the operator of the tests' labs shows.
const operatorsToken = "operator-of-the-tests"

// theMetrics stand for what is counted.
var theMetrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "netpol_lab_up 1") })

// bearer shows the token.
func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// operator is a browser in which the operator has logged in.
func (l *lab) operator(t testing.TB) *learner {
	t.Helper()
	v := l.learner(t)
	if a := v.page("POST", "/operator/login", url.Values{"token": {" " + operatorsToken + "\n"}}); a.status != http.StatusSeeOther || a.header.Get("Location") != "/operator" {
		t.Fatalf("login: %d to %q: %s", a.status, a.header.Get("Location"), a.body)
	}
	return v
}

// onlooker reads what happens to the sandbox from now on.
func (l *lab) onlooker(t testing.TB, id string) *sandbox.Subscription {
	t.Helper()
	_, seq, err := l.manager.Get(sandbox.ID(id))
	if err != nil {
		t.Fatal(err)
	}
	sub, err := l.manager.Subscribe(sandbox.ID(id), seq, sandbox.AsOnlooker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return sub
}

func TestOperator_sees_every_sandbox_and_learners_none_but_their_own(t *testing.T) {
	l := newLab(t, setup{maxAge: time.Hour})
	ann := l.learner(t)
	if a := ann.page("POST", "/me/name", url.Values{"name": {"Ann <b>"}}); a.status != http.StatusSeeOther {
		t.Fatalf("name: %d", a.status)
	}
	id := ann.start()
	ann.put(id, denyAll)
	l.learner(t).start()
	page := l.operator(t).page("GET", "/operator", nil)
	if page.status != http.StatusOK {
		t.Fatalf("status %d", page.status)
	}
	contains(t, page.body, "Ann &lt;b&gt;", "Learner ", id, "2 ready", `<td data-label="Policies">1</td>`, `action="/operator/sandboxes/`+id+`/stop"`, `action="/operator/sandboxes/`+id+`/extend"`)
	if found := l.operator(t).page("GET", "/operator?q=aNN", nil).body; !strings.Contains(found, id) || strings.Contains(found, "<th scope=\"row\">Learner ") || !strings.Contains(found, "1 of 2 have “aNN”.") {
		t.Error("what is found is not Ann's alone")
	}
	for _, path := range []string{"/operator", "/metrics"} {
		if a := ann.send("GET", path, nil); a.status != http.StatusUnauthorized || strings.Contains(a.body, id) || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s to a learner: %d", path, a.status)
		}
	}
	for _, deed := range []string{"stop", "extend"} {
		a := ann.page("POST", "/operator/sandboxes/"+id+"/"+deed, url.Values{})
		if a.status != http.StatusUnauthorized {
			t.Errorf("%s by a learner: %d", deed, a.status)
		}
		contains(t, a.body, "The operator’s token")
	}
	if s := ann.snapshot(ann.send("GET", "/sandboxes/"+id, nil)); s.State != sandbox.Ready {
		t.Errorf("it is %s", s.State)
	}
}

func TestOperator_is_told_everything_in_JSON(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	v.page("POST", "/me/name", url.Values{"name": {"Ann"}})
	id := v.start()
	a := v.send("GET", "/operator", nil, bearer(operatorsToken)...)
	var all struct {
		sandbox.Overview
		Names   map[string]string `json:"names"`
		Missing []string          `json:"missing"`
	}
	if err := json.Unmarshal([]byte(a.body), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Sandboxes) != 1 || string(all.Sandboxes[0].ID) != id || all.Names[all.Sandboxes[0].Owner] != "Ann" || all.Missing == nil || len(all.Missing) != 0 {
		t.Errorf("%s", a.body)
	}
	if a := v.send("GET", "/metrics", nil, bearer(operatorsToken)...); a.status != http.StatusOK || a.body != "netpol_lab_up 1\n" {
		t.Errorf("metrics: %d %q", a.status, a.body)
	}
}

func TestOperator_stops_a_sandbox_and_its_learner_is_told_so(t *testing.T) {
	l := newLab(t, setup{})
	ann := l.learner(t)
	id := ann.start()
	sub := l.onlooker(t, id)
	a := l.operator(t).page("POST", "/operator/sandboxes/"+id+"/stop", url.Values{"q": {"a b"}})
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/operator?q=a+b" {
		t.Errorf("%d to %q", a.status, a.header.Get("Location"))
	}
	for told := false; !told; {
		events, err := sub.Next(t.Context())
		if err != nil {
			t.Fatalf("it was not told: %v", err)
		}
		for _, e := range events {
			told = told || e.State != nil && e.State.State == sandbox.Stopping && e.State.Reason == reasonOperator
		}
	}
	ann.until("the sandbox is gone", func() bool { return ann.send("GET", "/sandboxes/"+id, nil).status == http.StatusNotFound })
	if a := l.operator(t).page("POST", "/operator/sandboxes/"+id+"/stop", url.Values{}); a.status != http.StatusNotFound {
		t.Errorf("again: %d", a.status)
	}
}

func TestOperator_keeps_a_sandbox_longer(t *testing.T) {
	l := newLab(t, setup{maxAge: time.Hour})
	id := l.learner(t).start()
	before := *l.manager.Overview().Sandboxes[0].Ends
	sub := l.onlooker(t, id)
	if a := l.operator(t).send("POST", "/operator/sandboxes/"+id+"/extend", nil); a.status != http.StatusAccepted {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for told := false; !told; {
		events, err := sub.Next(t.Context())
		if err != nil {
			t.Fatalf("it was not told: %v", err)
		}
		for _, e := range events {
			told = told || e.Ends != nil && e.Ends.Extended
		}
	}
	if after := *l.manager.Overview().Sandboxes[0].Ends; after.Sub(before) < time.Hour {
		t.Errorf("it ends at %s, where it was to end at %s", after, before)
	}
	// It cannot be kept any longer now, so that is not offered.
	if page := l.operator(t).page("GET", "/operator", nil).body; strings.Contains(page, "/"+id+"/extend") || !strings.Contains(page, "/"+id+"/stop") {
		t.Error("it is offered again")
	}
}

func TestOperator_is_told_in_words_of_their_own_why_something_is_not_done(t *testing.T) {
	l := newLab(t, setup{max: 1, maxAge: time.Hour})
	id := l.learner(t).start()
	waits := l.learner(t)
	waits.create()
	waits.until("somebody waits", func() bool { return l.manager.Overview().Waiting == 1 })
	v := l.operator(t)
	for _, c := range []struct {
		path   string
		status int
		said   string
	}{
		{id + "/extend", http.StatusConflict, "Others wait for a sandbox, so none is kept longer."},
		{"none/extend", http.StatusNotFound, "it was stopped meanwhile"},
		{"none/stop", http.StatusNotFound, "it was stopped meanwhile"},
	} {
		contains(t, refusal(t, v.send("POST", "/operator/sandboxes/"+c.path, nil), c.status), c.said)
	}
}

func TestOperator_a_token_is_guessed_only_so_often(t *testing.T) {
	few := defaultLimits
	few.guesses = rate{3, time.Hour}
	l := newLab(t, setup{limits: few})
	in, guesser := l.operator(t), l.learner(t)
	for i := range 3 {
		if a := guesser.send("GET", "/operator", nil, bearer("guess "+strconv.Itoa(i))...); a.status != http.StatusUnauthorized || a.header.Get("X-RateLimit-Remaining") != "" {
			t.Errorf("guess %d: %d", i, a.status)
		}
	}
	for _, token := range []string{"guess", operatorsToken} {
		if a := guesser.send("GET", "/operator", nil, bearer(token)...); a.status != http.StatusTooManyRequests {
			t.Errorf("%q after too many: %d", token, a.status)
		}
		if a := guesser.page("POST", "/operator/login", url.Values{"token": {token}}); a.status != http.StatusTooManyRequests || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%q in the form after too many: %d", token, a.status)
		}
	}
	if a := in.page("GET", "/operator", nil); a.status != http.StatusOK {
		t.Errorf("whoever is logged in is shut out: %d", a.status)
	}
}

// The counter slides: of a window that is over, a part still counts.
func TestOperator_a_token_is_guessed_no_more_often_where_a_window_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{limits: limits{guesses: rate{3, time.Minute}}, Deps: Deps{Operator: &Operator{Token: HashToken(operatorsToken)}}}
		s.guesses = s.counter(s.limits.guesses)
		r, _ := http.NewRequest("GET", "/operator", nil)
		guesses := func(seconds int) (heard int) {
			for range seconds {
				time.Sleep(time.Second)
				if answerTo(s.shows(r, "guess")).status == http.StatusUnauthorized {
					heard++
				}
			}
			return heard
		}
		time.Sleep(50 * time.Second)
		if n := guesses(9); n != 3 {
			t.Errorf("%d guesses in the first window, want 3", n)
		}
		for window := range 3 {
			if n := guesses(60); n < 1 || n > 3 {
				t.Errorf("%d guesses in the minute %d after that, want 1 to 3", n, window+1)
			}
		}
	})
}

func TestOperator_the_right_token_is_no_guess(t *testing.T) {
	few := defaultLimits
	few.guesses = rate{3, time.Hour}
	v := newLab(t, setup{limits: few}).learner(t)
	for range 5 {
		if a := v.send("GET", "/metrics", nil, bearer(operatorsToken)...); a.status != http.StatusOK {
			t.Fatalf("status %d", a.status)
		}
	}
}

func TestOperator_the_login_is_a_cookie_that_only_this_process_can_make(t *testing.T) {
	l := newLab(t, setup{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	form := strings.NewReader(url.Values{"token": {operatorsToken}}.Encode())
	a := l.learner(t).send("POST", "/operator/login", form, "Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-Proto", "https")
	cookie := a.header.Get("Set-Cookie")
	for _, part := range []string{"__Secure-netpol-lab-operator=", "; Path=/operator;", "; HttpOnly", "; Secure", "; SameSite=Strict", "; Max-Age=43200"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("%q lacks %q", cookie, part)
		}
	}
	if strings.Contains(cookie, operatorsToken) {
		t.Error("the token is in it")
	}
	_, value, _ := strings.Cut(cookie, "=")
	value, _, _ = strings.Cut(value, ";")
	until, seal, _ := strings.Cut(value, ".")
	at, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	other := newLab(t, setup{})
	past := strconv.FormatInt(time.Now().Unix()-1, 10)
	for _, c := range []struct {
		what  string
		of    *lab
		value string
		want  int
	}{
		{"as it was given", l, value, http.StatusOK},
		{"of another process", other, value, http.StatusUnauthorized},
		{"with a later end", l, strconv.FormatInt(at+1, 10) + "." + seal, http.StatusUnauthorized},
		{"without a seal", l, until, http.StatusUnauthorized},
		{"that is over", l, past + "." + seal, http.StatusUnauthorized},
		{"empty", l, "", http.StatusUnauthorized},
	} {
		if a := c.of.learner(t).send("GET", "/operator", nil, "Cookie", "netpol-lab-operator="+c.value); a.status != c.want {
			t.Errorf("a cookie %s: %d, want %d", c.what, a.status, c.want)
		}
	}
}

func TestOperator_a_login_ends(t *testing.T) {
	v := newLab(t, setup{}).operator(t)
	if a := v.page("POST", "/operator/logout", url.Values{}); a.status != http.StatusSeeOther {
		t.Errorf("logout: %d", a.status)
	}
	if a := v.page("GET", "/operator", nil); a.status != http.StatusUnauthorized {
		t.Errorf("after it: %d", a.status)
	}
	// That it ends by itself is sealed, too.
	s := &server{sealKey: []byte("key")}
	past := strconv.FormatInt(time.Now().Unix()-1, 10)
	r, _ := http.NewRequest("GET", "/operator", nil)
	r.AddCookie(&http.Cookie{Name: operatorCookie, Value: past + "." + s.seal("operator", past)})
	if s.isLoggedIn(r) {
		t.Error("a login that is over counts")
	}
}

func TestOperator_another_sites_page_does_nothing_in_their_name(t *testing.T) {
	l := newLab(t, setup{})
	id := l.learner(t).start()
	v := l.operator(t)
	for _, path := range []string{"/operator/sandboxes/" + id + "/stop", "/operator/sandboxes/" + id + "/extend", "/operator/logout", "/operator/login"} {
		a := v.send("POST", path, strings.NewReader("token="+operatorsToken), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site")
		if a.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if a := v.send("GET", "/operator", nil); a.status != http.StatusOK {
		t.Errorf("the operator is logged out: %d", a.status)
	}
	if s, _, err := l.manager.Get(sandbox.ID(id)); err != nil || s.State != sandbox.Ready {
		t.Errorf("it is %s: %v", s.State, err)
	}
}

func TestOperator_where_there_is_none_nothing_is_there(t *testing.T) {
	s := &server{}
	r, _ := http.NewRequest("GET", "/operator", nil)
	if err := s.may(r); err == nil {
		t.Error("somebody may do what is the operator's")
	}
}
