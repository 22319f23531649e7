package main

import (
	"context"
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

// deletions is a provider of one sandbox that notes what it is to delete.
type deletions struct {
	sandbox.Provider
	deleted []sandbox.ClusterID
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
	if all, err := records.All(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%d records are left, %v", len(all), err)
	}
}
