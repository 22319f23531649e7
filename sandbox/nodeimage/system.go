package nodeimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// systemRoot is where the node image keeps the file system of all the cluster's
// own pods, unpacked. containerd's store points here; so do the node's own
// programs, which are the same files.
const (
	systemRoot = "/kind/system"
	probeRoot  = "/kind/pod"
	// terminalRoot is the file system of the learner's terminal. Its kubectl is the
	// same file as the cluster's.
	terminalRoot = "/kind/terminal"
)

// kubernetesNames are the names the Kubernetes program goes by in pods.
var kubernetesNames = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}

// storeImage describes an image to the store program (containerd/store).
type storeImage struct {
	Names  []string     `json:"names"`
	Config imageConfig  `json:"config"`
	Layers []storeLayer `json:"layers"`
}

type storeLayer struct {
	ID   string `json:"id,omitempty"`
	Path string `json:"path,omitempty"`
	// Blob is a layer's tar file that goes into the store as it is; the stock
	// node's layers do.
	Blob   string `json:"blob,omitempty"`
	Digest string `json:"digest,omitempty"`
	Size   int64  `json:"size"`
}

const podPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// nodeImages are the images a node knows: many names, two folders.
func nodeImages(p plan) []storeImage {
	system := []storeLayer{{ID: "system " + p.system, Path: systemRoot}}
	kube := func(name string) string { return "registry.k8s.io/" + name + ":" + KubernetesVersion }
	return []storeImage{
		{
			// Started with a command of their own.
			Names: []string{
				kube("kube-apiserver"), kube("kube-controller-manager"), kube("kube-scheduler"), kube("kube-proxy"),
				etcdTag, "docker.io/calico/node:" + CalicoVersion,
			},
			Config: imageConfig{Env: []string{podPath}},
			Layers: system,
		},
		{
			Names:  []string{corednsTag},
			Config: imageConfig{Env: []string{podPath}, Entrypoint: []string{"/usr/local/bin/coredns"}},
			Layers: system,
		},
		{
			Names:  []string{pauseTag, pauseTagNew},
			Config: imageConfig{Env: []string{podPath}, Entrypoint: []string{"/bin/sleep", "infinity"}},
			Layers: system,
		},
		{
			Names:  []string{PodImage},
			Config: podConfig,
			Layers: []storeLayer{{ID: "probe " + p.probe, Path: probeRoot}},
		},
		{
			Names:  []string{TerminalImage},
			Config: imageConfig{Env: []string{"PATH=/usr/bin"}, Entrypoint: []string{"/netpol-probe", "hold"}},
			Layers: []storeLayer{
				{ID: "terminal " + p.system, Path: terminalRoot},
				{ID: "probe " + p.probe, Path: probeRoot},
			},
		},
	}
}

// podConfig is how the lab's pods start, in Docker and in a node.
var podConfig = imageConfig{Entrypoint: []string{"/netpol-probe"}, Cmd: []string{"serve"}}

// podDockerfile makes the pods' image of their program, which COPY finds by from.
func podDockerfile(from string) file {
	quoted := func(command []string) string { return `["` + strings.Join(command, `", "`) + `"]` }
	return file{name: "Dockerfile", text: fmt.Appendf(nil, "FROM scratch\nCOPY %s /netpol-probe\nENTRYPOINT %s\nCMD %s\n",
		from, quoted(podConfig.Entrypoint), quoted(podConfig.Cmd))}
}

// makeSteps is how many steps make has.
const makeSteps = 9

// make builds what the plan names, using what the cache still has.
func (b *build) make(ctx context.Context, p plan, probe string, res Result) error {
	bin := func(name string) string { return b.compiled(name, p.programs[name]) }
	compileGroup := func(names ...string) func() error {
		return func() error {
			for _, prog := range programs {
				if !contains(names, prog.name) {
					continue
				}
				if err := b.compileOnce(ctx, prog, p.programs[prog.name]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	base, upper := b.debianFolders(p)
	var baseLayer, packageLayer, systemLayer layer

	if err := b.progress.step("compile Kubernetes", compileGroup("kubernetes")); err != nil {
		return err
	}
	if err := b.progress.step("compile Calico", compileGroup("calico")); err != nil {
		return err
	}
	if err := b.progress.step("compile containerd, etcd, CoreDNS, CNI plugins",
		compileGroup("containerd", "shim", "ctr", "store", "etcd", "coredns", "loopback", "host-local")); err != nil {
		return err
	}
	err := b.progress.step("make the Debian base", func() (err error) {
		baseLayer, err = b.debianLayer(ctx, base)
		return err
	})
	if err != nil {
		return err
	}
	err = b.progress.step("install the node's packages", func() (err error) {
		packageLayer, err = b.packagesLayer(ctx, base, upper, nodePackages)
		return err
	})
	if err != nil {
		return err
	}
	err = b.progress.step("lay out the node's programs and files", func() (err error) {
		systemLayer, err = b.layer(filepath.Join(b.cache, "system-"+p.system+".tar"), func(w *layerWriter) error {
			return b.system(ctx, w, base, upper, bin)
		})
		return err
	})
	if err != nil {
		return err
	}
	var storeLayer, podLayer layer
	err = b.progress.step("write containerd's store and the pod image", func() (err error) {
		podLayer, err = b.layer(filepath.Join(b.cache, "pod-"+p.probe+".tar"), func(w *layerWriter) error {
			return w.copy("netpol-probe", 0o755, probe)
		})
		if err != nil {
			return err
		}
		storeLayer, err = b.layer(filepath.Join(b.cache, "store-"+p.node+".tar"), func(w *layerWriter) error {
			if err := b.store(ctx, w, bin("store"), nodeImages(p)); err != nil {
				return err
			}
			return w.copy(probeRoot+"/netpol-probe", 0o755, probe)
		})
		return err
	})
	if err != nil {
		return err
	}
	err = b.progress.step("load the images into Docker", func() error {
		for _, img := range []dockerImage{
			{
				tags:   []string{res.Debian},
				config: imageConfig{Env: []string{podPath}, Cmd: []string{"bash"}},
				layers: []layer{baseLayer},
			},
			{tags: []string{res.Pod}, config: podConfig, layers: []layer{podLayer}},
			{
				tags:   []string{res.Node},
				config: nodeConfig(p.node, "calico"),
				layers: []layer{baseLayer, packageLayer, systemLayer, storeLayer},
			},
		} {
			if err := b.load(ctx, img); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.progress.step("clear the cache of what is no longer used", func() error {
		b.sweep(p)
		return nil
	})
}

// nodeConfig is a node image's configuration. kind sets the entry point itself;
// systemd ends on SIGRTMIN+3 and looks for the variable container.
func nodeConfig(hash, cni string) imageConfig {
	return imageConfig{
		Env:        []string{"container=docker", podPath},
		Entrypoint: []string{"/usr/local/bin/entrypoint", "/sbin/init"},
		StopSignal: "SIGRTMIN+3",
		Labels: map[string]string{
			LabelCNI: cni, LabelKubernetes: KubernetesVersion, LabelCalico: CalicoVersion,
			LabelPodImage: PodImage, LabelHash: hash,
		},
	}
}

// debianFolders are where the cache keeps the Debian base and what the node's
// packages add to it.
func (b *build) debianFolders(p plan) (base, upper string) {
	return filepath.Join(b.cache, "debian-"+p.debian), filepath.Join(b.cache, "packages-"+p.packages)
}

// debianLayer returns the layer of the Debian base, after making it in the
// folder base if it is not there.
func (b *build) debianLayer(ctx context.Context, base string) (layer, error) {
	if _, err := os.Stat(base); err != nil {
		if err := b.debianBase(ctx, base); err != nil {
			return layer{}, err
		}
	}
	return b.layer(base+".tar", func(w *layerWriter) error { return w.tree(base, "", notInLayers) })
}

// packagesLayer returns the layer of what packages add to the Debian base, after
// installing them into the folder upper if they are not there.
func (b *build) packagesLayer(ctx context.Context, base, upper string, packages []string) (layer, error) {
	if _, err := os.Stat(upper); err != nil {
		if err := b.debianPackages(ctx, base, upper, packages); err != nil {
			return layer{}, err
		}
	}
	return b.layer(upper+".tar", func(w *layerWriter) error { return w.tree(upper, "", notInLayers) })
}

// layer returns the layer kept at path, after writing it if it is not there.
func (b *build) layer(path string, write func(*layerWriter) error) (layer, error) {
	if l, ok := openLayer(path); ok {
		return l, nil
	}
	w, err := newLayer(path)
	if err != nil {
		return layer{}, err
	}
	if err := write(w); err != nil {
		w.abort()
		return layer{}, err
	}
	return w.close()
}

// notInLayers leaves out what is the machine's or of the moment.
func notInLayers(name string) bool {
	top, rest, _ := strings.Cut(name, "/")
	switch top {
	case "dev", "proc", "sys", "run", "tmp":
		return rest != ""
	}
	return false
}

// system writes the layer with everything we compiled and configured: the pods'
// file system, and the node's files around it.
func (b *build) system(ctx context.Context, w *layerWriter, base, upper string, bin func(string) string) error {
	kind, err := b.moduleDir(ctx, "kindbase", kindModule)
	if err != nil {
		return err
	}
	calico, err := b.moduleDir(ctx, "calico", calicoModule)
	if err != nil {
		return err
	}
	in := func(name string) string { return systemRoot + name }
	file := func(name string) []byte {
		data, err := files.ReadFile("files/" + name)
		if err != nil {
			panic(err) // embedded above
		}
		return data
	}

	// The pods' file system.
	if err := b.podSystem(w, systemRoot, base, upper); err != nil {
		return err
	}
	for name, prog := range map[string]string{
		"/usr/local/bin/kubernetes": "kubernetes", "/usr/local/bin/etcd": "etcd",
		"/usr/local/bin/coredns": "coredns", "/usr/bin/calico-node": "calico",
	} {
		if err := w.copy(in(name), 0o755, bin(prog)); err != nil {
			return err
		}
	}
	for _, name := range kubernetesNames {
		if err := w.symlink(in("/usr/local/bin/"+name), "kubernetes"); err != nil {
			return err
		}
	}
	if err := w.data(in("/usr/local/bin/kube-proxy"), 0o755, file("kube-proxy")); err != nil {
		return err
	}
	if err := w.symlink(in("/usr/local/lib/kubernetes/kube-proxy"), "../../bin/kubernetes"); err != nil {
		return err
	}
	if err := w.copy(in("/etc/calico/felix.cfg"), 0o644, filepath.Join(calico, "node/filesystem/etc/calico/felix.cfg")); err != nil {
		return err
	}
	if err := w.data(in("/etc/nsswitch.conf"), 0o644, []byte("hosts: files dns\n")); err != nil {
		return err
	}
	if err := w.data(in("/etc/passwd"), 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n")); err != nil {
		return err
	}
	if err := w.data(in("/etc/group"), 0o644, []byte("root:x:0:\n")); err != nil {
		return err
	}
	for _, dir := range []string{"/tmp", "/var/run", "/var/lib", "/proc", "/sys", "/dev", "/etc/ssl/certs", "/host"} {
		if err := w.dir(in(dir)); err != nil {
			return err
		}
	}

	if err := b.terminal(w, base, upper); err != nil {
		return err
	}

	// The node's programs are the same files.
	for _, name := range []string{"kubelet", "kubeadm", "kubectl"} {
		if err := w.symlink("/usr/bin/"+name, in("/usr/local/bin/kubernetes")); err != nil {
			return err
		}
	}
	if err := w.symlink("/opt/cni/bin/calico", in("/usr/bin/calico-node")); err != nil {
		return err
	}
	for _, name := range []string{"loopback", "host-local"} {
		if err := w.copy("/opt/cni/bin/"+name, 0o755, bin(name)); err != nil {
			return err
		}
	}
	for name, prog := range map[string]string{"containerd": "containerd", "containerd-shim-runc-v2": "shim", "ctr": "ctr"} {
		if err := w.copy("/usr/local/bin/"+name, 0o755, bin(prog)); err != nil {
			return err
		}
	}

	// containerd's configuration is our own, below.
	err = copyKindFiles(w, kind, func(name string) bool { return name == "etc/containerd/config.toml" })
	if err != nil {
		return err
	}
	stock, err := os.ReadFile(filepath.Join(calico, "manifests/calico-vxlan.yaml"))
	if err != nil {
		return err
	}
	agent := string(file("calico-node.yaml"))
	manifest, err := labManifest(string(stock), agent)
	if err != nil {
		return err
	}
	pod, err := podOf(agent)
	if err != nil {
		return err
	}
	podManifest, err := labManifest(string(stock), pod)
	if err != nil {
		return err
	}
	if err := w.data(StartCalico, 0o755, file("start-calico")); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"/etc/containerd/config.toml":                          file("containerd.toml"),
		"/etc/systemd/system/containerd.service.d/10-lab.conf": file("containerd-boot.conf"),
		"/kind/version":                        []byte(KubernetesVersion),
		kindManifest:                           []byte(manifest),
		"/kind/manifests/calico.yaml":          []byte(podManifest),
		"/kind/manifests/default-storage.yaml": file("default-storage.yaml"),
		"/etc/machine-id":                      nil,
	} {
		if err := w.data(name, 0o644, content); err != nil {
			return err
		}
	}
	patches, err := files.ReadDir("files/patches")
	if err != nil {
		panic(err) // embedded above
	}
	for _, patch := range patches {
		if err := w.data(path.Join(kubeadmPatches, patch.Name()), 0o644, file("patches/"+patch.Name())); err != nil {
			return err
		}
	}
	if err := w.dir("/etc/kubernetes/manifests"); err != nil {
		return err
	}
	return b.systemd(w, base, upper)
}

// copyKindFiles writes the files of kind's base image, from its module, without
// those that skip says yes to.
func copyKindFiles(w *layerWriter, kind string, skip func(name string) bool) error {
	root := filepath.Join(kind, "images/base/files")
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		switch {
		case strings.HasPrefix(rel, "usr/local/bin/"), strings.HasPrefix(rel, "kind/bin/"):
			mode = 0o755
		case strings.HasPrefix(rel, "LICENSES/"):
			return nil // not a licence but a note where they are
		case strings.Contains(rel, "fuse-overlayfs"), skip(rel):
			return nil
		}
		return w.copy(rel, mode, p)
	})
}

const (
	// journaldConf keeps the journal, which is in memory, small.
	journaldConf = "[Journal]\nReadKMsg=no\nRuntimeMaxUse=4M\n"
	// journaldUnit lets the journal be silent: systemd would kill it after three minutes,
	// those asleep included.
	journaldUnit = "[Service]\nWatchdogSec=0\n"
)

// systemd enables the node's three services and takes away what Debian enables:
// a node is no machine that logs people in.
func (b *build) systemd(w *layerWriter, base, upper string) error {
	for _, unit := range []string{"kubelet", "containerd", "undo-mount-hacks"} {
		link := "/etc/systemd/system/multi-user.target.wants/" + unit + ".service"
		if err := w.symlink(link, "/etc/systemd/system/"+unit+".service"); err != nil {
			return err
		}
	}
	if err := w.symlink("/etc/systemd/system/systemd-binfmt.service", "/dev/null"); err != nil {
		return err
	}
	if err := w.symlink("/usr/sbin/init", "/lib/systemd/systemd"); err != nil {
		return err
	}
	if err := w.data("/etc/systemd/journald.conf.d/10-lab.conf", 0o644, []byte(journaldConf)); err != nil {
		return err
	}
	if err := w.data("/etc/systemd/system/systemd-journald.service.d/10-lab.conf", 0o644, []byte(journaldUnit)); err != nil {
		return err
	}
	gone := []string{"usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service"}
	for _, pattern := range []string{
		"usr/lib/systemd/system/multi-user.target.wants/*",
		"etc/systemd/system/*.wants/*",
		"usr/lib/systemd/system/local-fs.target.wants/*",
		"usr/lib/systemd/system/sockets.target.wants/*udev*",
		"usr/lib/systemd/system/sockets.target.wants/*initctl*",
		"usr/lib/systemd/system/basic.target.wants/*",
	} {
		for _, root := range []string{base, upper} {
			matches, err := filepath.Glob(filepath.Join(root, pattern))
			if err != nil {
				return err
			}
			for _, m := range matches {
				rel, err := filepath.Rel(root, m)
				if err != nil {
					return err
				}
				gone = append(gone, rel)
			}
		}
	}
	sort.Strings(gone)
	for i, name := range gone {
		if i > 0 && gone[i-1] == name {
			continue
		}
		if err := w.data(path.Join(path.Dir(name), ".wh."+path.Base(name)), 0o600, nil); err != nil {
			return err
		}
	}
	return nil
}

// podSystem copies the Debian programs the pods call, with their libraries, from
// the node's Debian into the pods' file system, the folder root.
func (b *build) podSystem(w *layerWriter, root, base, upper string) error {
	debian, err := newDebianFiles(w, root, base, upper)
	if err != nil {
		return err
	}
	programs := append([]string{}, podPrograms...)
	modules, err := filepath.Glob(filepath.Join(upper, "usr/lib/x86_64-linux-gnu/xtables/*.so"))
	if err != nil {
		return err
	}
	if len(modules) == 0 {
		return errors.New("the iptables package brought no modules where they are expected (usr/lib/x86_64-linux-gnu/xtables)")
	}
	for _, m := range modules {
		rel, err := filepath.Rel(upper, m)
		if err != nil {
			return err
		}
		programs = append(programs, "/"+rel)
	}
	if err := b.copyPrograms(debian, podFiles, programs); err != nil {
		return err
	}
	// The names of the two iptables programs, and modprobe's.
	for _, backend := range []string{"legacy", "nft"} {
		for _, cmd := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
			// iptables-nft-save: the backend goes after the family.
			family, rest, _ := strings.Cut(cmd, "-")
			name := family + "-" + backend
			if rest != "" {
				name += "-" + rest
			}
			if err := w.symlink(root+"/usr/sbin/"+name, "xtables-"+backend+"-multi"); err != nil {
				return err
			}
			if backend == "nft" { // what is meant where nobody chose
				if err := w.symlink(root+"/usr/sbin/"+cmd, "xtables-nft-multi"); err != nil {
					return err
				}
			}
		}
	}
	return w.symlink(root+"/usr/sbin/modprobe", "../bin/kmod")
}

// debianFiles copies files of the node's Debian into the folder root of a layer.
type debianFiles struct {
	w           *layerWriter
	root        string
	base, upper string
	done        map[string]bool
}

func newDebianFiles(w *layerWriter, root, base, upper string) (*debianFiles, error) {
	// Debian's /bin, /sbin and /lib are links into /usr, and so here.
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := w.symlink(root+"/"+name, "usr/"+name); err != nil {
			return nil, err
		}
	}
	return &debianFiles{w: w, root: root, base: base, upper: upper, done: map[string]bool{}}, nil
}

// find says where a file is: in what the packages added, or in the base.
func (d *debianFiles) find(name string) (string, fs.FileInfo, error) {
	for _, debian := range []string{d.upper, d.base} {
		p := filepath.Join(debian, name)
		fi, err := os.Lstat(p)
		if err == nil {
			return p, fi, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	return "", nil, fmt.Errorf("%s is not in the node's Debian", name)
}

// put copies a file, and of a link also what it leads to.
func (d *debianFiles) put(name string) error {
	name = path.Clean("/" + name)
	for _, top := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(name, top) {
			name = "/usr" + name
		}
	}
	if d.done[name] {
		return nil
	}
	d.done[name] = true
	from, fi, err := d.find(name)
	if err != nil {
		return err
	}
	if fi.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		if err := d.w.symlink(d.root+name, target); err != nil {
			return err
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		return d.put(target)
	}
	return d.w.copy(d.root+name, int64(fi.Mode().Perm()), from)
}

// copyPrograms copies the files, and the programs with the libraries that they need.
func (b *build) copyPrograms(d *debianFiles, files, programs []string) error {
	libraries, err := b.libraries(d.base, d.upper, programs)
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(files, programs, libraries) {
		if err := d.put(name); err != nil {
			return err
		}
	}
	return nil
}

// terminal writes the file system of the learner's terminal.
func (b *build) terminal(w *layerWriter, base, upper string) error {
	in := func(name string) string { return terminalRoot + name }
	debian, err := newDebianFiles(w, terminalRoot, base, upper)
	if err != nil {
		return err
	}
	if err := b.copyPrograms(debian, terminalFiles, terminalPrograms); err != nil {
		return err
	}
	for _, name := range terminalNames {
		if err := w.symlink(in("/usr/bin/"+name), "busybox"); err != nil {
			return err
		}
	}
	if err := w.symlink(in("/usr/bin/probe"), "/netpol-probe"); err != nil {
		return err
	}
	if err := w.hardLink(in("/usr/lib/kubernetes/kubectl"), systemRoot+"/usr/local/bin/kubernetes"); err != nil {
		return err
	}
	for name, mode := range map[string]int64{
		"/usr/bin/kubectl": 0o755, "/etc/profile": 0o644, "/etc/passwd": 0o644, "/etc/group": 0o644,
	} {
		data, err := files.ReadFile("files/terminal" + name)
		if err != nil {
			return err
		}
		if err := w.data(in(name), mode, data); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/tmp", "/home/learner", "/proc", "/sys", "/dev", "/run/lab", "/var/run/secrets/lab"} {
		if err := w.dir(in(dir)); err != nil {
			return err
		}
	}
	return nil
}

// libraries returns the shared libraries that programs need, by asking the
// node's own dynamic linker.
func (b *build) libraries(base, upper string, programs []string) ([]string, error) {
	root, unmount, err := mountOverlay(base, upper)
	if err != nil {
		return nil, err
	}
	defer unmount()
	found := map[string]bool{}
	for _, p := range programs {
		out, err := exec.Command("chroot", root, "/lib64/ld-linux-x86-64.so.2", "--list", p).Output()
		if err != nil {
			return nil, fmt.Errorf("ask for the libraries of %s: %w", p, err)
		}
		// name => /path (0x...), or /path (0x...)
		for line := range strings.Lines(string(out)) {
			for _, f := range strings.Fields(line) {
				if strings.HasPrefix(f, "/") {
					found[f] = true
				}
			}
		}
	}
	found["/lib64/ld-linux-x86-64.so.2"] = true
	names := make([]string, 0, len(found))
	for n := range found {
		names = append(names, n)
	}
	sort.Strings(names)
	return names, nil
}

// store runs the store program and writes what it wrote into a layer.
func (b *build) store(ctx context.Context, w *layerWriter, storeProgram string, images []storeImage) error {
	root, err := os.MkdirTemp(b.cache, "store-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	list, err := json.Marshal(images)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, storeProgram, root)
	cmd.Stdin = strings.NewReader(string(list))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return w.tree(root, "/var/lib/containerd", nil)
}

// sweep removes from the cache what the plan does not name.
func (b *build) sweep(p plan) {
	keep := map[string]bool{
		"lock": true, "build.log": true, imageLog: true, "netpol-probe": true,
		"debian-" + p.debian: true, "packages-" + p.packages: true,
		"system-" + p.system: true, "store-" + p.node: true, "pod-" + p.probe: true,
	}
	for name, hash := range p.programs {
		keep[name+"-"+hash] = true
	}
	entries, err := os.ReadDir(b.cache)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".json"), ".tar")
		if !keep[name] && !strings.HasPrefix(name, "stock-") {
			os.RemoveAll(filepath.Join(b.cache, e.Name()))
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
