package web

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/netpol-lab/netpol-lab/static"
	"github.com/netpol-lab/netpol-lab/web/store"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// ask sends a request past the network, from the address, with headers in turn of names
// and values.
func (l *lab) ask(t *testing.T, method, path, from string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = from
	r.Host = "lab.example"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	w := httptest.NewRecorder()
	l.Config.Handler.ServeHTTP(w, r)
	return w.Result()
}

const router = "203.0.113.7:4711"

// cookieOf is the cookie that the answer gives, as it is sent back.
func cookieOf(t *testing.T, res *http.Response) string {
	t.Helper()
	cookies := res.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies in an answer of status %d, want 1", len(cookies), res.StatusCode)
	}
	return cookies[0].Name + "=" + cookies[0].Value
}

func TestSession_the_cookie_is_random_and_out_of_reach_of_scripts(t *testing.T) {
	l := newLab(t, setup{})
	tokens := map[string]bool{}
	for range 2 {
		res := l.ask(t, "GET", "/", router)
		cookieOf(t, res)
		c := res.Cookies()[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure || c.MaxAge != 30*24*60*60 {
			t.Errorf("cookie = %s", c)
		}
		token, _, _ := strings.Cut(c.Value, ".")
		if b, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(b) != 16 || tokens[token] {
			t.Errorf("token %q is not a new one of 128 bits", token)
		}
		tokens[token] = true
		if strings.Contains(l.log.String(), token) {
			t.Error("the cookie is in the log")
		}
	}
}

func TestSession_a_cookie_is_replaced_where_no_learner_can_have_it_and_sealed_where_one_can(t *testing.T) {
	l := newLab(t, setup{})
	given := cookieOf(t, l.ask(t, "GET", "/", router))
	name, value, _ := strings.Cut(given, "=")
	token, rest, _ := strings.Cut(value, ".")
	other := strings.Repeat("A", 22)
	for what, c := range map[string]struct {
		value  string
		renews bool
		token  string // of the new cookie; empty for a new one
	}{
		"the server's own":                {value, false, ""},
		"of an earlier process":           {token, true, token},
		"with another's seal":             {other + "." + rest, true, other},
		"with another day":                {token + ".99999." + rest[strings.Index(rest, ".")+1:], true, token},
		"nothing that a learner can have": {"short", true, ""},
		"no base64":                       {"!!!", true, ""},
	} {
		t.Run(what, func(t *testing.T) {
			res := l.ask(t, "GET", "/", router, "Cookie", name+"="+c.value)
			if !c.renews {
				if got := res.Header.Values("Set-Cookie"); len(got) > 0 {
					t.Errorf("it is renewed: %s", got)
				}
				return
			}
			_, fresh, _ := strings.Cut(cookieOf(t, res), "=")
			got, _, _ := strings.Cut(fresh, ".")
			if c.token != "" && got != c.token || c.token == "" && strings.HasPrefix(c.value, got) {
				t.Errorf("the new cookie is of %q", got)
			}
			if again := l.ask(t, "GET", "/", router, "Cookie", name+"="+fresh); len(again.Cookies()) > 0 {
				t.Error("the new cookie is not taken")
			}
		})
	}
}

// The tests of time run in a bubble, where a day passes at once; only the handler is
// asked there, which needs no network.
func TestSession_a_cookie_lives_from_the_last_visit_and_is_renewed_once_a_day(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{unserved: true})
		cookie := cookieOf(t, l.ask(t, "GET", "/", router))
		for day := range 60 {
			time.Sleep(24 * time.Hour)
			res := l.ask(t, "GET", "/", router, "Cookie", cookie)
			if got := res.Cookies(); len(got) != 1 || got[0].MaxAge != 30*24*60*60 {
				t.Fatalf("day %d: %v, want a cookie for another 30 days", day, got)
			}
			fresh := cookieOf(t, res)
			if before, after := strings.Split(cookie, "."), strings.Split(fresh, "."); before[0] != after[0] {
				t.Fatalf("day %d: the learner is another", day)
			}
			cookie = fresh
			for range 3 {
				if res := l.ask(t, "GET", "/", router, "Cookie", cookie); len(res.Cookies()) > 0 {
					t.Fatalf("day %d: renewed again on that day", day)
				}
			}
		}
	})
}

func TestLimit_too_many_requests_are_told_to_wait(t *testing.T) {
	few := defaultLimits
	few.starts.learner = rate{2, time.Minute}
	v := newLab(t, setup{limits: few, max: 8}).learner(t)
	for range 2 {
		v.create()
	}
	a := v.page("POST", "/sandboxes", url.Values{"lab": {"network-policies"}})
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("status = %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	contains(t, a.body, "Wait 60 seconds")
	if a := v.page("GET", "/", nil); a.status != http.StatusOK {
		t.Errorf("pages are limited, too: status %d", a.status)
	}
	if other := v.lab.learner(t); other.page("POST", "/sandboxes", url.Values{"lab": {"network-policies"}}).status != http.StatusSeeOther {
		t.Error("another learner pays for it")
	}
}

// A class behind one router, somebody there who does nothing but send requests, and
// somebody who sends no cookie: nobody takes anything from the class.
func TestLimit_a_class_behind_one_router_goes_on_whatever_one_of_them_does(t *testing.T) {
	l := newLab(t, setup{})
	const class, visits = 100, 20
	cookies := make([]string, class)
	for i := range cookies {
		cookies[i] = cookieOf(t, l.ask(t, "GET", "/", router))
	}
	flood := func(name string, limit int, header func(i int) []string) {
		t.Helper()
		refused := 0
		for i := range 2 * limit {
			if l.ask(t, "GET", "/lessons/none", router, header(i)...).StatusCode == http.StatusTooManyRequests {
				refused++
			}
		}
		if refused < limit {
			t.Errorf("of %d requests %s %d were refused, want half of them at least", 2*limit, name, refused)
		}
	}
	flood("of one learner", defaultLimits.requests.learner.requests, func(int) []string { return []string{"Cookie", cookies[0]} })
	flood("without a cookie", defaultLimits.requests.address.requests, func(int) []string { return nil })
	flood("each with a cookie that nobody gave", defaultLimits.requests.address.requests, func(i int) []string {
		token := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%016d", i)))
		return []string{"Cookie", sessionCookie + "=" + token + ".20000." + token}
	})
	for visit := range visits {
		for i := 1; i < class; i++ {
			if res := l.ask(t, "GET", "/", router, "Cookie", cookies[i]); res.StatusCode != http.StatusOK {
				t.Fatalf("visit %d of learner %d: status %d", visit, i, res.StatusCode)
			}
		}
	}
	if res := l.ask(t, "GET", "/", "203.0.113.8:1"); res.StatusCode != http.StatusOK {
		t.Errorf("somebody new at another address: status %d", res.StatusCode)
	}
}

func TestLimit_a_whole_class_may_come_at_once_after_the_server_was_started_again(t *testing.T) {
	l := newLab(t, setup{})
	for i := range 100 {
		token := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%016d", i)))
		for range 10 { // A page's own requests, before it has the new cookie.
			if res := l.ask(t, "GET", "/", router, "Cookie", sessionCookie+"="+token); res.StatusCode != http.StatusOK {
				t.Fatalf("learner %d: status %d", i, res.StatusCode)
			}
		}
	}
}

// Each has a count of their own of everything, so somebody who can be many has many.
func TestLimit_nobody_is_as_many_learners_as_they_like(t *testing.T) {
	few := defaultLimits
	few.newcomers = rate{5, time.Minute}
	l := newLab(t, setup{limits: few})
	met := cookieOf(t, l.ask(t, "GET", "/", router))
	forged := base64.RawURLEncoding.EncodeToString([]byte("0123456789abcdef"))
	for range 3 { // A page's own requests: one learner.
		if res := l.ask(t, "GET", "/", router, "Cookie", sessionCookie+"="+forged); res.StatusCode != http.StatusOK {
			t.Fatalf("somebody who comes back: status %d", res.StatusCode)
		}
	}
	given := 0
	for i := range 20 {
		var header []string
		if i%2 == 0 {
			token := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%016d", i)))
			header = []string{"Cookie", sessionCookie + "=" + token}
		}
		res := l.ask(t, []string{"GET", "POST"}[i/10], []string{"/", "/labs/network-policies/analysis"}[i/10], router, header...)
		if res.Header.Get("Set-Cookie") != "" {
			given++
		} else if res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("without a cookie: status %d", res.StatusCode)
		}
	}
	if given != 3 {
		t.Errorf("%d more learners at one address, want 3", given)
	}
	if res := l.ask(t, "GET", "/", router, "Cookie", met); res.StatusCode != http.StatusOK {
		t.Errorf("who was there before pays for it: status %d", res.StatusCode)
	}
	if res := l.ask(t, "GET", "/", "203.0.113.8:1"); res.StatusCode != http.StatusOK {
		t.Errorf("another address pays for it: status %d", res.StatusCode)
	}
}

func TestLimit_what_nothing_answers_to_is_counted_by_address(t *testing.T) {
	few := defaultLimits
	few.strays, few.files = rate{6, time.Minute}, rate{8, time.Minute}
	l := newLab(t, setup{limits: few})
	cookie := cookieOf(t, l.ask(t, "GET", "/", router))
	for i := range 3 {
		for path, want := range map[string]int{"/nothing": http.StatusNotFound, "/static/nothing.js": http.StatusNotFound} {
			if got := l.ask(t, "GET", path, router).StatusCode; got != want {
				t.Errorf("%s, time %d: status %d, want %d", path, i+1, got, want)
			}
		}
	}
	for _, stray := range [][]string{{"GET", "/nothing"}, {"GET", "/static/nothing.js"}, {"DELETE", "/"}, {"GET", "/", "Host", "rebound.example"}} {
		if got := l.ask(t, stray[0], stray[1], router, stray[2:]...).StatusCode; got != http.StatusTooManyRequests {
			t.Errorf("%v: status %d, want %d", stray, got, http.StatusTooManyRequests)
		}
	}
	file := theFiles(t).URL(static.Styles)
	for i := range 6 { // Two of the eight were for a file that is not there, two more came after.
		if got := l.ask(t, "GET", file, router).StatusCode; (got == http.StatusTooManyRequests) != (i >= 4) {
			t.Errorf("a file, time %d: status %d", i+1, got)
		}
	}
	if res := l.ask(t, "GET", "/", router, "Cookie", cookie); res.StatusCode != http.StatusOK {
		t.Errorf("a page pays for it: status %d", res.StatusCode)
	}
	if res := l.ask(t, "GET", "/nothing", "203.0.113.8:1"); res.StatusCode != http.StatusNotFound {
		t.Errorf("another address pays for it: status %d", res.StatusCode)
	}
}

func TestLog_a_long_path_is_not_logged_whole(t *testing.T) {
	l := newLab(t, setup{})
	l.log.clear()
	l.ask(t, "GET", "/"+strings.Repeat("x", 8<<10), router)
	if got := l.log.String(); !strings.Contains(got, "xxx...") || len(got) > 2<<10 {
		t.Errorf("%d bytes are logged: %.300s", len(got), got)
	}
}

func TestLimit_whatever_changes_something_is_counted(t *testing.T) {
	few := defaultLimits
	few.changes = limitPair{learner: rate{2, time.Minute}, address: rate{6, time.Minute}}
	few.starts.learner = rate{2, time.Minute}
	few.newcomers = rate{20, time.Minute}
	l := newLab(t, setup{limits: few})
	for _, path := range []string{
		"POST /quizzes/network-policies", "POST /me/name", "POST /me/forget", "POST /lessons/network-policies/sections/none/done",
		"POST /lessons/network-policies/exercises/close-production/skip", "POST /lessons/network-policies/exercises/close-production/hint",
		"PUT /sandboxes/none/policies", "DELETE /sandboxes/none", "POST /sandboxes/none/stop", "POST /sandboxes", "POST /sandboxes/none/reset",
	} {
		method, path, _ := strings.Cut(path, " ")
		cookie := cookieOf(t, l.ask(t, "GET", "/", router))
		for i := range 3 {
			if got := l.ask(t, method, path, router, "Cookie", cookie).StatusCode; (got == http.StatusTooManyRequests) != (i == 2) {
				t.Errorf("%s %s, time %d: status %d", method, path, i+1, got)
			}
		}
	}
	// A new learner is a new count, so that whoever asks for many is counted by address.
	cookie := cookieOf(t, l.ask(t, "GET", "/", router))
	refused := false
	for range few.newcomers.requests {
		res := l.ask(t, "POST", "/me/new", router, "Cookie", cookie)
		if res.StatusCode == http.StatusTooManyRequests {
			refused = true
			break
		}
		cookie = cookieOf(t, res)
	}
	if !refused {
		t.Error("somebody can become somebody new as often as they like")
	}
}

func TestProxy_what_a_trusted_one_says_counts_and_nobody_elses_word(t *testing.T) {
	l := newLab(t, setup{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	for name, c := range map[string]struct {
		from, client string
		header       []string
		encrypted    bool
	}{
		"a proxy":                     {"10.0.0.1:1", "198.51.100.1", []string{"X-Forwarded-For", "198.51.100.1", "X-Forwarded-Proto", "https"}, true},
		"a proxy of IPv6":             {"[fd00::1]:1", "2001:db8::1", []string{"X-Forwarded-For", "2001:db8::1", "X-Forwarded-Proto", "https"}, true},
		"without TLS":                 {"10.0.0.1:1", "198.51.100.1", []string{"X-Forwarded-For", "198.51.100.1", "X-Forwarded-Proto", "http"}, false},
		"with what the client claims": {"10.0.0.1:1", "198.51.100.1", []string{"X-Forwarded-For", "192.0.2.9, 198.51.100.1"}, false},
		"in two headers":              {"10.0.0.1:1", "198.51.100.1", []string{"X-Forwarded-For", "192.0.2.9", "X-Forwarded-For", "198.51.100.1"}, false},
		"behind another":              {"10.0.0.1:1", "198.51.100.1", []string{"X-Forwarded-For", "192.0.2.9, 198.51.100.1, 10.2.3.4"}, false},
		"with a port":                 {"10.0.0.1:1", "198.51.100.1", []string{"X-Forwarded-For", "198.51.100.1:4711"}, false},
		"with nonsense":               {"10.0.0.1:1", "10.0.0.1", []string{"X-Forwarded-For", "198.51.100.1, unknown"}, false},
		"that says nothing":           {"10.0.0.1:1", "10.0.0.1", nil, false},
		"a client that claims TLS":    {"10.0.0.1:1", "198.51.100.1", []string{"X-Forwarded-For", "198.51.100.1", "X-Forwarded-Proto", "https, http"}, false},
		"nobody that is trusted":      {"203.0.113.7:1", "203.0.113.7", []string{"X-Forwarded-For", "10.0.0.9", "X-Forwarded-Proto", "https"}, false},
		"mapped into IPv6":            {"[::ffff:10.0.0.1]:1", "198.51.100.1", []string{"X-Forwarded-For", "198.51.100.1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			res := l.ask(t, "GET", "/", c.from, c.header...)
			if res.StatusCode != http.StatusOK {
				t.Fatalf("status %d", res.StatusCode)
			}
			cookieOf(t, res)
			cookie := res.Cookies()[0]
			want := sessionCookie
			if c.encrypted {
				want = "__Host-" + sessionCookie
			}
			if cookie.Secure != c.encrypted || cookie.Name != want {
				t.Errorf("cookie %s, secure %v", cookie.Name, cookie.Secure)
			}
			if hsts := res.Header.Get("Strict-Transport-Security"); (hsts != "") != c.encrypted {
				t.Errorf("Strict-Transport-Security %q", hsts)
			}
			contains(t, l.log.String(), "request="+res.Header.Get("X-Request-Id")+" method=GET", "client="+c.client)
			lines := strings.Split(strings.TrimSpace(l.log.String()), "\n")
			if line := lines[len(lines)-1]; !strings.HasSuffix(line, "client="+c.client) {
				t.Errorf("the log's line is %s", line)
			}
		})
	}
}

func TestProxy_behind_it_a_learner_is_counted_by_their_own_address(t *testing.T) {
	few := defaultLimits
	few.requests.address = rate{3, time.Minute}
	l := newLab(t, setup{limits: few, proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for i := range 20 {
		if res := l.ask(t, "GET", "/", "10.0.0.1:1", "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)); res.StatusCode != http.StatusOK {
			t.Fatalf("client %d: status %d", i, res.StatusCode)
		}
	}
	// Nobody else can choose what to be counted by.
	last := 0
	for i := range 5 {
		last = l.ask(t, "GET", "/", router, "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)).StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("a header that nobody vouches for gives a new count: status %d", last)
	}
}

func TestProxy_behind_one_that_speaks_TLS_forms_and_websockets_work(t *testing.T) {
	l := newLab(t, setup{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	behind, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(behind)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}})
	t.Cleanup(proxy.Close)
	v := l.learner(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := proxy.Client()
	client.Jar, client.CheckRedirect = jar, v.Client.CheckRedirect
	ask := func(method, path, body, origin string) reply {
		t.Helper()
		r, err := http.NewRequest(method, proxy.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", origin)
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return reply{res.StatusCode, res.Header, string(b)}
	}
	if first := ask("GET", "/", "", ""); !strings.HasPrefix(first.header.Get("Set-Cookie"), "__Host-") || first.header.Get("Strict-Transport-Security") == "" {
		t.Errorf("over TLS: cookie %q, Strict-Transport-Security %q", first.header.Get("Set-Cookie"), first.header.Get("Strict-Transport-Security"))
	}
	const start = `{"lab":"network-policies"}`
	refusal(t, ask("POST", "/sandboxes", start, "https://elsewhere.example"), http.StatusForbidden)
	a := ask("POST", "/sandboxes", start, proxy.URL)
	if a.status != http.StatusAccepted {
		t.Fatalf("the lab's own page: status %d: %s", a.status, a.body)
	}
	id := v.snapshot(a).id()
	dialer := websocket.Dialer{Jar: jar, TLSClientConfig: client.Transport.(*http.Transport).TLSClientConfig, HandshakeTimeout: patience}
	dial := func(origin string) (*websocket.Conn, error) {
		conn, res, err := dialer.Dial("wss"+strings.TrimPrefix(proxy.URL, "https")+"/sandboxes/"+id+"/events", http.Header{"Origin": {origin}})
		if res != nil {
			res.Body.Close()
		}
		return conn, err
	}
	if conn, err := dial("https://elsewhere.example"); err == nil {
		conn.Close()
		t.Error("another site's page gets events")
	}
	conn, err := dial(proxy.URL)
	if err != nil {
		t.Fatalf("a websocket: %v", err)
	}
	defer conn.Close()
	next(t, conn)
}

func TestHost_a_foreign_name_is_refused(t *testing.T) {
	l := newLab(t, setup{})
	for host, want := range map[string]int{
		"127.0.0.1:80": http.StatusOK, "LOCALHOST": http.StatusOK, "[::1]:8080": http.StatusMisdirectedRequest,
		"rebound.example": http.StatusMisdirectedRequest, "127.0.0.1.rebound.example:8080": http.StatusMisdirectedRequest,
	} {
		if res := l.ask(t, "GET", "/", router, "Host", host); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, res.StatusCode, want)
		}
	}
}

func TestSession_a_visit_is_kept_of_whoever_has_a_record(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	v.page("POST", "/me/name", url.Values{"name": {""}})
	var record store.Record
	strict(t, v.send("GET", "/me/record.json", nil).body, &record)
	if record.SeenAt.IsZero() || record.SeenAt.Before(record.CreatedAt) {
		t.Errorf("seen at %v, with a record since %v", record.SeenAt, record.CreatedAt)
	}
}

func TestMe_says_how_long_the_record_is_there(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	contains(t, v.page("GET", "/me", nil).body, "It lasts for 30 days after your last visit. Without a name, the record is deleted 90 days after that visit.")
	v.page("POST", "/me/name", url.Values{"name": {"Ada"}})
	contains(t, v.page("GET", "/me", nil).body, "A record with a name is kept until you delete it.")
	if got := (views.Me{CookieDays: 30}).Lasts(); !strings.HasSuffix(got, "after your last visit.") {
		t.Errorf("where nobody is forgotten: %s", got)
	}
}
