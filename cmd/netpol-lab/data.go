package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

type dataFlags struct {
	Data  string `default:"data" env:"NETPOL_LAB_DATA" type:"path" help:"Folder for what must outlive a restart."`
	Moved bool   `env:"NETPOL_LAB_MOVED" help:"The data folder was moved here or restored, and where it was nothing uses it any more. Without this a copied folder is refused: its server and the original's would remove each other's sandboxes."`
}

// open opens the data folder.
func (f dataFlags) open() (*data, error) { return openData(f.Data, f.Moved) }

// data is an open data folder. One process has it at a time.
type data struct {
	dir  string
	lock *os.File
	// instance is drawn once for a folder: it tells its sandboxes from those of
	// other servers on the same Docker.
	instance string
	health   health
}

func openData(dir string, moved bool) (*data, error) {
	d, err := lockData(dir)
	if err != nil {
		return nil, dataError(dir, err)
	}
	err = d.removeLeftovers()
	if err == nil {
		err = d.readInstance(moved)
	}
	if err != nil {
		d.close()
		return nil, dataError(dir, err)
	}
	d.health.look = d.look
	return d, nil
}

// dataError says what to do where the folder cannot be written.
func dataError(dir string, err error) error {
	advice := ""
	var access *fs.PathError
	if errors.As(err, &access) {
		switch {
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
			advice = "; the disk is full: free some space there, or choose another folder with --data"
		case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
			advice = "; give this user the right to write the folder, or choose another with --data"
		}
	}
	return fmt.Errorf("data folder %s: %w%s", dir, err, advice)
}

func lockData(dir string) (*data, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("another netpol-lab is using it; stop that one, or choose another folder with --data")
		}
		return nil, err
	}
	return &data{dir: dir, lock: lock}, nil
}

// leftovers are the names of files that were being written when a process ended. What
// they were to replace is as it was. The folder may hold files of others too.
var leftovers = []string{"instance.*.tmp", operatorTokenFile + ".*.tmp", "health.*.tmp", "simulated/sandboxes/*.tmp"}

func (d *data) removeLeftovers() error {
	for _, pattern := range leftovers {
		found, err := fs.Glob(os.DirFS(d.dir), pattern)
		if err != nil {
			return err
		}
		for _, name := range found {
			if err := os.Remove(d.path(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// instanceText is what the file holds: the name and, where a version that knows it has
// written it, what the file itself is: a copy is another file.
var instanceText = regexp.MustCompile(`^([a-z0-9]{1,16})(?:\nfile (\S+))?\n?$`)

// readInstance reads the instance's name, or draws one for a new folder. The file is
// bound to its own number on its disk and to the machine: of a folder and its copy one
// is refused.
func (d *data) readInstance(moved bool) error {
	path := d.path("instance")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d.writeInstance(strings.ToLower(rand.Text()[:6]))
	} else if err != nil {
		return err
	}
	found := instanceText.FindStringSubmatch(string(b))
	if found == nil {
		return fmt.Errorf("%s does not hold an instance's name any more; put a backup of it in its place, or remove it: then the sandboxes that this server has made before are not found again, and are removed by hand (docker ps shows them)", path)
	}
	name, bound := found[1], found[2]
	identity, err := identityOf(path)
	switch {
	case err != nil:
		return err
	case bound == "" || moved && bound != identity:
		return d.writeInstance(name)
	case bound != identity:
		return fmt.Errorf("%s was written as another file: this folder is a copy, or was moved or restored. Of a copy whose original is in use, remove %s, and it gets a name of its own. Where the original is not used any more, start once with --moved", path, path)
	}
	d.instance = name
	return nil
}

// writeInstance writes the name and what the file is, the whole of it or nothing.
func (d *data) writeInstance(name string) error {
	tmp, err := os.CreateTemp(d.dir, "instance.*.tmp")
	if err != nil {
		return err
	}
	identity, err := identityOf(tmp.Name())
	if err == nil {
		_, err = fmt.Fprintf(tmp, "%s\nfile %s\n", name, identity)
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), d.path("instance"))
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // What is left is removed at the next start.
		return err
	}
	d.instance = name
	return nil
}

// identityOf is the file's number on its disk, which a copy does not have, and the
// machine's own, where it has one.
func identityOf(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		machine = nil // not every system has it
	}
	return fmt.Sprintf("%d@%.8s", info.Sys().(*syscall.Stat_t).Ino, strings.TrimSpace(string(machine))), nil
}

func (d *data) path(name string) string { return filepath.Join(d.dir, name) }

// close gives the folder free for another process.
func (d *data) close() { d.lock.Close() }

const (
	// fullBelow is how much space there must be, in bytes: what a class writes in
	// some hours.
	fullBelow = 16 << 20
	// healthFor is how long an answer about the folder's health holds: asking it is
	// free for anybody.
	healthFor = 5 * time.Second
)

// health remembers for a while whether the folder can be written.
type health struct {
	look func() error

	mu  sync.Mutex
	at  time.Time
	err error
}

// Err says, in a sentence, why what learners do cannot be kept; nil where it can.
func (h *health) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); h.at.IsZero() || now.Sub(h.at) >= healthFor {
		h.at, h.err = now, h.look()
	}
	return h.err
}

// look asks how much space there is, and writes a little.
func (d *data) look() error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &disk); err != nil {
		return dataError(d.dir, &fs.PathError{Op: "statfs", Path: d.dir, Err: err})
	}
	if err := enough(disk.Bavail * uint64(disk.Bsize)); err != nil {
		return fmt.Errorf("data folder %s: %w", d.dir, err)
	}
	tmp, err := os.CreateTemp(d.dir, "health.*.tmp")
	if err != nil {
		return dataError(d.dir, err)
	}
	_, err = tmp.Write(make([]byte, 4096))
	if err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name())); err != nil {
		return dataError(d.dir, err)
	}
	return nil
}

// enough says whether the free bytes are.
func enough(free uint64) error {
	if free < fullBelow {
		return fmt.Errorf("the disk is full: %d MiB are free, and %d are needed", free>>20, uint64(fullBelow)>>20)
	}
	return nil
}
