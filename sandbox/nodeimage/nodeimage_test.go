package nodeimage

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestVersions_agree_with_what_is_built(t *testing.T) {
	t.Run("go_mod_files_agree_with_versions", func(t *testing.T) {
		for _, c := range []struct{ group, module, version string }{
			{"kubernetes", kubernetesModule, KubernetesVersion},
			{"calico", calicoModule, calicoModuleVersion},
			{"containerd", containerdModule, containerdVersion},
			{"etcd", etcdModule, etcdVersion},
			{"coredns", corednsModule, corednsVersion},
			{"cniplugins", cniModule, cniVersion},
			{"kindbase", kindModule, kindVersion},
		} {
			got := required(t, c.group, c.module)
			if got != c.version {
				t.Errorf("%s/go.mod requires %s %s, versions.go says %s", c.group, c.module, got, c.version)
			}
			if _, err := os.Stat(filepath.Join(c.group, "go.sum")); err != nil {
				t.Errorf("group %s has no go.sum: %v", c.group, err)
			}
		}
	})
	t.Run("every_staging_module_is_replaced_by_the_same_release", func(t *testing.T) {
		data, err := os.ReadFile("kubernetes/go.mod")
		if err != nil {
			t.Fatal(err)
		}
		lines := regexp.MustCompile(`(?m)^\t(k8s\.io/\S+) => (\S+) (\S+)$`).FindAllStringSubmatch(string(data), -1)
		if len(lines) < 31 {
			t.Fatalf("%d replaced modules, want the 31 of Kubernetes' staging folder", len(lines))
		}
		for _, l := range lines {
			if l[1] != l[2] || l[3] != kubernetesStaging {
				t.Errorf("replace %s => %s %s, want the same module at %s", l[1], l[2], l[3], kubernetesStaging)
			}
		}
		want := "v0" + strings.TrimPrefix(KubernetesVersion, "v1")
		if kubernetesStaging != want {
			t.Errorf("kubernetesStaging is %s, want %s for Kubernetes %s", kubernetesStaging, want, KubernetesVersion)
		}
	})
}

// required finds the version a group's go.mod requires of a module.
func required(t *testing.T, group, module string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(group, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^(?:require |\t)` + regexp.QuoteMeta(module) + ` (\S+)`).FindSubmatch(data)
	if m == nil {
		return "nothing"
	}
	return string(m[1])
}

func stockManifest(docs ...string) string {
	var all []string
	for k := range manifestKeeps {
		all = append(all, k)
	}
	for k := range manifestDrops {
		all = append(all, k)
	}
	all = append(all, "CustomResourceDefinition/ippools.crd.projectcalico.org")
	all = append(all, docs...)
	var out strings.Builder
	for _, k := range all {
		kind, name, _ := strings.Cut(k, "/")
		fmt.Fprintf(&out, "---\n# Source: somewhere\napiVersion: v1\nkind: %s\nmetadata:\n  name: %s\n", kind, name)
		if kind == "CustomResourceDefinition" {
			out.WriteString("spec:\n  versions:\n  - name: v1\n    served: true\n    schema:\n      openAPIV3Schema:\n        description: long\n        type: object\n")
		}
	}
	return out.String()
}

func TestLabManifest_keeps_what_the_lab_needs(t *testing.T) {
	own := "kind: DaemonSet\nmetadata:\n  name: calico-node\nimage: calico/node:@CALICO@\n"
	t.Run("keeps_definitions_and_accounts_and_brings_our_daemonset", func(t *testing.T) {
		got, err := labManifest(stockManifest(), own)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"name: ippools.crd.projectcalico.org", "name: calico-config", "image: calico/node:" + CalicoVersion, "x-kubernetes-preserve-unknown-fields: true", "served: true"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in the manifest", want)
			}
		}
		for _, not := range []string{"kube-controllers", "@CALICO@", "# Source", "description"} {
			if strings.Contains(got, not) {
				t.Errorf("%q is in the manifest", not)
			}
		}
		if n := strings.Count(got, "kind: DaemonSet"); n != 1 {
			t.Errorf("%d DaemonSets, want our own only", n)
		}
	})
	t.Run("the_kinds_that_the_agent_waits_for_are_defined_last", func(t *testing.T) {
		got, err := labManifest(stockManifest("CustomResourceDefinition/felixconfigurations.crd.projectcalico.org", "CustomResourceDefinition/tiers.crd.projectcalico.org"), own)
		if err != nil {
			t.Fatal(err)
		}
		at := -1
		for _, in := range []string{"kind: ClusterRoleBinding\napi", "kind: DaemonSet", "name: tiers.", "name: felixconfigurations."} {
			next := strings.Index(got, in)
			if next < at {
				t.Errorf("%q comes too soon", in)
			}
			at = next
		}
		if at < 0 {
			t.Error("they are not defined")
		}
	})
	t.Run("an_unknown_document_is_an_error_that_names_it", func(t *testing.T) {
		_, err := labManifest(stockManifest("Deployment/calico-typha"), own)
		if err == nil || !strings.Contains(err.Error(), "Deployment/calico-typha") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a_missing_document_is_an_error_that_names_it", func(t *testing.T) {
		stock := strings.Replace(stockManifest(), "---\n# Source: somewhere\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: calico-config\n", "", 1)
		_, err := labManifest(stock, own)
		if err == nil || !strings.Contains(err.Error(), "ConfigMap/calico-config") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a_document_without_kind_is_an_error", func(t *testing.T) {
		if _, err := labManifest("---\nmetadata:\n  name: x\n", own); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("fits_the_daemonset_in_the_tree", func(t *testing.T) {
		data, err := files.ReadFile("files/calico-node.yaml")
		if err != nil {
			t.Fatal(err)
		}
		got, err := labManifest(stockManifest(), string(data))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, "docker.io/calico/node:"+CalicoVersion+"\n") {
			t.Error("the DaemonSet does not run the image the node has")
		}
	})
}

func TestPodOf_is_the_daemonsets_pod_on_a_node_to_be_named(t *testing.T) {
	data, err := files.ReadFile("files/calico-node.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := podOf(string(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kind: Pod", "nodeName: '@NODE@'", "serviceAccountName: calico-node", "name: calico-node", "- name: CALICO_IPV4POOL_CIDR\n      value: " + PodSubnet + "\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if _, err := podOf("kind: DaemonSet\n"); err == nil {
		t.Error("a DaemonSet without a template was accepted")
	}
}

func TestHash_tells_parts_and_folders_apart(t *testing.T) {
	t.Run("same_parts_same_sum", func(t *testing.T) {
		first, again := newHash("a", "b").sum(), newHash("a", "b").sum()
		if first != again {
			t.Error("differs")
		}
	})
	t.Run("parts_do_not_run_into_each_other", func(t *testing.T) {
		if newHash("ab", "c").sum() == newHash("a", "bc").sum() {
			t.Error("equal")
		}
	})
	t.Run("a_folder_counts_sources_and_module_files_only", func(t *testing.T) {
		dir := t.TempDir()
		write := func(name, content string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		sum := func() string {
			h := newHash()
			if err := h.dir(dir); err != nil {
				t.Fatal(err)
			}
			return h.sum()
		}
		write("go.mod", "module x\n")
		write("main.go", "package main\n")
		before := sum()
		write("README.md", "words")
		write("main_test.go", "package main\n")
		if sum() != before {
			t.Error("a text or a test changed the hash")
		}
		write("go.sum", "x v1 h1:\n")
		if sum() == before {
			t.Error("a new checksum did not change the hash")
		}
	})
}

func TestDebianSources_are_read_in_both_formats(t *testing.T) {
	cases := map[string]struct {
		files map[string]string
		want  []string
		fails bool
	}{
		"one_line_format": {
			files: map[string]string{"sources.list": "# c\ndeb [signed-by=/k arch=amd64] http://d.test/debian bookworm main\ndeb-src http://d.test/debian bookworm main\ndeb http://d.test/sec bookworm-security main # x\n"},
			want:  []string{"deb http://d.test/debian bookworm main", "deb http://d.test/sec bookworm-security main"},
		},
		"what_a_line_says_of_trust_does_not_count": {
			files: map[string]string{
				"sources.list":              "deb [trusted=yes allow-insecure=yes] http://d.test/debian bookworm main\n",
				"sources.list.d/up.sources": "Types: deb\nURIs: http://d.test/debian\nSuites: bookworm-updates\nTrusted: yes\n",
			},
			want: []string{"deb http://d.test/debian bookworm main", "deb http://d.test/debian bookworm-updates main"},
		},
		"stanza_format": {
			files: map[string]string{"sources.list.d/debian.sources": "Types: deb\n# c\nURIs: http://d.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\nURIs: http://d.test/sec\nSuites: bookworm-security\n"},
			want:  []string{"deb http://d.test/debian bookworm main", "deb http://d.test/debian bookworm-updates main", "deb http://d.test/sec bookworm-security main"},
		},
		"disabled_stanza_and_sources_only_do_not_count": {
			files: map[string]string{"sources.list.d/a.sources": "Types: deb-src\nURIs: http://d.test/debian\nSuites: bookworm\n\nEnabled: no\nTypes: deb\nURIs: http://d.test/debian\nSuites: bookworm\n"},
			fails: true,
		},
		"another_distribution": {
			files: map[string]string{"sources.list": "deb http://u.test/ubuntu noble main\n"},
			fails: true,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range c.files {
				p := filepath.Join(root, "etc/apt", name)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := debianSources(root)
			if (err != nil) != c.fails {
				t.Fatalf("error %v", err)
			}
			if c.fails {
				return
			}
			if strings.Join(got.lines, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got %q, want %q", got.lines, c.want)
			}
		})
	}
}

// TestDebootstrap_believes_nothing_that_Debian_has_not_signed gives it a mirror that
// nobody has signed, and one that somebody has. make test names it where it is left out.
func TestDebootstrap_believes_nothing_that_Debian_has_not_signed(t *testing.T) {
	for _, tool := range []string{"debootstrap", "gpg", "gpgv"} {
		if _, err := exec.LookPath(tool); err != nil || os.Getuid() != 0 {
			if os.Getenv("NETPOL_LAB_REQUIRE") == "all" {
				t.Fatalf("this needs root and the command %s", tool)
			}
			t.Skipf("this needs root and the command %s", tool)
		}
	}
	release := "Origin: Debian\nSuite: stable\nCodename: bookworm\nArchitectures: amd64 arm64\nComponents: main\n" +
		"SHA256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n"
	for name, c := range map[string]struct{ signed, refused string }{
		"nobody's signature":   {"", "release signature"},
		"somebody's signature": {"somebody", "unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			suite := filepath.Join(dir, "mirror/dists", debianSuite)
			if err := os.MkdirAll(suite, 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(suite, "Release")
			if err := os.WriteFile(path, []byte(release), 0o644); err != nil {
				t.Fatal(err)
			}
			if c.signed != "" {
				for _, args := range [][]string{
					{"--quick-generate-key", c.signed, "ed25519", "sign"},
					{"--armor", "--detach-sign", "--output", path + ".gpg", path},
				} {
					gpg := exec.Command("gpg", append([]string{"--homedir", dir, "--batch", "--quiet", "--passphrase", ""}, args...)...)
					if out, err := gpg.CombinedOutput(); err != nil {
						t.Fatalf("%v: %s", err, out)
					}
				}
				t.Cleanup(func() { exec.Command("gpgconf", "--homedir", dir, "--kill", "all").Run() })
			}
			log, err := os.Create(filepath.Join(dir, "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			b := &build{log: log}
			err = b.debootstrap(t.Context(), filepath.Join(dir, "root"), "file://"+filepath.Join(dir, "mirror"))
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("got %v, want it refused for %s", err, c.refused)
			}
		})
	}
}

func TestLayer_keeps_files_as_they_are(t *testing.T) {
	t.Run("keeps_links_and_turns_overlay_deletions_into_layer_deletions", func(t *testing.T) {
		root := t.TempDir()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.MkdirAll(filepath.Join(root, "a/b"), 0o750))
		must(os.WriteFile(filepath.Join(root, "a/b/one"), []byte("1"), 0o640))
		must(os.Link(filepath.Join(root, "a/b/one"), filepath.Join(root, "a/b/two")))
		must(os.Symlink("one", filepath.Join(root, "a/b/three")))
		must(os.WriteFile(filepath.Join(root, "skipped"), nil, 0o644))
		w, err := newLayer(filepath.Join(t.TempDir(), "l.tar"))
		must(err)
		must(w.tree(root, "x", func(name string) bool { return name == "skipped" }))
		must(w.data("/y/z", 0o600, []byte("zz")))
		must(w.hardLink("/y/w", "/y/z"))
		l, err := w.close()
		must(err)
		again, ok := openLayer(l.path)
		if !ok || again.Digest != l.Digest || again.Size != l.Size {
			t.Fatalf("reopened as %+v, %v; wrote %+v", again, ok, l)
		}
		f, err := os.Open(l.path)
		must(err)
		defer f.Close()
		got := map[string]string{}
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(err)
			body, err := io.ReadAll(r)
			must(err)
			got[h.Name] = fmt.Sprintf("%c %o %s%s", h.Typeflag, h.Mode, h.Linkname, body)
		}
		for name, want := range map[string]string{
			"x/a/":        "5 750 ",
			"x/a/b/one":   "0 640 1",
			"x/a/b/two":   "1 640 x/a/b/one",
			"y/w":         "1 755 y/z",
			"x/a/b/three": "2 777 one",
			"y/":          "5 755 ",
			"y/z":         "0 600 zz",
		} {
			if got[name] != want {
				t.Errorf("%s: %q, want %q", name, got[name], want)
			}
		}
		if _, ok := got["x/skipped"]; ok {
			t.Error("skipped was written")
		}
	})
	t.Run("a_half_written_layer_is_not_taken_for_one", func(t *testing.T) {
		p := filepath.Join(t.TempDir(), "l.tar")
		w, err := newLayer(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.data("a", 0o644, []byte("x")); err != nil {
			t.Fatal(err)
		}
		w.abort()
		if _, ok := openLayer(p); ok {
			t.Error("taken")
		}
	})
}

func TestProgress_tells_each_step_and_its_time(t *testing.T) {
	now := time.Unix(0, 0)
	var out bytes.Buffer
	p := &progress{w: &out, total: 2, now: func() time.Time { return now }}
	if err := p.step("compile", func() error { now = now.Add(134 * time.Second); return nil }); err != nil {
		t.Fatal(err)
	}
	err := p.step("load", func() error { return context.Canceled })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "load") {
		t.Errorf("got %v", err)
	}
	want := "[1/2] compile ...\n[1/2] compile  2m14s\n[2/2] load ...\n[2/2] load  failed after 0s\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestPlan_changes_with_its_inputs_alone(t *testing.T) {
	t.Run("a_changed_probe_changes_only_the_small_layers", func(t *testing.T) {
		b := &build{repo: "../.."}
		probe := filepath.Join(t.TempDir(), "probe")
		plan := func(content string) plan {
			t.Helper()
			if err := os.WriteFile(probe, []byte(content), 0o755); err != nil {
				t.Fatal(err)
			}
			p, err := b.plan(probe)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		one, two := plan("1"), plan("2")
		if one.system != two.system || one.debian != two.debian || one.packages != two.packages {
			t.Error("a large layer depends on the probe")
		}
		if one.node == two.node || one.probe == two.probe {
			t.Error("the node image does not depend on the probe")
		}
	})
}
