package nodeimage

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// layer is one layer of a Docker image: a tar file and its digest.
type layer struct {
	path   string
	Digest string // sha256:...
	Size   int64
}

// layerTime is the time of every file we make ourselves, so that the same input
// gives the same layer.
var layerTime = time.Unix(1_700_000_000, 0)

// layerWriter writes a layer's tar file.
type layerWriter struct {
	file *os.File
	buf  *bufio.Writer
	hash hash.Hash
	size int64
	tar  *tar.Writer
	dirs map[string]bool
	// links maps a file's inode to the first name it got, for hard links.
	links map[inode]string
}

type inode struct{ dev, ino uint64 }

func newLayer(path string) (*layerWriter, error) {
	f, err := os.Create(path + ".part")
	if err != nil {
		return nil, err
	}
	w := &layerWriter{file: f, hash: sha256.New(), dirs: map[string]bool{"": true, ".": true}, links: map[inode]string{}}
	w.buf = bufio.NewWriterSize(f, 1<<20)
	w.tar = tar.NewWriter(w)
	return w, nil
}

// Write passes the tar's bytes to the file and to the digest.
func (w *layerWriter) Write(p []byte) (int, error) {
	w.hash.Write(p)
	w.size += int64(len(p))
	return w.buf.Write(p)
}

// close completes the layer, gives the file its final name and writes what is
// known of it beside it.
func (w *layerWriter) close() (layer, error) {
	final := strings.TrimSuffix(w.file.Name(), ".part")
	l := layer{path: final}
	if err := w.tar.Close(); err != nil {
		return l, err
	}
	if err := w.buf.Flush(); err != nil {
		return l, err
	}
	if err := w.file.Close(); err != nil {
		return l, err
	}
	l.Digest, l.Size = "sha256:"+hex.EncodeToString(w.hash.Sum(nil)), w.size
	note, err := json.Marshal(l)
	if err != nil {
		return l, err
	}
	if err := os.WriteFile(final+".json", note, 0o644); err != nil {
		return l, err
	}
	return l, os.Rename(w.file.Name(), final)
}

func (w *layerWriter) abort() {
	w.file.Close()
	os.Remove(w.file.Name())
}

// openLayer finds a layer that was written earlier.
func openLayer(path string) (layer, bool) {
	l := layer{path: path}
	fi, err := os.Stat(path)
	if err != nil {
		return l, false
	}
	note, err := os.ReadFile(path + ".json")
	if err != nil || json.Unmarshal(note, &l) != nil {
		return l, false
	}
	return l, fi.Size() == l.Size
}

func (w *layerWriter) header(h *tar.Header) error {
	h.Format = tar.FormatPAX
	if h.ModTime.IsZero() {
		h.ModTime = layerTime
	}
	return w.tar.WriteHeader(h)
}

// parents makes the folders above name that no earlier entry made.
func (w *layerWriter) parents(name string) error {
	return w.dir(path.Dir(name))
}

func (w *layerWriter) dir(name string) error {
	name = strings.Trim(path.Clean(name), "/")
	if w.dirs[name] {
		return nil
	}
	if err := w.parents(name); err != nil {
		return err
	}
	w.dirs[name] = true
	return w.header(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755})
}

// data writes a file from memory.
func (w *layerWriter) data(name string, mode int64, content []byte) error {
	name = strings.TrimPrefix(name, "/")
	if err := w.parents(name); err != nil {
		return err
	}
	if err := w.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.tar.Write(content)
	return err
}

// copy writes a file from the disk.
func (w *layerWriter) copy(name string, mode int64, from string) error {
	name = strings.TrimPrefix(name, "/")
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.parents(name); err != nil {
		return err
	}
	if err := w.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: fi.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w.tar, f)
	return err
}

func (w *layerWriter) symlink(name, target string) error {
	name = strings.TrimPrefix(name, "/")
	if err := w.parents(name); err != nil {
		return err
	}
	return w.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777})
}

// hardLink gives a file that this layer already has another name.
func (w *layerWriter) hardLink(name, target string) error {
	name = strings.TrimPrefix(name, "/")
	if err := w.parents(name); err != nil {
		return err
	}
	return w.header(&tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: strings.TrimPrefix(target, "/"), Mode: 0o755})
}

// tree writes everything under root to the folder prefix. Deletions as overlayfs
// marks them become deletions as layers mark them. skip leaves out what it says
// yes to, with everything below.
func (w *layerWriter) tree(root, prefix string, skip func(name string) bool) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if rel == "." {
			return nil
		}
		if skip != nil && skip(rel) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		return w.entry(path.Join(prefix, rel), p, fi)
	})
}

func (w *layerWriter) entry(name, from string, fi fs.FileInfo) error {
	name = strings.TrimPrefix(name, "/")
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no system information", from)
	}
	link := ""
	if fi.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(from); err != nil {
			return err
		}
	}
	if fi.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0 {
		return w.data(path.Join(path.Dir(name), ".wh."+path.Base(name)), 0o600, nil)
	}
	if fi.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return nil // /dev is the container runtime's
	}
	h, err := tar.FileInfoHeader(fi, link)
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, int(st.Uid), int(st.Gid), "", ""
	h.ModTime, h.AccessTime, h.ChangeTime = fi.ModTime(), time.Time{}, time.Time{}
	if fi.IsDir() {
		w.dirs[name] = true
		h.Name += "/"
		if err := w.header(h); err != nil {
			return err
		}
		if isOpaque(from) {
			return w.data(path.Join(name, ".wh..wh..opq"), 0o600, nil)
		}
		return nil
	}
	if err := w.parents(name); err != nil {
		return err
	}
	if fi.Mode().IsRegular() && st.Nlink > 1 {
		id := inode{uint64(st.Dev), st.Ino}
		if first, ok := w.links[id]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return w.header(h)
		}
		w.links[id] = name
	}
	if err := w.header(h); err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w.tar, f)
	return err
}
