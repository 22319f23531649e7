package nodeimage

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// saved is an image as "docker save" has written it, in a file of ours.
type saved struct {
	savedImage
	file    *os.File
	members map[string]member
}

// member is where a file is in the archive.
type member struct {
	offset, size int64
	link         string // the member that it is the same as
}

// savedImage is one image: its configuration, and its layers, uncompressed.
type savedImage struct {
	config []byte
	os     string
	arch   string
	layers []savedLayer
}

type savedLayer struct {
	digest string // sha256:..., of the uncompressed layer
	size   int64
	from   member
}

// save asks Docker for an image and keeps it in a file in the folder dir, until it is
// closed.
func (e engine) save(ctx context.Context, dir, ref string, say func(string)) (_ *saved, err error) {
	f, err := os.CreateTemp(dir, ".netpol-lab-*.part")
	if err != nil {
		return nil, err
	}
	s := &saved{file: f, members: map[string]member{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	cmd := exec.CommandContext(ctx, e.docker, "save", ref)
	var stderr strings.Builder
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_, copyErr := io.Copy(f, newMeter(out, 0, say))
	if copyErr != nil {
		_ = cmd.Process.Kill() // it would wait for its reader
	}
	if err := cmd.Wait(); err != nil && copyErr == nil {
		return nil, said(ctx, err, stderr.String())
	}
	if copyErr != nil {
		return nil, copyErr
	}
	return s, s.read()
}

func (s *saved) close() {
	s.file.Close()
	os.Remove(s.file.Name())
}

// read finds out what is in the file. Docker's archives differ with its version: a
// layer may be a link to another image's, and compressed.
func (s *saved) read() error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	counted := &counter{r: bufio.NewReaderSize(s.file, 1<<20)}
	for r := tar.NewReader(counted); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("what docker save has written cannot be read: %w", err)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			s.members[name] = member{offset: counted.n, size: h.Size}
		case tar.TypeSymlink:
			s.members[name] = member{link: path.Join(path.Dir(name), h.Linkname)}
		case tar.TypeLink:
			s.members[name] = member{link: path.Clean(h.Linkname)}
		}
	}
	var list []struct {
		Config string
		Layers []string
	}
	text, err := s.content("manifest.json")
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("it has %d images instead of one", len(list))
	}
	if err == nil {
		s.savedImage, err = s.image(list[0].Config, list[0].Layers)
	}
	if err != nil {
		return fmt.Errorf("what docker save has written cannot be read: %w", err)
	}
	return nil
}

func (s *saved) image(config string, layers []string) (savedImage, error) {
	text, err := s.content(config)
	if err != nil {
		return savedImage{}, err
	}
	i := savedImage{config: text}
	c, err := readConfig(text)
	if err != nil {
		return i, err
	}
	i.os, i.arch = c.OS, c.Architecture
	if len(c.RootFS.DiffIDs) != len(layers) {
		return i, fmt.Errorf("an image has %d layers, and names %d", len(layers), len(c.RootFS.DiffIDs))
	}
	for n, name := range layers {
		m, err := s.member(name)
		if err != nil {
			return i, err
		}
		l := savedLayer{digest: c.RootFS.DiffIDs[n], from: m}
		r, err := s.open(m)
		if err != nil {
			return i, err
		}
		sum := sha256.New()
		l.size, err = io.Copy(sum, r)
		r.Close()
		if err != nil {
			return i, err
		}
		if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != l.digest {
			return i, fmt.Errorf("the layer %s is %s", l.digest, got)
		}
		i.layers = append(i.layers, l)
	}
	return i, nil
}

// configText is what has to be known of an image's configuration.
type configText struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	RootFS       struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

func readConfig(text []byte) (configText, error) {
	var c configText
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("an image's configuration: %w", err)
	}
	if len(c.RootFS.DiffIDs) == 0 {
		return c, errors.New("an image's configuration names no layers")
	}
	return c, nil
}

// maxText is how much of the archive may be read into memory at once, in bytes.
const maxText = 4 << 20

func (s *saved) content(name string) ([]byte, error) {
	m, err := s.member(name)
	if err != nil {
		return nil, err
	}
	if m.size > maxText {
		return nil, fmt.Errorf("%s has %d bytes", name, m.size)
	}
	text := make([]byte, m.size)
	_, err = s.file.ReadAt(text, m.offset)
	return text, err
}

func (s *saved) member(name string) (member, error) {
	name = path.Clean(name)
	for range 3 { // links to links are not followed for ever
		m, ok := s.members[name]
		if !ok {
			return m, fmt.Errorf("%s is missing", name)
		}
		if m.link == "" {
			return m, nil
		}
		name = m.link
	}
	return member{}, fmt.Errorf("%s is a link to a link", name)
}

// open reads a layer, uncompressed.
func (s *saved) open(m member) (io.ReadCloser, error) {
	r := bufio.NewReaderSize(io.NewSectionReader(s.file, m.offset, m.size), 1<<20)
	magic, _ := r.Peek(4) // a shorter layer is not compressed
	switch {
	case len(magic) == 4 && magic[0] == 0x1f && magic[1] == 0x8b:
		return gzip.NewReader(r)
	case string(magic) == zstdMagic:
		d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

const (
	// zstdMagic is what a file compressed with zstd begins with.
	zstdMagic = "\x28\xb5\x2f\xfd"
	// maxWindow is how much memory a compressed file may ask for, in bytes.
	maxWindow = 64 << 20
)

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// content is one file of an archive of ours, under a name that is its content's
// SHA-256.
type content struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	open func() (io.ReadCloser, error)
}

func configName(digest string) string { return strings.TrimPrefix(digest, "sha256:") + ".json" }
func layerName(digest string) string  { return strings.TrimPrefix(digest, "sha256:") + ".tar" }

func (i savedImage) digest() string {
	sum := sha256.Sum256(i.config)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (i savedImage) diffIDs() []string {
	var ids []string
	for _, l := range i.layers {
		ids = append(ids, l.digest)
	}
	return ids
}

// contents are the files of all the images, each once.
func contents(images []*saved) []content {
	var all []content
	add := func(c content) {
		if !slices.ContainsFunc(all, func(other content) bool { return other.Name == c.Name }) {
			all = append(all, c)
		}
	}
	for _, i := range images {
		add(content{configName(i.digest()), int64(len(i.config)), func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(i.config)), nil
		}})
		for _, l := range i.layers {
			add(content{layerName(l.digest), l.size, func() (io.ReadCloser, error) { return i.open(l.from) }})
		}
	}
	return all
}

// saveAll asks Docker for images, one after the other: of several at once it does not
// say which is which.
func (e engine) saveAll(ctx context.Context, dir string, refs []string, say func(string)) ([]*saved, error) {
	var all []*saved
	for _, ref := range refs {
		s, err := e.save(ctx, dir, ref, say)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func closeAll(images []*saved) {
	for _, i := range images {
		i.close()
	}
}

// writeContents writes files into a tar.
func writeContents(w *tar.Writer, all []content) error {
	for _, c := range all {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: c.Name, Mode: 0o644, Size: c.Size, ModTime: layerTime}); err != nil {
			return err
		}
		r, err := c.open()
		if err != nil {
			return err
		}
		_, err = io.Copy(w, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// loadable is one image in the archives that Docker and containerd load.
type loadable struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func newLoadable(digest string, layers []string, tags ...string) loadable {
	l := loadable{Config: configName(digest), RepoTags: tags}
	for _, d := range layers {
		l.Layers = append(l.Layers, layerName(d))
	}
	return l
}

// writeLoadable ends a tar with what says which images are in it.
func writeLoadable(w *tar.Writer, list []loadable) error {
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Mode: 0o644, Size: int64(len(text)), ModTime: layerTime}); err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}
