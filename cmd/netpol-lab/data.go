package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

type dataFlags struct {
	Data string `default:"data" env:"NETPOL_LAB_DATA" type:"path" help:"Folder for what must outlive a restart."`
}

// data is an open data folder. One process has it at a time.
type data struct {
	dir  string
	lock *os.File
	// instance is drawn once for a folder: it tells its sandboxes from those of
	// other servers on the same Docker.
	instance string
}

func openData(dir string) (*data, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data folder %s: another netpol-lab is using it; stop that one, or choose another folder with --data", dir)
		}
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	d := &data{dir: dir, lock: lock}
	path := d.path("instance")
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		d.instance = strings.TrimSpace(string(b))
	case errors.Is(err, os.ErrNotExist):
		d.instance = strings.ToLower(rand.Text()[:6])
		err = os.WriteFile(path, []byte(d.instance+"\n"), 0o600)
	}
	if err != nil {
		d.close()
		return nil, fmt.Errorf("data folder: %w", err)
	}
	return d, nil
}

func (d *data) path(name string) string { return filepath.Join(d.dir, name) }

// close gives the folder free for another process.
func (d *data) close() { d.lock.Close() }
