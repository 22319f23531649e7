package nodeimage

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCalicoImages_are_found_in_the_manifest(t *testing.T) {
	full := func(images ...string) string {
		var out strings.Builder
		for _, i := range images {
			out.WriteString("      containers:\n        - name: x\n          image: " + i + "\n          imagePullPolicy: IfNotPresent\n")
		}
		return out.String()
	}
	cni, node, controllers := "docker.io/calico/cni:"+CalicoVersion, "docker.io/calico/node:"+CalicoVersion, "docker.io/calico/kube-controllers:"+CalicoVersion
	t.Run("finds_each_image_under_the_name_the_manifest_gives_it", func(t *testing.T) {
		refs, err := calicoImages(full(cni, cni, node, controllers))
		if err != nil {
			t.Fatal(err)
		}
		if refs["cni"] != cni || refs["node"] != node || refs["kube-controllers"] != controllers || len(refs) != 3 {
			t.Errorf("got %v", refs)
		}
	})
	for name, c := range map[string]struct {
		manifest, names string
	}{
		"an_image_that_is_not_made_is_an_error": {full(cni, node, controllers, "docker.io/calico/typha:"+CalicoVersion), "calico/typha"},
		"another_version_is_an_error":           {full(cni, "docker.io/calico/node:v0.0.1", controllers), "calico/node:v0.0.1"},
		"a_missing_image_is_an_error":           {full(cni, node), "kube-controllers"},
		"one_image_under_two_names_is_an_error": {full(cni, node, controllers, "registry.test/calico/cni:"+CalicoVersion), "registry.test/calico/cni"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := calicoImages(c.manifest)
			if err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("got %v, want an error that names %s", err, c.names)
			}
		})
	}
}

func TestCRIBase_adds_the_hook_and_takes_away_the_limits(t *testing.T) {
	t.Run("adds_the_hook_and_takes_away_the_limits", func(t *testing.T) {
		got, err := criBase([]byte(`{"process":{"rlimits":[{"type":"RLIMIT_NOFILE"}],"cwd":"/"},"root":{"path":"rootfs"}}`))
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Process map[string]any
			Root    struct{ Path string }
			Hooks   struct{ CreateContainer []struct{ Path string } }
		}
		if err := json.Unmarshal(got, &s); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Process["rlimits"]; ok || s.Process["cwd"] != "/" || s.Root.Path != "rootfs" {
			t.Errorf("got %s", got)
		}
		if len(s.Hooks.CreateContainer) != 1 || s.Hooks.CreateContainer[0].Path != "/kind/bin/mount-product-files.sh" {
			t.Errorf("hooks in %s", got)
		}
	})
	t.Run("what_is_no_container_is_an_error", func(t *testing.T) {
		for _, spec := range []string{"", "{}"} {
			if _, err := criBase([]byte(spec)); err == nil {
				t.Errorf("%q accepted", spec)
			}
		}
	})
}

func TestAgentFiles_are_put_in_their_places(t *testing.T) {
	root, bin := t.TempDir(), filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(bin, []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etc/rc.local", "etc/service/available/felix/run", "etc/calico/felix.cfg", "sbin/start_runit"} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	w, err := newLayer(filepath.Join(t.TempDir(), "l.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if err := agentFiles(w, root, func(string) string { return bin }); err != nil {
		t.Fatal(err)
	}
	l, err := w.close()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(l.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	modes := map[string]int64{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		modes[h.Name] = h.Mode
	}
	for name, want := range map[string]int64{
		"etc/rc.local": 0o755, "etc/service/available/felix/run": 0o755, "usr/sbin/start_runit": 0o755,
		"etc/calico/felix.cfg": 0o644, "usr/bin/calico-node": 0o755, "usr/bin/mountns": 0o755,
	} {
		if modes[name] != want {
			t.Errorf("%s has mode %o, want %o", name, modes[name], want)
		}
	}
}

func TestPlanStock_changes_with_its_inputs_alone(t *testing.T) {
	b := &build{repo: "../.."}
	base := plan{programs: map[string]string{}, debian: "d", packages: "p"}
	for _, prog := range programs {
		base.programs[prog.name] = "1"
	}
	before, err := b.planStock(base)
	if err != nil {
		t.Fatal(err)
	}
	change := func(change func(*plan)) stockPlan {
		t.Helper()
		p := base
		p.programs = map[string]string{}
		for k, v := range base.programs {
			p.programs[k] = v
		}
		change(&p)
		s, err := b.planStock(p)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, c := range map[string]struct {
		change       func(*plan)
		node, calico bool
	}{
		"the_labs_own_programs_do_not_count": {func(p *plan) { p.programs["kubernetes"], p.programs["calico"], p.probe = "2", "2", "2" }, false, false},
		"containerd_counts_for_the_node":     {func(p *plan) { p.programs["containerd"] = "2" }, true, false},
		"a_CNI_plugin_counts_for_both":       {func(p *plan) { p.programs["host-local"] = "2" }, true, true},
		"the_Debian_base_counts_for_Calico":  {func(p *plan) { p.debian = "2" }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			after := change(c.change)
			if (after.node != before.node) != c.node || (after.calico != before.calico) != c.calico {
				t.Errorf("node changed: %t, want %t; Calico changed: %t, want %t",
					after.node != before.node, c.node, after.calico != before.calico, c.calico)
			}
		})
	}
}

func TestProgramHash_changes_with_the_sources(t *testing.T) {
	repo := t.TempDir()
	dir := filepath.Join(repo, "sandbox/nodeimage/group")
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := &build{repo: repo}
	hashes := func() (ours, theirs string) {
		t.Helper()
		ours, err := b.programHash(program{name: "a", group: "group", pkg: "."})
		if err != nil {
			t.Fatal(err)
		}
		if theirs, err = b.programHash(program{name: "a", group: "group", pkg: "up.test/stream"}); err != nil {
			t.Fatal(err)
		}
		return ours, theirs
	}
	write("go.mod", "module x\n")
	write("go.sum", "")
	write("main.go", "package main\n")
	ours, theirs := hashes()
	t.Run("our_source_counts_for_our_program_only", func(t *testing.T) {
		write("main.go", "package main // changed\n")
		o, u := hashes()
		if o == ours || u != theirs {
			t.Errorf("ours changed: %t, upstream's changed: %t", o != ours, u != theirs)
		}
		ours = o
	})
	t.Run("a_checksum_counts_for_both", func(t *testing.T) {
		write("go.sum", "y v1 h1:\n")
		o, u := hashes()
		if o == ours || u == theirs {
			t.Errorf("ours changed: %t, upstream's changed: %t", o != ours, u != theirs)
		}
	})
}
