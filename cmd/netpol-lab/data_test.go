package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestData_two_processes_cannot_share_a_folder(t *testing.T) {
	dir := t.TempDir()
	first, err := openData(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openData(dir, false); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("the second: %v, want it to name --data", err)
	}
	first.close()
	again, err := openData(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if again.instance != first.instance || len(first.instance) != 6 {
		t.Errorf("instance %q became %q", first.instance, again.instance)
	}
}

// copyOf is a copy of the folder, as cp -r makes it.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// opened is the instance of the folder.
func opened(t *testing.T, dir string, moved bool) string {
	t.Helper()
	d, err := openData(dir, moved)
	if err != nil {
		t.Fatal(err)
	}
	d.close()
	return d.instance
}

func TestData_a_copied_folder_is_refused_and_told_what_to_do(t *testing.T) {
	original := filepath.Join(t.TempDir(), "data")
	name := opened(t, original, false)
	file := func(dir string) string { return filepath.Join(dir, "instance") }

	dir := copyOf(t, original)
	_, err := openData(dir, false)
	if err == nil || !strings.Contains(err.Error(), file(dir)) || !strings.Contains(err.Error(), "--moved") || !strings.Contains(err.Error(), "remove "+file(dir)) {
		t.Fatalf("got %v, want it to name the file and both ways on", err)
	}
	if err := os.Remove(file(dir)); err != nil {
		t.Fatal(err)
	}
	if own := opened(t, dir, false); own == name {
		t.Error("the copy goes by the original's name")
	}
	if again := opened(t, original, false); again != name {
		t.Errorf("the original became %s", again)
	}

	restored := copyOf(t, original)
	if got := opened(t, restored, true); got != name {
		t.Errorf("a moved folder became %s", got)
	}
	if got := opened(t, restored, false); got != name {
		t.Errorf("the second start after the move: %s", got)
	}
	renamed := original + "-renamed"
	if err := os.Rename(original, renamed); err != nil {
		t.Fatal(err)
	}
	if got := opened(t, renamed, false); got != name {
		t.Errorf("a renamed folder became %s", got)
	}
}

func TestData_a_folder_of_an_earlier_version_keeps_its_instance_and_is_bound(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "instance"), []byte("abc123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := opened(t, dir, false); got != "abc123" {
		t.Errorf("the instance became %q", got)
	}
	if _, err := openData(copyOf(t, dir), false); err == nil {
		t.Error("a copy made after that is taken")
	}
}

func TestData_a_broken_file_of_the_instance_is_told(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "half": "abc123\nfi", "nonsense": "\x00\x00"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "instance")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openData(dir, false); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: %v, want it to name %s and what to do", name, err, file)
		}
	}
}

func TestData_what_was_half_written_is_removed_and_nothing_else(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "simulated", "sandboxes"), 0o700), os.Mkdir(filepath.Join(dir, "letters"), 0o700)); err != nil {
		t.Fatal(err)
	}
	kept := []string{"learners.db", "simulated/sandboxes/a.json", "letter.tmp", "letters/another.tmp"}
	left := []string{"instance.123.tmp", "simulated/sandboxes/a.json.456.tmp"}
	for _, name := range append(kept, left...) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened(t, dir, false)
	for _, name := range kept {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
}

// onFullDisk makes the program one that can write files of that many bytes and no more,
// as on a disk that is full; see limitFiles.
const onFullDisk = "NETPOL_LAB_TEST_FILE_SIZE"

func limitFiles(bytes uint64) {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: bytes}); err != nil {
		panic(err)
	}
}

func TestData_a_disk_that_is_full_at_the_first_start_is_told_and_costs_nothing(t *testing.T) {
	for size, file := range map[string]string{"0": "instance", "1000": "learners.db"} {
		t.Run(file, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			c := program(t, "serve", "--sandbox", "simulated", "--listen", "127.0.0.1:0", "--data", dir)
			c.Env = append(c.Env, onFullDisk+"="+size)
			var said bytes.Buffer
			c.Stdout, c.Stderr = &said, &said
			err := c.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("it ended with %v, want exit code 1", err)
			}
			if text := said.String(); !strings.Contains(text, filepath.Join(dir, file)) || !strings.Contains(text, "full") {
				t.Errorf("it said %s; want the file %s and that the disk is full", text, file)
			}
			// When there is space again, it starts as if nothing had been.
			c = program(t, "serve", "--sandbox", "simulated", "--listen", "127.0.0.1:0", "--data", dir)
			stdout, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			lineWith(t, bufio.NewScanner(stdout), "The lab is at")
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if err := c.Wait(); err != nil {
				t.Errorf("the next start ended with %v", err)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(left) > 0 {
				t.Errorf("left over: %v, %v", left, err)
			}
		})
	}
}

func TestHealth_tells_a_full_disk_and_is_asked_of_it_once_in_a_while(t *testing.T) {
	if err := enough(fullBelow); err != nil {
		t.Errorf("with enough space: %v", err)
	}
	if err := enough(3 << 20); err == nil || err.Error() != "the disk is full: 3 MiB are free, and 16 are needed" {
		t.Errorf("with 3 MiB: %v", err)
	}
	d, err := openData(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if err := d.health.Err(); err != nil {
		t.Errorf("the test's own folder: %v", err)
	}
	if left, err := filepath.Glob(d.path("*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if err := os.RemoveAll(d.dir); err != nil {
		t.Fatal(err)
	}
	if err := d.look(); err == nil || !strings.Contains(err.Error(), d.dir) {
		t.Errorf("a folder that is gone: %v, want it named", err)
	}
	synctest.Test(t, func(t *testing.T) {
		looked, full := 0, errors.New("full")
		h := health{look: func() error { looked++; return full }}
		for range 100 {
			if err := h.Err(); !errors.Is(err, full) {
				t.Fatalf("got %v", err)
			}
			time.Sleep(time.Second)
		}
		if looked != 20 {
			t.Errorf("in 100 seconds the disk was looked at %d times, want 20", looked)
		}
		full = nil
		time.Sleep(healthFor)
		if err := h.Err(); err != nil {
			t.Errorf("with space again: %v", err)
		}
	})
}
