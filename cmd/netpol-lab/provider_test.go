package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
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

func TestMaking_patience_stretches_what_a_boot_and_a_lay_may_take(t *testing.T) {
	for patience, want := range map[times]time.Duration{0: 5 * time.Minute, 1: 5 * time.Minute, 2.5: 12*time.Minute + 30*time.Second} {
		m, err := (&kindFlags{Patience: patience}).making(&data{instance: "one"}, newLog(os.Stderr))
		if err != nil {
			t.Fatal(err)
		}
		if m.CreateTimeout != want {
			t.Errorf("patience %g: a boot may take %s, want %s", patience, m.CreateTimeout, want)
		}
	}
}

func TestPatience_is_at_least_1_by_flag_and_environment(t *testing.T) {
	var usage *usageError
	for _, n := range []string{"0", "0.5", "-2", "NaN", "Inf", "1e9", "much", ""} {
		if _, err := command(t, "doctor", "--patience="+n); !errors.As(err, &usage) || !strings.Contains(err.Error(), "patience") {
			t.Errorf("--patience=%s: got %v, want a usage error that names it", n, err)
		}
	}
	t.Setenv("NETPOL_LAB_PATIENCE", "0.9")
	if _, err := command(t, "doctor"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "NETPOL_LAB_PATIENCE") {
		t.Errorf("in the environment: got %v, want a usage error that names it", err)
	}
	t.Setenv("NETPOL_LAB_PATIENCE", "1.5")
	t.Setenv("PATH", t.TempDir())
	if _, err := command(t, "doctor"); errors.As(err, &usage) {
		t.Errorf("1.5 in the environment: %v", err)
	}
}

// deletions is a provider of one sandbox that notes what it is to delete.
type deletions struct {
	sandbox.Provider
	deleted []sandbox.ClusterID
	swept   int // how many were deleted when Sweep was called
}

func (d *deletions) Sweep(context.Context) error {
	d.swept = len(d.deleted)
	return nil
}

func (d *deletions) List(context.Context) ([]sandbox.ClusterID, error) {
	return []sandbox.ClusterID{"here"}, nil
}
func (d *deletions) Delete(_ context.Context, id sandbox.ClusterID) error {
	d.deleted = append(d.deleted, id)
	return nil
}

func TestRemove_takes_what_is_written_down_for_a_sandbox_also_where_none_is_listed(t *testing.T) {
	provider, records := &deletions{}, &sandboxtest.Records{}
	for _, id := range []sandbox.ID{"here", "gone"} {
		if err := records.Save(t.Context(), sandbox.Record{ID: "of " + id, Cluster: sandbox.ClusterID(id), Owner: "ann", Lab: "small", State: sandbox.Ready, Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	m := making{Options: sandbox.Options{Provider: provider, Records: records}}
	if err := m.remove(t.Context(), func(sandbox.ClusterID) {}); err != nil {
		t.Fatal(err)
	}
	if want := []sandbox.ClusterID{"here", "gone"}; !slices.Equal(provider.deleted, want) {
		t.Errorf("deleted are %v, want %v", provider.deleted, want)
	}
	if provider.swept != 2 {
		t.Errorf("what is beside them was removed after %d clusters, want after all", provider.swept)
	}
	if all, err := records.All(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%d records are left, %v", len(all), err)
	}
}
