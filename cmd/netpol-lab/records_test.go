package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

func TestRecords_of_an_earlier_version_are_taken_over_and_a_broken_one_is_set_aside(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "sandboxes")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"ann1.json":    `{"id": "ann1", "owner": "ann", "lab": "small", "state": "ready", "created": "2026-03-04T12:00:00.123Z"}`,
		"cut.json":     `{"id": "cut", "owner": "bo`,
		"nobody.json":  `{"id": "nobody"}`,
		"ann1.123.tmp": `{"id": "ann1", "own`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := sandbox.Record{ID: "ann1", Cluster: "ann1", Owner: "ann", Lab: "small", State: sandbox.Ready, Created: time.Date(2026, 3, 4, 12, 0, 0, 123e6, time.UTC)}
	var said strings.Builder
	log := slog.New(slog.NewTextHandler(&said, nil))
	for range 2 { // The second time there is nothing to take over.
		recorded(t, dir, func(records sandbox.Records) {
			if err := takeOver(t.Context(), folder, records, log); err != nil {
				t.Fatal(err)
			}
			if all, err := records.All(t.Context()); err != nil || len(all) != 1 || all[0] != want {
				t.Errorf("records: %+v (%v), want %+v", all, err, want)
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(left) != 2 || left[0] != filepath.Join(folder, "cut.json.broken") || left[1] != filepath.Join(folder, "nobody.json.broken") {
		t.Errorf("left are %v (%v), want the two that are no records", left, err)
	}
	for _, path := range left {
		if strings.Count(said.String(), "file="+path) != 1 {
			t.Errorf("the log does not name %s once:\n%s", path, said.String())
		}
	}
}
