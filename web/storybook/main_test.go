package main

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/web/store"
)

func theBook(t *testing.T) *httptest.Server {
	t.Helper()
	kept, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "learners.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := newBook(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return server
}

// get asks the server for the address under a name of its own.
func get(t *testing.T, server *httptest.Server, address string) (int, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+u.RequestURI(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = u.Host
	r.Header.Set("Accept", "text/html")
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestStories_are_pages_of_the_lab_with_the_script_that_acts_them(t *testing.T) {
	server := theBook(t)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	home := "http://localhost:" + u.Port()
	_, list := get(t, server, home+"/stories.json")
	var all []told
	if err := json.Unmarshal([]byte(list), &all); err != nil {
		t.Fatal(err)
	}
	_, listed := get(t, server, home+"/")
	for _, s := range all {
		if !strings.Contains(listed, html.EscapeString(s.URL)) {
			t.Errorf("%s is not in the index", s.Name)
		}
		status, body := get(t, server, s.URL)
		switch {
		case status != http.StatusOK:
			t.Errorf("%s is answered with %d", s.Name, status)
		case !strings.Contains(body, `<script src="/storybook/act.js" data-story="`+s.Name+`">`):
			t.Errorf("%s has no script that acts it", s.Name)
		case strings.Contains(body, "Something went wrong"), strings.Contains(body, "That did not make sense"):
			t.Errorf("%s is an error that it is not to be:\n%s", s.Name, body)
		}
	}
}

func TestStories_have_what_they_tell_of(t *testing.T) {
	server := theBook(t)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ path, text string }{
		"home-all":            {"/", "You have completed every lesson."},
		"me-name":             {"/story", "name"},
		"quiz-right":          {"/story", "All 13 answers are right"},
		"labs-error":          {"/story", "The lab cannot be made like this"},
		"instead":             {"/story", "Stop your other sandbox?"},
		"error-404":           {"/nothing", "Not found"},
		"error-full":          {"/story", "So many people wait for a sandbox"},
		"sandbox-queued":      {small, "it is number 3 of 7. That will probably take 40 seconds"},
		"sandbox-queued-full": {small, "somebody else has to stop first"},
		"sandbox-asleep":      {small, "Your sandbox was asleep"},
		"sandbox-step-4":      {small, "step 4 of 6: Start the lab&#39;s pods"},
		"sandbox-failed":      {small, "The network did not come up"},
		"sandbox-unavailable": {small, "No sandbox can be started here at the moment."},
		"sandbox-simulated":   {small, "data-simulated"},
		"operator":            {"/operator", "2 flows are not as predicted"},
		"operator-found":      {"/operator?q=paused", "2 of 9 have “paused”."},
		"operator-empty":      {"/operator", "The reason: Docker does not answer."},
		"operator-login":      {"/operator", "The operator’s token"},
		"operator-wrong":      {"/story", "That is not the operator&#39;s token."},
	} {
		if _, body := get(t, server, "http://"+name+".localhost:"+u.Port()+want.path); !strings.Contains(body, want.text) {
			t.Errorf("%s does not say %q", name, want.text)
		}
	}
}

func TestBook_goes_by_loopback_names_alone(t *testing.T) {
	server := theBook(t)
	for host, want := range map[string]int{"localhost:1": http.StatusOK, "127.0.0.1:1": http.StatusOK, "lab.example:1": http.StatusMisdirectedRequest, "none.localhost:1": http.StatusNotFound} {
		if got, _ := get(t, server, "http://"+host+"/"); got != want {
			t.Errorf("%s is answered with %d, want %d", host, got, want)
		}
	}
}
