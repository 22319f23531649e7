package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/web"
)

func TestOperatorToken_is_made_once_and_kept_for_this_user_alone(t *testing.T) {
	d, err := openData(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	first, err := d.operatorToken("")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(first.made) || first.hash != web.HashToken(first.made) {
		t.Errorf("it made %q", first.made)
	}
	info, err := os.Stat(d.path("operator-token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept with %v: %v", info.Mode(), err)
	}
	again, err := d.operatorToken("")
	if err != nil || again.made != "" || again.hash != first.hash {
		t.Errorf("the second start: %+v, %v", again, err)
	}
	if strings.Contains(again.note("http://lab/"), first.made) || !strings.Contains(again.note("http://lab/"), "http://lab/operator") || !strings.Contains(again.note("http://lab/"), again.file) {
		t.Errorf("it is told %q", again.note("http://lab/"))
	}
	if !strings.Contains(first.note("http://lab/"), first.made) {
		t.Errorf("at first it is told %q", first.note("http://lab/"))
	}
	// A backup may have brought it back for everybody to read.
	if err := os.Chmod(d.path("operator-token"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.operatorToken(""); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.path("operator-token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("after a look it has %v: %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(d.path("*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestOperatorToken_of_ones_own_is_long_enough(t *testing.T) {
	d, err := openData(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	file := filepath.Join(t.TempDir(), "token")
	for text, want := range map[string]string{
		"a token that is long but of many words": "more than one word",
		"short\n":                                "at least 20",
		"":                                       "at least 20",
		"one-token-of-twenty-and-more\n":         "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := d.operatorToken(file)
		switch {
		case want == "" && (err != nil || got.made != "" || got.hash != web.HashToken(strings.TrimSpace(text))):
			t.Errorf("%q: %+v, %v", text, got, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file)):
			t.Errorf("%q: %v, want it to say %q of the file", text, err, want)
		}
	}
	if _, err := os.Stat(d.path("operator-token")); err == nil {
		t.Error("another is made beside it")
	}
	if _, err := d.operatorToken(file + "-that-is-not-there"); err == nil {
		t.Error("a file that is not there is made")
	}
}

func TestServe_the_operators_token_opens_their_page_and_the_metrics(t *testing.T) {
	dir := t.TempDir()
	s := serveLab(t, "--sandbox", "simulated", "--data", dir, "--metrics-listen", "127.0.0.1:0")
	said := regexp.MustCompile(`The operator's page is at (\S+); its token is (\S+) \(kept in `).FindStringSubmatch(s.said.text.String())
	if said == nil {
		t.Fatal("the page and its token are not told")
	}
	page, token := said[1], said[2]
	for _, url := range []string{page, s.base + "/metrics"} {
		if status, _ := fetch(t, url); status != http.StatusUnauthorized {
			t.Errorf("%s without the token: %d", url, status)
		}
		if status, _ := fetch(t, url, "Authorization", "Bearer "+token); status != http.StatusOK {
			t.Errorf("%s with the token: %d", url, status)
		}
	}
	if _, text := fetch(t, s.base+"/metrics", "Authorization", "Bearer "+token); !strings.Contains(text, `netpol_lab_http_requests_total{method="GET",route="/operator",status="401"} 1`) || !strings.Contains(text, "netpol_lab_clusters_max 5000") {
		t.Errorf("metrics:\n%s", text)
	}
	// It is ready once it knows what an earlier run has left: nothing.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, text := fetch(t, s.base+"/readyz")
		if status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz: %d %s", status, text)
		}
	}
	s.stop()
}
