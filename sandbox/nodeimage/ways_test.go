package nodeimage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fetchedDocker is a docker that has the node and the pod as they came from a registry,
// and any other image that it is asked for; then is what else its script does.
func fetchedDocker(t *testing.T, then string) scripted {
	t.Helper()
	dir := t.TempDir()
	s := scripted{docker: filepath.Join(dir, "docker"), calls: filepath.Join(dir, "calls")}
	script := `#!/bin/sh
echo "$*" >>` + s.calls + `
case "$*" in
` + then + `
"version "*) echo linux amd64 ;;
"image inspect "*) echo '[{"Id":"sha256:x","Os":"linux","Architecture":"amd64","RepoTags":["netpol-lab/node:from-registry","netpol-lab/node:latest"],"Config":{"Labels":{"netpol-lab.pod-image":"x"}}}]' ;;
esac
`
	if err := os.WriteFile(s.docker, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGet_an_image_that_was_named_once_stays_when_none_is_named(t *testing.T) {
	s := fetchedDocker(t, "")
	got, err := Get(t.Context(), Ask{Build: Options{Repo: t.TempDir(), Docker: s.docker, CacheDir: t.TempDir()}})
	if err != nil || got.Way != FromRegistry || got.New {
		t.Errorf("got %+v, %v", got, err)
	}
	calls, err := os.ReadFile(s.calls)
	for _, word := range []string{"pull ", "build "} {
		if err != nil || strings.Contains(string(calls), word) {
			t.Errorf("docker was called with %s (%v)", calls, err)
		}
	}
}

func TestGet_of_a_way_that_failed_what_was_there_before_is_there_and_nothing_else(t *testing.T) {
	ref := "registry.test/lab/node@sha256:" + strings.Repeat("0", 64)
	for name, was := range map[string]bool{"it was there": true, "it was fetched": false} {
		t.Run(name, func(t *testing.T) {
			pulled := filepath.Join(t.TempDir(), "pulled")
			if was {
				if err := os.WriteFile(pulled, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := fetchedDocker(t, `"pull "*) touch `+pulled+` ;;
"image inspect `+ref+`") if [ -e `+pulled+` ]; then echo '[{"Os":"linux","Architecture":"amd64","Config":{"Labels":{"netpol-lab.pod-image":"x"}}}]'; else echo "No such image" >&2; exit 1; fi ;;
"build "*) echo "no space left" >&2; exit 1 ;;`)
			_, err := Get(t.Context(), Ask{Way: FromRegistry, Registry: ref, Build: Options{Docker: s.docker, CacheDir: t.TempDir()}})
			if err == nil || !strings.Contains(err.Error(), "no space left") {
				t.Errorf("got %v", err)
			}
			calls, err := os.ReadFile(s.calls)
			if removed := strings.Contains(string(calls), "image rm "+ref); err != nil || removed == was {
				t.Errorf("docker was called with %s (%v)", calls, err)
			}
		})
	}
}

func TestBuild_the_log_that_its_error_names_is_not_written_over_by_another_way(t *testing.T) {
	s, cache := fetchedDocker(t, ""), t.TempDir()
	o := Options{Repo: t.TempDir(), Docker: s.docker, CacheDir: cache}
	log := filepath.Join(cache, "build.log")
	if _, err := Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), log) {
		t.Fatalf("got %v, want it to name %s", err, log)
	}
	if _, err := Get(t.Context(), Ask{Way: FromRegistry, Build: o}); err != nil {
		t.Fatal(err)
	}
	if err := Save(t.Context(), Ask{Build: o}, filepath.Join(t.TempDir(), "lab.tar.zst")); err == nil {
		t.Fatal("this docker saves nothing")
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "go build") {
		t.Errorf("the log says %q (%v)", text, err)
	}
}

func TestGet_a_docker_that_ends_on_the_way_is_all_that_is_said(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	s := fetchedDocker(t, `"image inspect "*) if [ -e `+gone+` ]; then echo "the daemon is gone" >&2; exit 1; fi
	echo '[{"Os":"linux","Architecture":"amd64","Config":{"Labels":{"netpol-lab.pod-image":"x"}}}]' ;;
"build "*) touch `+gone+` ;;`)
	_, err := Get(t.Context(), Ask{Way: FromRegistry, Registry: "registry.test/lab/node@sha256:" + strings.Repeat("0", 64), Build: Options{Docker: s.docker, CacheDir: t.TempDir()}})
	if err == nil || err.Error() != "registry: the daemon is gone" {
		t.Errorf("got %v", err)
	}
}
