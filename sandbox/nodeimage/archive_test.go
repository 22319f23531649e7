package nodeimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// scripted is a docker that does what a shell script says. loads is where it puts what
// it is given to load, and calls what it was called with.
type scripted struct{ docker, loads, calls string }

// scriptDocker makes a docker for this platform that saves images as the files in the
// folder saves have them.
func scriptDocker(t *testing.T, platform, saves string) scripted {
	t.Helper()
	dir := t.TempDir()
	s := scripted{filepath.Join(dir, "docker"), filepath.Join(dir, "loaded.tar"), filepath.Join(dir, "calls")}
	script := fmt.Sprintf(`#!/bin/sh
echo "$*" >>%[4]s
case "$1 $2" in
"version "*) echo %[1]q ;;
"image inspect") echo '[{"Id":"sha256:x","Size":7,"Config":{"Labels":{"netpol-lab.kubernetes":"v1.2.3","netpol-lab.calico":"v3.2.1"}}}]' ;;
"save netpol-lab/"*) cat %[2]q/$(basename "$2" :latest).tar ;;
"load "*) cat >%[3]q.part && mv %[3]q.part %[3]q ;;
esac
`, strings.Replace(platform, "/", " ", 1), saves, s.loads, s.calls)
	if err := os.WriteFile(s.docker, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// asDockerSaves writes node.tar and pod.tar, two images with a layer in common, into a
// folder, as one of Docker's versions does.
func asDockerSaves(t *testing.T, version string) string {
	t.Helper()
	layers := [][]byte{tarOf(t, "etc/debian", "common"), tarOf(t, "kind/node", strings.Repeat("node ", 10_000)), tarOf(t, "netpol-probe", "pod")}
	config := func(own ...int) []byte {
		var ids []string
		for _, n := range own {
			ids = append(ids, sha(layers[n]))
		}
		text, err := json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": ids}})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	packed := func(content []byte) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		if _, err := z.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	dir := t.TempDir()
	write := func(name string, own ...int) {
		t.Helper()
		f, err := os.Create(filepath.Join(dir, name+".tar"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		w := tar.NewWriter(f)
		put := func(h *tar.Header, content []byte) {
			t.Helper()
			h.Size, h.Mode = int64(len(content)), 0o644
			if h.Typeflag == 0 {
				h.Typeflag = tar.TypeReg
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
		}
		says := loadable{RepoTags: []string{"netpol-lab/" + name + ":latest"}}
		switch version {
		case "20.10": // a folder for each layer, and links where it has one already
			put(&tar.Header{Name: "aa/layer.tar"}, layers[own[0]])
			put(&tar.Header{Name: "bb/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../aa/layer.tar"}, nil)
			put(&tar.Header{Name: "cc/layer.tar"}, layers[own[1]])
			put(&tar.Header{Name: "image.json"}, config(own...))
			says.Config, says.Layers = "image.json", []string{"bb/layer.tar", "cc/layer.tar"}
		case "29 with containerd's store": // blobs by their digests, as a registry has them
			blob := func(content []byte) string {
				at := "blobs/sha256/" + strings.TrimPrefix(sha(content), "sha256:")
				put(&tar.Header{Name: at}, content)
				return at
			}
			says.Config, says.Layers = blob(config(own...)), []string{blob(packed(layers[own[0]])), blob(layers[own[1]])}
			put(&tar.Header{Name: "index.json"}, []byte(`{"manifests":[]}`))
		}
		text, err := json.Marshal([]loadable{says})
		if err != nil {
			t.Fatal(err)
		}
		put(&tar.Header{Name: "manifest.json"}, text)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("node", 0, 1)
	write("pod", 0, 2)
	return dir
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func tarOf(t *testing.T, name, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// archive saves images as netpol-lab image --save does, and returns the file.
func archive(t *testing.T, version string) string {
	t.Helper()
	s := scriptDocker(t, "linux/amd64", asDockerSaves(t, version))
	name := filepath.Join(t.TempDir(), "lab.tar.zst")
	if err := Save(t.Context(), Ask{Build: Options{Docker: s.docker, CacheDir: t.TempDir()}}, name); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(name), "*"))
	if hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(name), ".*")); err != nil || len(left) != 1 || len(hidden) > 0 {
		t.Errorf("beside the archive there are %v %v (%v)", left, hidden, err)
	}
	return name
}

func load(t *testing.T, s scripted, archive string) (string, error) {
	t.Helper()
	var said strings.Builder
	_, err := Get(t.Context(), Ask{Way: FromArchive, Archive: archive, Build: Options{Docker: s.docker, CacheDir: t.TempDir(), Progress: &said}})
	return said.String(), err
}

func TestArchive_brings_both_images_whichever_Docker_has_saved_them(t *testing.T) {
	var before []string
	for _, version := range []string{"20.10", "29 with containerd's store"} {
		t.Run(version, func(t *testing.T) {
			name := archive(t, version)
			s := scriptDocker(t, "linux/amd64", "")
			said, err := load(t, s, name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(said, "Kubernetes v1.2.3") || !strings.Contains(said, "Calico v3.2.1") {
				t.Errorf("what is in it is not said: %q", said)
			}
			f, err := os.Open(s.loads)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var names []string
			given := map[string][]byte{}
			for r := tar.NewReader(f); ; {
				h, err := r.Next()
				if err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if h.Name == "manifest.json" {
					var list []loadable
					if err := json.Unmarshal(content, &list); err != nil {
						t.Fatal(err)
					}
					if len(list) != 2 || !slices.Equal(list[0].RepoTags, []string{"netpol-lab/node:from-archive"}) || !slices.Equal(list[1].RepoTags, []string{"netpol-lab/pod:from-archive"}) {
						t.Errorf("Docker is told to load %+v", list)
					}
					for i, own := range []string{"kind/node", "netpol-probe"} {
						if top := list[i].Layers[1]; !bytes.HasPrefix(given[top], []byte(own)) {
							t.Errorf("%s is not of %v", own, list[i].RepoTags)
						}
					}
				} else if !strings.HasPrefix(h.Name, strings.TrimPrefix(sha(content), "sha256:")) {
					t.Errorf("%s has other content", h.Name)
				}
				names, given[h.Name] = append(names, h.Name), content
			}
			if len(names) != 2+3+1 {
				t.Errorf("Docker was given %v, want two configurations, three layers and what they make", names)
			}
			if before != nil && !slices.Equal(names, before) {
				t.Errorf("Docker was given %v, and of another version's archive %v", names, before)
			}
			before = names
			calls, err := os.ReadFile(s.calls)
			for _, want := range []string{"tag netpol-lab/pod:from-archive netpol-lab/pod:latest", "tag netpol-lab/node:from-archive netpol-lab/node:latest"} {
				if err != nil || !strings.Contains(string(calls), want) {
					t.Errorf("docker was called with %s (%v), want %q, too", calls, err, want)
				}
			}
		})
	}
}

// nothingLoaded fails where Docker was given anything.
func nothingLoaded(t *testing.T, s scripted) {
	t.Helper()
	calls, err := os.ReadFile(s.calls)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"load", "tag"} {
		if strings.Contains(string(calls), word+" ") {
			t.Errorf("docker was called with %s", calls)
		}
	}
}

func TestArchive_cut_off_anywhere_it_is_called_that_and_nothing_is_loaded(t *testing.T) {
	whole, err := os.ReadFile(archive(t, "20.10"))
	if err != nil {
		t.Fatal(err)
	}
	s := scriptDocker(t, "linux/amd64", "")
	name := filepath.Join(t.TempDir(), "lab.tar.zst")
	for length := 0; length < len(whole); length += 1 + length/3 {
		if err := os.WriteFile(name, whole[:length], 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := load(t, s, name)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("cut off after %d bytes: copy it again", length)) {
			t.Errorf("%d bytes of %d: got %v", length, len(whole), err)
		}
	}
	nothingLoaded(t, s)
}

func TestArchive_damaged_anywhere_it_is_called_that_and_nothing_is_loaded(t *testing.T) {
	whole, err := os.ReadFile(archive(t, "20.10"))
	if err != nil {
		t.Fatal(err)
	}
	e := engine{os: "linux", arch: "amd64"}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	content, err := z.DecodeAll(whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		broken := bytes.Clone(whole)
		broken[at] ^= 0x10
		if _, err := checkArchive(bytes.NewReader(broken), e); err != nil {
			continue
		}
		// A few bits mean nothing to zstd.
		if got, err := z.DecodeAll(broken, nil); err != nil || !bytes.Equal(got, content) {
			t.Errorf("a broken byte at %d of %d is not noticed (%v)", at, len(whole), err)
		}
	}
	whole[len(whole)/2] ^= 0x10
	name := filepath.Join(t.TempDir(), "lab.tar.zst")
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s := scriptDocker(t, "linux/amd64", "")
	if _, err := load(t, s, name); err == nil || !strings.Contains(err.Error(), "damaged: copy it again") {
		t.Errorf("got %v", err)
	}
	nothingLoaded(t, s)
}

func TestArchive_of_another_architecture_is_called_that_and_nothing_is_loaded(t *testing.T) {
	s := scriptDocker(t, "linux/arm64", "")
	_, err := load(t, s, archive(t, "20.10"))
	for _, part := range []string{"linux/amd64", "linux/arm64", "--save"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want it to say %q", err, part)
		}
	}
	nothingLoaded(t, s)
}

// What is in an archive is never taken at its word: names, links and images that are
// not in its table, or are not what the table says, are refused.
func TestArchive_what_somebody_else_has_made_is_refused(t *testing.T) {
	layer := tarOf(t, "netpol-probe", "pod")
	config := []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + sha(layer) + `"]}}`)
	foreign := bytes.ReplaceAll(config, []byte("amd64"), []byte("arm64"))
	short := func(content []byte) string { return strings.TrimPrefix(sha(content), "sha256:") }
	type entry struct {
		header  tar.Header
		content []byte
	}
	good := func() (table, []entry) {
		i := tableImage{sha(config), []string{sha(layer)}}
		return table{Format: archiveFormat, OS: "linux", Architecture: "amd64", Node: i, Pod: i, Files: []content{
				{Name: short(config) + ".json", Size: int64(len(config))}, {Name: short(layer) + ".tar", Size: int64(len(layer))},
			}}, []entry{
				{tar.Header{Name: short(config) + ".json"}, config}, {tar.Header{Name: short(layer) + ".tar"}, layer},
			}
	}
	for name, test := range map[string]struct {
		change func(*table, *[]entry)
		says   string
	}{
		"as_it_should_be":     {change: func(*table, *[]entry) {}},
		"a_newer_format":      {func(t *table, _ *[]entry) { t.Format = 2 }, "format 2"},
		"a_path_out_of_it":    {func(_ *table, e *[]entry) { (*e)[1].header.Name = "../../etc/passwd" }, "etc/passwd"},
		"a_path_in_the_table": {func(t *table, _ *[]entry) { t.Files[1].Name = "../" + t.Files[1].Name }, "../"},
		"a_link": {func(_ *table, e *[]entry) {
			(*e)[1] = entry{tar.Header{Name: (*e)[1].header.Name, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, nil}
		}, "is where"},
		"more_than_the_table": {func(_ *table, e *[]entry) {
			*e = append(*e, entry{tar.Header{Name: "manifest.json"}, []byte(`[{"RepoTags":["debian:latest"]}]`)})
		}, "manifest.json"},
		"less_than_the_table":     {func(_ *table, e *[]entry) { *e = (*e)[:1] }, "unexpected EOF"},
		"another_content":         {func(_ *table, e *[]entry) { (*e)[1].content = bytes.Repeat([]byte{1}, len(layer)) }, "is another"},
		"another_size":            {func(t *table, _ *[]entry) { t.Files[1].Size++ }, "is where"},
		"more_than_a_disk_holds":  {func(t *table, _ *[]entry) { t.Files[1].Size = maxContent }, "altogether"},
		"a_size_below_nothing":    {func(t *table, _ *[]entry) { t.Files[1].Size = -1 }, "-1 bytes"},
		"a_file_twice":            {func(t *table, _ *[]entry) { t.Files = append(t.Files, t.Files[1]) }, "its table has a file"},
		"an_image_without_a_file": {func(t *table, _ *[]entry) { t.Pod.Layers = []string{sha(config)} }, "not in it"},
		"a_file_of_no_image": {func(t *table, e *[]entry) {
			t.Files = append(t.Files, content{Name: short([]byte("x")) + ".tar", Size: 1})
			*e = append(*e, entry{tar.Header{Name: short([]byte("x")) + ".tar"}, []byte("x")})
		}, "of no image"},
		"an_image_of_another_platform": {func(t *table, e *[]entry) {
			t.Files[0] = content{Name: short(foreign) + ".json", Size: int64(len(foreign))}
			(*e)[0] = entry{tar.Header{Name: short(foreign) + ".json"}, foreign}
			t.Node.Config, t.Pod.Config = sha(foreign), sha(foreign)
		}, "linux/arm64"},
		"layers_that_the_image_has_not": {func(t *table, e *[]entry) {
			t.Files = append(t.Files, content{Name: short([]byte("x")) + ".tar", Size: 1})
			*e = append(*e, entry{tar.Header{Name: short([]byte("x")) + ".tar"}, []byte("x")})
			t.Node.Layers = append(t.Node.Layers, sha([]byte("x")))
		}, "other layers"},
	} {
		t.Run(name, func(t *testing.T) {
			tab, entries := good()
			test.change(&tab, &entries)
			text, err := json.Marshal(tab)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			z, err := zstd.NewWriter(&out)
			if err != nil {
				t.Fatal(err)
			}
			w := tar.NewWriter(z)
			for _, e := range append([]entry{{tar.Header{Name: archiveTable}, text}}, entries...) {
				if e.header.Typeflag == 0 {
					e.header.Typeflag = tar.TypeReg
				}
				e.header.Size, e.header.Mode = int64(len(e.content)), 0o644
				if err := w.WriteHeader(&e.header); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Write(e.content); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			_, err = checkArchive(&out, engine{os: "linux", arch: "amd64"})
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want it to say %q", err, test.says)
			}
		})
	}
	t.Run("something_else_altogether", func(t *testing.T) {
		for _, name := range []string{filepath.Join(asDockerSaves(t, "20.10"), "node.tar"), "archive_test.go"} {
			if _, err := load(t, scriptDocker(t, "linux/amd64", ""), name); err == nil || !strings.Contains(err.Error(), "no archive that netpol-lab image --save") {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
	t.Run("no_file", func(t *testing.T) {
		for _, name := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
			if _, err := load(t, scriptDocker(t, "linux/amd64", ""), name); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

func TestSave_that_is_stopped_leaves_the_file_that_was_there(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lab.tar.zst")
	if err := os.WriteFile(name, []byte("as before"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := scriptDocker(t, "linux/amd64", asDockerSaves(t, "20.10"))
	script, err := os.ReadFile(s.docker)
	if err != nil {
		t.Fatal(err)
	}
	slow := bytes.Replace(script, []byte(`"save netpol-lab/"*)`), []byte(`"save "*) echo saving >>`+s.calls+`; sleep 30;`), 1)
	if err := os.WriteFile(s.docker, slow, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if calls, _ := os.ReadFile(s.calls); bytes.Contains(calls, []byte("saving")) {
				cancel()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	began, cache := time.Now(), t.TempDir()
	if err := Save(ctx, Ask{Build: Options{Docker: s.docker, CacheDir: cache}}, name); err == nil {
		t.Error("it did not fail")
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("that took %s", took)
	}
	if left, err := filepath.Glob(filepath.Join(cache, ".netpol-lab-*")); err != nil || len(left) > 0 {
		t.Errorf("in the cache there are %v (%v)", left, err)
	}
	all, err := os.ReadDir(filepath.Dir(name))
	if text, _ := os.ReadFile(name); err != nil || len(all) != 1 || string(text) != "as before" {
		t.Errorf("there are %v (%v), with %q", all, err, text)
	}
}
