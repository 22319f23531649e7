//go:build integration

package registry

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kind"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

const smallManifest = `spec:
  initContainers:
  - name: install
    image: docker.io/calico/cni:v1
  - name: mount
    image: docker.io/calico/node:v1
  containers:
  - name: node
    image: docker.io/calico/node:v1
  - name: kube-controllers
    image: docker.io/calico/kube-controllers:v1
`

// calico is one of its images.
const calico = "docker.io/calico/node:v1"

// smallUpstream is an upstream of a few bytes: enough to fetch and to build, not to run.
func smallUpstream(t *testing.T, r *registry) nodeimage.Upstream {
	t.Helper()
	r.answer(t, manifestAt(smallManifest))
	u := nodeimage.Upstream{
		Kubernetes: "v1", Calico: "v1",
		Node:     r.push(t, small(t, "upstream's node"), "kindest/node"),
		Images:   map[string]string{},
		Manifest: "http://" + r.host + "/calico.yaml",
		Sum:      strings.TrimPrefix(digestOf([]byte(smallManifest)), "sha256:"),
	}
	for _, name := range []string{"cni", "node", "kube-controllers"} {
		u.Images["docker.io/calico/"+name+":v1"] = r.push(t, small(t, name, "which="+name), "calico/"+name)
	}
	return u
}

// loads reads what a node would load: each image's label "which" by its name there.
func loads(t *testing.T, node string) map[string]string {
	t.Helper()
	container := docker(t, "create", node, "true")
	defer docker(t, "rm", container)
	file := filepath.Join(t.TempDir(), "images.tar")
	docker(t, "cp", container+":/kind/lab/images.tar", file)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if content[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	var list []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal(content["manifest.json"], &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, i := range list {
		var c struct {
			Config struct{ Labels map[string]string }
		}
		if err := json.Unmarshal(content[i.Config], &c); err != nil || len(i.RepoTags) != 1 {
			t.Fatalf("%+v: %v", i, err)
		}
		found[i.RepoTags[0]] = c.Config.Labels["which"]
	}
	return found
}

// manifestAt answers with Calico's manifest where it is asked for.
func manifestAt(text string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, request *http.Request) bool {
		if request.URL.Path != "/calico.yaml" {
			return false
		}
		io.WriteString(w, text)
		return true
	}
}

func TestUpstream_what_is_made_of_it_stays_until_it_changes(t *testing.T) {
	nothingOfOurs(t)
	r := newRegistry(t)
	u := smallUpstream(t, r)
	cache := t.TempDir()
	got, _, err := ask(t, nodeimage.Ask{Way: nodeimage.FromUpstream, Upstream: u, Build: nodeimage.Options{CacheDir: cache}})
	if err != nil || !got.New {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := map[string]string{
		nodeimage.PodImage: "", "docker.io/calico/cni:v1": "cni", "docker.io/calico/node:v1": "node", "docker.io/calico/kube-controllers:v1": "kube-controllers",
	}
	if found := loads(t, testNode+":latest"); !maps.Equal(found, want) {
		t.Errorf("a node loads %v, want %v", found, want)
	}
	if there(u.Node) || there(u.Images[calico]) {
		t.Error("what it was made of is still there under names of its own")
	}
	if left, err := filepath.Glob(filepath.Join(cache, "upstream-work-*")); err != nil || len(left) > 0 {
		t.Errorf("in the cache there are %v (%v)", left, err)
	}
	r.answer(t, func(_ http.ResponseWriter, request *http.Request) bool {
		t.Errorf("asked for %s", request.URL)
		return false
	})
	for _, way := range []nodeimage.Way{nodeimage.FromUpstream, ""} {
		if got, _, err := ask(t, nodeimage.Ask{Way: way, Upstream: u}); err != nil || got.New || got.Way != nodeimage.FromUpstream {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	r.answer(t, manifestAt(smallManifest))
	u.Node = r.push(t, small(t, "upstream's next node"), "kindest/node")
	if got, _, err := ask(t, nodeimage.Ask{Upstream: u}); err != nil || !got.New || got.Way != nodeimage.FromUpstream {
		t.Errorf("of a newer release: got %+v, %v", got, err)
	}
}

func TestUpstream_what_goes_wrong_leaves_nothing(t *testing.T) {
	r := newRegistry(t)
	u := smallUpstream(t, r)
	for name, test := range map[string]struct {
		change func(*nodeimage.Upstream)
		answer func(http.ResponseWriter, *http.Request) bool
		says   string
	}{
		"a_manifest_that_was_changed":       {answer: manifestAt(smallManifest + "# changed"), says: "SHA-256"},
		"a_manifest_that_is_not_there":      {change: func(u *nodeimage.Upstream) { u.Manifest += ".none" }, says: "404"},
		"a_manifest_over_plain_http":        {change: func(u *nodeimage.Upstream) { u.Manifest = "http://calico.invalid/calico.yaml" }, says: "https"},
		"a_manifest_that_runs_other_images": {change: func(u *nodeimage.Upstream) { u.Images = map[string]string{"docker.io/calico/other:v1": u.Node} }, says: "docker.io/calico/"},
		"an_image_that_is_not_there": {change: func(u *nodeimage.Upstream) {
			u.Images[calico] = r.host + "/calico/none@" + digestOf(nil)
		}, says: "not found"},
		"an_image_by_a_tag": {change: func(u *nodeimage.Upstream) { u.Images[calico] = r.host + "/calico/node:latest" }, says: "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			nothingOfOurs(t)
			r.answer(t, manifestAt(smallManifest))
			if test.answer != nil {
				r.answer(t, test.answer)
			}
			changed, cache := u, t.TempDir()
			changed.Images = maps.Clone(u.Images)
			if test.change != nil {
				test.change(&changed)
			}
			_, _, err := ask(t, nodeimage.Ask{Way: nodeimage.FromUpstream, Upstream: changed, Build: nodeimage.Options{CacheDir: cache}})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want it to say %q", err, test.says)
			}
			noImages(t, u.Node, u.Images[calico])
			if left, err := filepath.Glob(filepath.Join(cache, "upstream-work-*")); err != nil || len(left) > 0 {
				t.Errorf("in the cache there are %v (%v)", left, err)
			}
		})
	}
	t.Run("Ctrl_C", func(t *testing.T) {
		nothingOfOurs(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r.answer(t, func(w http.ResponseWriter, request *http.Request) bool {
			if strings.Contains(request.URL.Path, "/calico/node/blobs/") {
				cancel()
				r.hang()
				return true
			}
			return manifestAt(smallManifest)(w, request)
		})
		began, cache := time.Now(), t.TempDir()
		_, _, err := askWith(ctx, t, nodeimage.Ask{Way: nodeimage.FromUpstream, Upstream: u, Build: nodeimage.Options{CacheDir: cache}})
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "stopped") || took > 30*time.Second {
			t.Errorf("got %v after %s", err, took)
		}
		noImages(t, u.Node, u.Images[calico])
		if left, err := filepath.Glob(filepath.Join(cache, "upstream-work-*")); err != nil || len(left) > 0 {
			t.Errorf("in the cache there are %v (%v)", left, err)
		}
	})
}

// stored is how much the registry keeps, in bytes.
func (r *registry) stored(t *testing.T) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(r.dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// fresh makes an image with the same files in a layer that Docker has not yet, so that
// to fetch or load it is to fetch or load all of it. It has no stop signal, which docker
// import cannot set, and which removing a node does not use.
func fresh(t *testing.T, image string) string {
	t.Helper()
	var found []struct {
		Config struct {
			Env, Entrypoint []string
			Labels          map[string]string
		}
	}
	if err := json.Unmarshal([]byte(docker(t, "image", "inspect", image)), &found); err != nil || len(found) != 1 {
		t.Fatalf("%d of %s: %v", len(found), image, err)
	}
	config := found[0].Config
	entrypoint, err := json.Marshal(config.Entrypoint)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"import", "--change", "ENTRYPOINT " + string(entrypoint)}
	for _, e := range config.Env {
		args = append(args, "--change", "ENV "+e)
	}
	for key, value := range config.Labels {
		args = append(args, "--change", fmt.Sprintf("LABEL %s=%q", key, value))
	}
	container := docker(t, "create", image)
	defer docker(t, "rm", container)
	export := exec.CommandContext(t.Context(), "docker", "export", container)
	files, err := export.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := export.Start(); err != nil {
		t.Fatal(err)
	}
	load := exec.CommandContext(t.Context(), "docker", append(args, "-")...)
	load.Stdin = files
	out, err := load.CombinedOutput()
	if err != nil {
		_ = export.Process.Kill() // it would wait for its reader
	}
	if err := errors.Join(err, export.Wait()); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	id := strings.TrimSpace(string(out))
	t.Cleanup(func() { forget(id) })
	return id
}

// runsALab makes a sandbox of the images that are there, and sees a policy enforced.
func runsALab(t *testing.T, instance string) {
	t.Helper()
	src, err := os.ReadFile("../../../lessons/content/01-network-policies/topology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	topology, err := sandbox.ParseTopology(src)
	if err != nil {
		t.Fatal(err)
	}
	p, err := kind.New(kind.Options{
		Instance: instance, NodeImage: testNode + ":latest", PodImage: testPod + ":latest",
		Log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	const id sandbox.ID = "way"
	t.Cleanup(func() {
		if err := p.Delete(context.Background(), id); err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	c, err := p.Create(t.Context(), sandbox.Spec{ID: id, Topology: topology}, func(s sandbox.Step) {
		if s.Status != sandbox.StepRunning {
			t.Logf("%6.2fs  %s: %s", time.Since(began).Seconds(), s.Name, s.Status)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lab := sandboxtest.Lab{Cluster: c, Topology: topology, Measured: true}
	lab.Expect(t)
	lab.Apply(t, sandboxtest.DenyProduction)
	lab.Expect(t, sandboxtest.ProductionDenied...)
}

// The lab's own images, from a registry and from an archive of what came from there.
func TestRegistry_and_archive_bring_images_that_a_lab_runs_on(t *testing.T) {
	nothingOfOurs(t)
	r := newRegistry(t)
	image := fresh(t, nodeimage.NodeRepository+":latest")
	ref := r.push(t, image, "lab/node")
	forget(image) // from here on the registry alone has it
	began := time.Now()
	fetched, _, err := ask(t, nodeimage.Ask{Way: nodeimage.FromRegistry, Registry: ref})
	if err != nil || !fetched.New {
		t.Fatalf("got %+v, %v", fetched, err)
	}
	t.Logf("from the registry: %.1f s, %d MB fetched, %d MB in Docker", time.Since(began).Seconds(), r.stored(t)/1e6, fetched.NodeSize/1e6)

	file := filepath.Join(t.TempDir(), "lab.tar.zst")
	began = time.Now()
	if err := nodeimage.Save(t.Context(), nodeimage.Ask{Node: testNode, Pod: testPod, Build: nodeimage.Options{Progress: testWriter{t}}}, file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("saved: %.1f s, %d MB", time.Since(began).Seconds(), info.Size()/1e6)
	node := docker(t, "image", "inspect", "--format", "{{.RootFS}}", testNode+":latest", testPod+":latest")

	t.Run("stopped_in_the_middle_of_the_archive_what_was_there_is_there", func(t *testing.T) {
		before := docker(t, "image", "inspect", "--format", "{{.Id}} {{.RepoTags}}", testNode+":latest", testPod+":latest")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		a := nodeimage.Ask{Way: nodeimage.FromArchive, Archive: file}
		a.Node, a.Pod, a.Build.CacheDir = testNode, testPod, t.TempDir()
		a.Build.Progress = writerFunc(func(p []byte) {
			if strings.HasPrefix(string(p), "[2/2]") {
				cancel()
			}
		})
		began := time.Now()
		if _, err := nodeimage.Get(ctx, a); err == nil || !strings.Contains(err.Error(), "stopped") {
			t.Errorf("got %v", err)
		}
		t.Logf("that took %s", time.Since(began))
		if after := docker(t, "image", "inspect", "--format", "{{.Id}} {{.RepoTags}}", testNode+":latest", testPod+":latest"); after != before {
			t.Errorf("there is %s, and was %s", after, before)
		}
	})

	for _, name := range []string{testNode, testPod} {
		forget(name+":latest", name+":from-registry")
	}
	forget(ref)
	if there(ref) {
		t.Fatal("the image is still there, so that nothing is measured of its loading")
	}
	began = time.Now()
	loaded, _, err := ask(t, nodeimage.Ask{Way: nodeimage.FromArchive, Archive: file})
	if err != nil || !loaded.New {
		t.Fatalf("got %+v, %v", loaded, err)
	}
	t.Logf("from the archive: %.1f s", time.Since(began).Seconds())
	if again := docker(t, "image", "inspect", "--format", "{{.RootFS}}", testNode+":latest", testPod+":latest"); again != node {
		t.Errorf("what was loaded is %s, and what was saved %s", again, node)
	}
	if got, _, err := ask(t, nodeimage.Ask{}); err != nil || got.Way != nodeimage.FromArchive || got.New {
		t.Errorf("asked without a word: got %+v, %v", got, err)
	}
	runsALab(t, "itestarchive")
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// What others publish is here what netpol-lab image --stock makes after their example.
func TestUpstream_brings_images_that_a_lab_runs_on(t *testing.T) {
	nothingOfOurs(t)
	stock, err := nodeimage.Build(t.Context(), nodeimage.Options{Repo: "../../..", Stock: true, Progress: testWriter{t}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(stock.Stock.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	r := newRegistry(t)
	r.answer(t, manifestAt(string(text)))
	node := fresh(t, stock.Stock.Node)
	u := nodeimage.Upstream{
		Kubernetes: nodeimage.KubernetesVersion, Calico: nodeimage.CalicoVersion,
		Node: r.push(t, node, "kindest/node"), Images: map[string]string{},
		Manifest: "http://" + r.host + "/calico.yaml", Sum: strings.TrimPrefix(digestOf(text), "sha256:"),
	}
	for _, archive := range stock.Stock.Archives {
		name := strings.TrimSuffix(filepath.Base(archive), ".tar")
		image := fmt.Sprintf("calico/%s:%s", name, nodeimage.CalicoVersion)
		had := there(image)
		docker(t, "load", "--quiet", "--input", archive)
		u.Images["docker.io/"+image] = r.push(t, image, "calico/"+name)
		if !had {
			forget(image)
		}
	}
	forget(node)
	began := time.Now()
	got, _, err := ask(t, nodeimage.Ask{Way: nodeimage.FromUpstream, Upstream: u, Build: nodeimage.Options{Repo: "../../.."}})
	if err != nil || !got.New {
		t.Fatalf("got %+v, %v", got, err)
	}
	t.Logf("from upstream: %.1f s, %d MB fetched, %d MB in Docker", time.Since(began).Seconds(), r.stored(t)/1e6, got.NodeSize/1e6)
	runsALab(t, "itestupstream")
}
