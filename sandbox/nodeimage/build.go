// Package nodeimage builds the container images of a lab: the node (Kubernetes
// and Calico in one image that kind starts), the lab's pods, and the Debian base
// of both. Everything in them is compiled here from checksummed Go modules or
// installed from Debian's signed packages; [Build] asks no image registry. [Get] gets
// the images by the first of several ways that works, the others of which are quicker.
//
// The README beside this file explains how the node image is made and why it
// starts as fast as it does.
package nodeimage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

//go:embed files
var files embed.FS

// The repositories of the images. Each image has a tag that is the hash of its
// inputs, and latest.
const (
	NodeRepository      = "netpol-lab/node"
	StockNodeRepository = "netpol-lab/node-stock"
	PodRepository       = "netpol-lab/pod"
	DebianRepository    = "netpol-lab/debian"
)

// The labels of a node image.
const (
	LabelCNI        = "netpol-lab.cni" // "calico": the image brings Calico itself
	LabelKubernetes = "netpol-lab.kubernetes"
	LabelCalico     = "netpol-lab.calico"
	LabelPodImage   = "netpol-lab.pod-image"
	LabelHash       = "netpol-lab.hash"
)

// Options say what to build and with what.
type Options struct {
	// Repo is the folder of this project's checkout.
	Repo string
	// CacheDir keeps compiled programs and layers between builds. Empty means
	// netpol-lab/nodeimage in the user's cache folder.
	CacheDir string
	// Docker is the docker program; empty means the one in PATH.
	Docker string
	// Progress gets one line at the start and one at the end of each step.
	Progress io.Writer
	// Stock also builds the node image without Calico, and the archives of
	// stock Calico's images, for comparison.
	Stock bool
	// Probe is the package of the pods' program, relative to the root module;
	// empty means ./cmd/netpol-probe.
	Probe string
}

// Result says what there is now.
type Result struct {
	Node, Pod, Debian string // references with the hash as tag
	NodeSize          int64  // as docker image inspect says
	Built             bool   // false: everything was there
	Steps             []Step
	// Stock is set when Options.Stock was.
	Stock *Stock
}

// Stock is what a comparison with plain kind and plain Calico needs.
type Stock struct {
	Node     string   // a node image as kind makes them, without a CNI
	Archives []string // Calico's images, for kind load image-archive
	Manifest string   // Calico's manifest as released
}

type build struct {
	repo, cache, docker, probe string
	arch                       string // that programs are compiled for
	progress                   *progress
	log                        *os.File
	unlock                     func()
}

// Build builds whatever of the images is missing.
func Build(ctx context.Context, o Options) (Result, error) {
	b, err := newBuild(ctx, o, "build.log")
	if err != nil {
		return Result{}, err
	}
	defer b.close()
	res, err := b.build(ctx, o)
	if err != nil {
		return res, fmt.Errorf("node image: %w (all output: %s)", err, b.log.Name())
	}
	return res, nil
}

// newBuild opens the cache, for one at a time, and begins the file log in it anew.
func newBuild(ctx context.Context, o Options, log string) (*build, error) {
	b := &build{repo: o.Repo, cache: o.CacheDir, docker: o.Docker, probe: o.Probe, arch: "amd64"}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if b.docker == "" {
		b.docker = "docker"
	}
	if b.probe == "" {
		b.probe = "./cmd/netpol-probe"
	}
	if b.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("node image: no folder for the cache: %w", err)
		}
		b.cache = filepath.Join(dir, "netpol-lab", "nodeimage")
	}
	var err error
	if b.repo, err = filepath.Abs(b.repo); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, fmt.Errorf("node image: %w", err)
	}
	if b.unlock, err = lock(ctx, filepath.Join(b.cache, "lock")); err != nil {
		return nil, fmt.Errorf("node image: %w", err)
	}
	if b.log, err = os.Create(filepath.Join(b.cache, log)); err != nil {
		b.unlock()
		return nil, fmt.Errorf("node image: %w", err)
	}
	b.progress = &progress{w: o.Progress, now: time.Now}
	return b, nil
}

func (b *build) close() {
	b.log.Close()
	b.unlock()
}

// work makes an empty folder in the cache for what is needed once. It is always the same,
// so that what a run that was killed has left there goes: the lock keeps others out.
func (b *build) work() (string, error) {
	dir := filepath.Join(b.cache, "work")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.Mkdir(dir, 0o755)
}

// lock keeps two builds from using the same cache at once; the second waits.
func lock(ctx context.Context, path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-time.After(lockAgain):
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another netpol-lab image is at work here: %w", context.Cause(ctx))
		}
	}
}

// lockAgain is the pause before the lock is tried again.
const lockAgain = 200 * time.Millisecond

// plan is the hashes of everything and where it is kept.
type plan struct {
	programs map[string]string // program -> hash
	debian   string
	packages string
	system   string
	probe    string
	node     string
}

func (b *build) build(ctx context.Context, o Options) (Result, error) {
	var res Result
	// The probe is compiled each time: Go itself knows best whether anything in
	// it changed, and the file's own hash is then the input.
	probe := filepath.Join(b.cache, "netpol-probe")
	if err := b.compile(ctx, program{name: "netpol-probe", pkg: b.probe}, probe); err != nil {
		return res, err
	}
	p, err := b.plan(probe)
	if err != nil {
		return res, err
	}
	res.Node, res.Pod, res.Debian = NodeRepository+":"+p.node, PodRepository+":"+p.probe, DebianRepository+":"+p.debian

	var ok bool
	_, res.NodeSize, ok = b.inspect(ctx, res.Node)
	_, _, podOK := b.inspect(ctx, res.Pod)
	_, _, debianOK := b.inspect(ctx, res.Debian)
	missing := !ok || !podOK || !debianOK
	var stock stockPlan
	stockMissing := false
	if o.Stock {
		if stock, err = b.planStock(p); err != nil {
			return res, err
		}
		res.Stock = b.stockResult(stock)
		stockMissing = b.stockMissing(ctx, stock)
	}
	if missing || stockMissing {
		e, err := findEngine(ctx, b.docker)
		if err != nil {
			return res, err
		}
		if err := b.able(e, p); err != nil {
			return res, err
		}
		res.Built = true
	}
	if missing {
		b.progress.total += makeSteps
	}
	if stockMissing {
		b.progress.total += stockSteps
	}
	if missing {
		if err := b.make(ctx, p, probe, res); err != nil {
			return res, err
		}
		_, res.NodeSize, _ = b.inspect(ctx, res.Node)
	}
	if stockMissing {
		if err := b.makeStock(ctx, p, stock); err != nil {
			return res, err
		}
	}
	made := map[string]string{res.Node: NodeRepository, res.Pod: PodRepository, res.Debian: DebianRepository}
	if o.Stock {
		made[res.Stock.Node] = StockNodeRepository
	}
	for ref, repository := range made {
		if err := b.tag(ctx, ref, repository+":latest"); err != nil {
			return res, err
		}
		if res.Built {
			_, tag, _ := strings.Cut(ref, ":")
			b.prune(ctx, repository, tag)
		}
	}
	res.Steps = b.progress.steps
	return res, nil
}

// plan computes the hash of every part from its inputs.
func (b *build) plan(probe string) (plan, error) {
	p := plan{programs: map[string]string{}}
	for _, prog := range programs {
		hash, err := b.programHash(prog)
		if err != nil {
			return p, err
		}
		p.programs[prog.name] = hash
	}
	h := newHash("debian", debianSuite, noDocs, aptConf)
	h.add(unneeded...)
	p.debian = h.sum()

	h = newHash("packages", p.debian)
	h.add(nodePackages...)
	p.packages = h.sum()

	h = newHash("system", layoutVersion, p.packages, KubernetesVersion, CalicoVersion, kindVersion)
	h.add(podPrograms...)
	h.add(podFiles...)
	h.add(terminalPrograms...)
	h.add(terminalFiles...)
	h.add(terminalNames...)
	for _, prog := range programs {
		if prog.name != "store" && prog.name != "containerd-shim-runc-v2" {
			h.add(prog.name, p.programs[prog.name])
		}
	}
	if err := h.fs(files); err != nil {
		return p, err
	}
	p.system = h.sum()

	h = newHash("probe")
	if err := h.file(probe); err != nil {
		return p, err
	}
	p.probe = h.sum()

	h = newHash("node", p.system, p.probe, p.programs["store"])
	list, err := json.Marshal(nodeImages(p))
	if err != nil {
		return p, err
	}
	h.add(string(list))
	p.node = h.sum()
	return p, nil
}

// layoutVersion changes when the code that lays out the layers does.
const layoutVersion = "5"

// hasher turns inputs into a name. Each part is written with its length, so that
// two parts cannot be taken for one.
type hasher struct{ parts bytes.Buffer }

func newHash(parts ...string) *hasher {
	h := &hasher{}
	h.add(parts...)
	return h
}

func (h *hasher) add(parts ...string) {
	for _, p := range parts {
		fmt.Fprintf(&h.parts, "%d:%s,", len(p), p)
	}
}

func (h *hasher) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := sha256.New()
	if _, err := io.Copy(s, f); err != nil {
		return err
	}
	h.add(hex.EncodeToString(s.Sum(nil)))
	return nil
}

// dir adds the Go sources and module files below a folder.
func (h *hasher) dir(root string) error {
	return h.fsWhere(os.DirFS(root), func(name string) bool {
		base := filepath.Base(name)
		return base == "go.mod" || base == "go.sum" || strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go")
	})
}

func (h *hasher) fs(fsys fs.FS) error {
	return h.fsWhere(fsys, func(string) bool { return true })
}

func (h *hasher) fsWhere(fsys fs.FS, want func(string) bool) error {
	var names []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && want(name) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		h.add(name, string(data))
	}
	return nil
}

func (h *hasher) sum() string {
	s := sha256.Sum256(h.parts.Bytes())
	return hex.EncodeToString(s[:8])
}

// run runs a command, keeps all it says in the build's log, and the end of it in
// the error.
func (b *build) run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	return b.runCmd(cmd)
}

func (b *build) runCmd(cmd *exec.Cmd) error {
	var said bytes.Buffer
	out := io.MultiWriter(&said, b.log)
	cmd.Stdout, cmd.Stderr = out, out
	fmt.Fprintf(b.log, "$ %s\n", strings.Join(cmd.Args, " "))
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		if len(lines) > 15 {
			lines = lines[len(lines)-15:]
		}
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, strings.Join(lines, "\n"))
	}
	return nil
}
