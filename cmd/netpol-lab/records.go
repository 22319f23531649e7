package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// recordFile is a sandbox's record as earlier versions kept it, in a file each.
type recordFile struct {
	ID      sandbox.ID    `json:"id"`
	Owner   string        `json:"owner"`
	Lab     string        `json:"lab"`
	State   sandbox.State `json:"state"`
	Reason  string        `json:"reason"`
	Created time.Time     `json:"created"`
}

// takeOver moves the records that an earlier version has left in the folder into the
// store, so that nobody's sandbox is lost. A file that is no record is set aside and
// named in the log: its sandbox, which nobody can be found for, is removed.
func takeOver(ctx context.Context, dir string, records sandbox.Records, log *slog.Logger) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("sandbox records: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(path) {
		case ".tmp": // of a server that was killed while it wrote
			err = os.Remove(path)
		case ".json":
			err = takeOverFile(ctx, path, records, log)
		}
		if err != nil {
			return fmt.Errorf("sandbox records: %w", err)
		}
	}
	_ = os.Remove(dir) // where nothing is left in it
	return nil
}

func takeOverFile(ctx context.Context, path string, records sandbox.Records, log *slog.Logger) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var f recordFile
	if err := json.Unmarshal(b, &f); err != nil || f.ID == "" || f.Owner == "" || f.Lab == "" || f.State == "" || f.Created.IsZero() {
		aside := path + ".broken"
		log.Error("this file is no record of a sandbox; it was set aside, and the sandbox is removed", "file", aside, "error", err)
		return os.Rename(path, aside)
	}
	// Its cluster bears the sandbox's name, as all did then.
	rec := sandbox.Record{ID: f.ID, Cluster: sandbox.ClusterID(f.ID), Owner: f.Owner, Lab: f.Lab, State: f.State, Reason: f.Reason, Created: f.Created}
	if err := records.Save(ctx, rec); err != nil {
		return err
	}
	return os.Remove(path)
}
