package kind

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// fakeNode has what a node runs, or as much of it as ARRIVES bytes, carried out in a
// folder of the test's own, and puts commands in the place of those that would change the
// machine. It returns the folder.
func fakeNode(t *testing.T, commands map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"bin", "usr/local/sbin", "etc/systemd/system", "run"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range commands {
		if err := os.WriteFile(filepath.Join(root, "bin", name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ROOT", root)
	t.Setenv("PATH", filepath.Join(root, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	scriptDocker(t, `head -c "${ARRIVES:-1000000}" | sed "s,/usr/local/\|/etc/\|/run/,$ROOT&,g" | sh -es`)
	return root
}

// Of what a script runs chmod is among the first, and nft the last.
func TestFilter_one_script_at_a_time_is_at_work_in_a_node(t *testing.T) {
	root := fakeNode(t, map[string]string{
		"ip":    "",
		"chmod": `mkdir "$ROOT/busy" && exec /bin/chmod "$@"`,
		"nft":   `cat >/dev/null && rmdir "$ROOT/busy"`,
	})
	var group errgroup.Group
	for range 10 {
		group.Go(func() error { return filter(t.Context(), "x", nil, externals("office")) })
	}
	if err := group.Wait(); err != nil {
		t.Errorf("another was at work: %v", err)
	}
	outside, err := os.ReadFile(filepath.Join(root, "run/netpol-lab/outside"))
	if err != nil || strings.TrimSpace(string(outside)) != "192.0.2.1" {
		t.Errorf("the outside hosts are %q, %v", outside, err)
	}
}

func TestFilter_a_script_that_is_cut_off_changes_nothing(t *testing.T) {
	root := fakeNode(t, map[string]string{"ip": "", "nft": "cat >/dev/null"})
	program := filepath.Join(root, "usr/local/sbin/netpol-lab-filter")
	t.Setenv("ARRIVES", "1000")
	if err := filter(t.Context(), "x", nil, nil); err == nil {
		t.Error("half a script has done it")
	}
	if text, err := os.ReadFile(program); err == nil {
		t.Errorf("the node has a program of %d bytes", len(text))
	}
	t.Setenv("ARRIVES", "")
	if err := filter(t.Context(), "x", nil, nil); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(program); err != nil || len(text) < 1000 {
		t.Errorf("the node has a program of %d bytes, %v", len(text), err)
	}
}
