package web

import (
	"net/url"
	"strings"
	"testing"
)

func TestThe_front_page_knows_where_to_go_on(t *testing.T) {
	v := simulatingLab(t).learner(t)
	all := theLessons(t)
	contains(t, v.page("GET", "/", nil).body, "Begin the first lesson", `href="/lessons/`+all[0].Slug+`"`)

	var ids []string
	for _, s := range all[0].Sections {
		if s.ID != "" {
			ids = append(ids, s.ID)
		}
	}
	v.page("POST", "/lessons/"+all[0].Slug+"/sections/"+ids[0]+"/done", url.Values{})
	body := v.page("GET", "/", nil).body
	contains(t, body, "Welcome back", "Go on there", `href="/lessons/`+all[0].Slug+"#"+ids[1]+`"`, "1 of", ">next</span>")
	if strings.Contains(body, "Begin the first lesson") {
		t.Error("somebody who has begun is asked to begin")
	}
	v.page("POST", "/me/name", url.Values{"name": {"Ada"}})
	contains(t, v.page("GET", "/", nil).body, "Welcome back, Ada")
}

func TestA_section_that_is_done_tells_the_script_what_that_changes(t *testing.T) {
	v := simulatingLab(t).learner(t)
	var ids []string
	for _, s := range theLessons(t)[0].Sections {
		if s.ID != "" {
			ids = append(ids, s.ID)
		}
	}
	done := func(id string) string {
		a := v.send("POST", "/lessons/network-policies/sections/"+id+"/done", strings.NewReader(""), "X-Fragment", "section", "Accept", "text/html", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
		if len(a.body) > 20_000 {
			t.Errorf("%d bytes, and the whole page is what this spares", len(a.body))
		}
		return a.body
	}
	contains(t, done(ids[0]), `data-next="`+ids[1]+`"`, `id="progress"`, `id="contents"`, `id="end"`, "1 of 8 sections done")
	contains(t, done(ids[len(ids)-1]), `data-next="end"`)
}

// A page is small enough to be there at once on a slow line.
func TestNo_page_is_above_40_kB_of_HTML(t *testing.T) {
	v := simulatingLab(t).learner(t)
	paths := []string{"/", "/me", "/workbench"}
	for _, l := range v.lab.lessons {
		paths = append(paths, "/lessons/"+l.Slug)
	}
	for _, q := range v.lab.quizzes {
		paths = append(paths, "/quizzes/"+q.Slug)
	}
	for _, path := range paths {
		a := v.raw(path)
		if got := a.header.Get("Content-Encoding"); got != "gzip" {
			t.Fatalf("%s is sent as %q, want it compressed", path, got)
		}
		if len(a.body) > 40_000 {
			t.Errorf("%s: %d bytes gzipped, and 40,000 are the most", path, len(a.body))
		}
	}
}
