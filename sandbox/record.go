package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Record is what must outlive a restart of the server to know a sandbox again.
type Record struct {
	ID      ID        `json:"id"`
	Owner   string    `json:"owner"`
	Lab     string    `json:"lab"`
	State   State     `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	Created time.Time `json:"created"`
}

// Records keeps records in a folder, a file each.
type Records struct {
	dir string
}

// OpenRecords opens the folder, and makes it where it is missing.
func OpenRecords(dir string) (*Records, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox records: %w", err)
	}
	return &Records{dir: dir}, nil
}

// All reads every record. A file that cannot be read as one is an error that
// names it: to guess at it could cost a learner the sandbox.
func (r *Records) All() ([]Record, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("sandbox records: %w", err)
	}
	var out []Record
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		path := filepath.Join(r.dir, e.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("sandbox records: %w", err)
		}
		var rec Record
		if err := json.Unmarshal(b, &rec); err != nil {
			return nil, fmt.Errorf("sandbox record %s: %w", path, err)
		}
		out = append(out, rec)
	}
	return out, nil
}

// Save writes the record, the whole of it or nothing.
func (r *Records) Save(rec Record) error {
	b, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("sandbox record %s: %w", rec.ID, err)
	}
	tmp, err := os.CreateTemp(r.dir, string(rec.ID)+".*.tmp")
	if err != nil {
		return fmt.Errorf("sandbox record %s: %w", rec.ID, err)
	}
	_, err = tmp.Write(append(b, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), r.path(rec.ID))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("sandbox record %s: %w", rec.ID, err), os.Remove(tmp.Name()))
	}
	return nil
}

// Delete removes the record; one that is not there is no error.
func (r *Records) Delete(id ID) error {
	if err := os.Remove(r.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sandbox record %s: %w", id, err)
	}
	return nil
}

func (r *Records) path(id ID) string { return filepath.Join(r.dir, string(id)+".json") }
