package web

import (
	"net/http"
	"strings"
	"testing"
)

func TestPicture_is_the_labs_own_and_is_sent_once(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	a := v.send("GET", "/labs/network-policies/picture", nil)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(a.body, "<svg ") {
		t.Fatalf("status %d, %s: %.60s", a.status, a.header.Get("Content-Type"), a.body)
	}
	contains(t, a.body, `data-end="production/web"`, `data-from="production/web" data-to="production/api"`, `data-end="internet"`)
	again := v.send("GET", "/labs/network-policies/picture", nil, "If-None-Match", a.header.Get("ETag"))
	if again.status != http.StatusNotModified {
		t.Errorf("asked again: status %d", again.status)
	}
	if a := v.send("GET", "/labs/nowhere/picture", nil); a.status != http.StatusNotFound {
		t.Errorf("a lab that is not there: status %d", a.status)
	}
}
