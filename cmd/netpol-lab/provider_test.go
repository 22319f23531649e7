package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMaking_a_docker_that_hangs_is_given_up_and_that_is_said(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\nexec sleep 20\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	m, err := new(kindFlags).making(&data{instance: "one"}, newLog(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := m.check(t.Context(), 200*time.Millisecond); err == nil || !strings.Contains(err.Error(), "has not answered for 200ms") {
		t.Errorf("got %v, want the limit in it", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("that took %s", took)
	}
}
