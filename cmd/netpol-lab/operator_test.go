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
	kept, err := os.ReadFile(d.path("operator-token"))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(kept))
	if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(token) || first.hash != web.HashToken(token) {
		t.Errorf("it made %q", token)
	}
	info, err := os.Stat(d.path("operator-token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept with %v: %v", info.Mode(), err)
	}
	again, err := d.operatorToken("")
	if err != nil || again.hash != first.hash {
		t.Errorf("the second start: %+v, %v", again, err)
	}
	for _, start := range []operatorToken{first, again} {
		if note := start.note("http://lab/"); strings.Contains(note, token) || !strings.Contains(note, "http://lab/operator") || !strings.Contains(note, d.path("operator-token")) {
			t.Errorf("it is told %q", note)
		}
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
		case want == "" && (err != nil || got.hash != web.HashToken(strings.TrimSpace(text))):
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
	s := serveLab(t, "--sandbox", "simulated", "--data", dir)
	said := regexp.MustCompile(`The operator's page is at (\S+); its token is in (\S+)\n`).FindStringSubmatch(s.said.text.String())
	if said == nil {
		t.Fatal("the page and its token's file are not told")
	}
	page := said[1]
	kept, err := os.ReadFile(said[2])
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(kept))
	if strings.Contains(s.said.text.String(), token) {
		t.Error("the token itself is told")
	}
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
