//go:build integration

package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"

	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
)

// The images that the tests make have names of their own, so that those of the lab,
// which the machine's user may have, stay as they are.
const (
	testNode = "netpol-lab-test/node"
	testPod  = "netpol-lab-test/pod"
)

// registry is an image registry on the loopback interface, of which Docker asks no TLS.
type registry struct {
	host string
	dir  string // where it keeps everything

	mu     sync.Mutex
	before func(http.ResponseWriter, *http.Request) bool // answers itself, or says false
	over   chan struct{}                                 // closed when before is over
}

// TestMain keeps the registry's log of every request out of what the tests say.
func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard)
	os.Exit(m.Run())
}

// newRegistry starts a registry that is empty.
func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{dir: t.TempDir()}
	app := handlers.NewApp(context.Background(), &configuration.Configuration{
		Log:     configuration.Log{Level: "error", AccessLog: configuration.AccessLog{Disabled: true}},
		Storage: configuration.Storage{"filesystem": {"rootdirectory": r.dir}, "maintenance": {"uploadpurging": map[any]any{"enabled": false}}},
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		before := r.before
		r.mu.Unlock()
		if before == nil || !before(w, request) {
			app.ServeHTTP(w, request)
		}
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// answer has f answer in the registry's place until the test ends.
func (r *registry) answer(t *testing.T, f func(http.ResponseWriter, *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	over, was, wasOver := make(chan struct{}), r.before, r.over
	r.before, r.over = f, over
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		close(over)
		r.before, r.over = was, wasOver
	})
}

// hang answers nothing more until the test ends. Docker itself does not hang up when
// it has been told to stop.
func (r *registry) hang() {
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	<-over
}

// push puts an image of Docker's into the registry and returns it by its digest.
func (r *registry) push(t *testing.T, image, name string) string {
	t.Helper()
	ref := r.host + "/" + name
	docker(t, "tag", image, ref)
	t.Cleanup(func() { forget(ref) })
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(docker(t, "push", ref))
	if digest == "" {
		t.Fatalf("docker push %s named no digest", ref)
	}
	// From here on the registry alone has it, but for its layers.
	forget(ref, ref+"@"+digest)
	t.Cleanup(func() { forget(ref + "@" + digest) })
	return ref + "@" + digest
}

// put puts a manifest into the registry, and all that it names, without Docker.
func (r *registry) put(t *testing.T, name, config string, layer []byte) string {
	t.Helper()
	send := func(method, url, kind string, body []byte) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", kind)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode >= 300 {
			t.Fatalf("%s %s: %s", method, url, response.Status)
		}
		return response
	}
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Size      int    `json:"size"`
		Digest    string `json:"digest"`
	}
	blob := func(kind string, content []byte) descriptor {
		at := send(http.MethodPost, "http://"+r.host+"/v2/"+name+"/blobs/uploads/", "", nil).Header.Get("Location")
		d := descriptor{kind, len(content), digestOf(content)}
		send(http.MethodPut, at+"&digest="+d.Digest, "application/octet-stream", content)
		return d
	}
	const kind = "application/vnd.docker.distribution.manifest.v2+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind,
		"config": blob("application/vnd.docker.container.image.v1+json", []byte(config)),
		"layers": []descriptor{blob("application/vnd.docker.image.rootfs.diff.tar", layer)},
	})
	if err != nil {
		t.Fatal(err)
	}
	digest := digestOf(manifest)
	send(http.MethodPut, "http://"+r.host+"/v2/"+name+"/manifests/"+digest, kind, manifest)
	ref := r.host + "/" + name + "@" + digest
	t.Cleanup(func() { forget(ref) })
	return ref
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// forget removes what a test has made; it need not be there.
func forget(refs ...string) {
	for _, ref := range refs {
		_ = exec.Command("docker", "image", "rm", ref).Run()
	}
}

// there reports whether Docker has an image of that name.
func there(ref string) bool {
	return exec.Command("docker", "image", "inspect", ref).Run() == nil
}

// ask is a request for images under the tests' own names. The text is what is said.
func ask(t *testing.T, a nodeimage.Ask) (nodeimage.Got, string, error) {
	t.Helper()
	return askWith(t.Context(), t, a)
}

func askWith(ctx context.Context, t *testing.T, a nodeimage.Ask) (nodeimage.Got, string, error) {
	t.Helper()
	var said bytes.Buffer
	a.Node, a.Pod = testNode, testPod
	if a.Build.Repo == "" {
		a.Build.Repo = checkout(t)
	}
	if a.Build.CacheDir == "" {
		a.Build.CacheDir = t.TempDir()
	}
	a.Build.Progress = io.MultiWriter(&said, testWriter{t})
	got, err := nodeimage.Get(ctx, a)
	return got, said.String(), err
}

// checkout is a folder with a program for the pods and no source of anything else: a
// test that was to build the lab's own images from source would take half an hour, and
// put them in the place of those that are there.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                   "module checkout.test\n",
		"cmd/netpol-probe/main.go": "package main\n\nfunc main() {}\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// nothingOfOurs removes the images of the tests' names, now and when the test ends.
func nothingOfOurs(t *testing.T) {
	t.Helper()
	remove := func() {
		for _, repository := range []string{testNode, testPod} {
			out, err := exec.Command("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).Output()
			if err != nil {
				t.Fatal(err)
			}
			forget(strings.Fields(string(out))...)
		}
	}
	remove()
	t.Cleanup(remove)
}

// small makes a node image of a few bytes that has what is looked for, and returns its
// ID; content tells one from another.
func small(t *testing.T, content string, labels ...string) string {
	t.Helper()
	args := []string{"build", "--quiet", "--force-rm"}
	for _, l := range labels {
		args = append(args, "--label", l)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"Dockerfile": "FROM scratch\nCOPY netpol-probe /kind/pod/\n", "netpol-probe": content} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	id := docker(t, append(args, dir)...)
	id = id[strings.LastIndex(id, "sha256:"):]
	t.Cleanup(func() { forget(id) })
	return id
}

const podLabel = nodeimage.LabelPodImage + "=" + nodeimage.PodImage

// noImages fails where a way that failed has left something.
func noImages(t *testing.T, refs ...string) {
	t.Helper()
	for _, repository := range []string{testNode, testPod} {
		if out := docker(t, "image", "ls", "--quiet", repository); out != "" {
			t.Errorf("%s is left: %s", repository, out)
		}
	}
	for _, ref := range refs {
		if there(ref) {
			t.Errorf("%s is left", ref)
		}
	}
}

func TestRegistry_one_digest_brings_the_node_and_the_pod(t *testing.T) {
	nothingOfOurs(t)
	r := newRegistry(t)
	ref := r.push(t, small(t, "one", podLabel), "lab/node")
	got, said, err := ask(t, nodeimage.Ask{Way: nodeimage.FromRegistry, Registry: ref})
	if err != nil {
		t.Fatal(err)
	}
	if got.Way != nodeimage.FromRegistry || !got.New || !strings.Contains(said, "fetch the node image from "+r.host) {
		t.Errorf("got %+v, and was told %q", got, said)
	}
	if id := docker(t, "image", "inspect", "--format", "{{.Id}}", testNode+":latest"); id != docker(t, "image", "inspect", "--format", "{{.Id}}", ref) {
		t.Errorf("latest is %s, and not what was fetched", id)
	}
	container := docker(t, "create", testPod+":latest")
	copied := filepath.Join(t.TempDir(), "netpol-probe")
	docker(t, "cp", container+":/netpol-probe", copied)
	docker(t, "rm", container)
	if text, err := os.ReadFile(copied); err != nil || string(text) != "one" {
		t.Errorf("the pod's program is %q, %v", text, err)
	}

	t.Run("what_is_there_is_not_fetched_again", func(t *testing.T) {
		r.answer(t, func(w http.ResponseWriter, request *http.Request) bool {
			t.Errorf("the registry was asked for %s", request.URL)
			return false
		})
		for _, way := range []nodeimage.Way{nodeimage.FromRegistry, ""} {
			if got, _, err := ask(t, nodeimage.Ask{Way: way, Registry: ref}); err != nil || got.New || got.Way != nodeimage.FromRegistry {
				t.Errorf("got %+v, %v", got, err)
			}
		}
	})
	t.Run("another_digest_takes_its_place_and_nothing_of_the_first_is_left", func(t *testing.T) {
		second := r.push(t, small(t, "two", podLabel), "lab/node")
		if got, _, err := ask(t, nodeimage.Ask{Registry: second}); err != nil || !got.New {
			t.Fatalf("got %+v, %v", got, err)
		}
		if !there(second) || there(ref) {
			t.Errorf("the second is there: %t; the first: %t", there(second), there(ref))
		}
	})
}

func TestRegistry_what_goes_wrong_is_said_in_a_line_and_leaves_nothing(t *testing.T) {
	r := newRegistry(t)
	good := r.push(t, small(t, "good", podLabel), "lab/node")
	stranger := r.push(t, small(t, "stranger"), "lab/stranger")
	layer := new(bytes.Buffer)
	layer.Write(make([]byte, 1024)) // an empty tar
	foreign := r.put(t, "lab/foreign", `{"architecture":"s390x","os":"linux","config":{"Labels":{"`+nodeimage.LabelPodImage+`":"x"}},"rootfs":{"type":"layers","diff_ids":["`+digestOf(layer.Bytes())+`"]}}`, layer.Bytes())
	_, goodDigest, _ := strings.Cut(good, "@")
	_, strangerDigest, _ := strings.Cut(stranger, "@")
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	silent.Close()

	for name, test := range map[string]struct {
		ref    string
		answer func(http.ResponseWriter, *http.Request) bool
		limit  time.Duration
		says   []string
	}{
		"no_digest":     {ref: r.host + "/lab/node:latest", says: []string{"digest"}},
		"an_option":     {ref: "--help@" + goodDigest, says: []string{"digest"}},
		"nobody_there":  {ref: strings.TrimPrefix(silent.URL, "http://") + "/lab/node@" + goodDigest, says: []string{"refused"}},
		"no_such_image": {ref: r.host + "/lab/none@" + goodDigest, says: []string{"not found"}},
		"another_digest": {ref: good, says: []string{"digest"}, answer: func(w http.ResponseWriter, request *http.Request) bool {
			if !strings.HasSuffix(request.URL.Path, goodDigest) {
				return false
			}
			request.URL.Path = "/v2/lab/stranger/manifests/" + strangerDigest
			response, err := http.Get("http://" + r.host + request.URL.Path)
			if err != nil {
				return false
			}
			defer response.Body.Close()
			w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
			w.Header().Set("Docker-Content-Digest", goodDigest)
			io.Copy(w, response.Body)
			return true
		}},
		"another_platform": {ref: foreign, says: []string{"s390x"}},
		"another_image":    {ref: stranger, says: []string{"no node image of this lab"}},
		"a_registry_that_breaks": {ref: good, says: []string{"500"}, answer: func(w http.ResponseWriter, request *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}},
		"too_slow": {ref: good, limit: 3 * time.Second, says: []string{"not done after 3s", "--limit"}, answer: func(w http.ResponseWriter, request *http.Request) bool {
			if !strings.Contains(request.URL.Path, "/blobs/") {
				return false
			}
			w.Header().Set("Content-Length", "1000000")
			w.(http.Flusher).Flush()
			r.hang()
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			nothingOfOurs(t)
			if test.answer != nil {
				r.answer(t, test.answer)
			}
			began := time.Now()
			_, _, err := ask(t, nodeimage.Ask{Way: nodeimage.FromRegistry, Registry: test.ref, Limit: test.limit})
			for _, part := range test.says {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want it to say %q", err, part)
				}
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("that took %s", took)
			}
			noImages(t)
			if strings.HasPrefix(test.ref, r.host) && strings.Contains(test.ref, "@") && there(test.ref) {
				t.Errorf("%s is left", test.ref)
			}
		})
	}
}

// A registry that takes the connection and says nothing. Docker itself waits for it
// without end.
func TestRegistry_one_that_says_nothing_is_given_up(t *testing.T) {
	nothingOfOurs(t)
	r := newRegistry(t)
	r.answer(t, func(http.ResponseWriter, *http.Request) bool {
		r.hang()
		return true
	})
	began := time.Now()
	_, _, err := ask(t, nodeimage.Ask{Way: nodeimage.FromRegistry, Registry: r.host + "/lab/node@" + digestOf(nil)})
	if took := time.Since(began); err == nil || took > 40*time.Second {
		t.Errorf("got %v after %s", err, took)
	}
	noImages(t)
}

func TestGet_the_next_way_is_tried_and_the_reason_said_in_one_line(t *testing.T) {
	nothingOfOurs(t)
	r := newRegistry(t)
	missing := r.host + "/lab/none@" + digestOf(nil)
	_, said, err := ask(t, nodeimage.Ask{Registry: missing, Upstream: nodeimage.Upstream{
		Node: missing, Images: map[string]string{"calico": missing}, Manifest: "http://" + r.host + "/calico.yaml",
	}})
	if err == nil || !strings.Contains(err.Error(), "no way to the images works here") {
		t.Errorf("got %v", err)
	}
	lines := regexp.MustCompile(`(?m)^(\w+): not this way: .+$`).FindAllStringSubmatch(said, -1)
	var ways []string
	for _, l := range lines {
		ways = append(ways, l[1])
	}
	if got := strings.Join(ways, " "); got != "registry upstream source" {
		t.Errorf("the ways that were said not to work are %q", got)
	}
	for _, part := range []string{"registry: ", "upstream: ", "source: ", "not found", "404"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want it to say %q", err, part)
		}
	}
	noImages(t, missing)
}

// Whoever presses Ctrl-C has the terminal back, and the images that were there before.
func TestGet_Ctrl_C_ends_at_once_and_leaves_what_was_there(t *testing.T) {
	nothingOfOurs(t)
	r := newRegistry(t)
	first := r.push(t, small(t, "first", podLabel), "lab/node")
	second := r.push(t, small(t, "second", podLabel), "lab/node")
	if _, _, err := ask(t, nodeimage.Ask{Way: nodeimage.FromRegistry, Registry: first}); err != nil {
		t.Fatal(err)
	}
	before := docker(t, "image", "inspect", "--format", "{{.Id}}", testNode+":latest", testPod+":latest")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.answer(t, func(w http.ResponseWriter, request *http.Request) bool {
		if !strings.Contains(request.URL.Path, "/blobs/") {
			return false
		}
		cancel()
		r.hang()
		return true
	})
	began := time.Now()
	_, _, err := askWith(ctx, t, nodeimage.Ask{Way: nodeimage.FromRegistry, Registry: second})
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "stopped") || took > 10*time.Second {
		t.Errorf("got %v after %s", err, took)
	}
	if after := docker(t, "image", "inspect", "--format", "{{.Id}}", testNode+":latest", testPod+":latest"); after != before {
		t.Errorf("the images are %s, and were %s", after, before)
	}
	if there(second) {
		t.Error("what was to be fetched is there")
	}
}
