package nodeimage

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
)

// An archive carries the node image and the pod image from one machine to another. It
// is a tar compressed with zstd. Its first file, archiveTable, says what the images
// are and lists all the others, each under a name that is its SHA-256: so the first
// bytes say whether the archive is of any use here, and all of it is checked before
// Docker is given anything. Names and images in it are only ever compared with what is
// expected; what Docker is given, and under which names, is written anew.

// archiveTable is the name of the first file.
const archiveTable = "netpol-lab.json"

// archiveFormat changes when older programs cannot read what newer ones write.
const archiveFormat = 1

// table is the content of the first file.
type table struct {
	Format       int        `json:"format"`
	OS           string     `json:"os"`
	Architecture string     `json:"architecture"`
	Kubernetes   string     `json:"kubernetes"` // the versions are for people to read
	Calico       string     `json:"calico"`
	Node         tableImage `json:"node"`
	Pod          tableImage `json:"pod"`
	Files        []content  `json:"files"`
}

// tableImage is an image by the digests of its configuration and of its layers.
type tableImage struct {
	Config string   `json:"config"`
	Layers []string `json:"layers"`
}

const (
	maxFiles   = 256      // in an archive
	maxContent = 16 << 30 // of all its files, uncompressed, in bytes
)

// Save writes the images that the lab uses into the file name, for [Ask.Archive] on
// another machine. A file of that name is replaced when the new one is whole.
func Save(ctx context.Context, a Ask, name string) error {
	a.defaults()
	e, err := findEngine(ctx, a.Build.Docker)
	if err != nil {
		return err
	}
	b, err := newBuild(ctx, a.Build)
	if err != nil {
		return err
	}
	defer b.close()
	p := b.progress
	p.total = 2
	node, pod := a.Node+":latest", a.Pod+":latest"
	var found image
	for _, ref := range []string{pod, node} {
		var ok bool
		if found, ok, err = e.image(ctx, ref); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("%s is not in Docker: netpol-lab image gets it; then save", ref)
		}
	}
	var images []*saved
	err = p.step("ask Docker for the images", func() (err error) {
		// Not beside the file: that may be a slow stick.
		images, err = e.saveAll(ctx, b.cache, []string{node, pod}, p.say)
		return err
	})
	if err != nil {
		return err
	}
	defer closeAll(images)
	return p.step("compress them into "+name, func() error {
		return writeArchive(ctx, images[0], images[1], found.Config.Labels, name, p.say)
	})
}

// writeArchive writes the file, the whole of it or nothing.
func writeArchive(ctx context.Context, node, pod *saved, labels map[string]string, name string, say func(string)) (err error) {
	t := table{
		Format: archiveFormat, OS: node.os, Architecture: node.arch,
		Kubernetes: labels[LabelKubernetes], Calico: labels[LabelCalico],
		Node: tableImage{node.digest(), node.diffIDs()}, Pod: tableImage{pod.digest(), pod.diffIDs()},
		Files: contents([]*saved{node, pod}),
	}
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".netpol-lab-*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	var total int64
	for i := range t.Files {
		total += t.Files[i].Size
	}
	m := newMeter(nil, total, say)
	for i, c := range t.Files {
		t.Files[i].open = func() (io.ReadCloser, error) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			r, err := c.open()
			if err != nil {
				return nil, err
			}
			m.r = contextReader{ctx, r}
			return struct {
				io.Reader
				io.Closer
			}{m, r}, nil
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: archiveTable, Mode: 0o644, Size: int64(len(text)), ModTime: layerTime}); err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := writeContents(w, t.Files); err != nil {
		return err
	}
	_ = f.Chmod(0o644) // a stick's file system may know no modes
	if err := errors.Join(w.Close(), z.Close(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// contextReader fails when ctx ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// errNoArchive says that a file is something else altogether.
var errNoArchive error = refused{errors.New("it is no archive that netpol-lab image --save has written")}

// readArchive reads an archive from beginning to end. accept is called with its table;
// take with each file and is to read all of it. What does not agree with the table is
// an error, at the latest when readArchive ends.
func readArchive(r io.Reader, accept func(*table) error, take func(content, io.Reader) error) error {
	buf := bufio.NewReaderSize(r, 1<<20)
	if magic, err := buf.Peek(len(zstdMagic)); err != nil {
		return err
	} else if string(magic) != zstdMagic {
		return errNoArchive
	}
	z, err := zstd.NewReader(buf, zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return err
	}
	defer z.Close()
	tr := tar.NewReader(z)
	t, err := readTable(tr)
	if err != nil {
		return err
	}
	if err := accept(t); err != nil {
		return err
	}
	for _, want := range t.Files {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || h.Name != want.Name || h.Size != want.Size {
			return fmt.Errorf("%q is where %s is to be", h.Name, want.Name)
		}
		sum := sha256.New()
		if err := take(want, io.TeeReader(tr, sum)); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != strings.TrimSuffix(strings.TrimSuffix(want.Name, ".tar"), ".json") {
			return fmt.Errorf("the content of %s is another", want.Name)
		}
	}
	if h, err := tr.Next(); err == nil {
		return fmt.Errorf("%q is in it and not in its table", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	// To the end, where the last checksum is; what would follow is nobody's.
	if n, err := io.Copy(io.Discard, io.LimitReader(z, 1<<20)); err != nil {
		return err
	} else if n == 1<<20 {
		return errors.New("it goes on after its end")
	}
	return nil
}

var (
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	namePattern   = regexp.MustCompile(`^[0-9a-f]{64}\.(json|tar)$`)
)

// readTable reads the first file, and what is wrong with it in itself.
func readTable(r *tar.Reader) (*table, error) {
	h, err := r.Next()
	if err != nil {
		return nil, err
	}
	if h.Name != archiveTable || h.Typeflag != tar.TypeReg || h.Size > maxText {
		return nil, errNoArchive
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var t table
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, errNoArchive
	}
	if t.Format != archiveFormat {
		return nil, refused{fmt.Errorf("it is of format %d, and this netpol-lab knows %d: save it with the netpol-lab that loads it", t.Format, archiveFormat)}
	}
	listed, total := map[string]bool{}, int64(0)
	for _, c := range t.Files {
		if !namePattern.MatchString(c.Name) || listed[c.Name] || c.Size < 0 || c.Size > maxContent {
			return nil, fmt.Errorf("its table has a file %q of %d bytes", c.Name, c.Size)
		}
		listed[c.Name] = true
		total += c.Size
	}
	if len(t.Files) > maxFiles || total > maxContent {
		return nil, fmt.Errorf("its table has %d files of %d MB altogether", len(t.Files), total/1e6)
	}
	used := map[string]bool{}
	for _, i := range []tableImage{t.Node, t.Pod} {
		names := []string{configName(i.Config)}
		for _, d := range i.Layers {
			names = append(names, layerName(d))
		}
		for n, d := range append([]string{i.Config}, i.Layers...) {
			if !digestPattern.MatchString(d) || !listed[names[n]] {
				return nil, fmt.Errorf("its table has an image of %q, which is not in it", d)
			}
			used[names[n]] = true
		}
	}
	if len(used) != len(listed) {
		return nil, errors.New("its table has files that are of no image")
	}
	return &t, nil
}

// checkArchive reads the whole archive and says what is wrong with it, before
// anything of it is used.
func checkArchive(r io.Reader, e engine) (*table, error) {
	var t *table
	err := readArchive(r, func(found *table) error {
		t = found
		if have := t.OS + "/" + t.Architecture; have != e.platform() {
			return refused{fmt.Errorf("its images are for %s, and Docker here runs %s: save them on a machine like this one (netpol-lab image --save FILE)", have, e.platform())}
		}
		return nil
	}, func(c content, r io.Reader) error {
		if !strings.HasSuffix(c.Name, ".json") {
			_, err := io.Copy(io.Discard, r)
			return err
		}
		if c.Size > maxText {
			return fmt.Errorf("%s has %d bytes", c.Name, c.Size)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		config, err := readConfig(text)
		if err != nil {
			return err
		}
		for _, i := range []tableImage{t.Node, t.Pod} {
			if configName(i.Config) != c.Name {
				continue
			}
			if have := config.OS + "/" + config.Architecture; have != e.platform() {
				return fmt.Errorf("one of its images is for %s, which its table does not say", have)
			}
			if strings.Join(config.RootFS.DiffIDs, " ") != strings.Join(i.Layers, " ") {
				return errors.New("one of its images has other layers than its table says")
			}
		}
		return nil
	})
	return t, err
}

// refused is why an archive that is whole cannot be used, and what to do.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// archiveError says what to do about an archive that cannot be used.
func archiveError(ctx context.Context, name string, size int64, err error) error {
	var whole refused
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &whole):
		return fmt.Errorf("%s: %w", name, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%s is cut off after %d bytes: copy it again from where it came", name, size)
	}
	return fmt.Errorf("%s is damaged: copy it again from where it came (%w)", name, err)
}

// fromArchive loads the images of an archive into Docker.
func (g *getter) fromArchive(ctx context.Context, node, pod string) (bool, error) {
	name := g.ask.Archive
	if name == "" { // the images are an archive's
		return false, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is no file", name)
	}
	g.progress.total = 2
	var t *table
	err = g.progress.step(fmt.Sprintf("check %s (%d MB)", name, info.Size()/1e6), func() error {
		m := newMeter(contextReader{ctx, f}, info.Size(), g.progress.say)
		t, err = checkArchive(m, g.engine)
		if err != nil {
			return archiveError(ctx, name, info.Size(), err)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	err = g.progress.step(fmt.Sprintf("load the images into Docker: Kubernetes %s, Calico %s", t.Kubernetes, t.Calico), func() error {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		m := newMeter(contextReader{ctx, f}, info.Size(), g.progress.say)
		err := g.loadArchive(ctx, m, t, []loadable{
			newLoadable(t.Node.Config, t.Node.Layers, node), newLoadable(t.Pod.Config, t.Pod.Layers, pod),
		})
		if err != nil {
			return archiveError(ctx, name, info.Size(), err)
		}
		return nil
	})
	return true, err
}

// loadArchive gives Docker the files of an archive that was checked, and checks them
// once more as they pass: Docker takes nothing before it has all.
func (g *getter) loadArchive(ctx context.Context, r io.Reader, checked *table, list []loadable) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, g.engine.docker, "load", "--quiet")
	var stderr strings.Builder
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	buf := bufio.NewWriterSize(in, 1<<20)
	w := tar.NewWriter(buf)
	writeErr := readArchive(r, func(t *table) error {
		if !reflect.DeepEqual(t, checked) {
			return errors.New("it was changed while it was read")
		}
		return nil
	}, func(c content, r io.Reader) error {
		return writeContents(w, []content{{c.Name, c.Size, func() (io.ReadCloser, error) { return io.NopCloser(r), nil }}})
	})
	if writeErr == nil {
		writeErr = errors.Join(writeLoadable(w, list), buf.Flush())
	}
	if writeErr != nil && !errors.Is(writeErr, syscall.EPIPE) { // else docker has ended by itself, and says why
		cancel(writeErr) // before the end of the stream, so that nothing is loaded
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		if err := said(ctx, err, stderr.String()); ctx.Err() != nil {
			return err
		} else {
			return refused{fmt.Errorf("docker load: %w", err)}
		}
	}
	return writeErr
}
