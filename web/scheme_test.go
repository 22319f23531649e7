package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestA_chosen_scheme_is_kept_and_leads_back(t *testing.T) {
	lab := newLab(t, setup{})
	v := lab.learner(t)
	if body := v.page("GET", "/workbench", nil).body; strings.Contains(body, "data-scheme=") {
		t.Error("a page has a scheme that nobody has chosen")
	}
	for _, scheme := range []string{"dark", "light"} {
		a := v.send("POST", "/scheme", strings.NewReader(url.Values{"scheme": {scheme}}.Encode()), "Accept", "text/html", "Content-Type", "application/x-www-form-urlencoded", "Referer", lab.URL+"/workbench?lab=tenants")
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/workbench?lab=tenants" {
			t.Errorf("%s: status %d, to %q", scheme, a.status, a.header.Get("Location"))
		}
		contains(t, v.page("GET", "/workbench", nil).body, `data-scheme="`+scheme+`"`, `value="`+scheme+`" aria-pressed="true"`)
	}
	v.send("POST", "/scheme", strings.NewReader("scheme="), "Accept", "application/json", "Content-Type", "application/x-www-form-urlencoded")
	if body := v.page("GET", "/", nil).body; strings.Contains(body, "data-scheme=") {
		t.Error("the system's choice is not the system's")
	}
}

func TestA_scheme_leads_to_no_other_site_and_is_one_that_there_is(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	a := v.send("POST", "/scheme", strings.NewReader("scheme=dark"), "Accept", "text/html", "Content-Type", "application/x-www-form-urlencoded", "Referer", "http://elsewhere.example/lessons")
	if a.header.Get("Location") != "/" {
		t.Errorf("it leads to %q", a.header.Get("Location"))
	}
	if a := v.send("POST", "/scheme", strings.NewReader(`scheme="><script>`), "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusUnprocessableEntity || a.header.Get("Set-Cookie") != "" {
		t.Errorf("status %d, cookie %q", a.status, a.header.Get("Set-Cookie"))
	}
	a = v.send("GET", "/", nil, "Accept", "text/html", "Cookie", schemeCookie+"=pink")
	if strings.Contains(a.body, "data-scheme=") {
		t.Error("a cookie that the lab has not given gets into the page")
	}
}
