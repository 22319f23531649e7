package nodeimage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// This file makes what a lab would run on without an image of its own: a node as
// `kind build node-image` leaves it, and Calico's images as released. The
// programs are upstream's own, each compiled separately; nothing is unpacked in
// advance, and nothing is left out to save time.

// stockPrograms are compiled for the stock images, besides those of programs in
// stockShares.
var stockPrograms = func() []program {
	var list []program
	add := func(group, module, ldflags string, packages ...string) {
		for _, pkg := range packages {
			list = append(list, program{name: "stock-" + path.Base(pkg), group: group, pkg: module + "/" + pkg, ldflags: ldflags})
		}
	}
	add("kubernetes", kubernetesModule, kubeVersionFlags(),
		"cmd/kube-apiserver", "cmd/kube-controller-manager", "cmd/kube-scheduler", "cmd/kube-proxy",
		"cmd/kubelet", "cmd/kubeadm", "cmd/kubectl")
	add("calico", calicoModule, "-X "+calicoModule+"/node/pkg/lifecycle/startup.VERSION="+CalicoVersion,
		"node/cmd/calico-node", "node/cmd/mountns")
	add("calico", calicoModule, "-X main.VERSION="+CalicoVersion,
		"cni-plugin/cmd/calico", "cni-plugin/cmd/install",
		"kube-controllers/cmd/kube-controllers", "kube-controllers/cmd/check-status")
	add("cniplugins", cniModule, "", "plugins/main/ptp",
		"plugins/meta/portmap", "plugins/meta/bandwidth", "plugins/meta/tuning")
	return list
}()

// stockShares are the programs that the stock images have in common with the
// lab's node.
var stockShares = []string{
	"containerd", "containerd-shim-runc-v2", "ctr", "store", "etcd", "coredns",
	"loopback", "host-local",
}

// stockPackages are the Debian packages that Calico's agent needs over the base.
var stockPackages = []string{
	"conntrack", "iproute2", "ipset", "iptables", "kmod", "netbase", "procps", "runit",
}

// stockLayoutVersion changes when the code that lays out the stock images does.
const stockLayoutVersion = "1"

// stockPlan is the hashes of the stock images' parts.
type stockPlan struct {
	programs map[string]string // program -> hash, of stockPrograms and stockShares
	packages string
	node     string
	calico   string
}

// planStock computes the hash of every part of the stock images.
func (b *build) planStock(p plan) (stockPlan, error) {
	s := stockPlan{programs: map[string]string{}}
	var ofNode, ofCalico []string // names and hashes
	count := func(prog program, hash string) {
		s.programs[prog.name] = hash
		if prog.group != "calico" {
			ofNode = append(ofNode, prog.name, hash)
		}
		if prog.group == "calico" || prog.group == "cniplugins" {
			ofCalico = append(ofCalico, prog.name, hash)
		}
	}
	for _, prog := range stockPrograms {
		hash, err := b.programHash(prog)
		if err != nil {
			return s, err
		}
		count(prog, hash)
	}
	for _, prog := range programs {
		if contains(stockShares, prog.name) {
			count(prog, p.programs[prog.name])
		}
	}

	h := newHash("stock packages", p.debian)
	h.add(stockPackages...)
	s.packages = h.sum()

	h = newHash("stock node", stockLayoutVersion, p.packages, KubernetesVersion, kindVersion)
	h.add(podPrograms...)
	h.add(podFiles...)
	for _, name := range stockFiles {
		data, err := files.ReadFile("files/" + name)
		if err != nil {
			return s, err
		}
		h.add(name, string(data))
	}
	h.add(ofNode...)
	s.node = h.sum()

	h = newHash("stock Calico", stockLayoutVersion, s.packages, CalicoVersion, calicoModuleVersion)
	h.add(ofCalico...)
	s.calico = h.sum()
	return s, nil
}

// stockFiles are the files of the lab's node that the stock node has too.
var stockFiles = []string{"kube-proxy", "default-storage.yaml"}

// calicoImageNames are the names of Calico's images, without repository and tag.
var calicoImageNames = []string{"cni", "node", "kube-controllers"}

// calicoManifest is the file of Calico's manifest, in its module's folder
// manifests and in the cache: the variant whose packets between nodes need no
// kernel module and no routing daemon.
const calicoManifest = "calico-vxlan.yaml"

// stockResult says where everything is when it is there.
func (b *build) stockResult(s stockPlan) *Stock {
	dir := b.stockCalico(s)
	out := &Stock{Node: StockNodeRepository + ":" + s.node, Manifest: filepath.Join(dir, calicoManifest)}
	for _, name := range calicoImageNames {
		out.Archives = append(out.Archives, filepath.Join(dir, name+".tar"))
	}
	return out
}

// stockCalico is the folder of Calico's archives and manifest. It is there when
// it is whole.
func (b *build) stockCalico(s stockPlan) string {
	return filepath.Join(b.cache, "stock-images-"+s.calico)
}

func (b *build) stockMissing(ctx context.Context, s stockPlan) bool {
	_, err := os.Stat(b.stockCalico(s))
	_, _, ok := b.inspect(ctx, b.stockResult(s).Node)
	return err != nil || !ok
}

// stockSteps is how many steps makeStock has.
const stockSteps = 6

// makeStock builds the stock node and Calico's archives, if they are missing.
func (b *build) makeStock(ctx context.Context, p plan, s stockPlan) error {
	bin := func(name string) string { return b.compiled(name, s.programs[name]) }
	compileGroups := func(groups ...string) func() error {
		return func() error {
			for _, prog := range stockPrograms {
				if !contains(groups, prog.group) {
					continue
				}
				if err := b.compileOnce(ctx, prog, s.programs[prog.name]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	base, upper := b.debianFolders(p)
	var baseLayer, packageLayer layer
	if err := b.progress.step("compile stock Kubernetes", compileGroups("kubernetes")); err != nil {
		return err
	}
	if err := b.progress.step("compile stock Calico and CNI plugins", compileGroups("calico", "cniplugins")); err != nil {
		return err
	}
	err := b.progress.step("make what the stock node shares with the lab's", func() (err error) {
		for _, prog := range programs {
			if !contains(stockShares, prog.name) {
				continue
			}
			if err := b.compileOnce(ctx, prog, s.programs[prog.name]); err != nil {
				return err
			}
		}
		if baseLayer, err = b.debianLayer(ctx, base); err != nil {
			return err
		}
		packageLayer, err = b.packagesLayer(ctx, base, upper, nodePackages)
		return err
	})
	if err != nil {
		return err
	}

	// The layers are large and needed once.
	work, err := b.work()
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	err = b.progress.step("make the stock node and load it into Docker", func() error {
		ref := b.stockResult(s).Node
		if _, _, ok := b.inspect(ctx, ref); ok {
			return nil
		}
		system, err := b.layer(filepath.Join(work, "system.tar"), func(w *layerWriter) error {
			return b.stockSystem(ctx, w, base, upper, bin)
		})
		if err != nil {
			return err
		}
		images, err := b.stockImages(work, base, upper, bin)
		if err != nil {
			return err
		}
		store, err := b.layer(filepath.Join(work, "store.tar"), func(w *layerWriter) error {
			return b.store(ctx, w, bin("store"), images)
		})
		if err != nil {
			return err
		}
		config := nodeConfig(s.node, "")
		config.Labels = map[string]string{LabelHash: s.node}
		return b.load(ctx, dockerImage{
			tags: []string{ref}, config: config,
			layers: []layer{baseLayer, packageLayer, system, store},
		})
	})
	if err != nil {
		return err
	}
	err = b.progress.step("write the archives of Calico's images", func() error {
		dir := b.stockCalico(s)
		if _, err := os.Stat(dir); err == nil {
			return nil
		}
		packages, err := b.packagesLayer(ctx, base, filepath.Join(b.cache, "stock-packages-"+s.packages), stockPackages)
		if err != nil {
			return err
		}
		part := filepath.Join(work, "calico")
		if err := os.Mkdir(part, 0o755); err != nil {
			return err
		}
		if err := b.calicoArchives(ctx, part, work, []layer{baseLayer, packages}, bin); err != nil {
			return err
		}
		return os.Rename(part, dir)
	})
	if err != nil {
		return err
	}
	return b.progress.step("clear the cache of old stock images", func() error {
		b.sweepStock(s)
		return nil
	})
}

// stockSystem writes the layer of the stock node's own programs and files.
func (b *build) stockSystem(ctx context.Context, w *layerWriter, base, upper string, bin func(string) string) error {
	kind, err := b.moduleDir(ctx, "kindbase", kindModule)
	if err != nil {
		return err
	}
	for name, prog := range map[string]string{
		"/usr/bin/kubelet": "stock-kubelet", "/usr/bin/kubeadm": "stock-kubeadm", "/usr/bin/kubectl": "stock-kubectl",
		"/usr/local/bin/containerd": "containerd", "/usr/local/bin/ctr": "ctr",
		"/usr/local/bin/containerd-shim-runc-v2": "containerd-shim-runc-v2",
		"/opt/cni/bin/host-local":                "host-local", "/opt/cni/bin/ptp": "stock-ptp",
		"/opt/cni/bin/loopback": "loopback", "/opt/cni/bin/portmap": "stock-portmap",
	} {
		if err := w.copy(name, 0o755, bin(prog)); err != nil {
			return err
		}
	}
	if err := copyKindFiles(w, kind, func(string) bool { return false }); err != nil {
		return err
	}
	// kind's containerd configuration asks for a file that kind's build makes
	// with ctr and jq.
	spec, err := exec.CommandContext(ctx, bin("ctr"), "oci", "spec").Output()
	if err != nil {
		return fmt.Errorf("ask ctr for its default container: %w", err)
	}
	if spec, err = criBase(spec); err != nil {
		return err
	}
	storage, err := files.ReadFile("files/default-storage.yaml")
	if err != nil {
		return err
	}
	// No default CNI: it has to be disabled in the cluster's configuration, and
	// kind says that the manifest is missing when it is not.
	for name, content := range map[string][]byte{
		"/etc/containerd/cri-base.json":        spec,
		"/kind/version":                        []byte(KubernetesVersion),
		"/kind/manifests/default-storage.yaml": storage,
		"/etc/machine-id":                      nil,
	} {
		if err := w.data(name, 0o644, content); err != nil {
			return err
		}
	}
	if err := w.dir("/etc/kubernetes/manifests"); err != nil {
		return err
	}
	return b.systemd(w, base, upper)
}

// criBase makes the container that all others start from out of containerd's
// default: kind's hook is added, and the limits that a rootless node may not set
// are left out.
func criBase(spec []byte) ([]byte, error) {
	var s map[string]any
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, fmt.Errorf("ctr's default container: %w", err)
	}
	process, ok := s["process"].(map[string]any)
	if !ok {
		return nil, errors.New("ctr's default container has no process")
	}
	delete(process, "rlimits")
	hooks, ok := s["hooks"].(map[string]any)
	if !ok {
		hooks = map[string]any{}
	}
	create, _ := hooks["createContainer"].([]any)
	hooks["createContainer"] = append(create, map[string]any{"path": "/kind/bin/mount-product-files.sh"})
	s["hooks"] = hooks
	return json.Marshal(s)
}

// stockImages writes the layers of the images that the stock node has, into the
// folder work, and describes them to the store program.
func (b *build) stockImages(work, base, upper string, bin func(string) string) ([]storeImage, error) {
	blob := func(name string, write func(*layerWriter) error) (storeLayer, error) {
		l, err := b.layer(filepath.Join(work, name+".tar"), write)
		return storeLayer{Blob: l.path, Digest: l.Digest, Size: l.Size}, err
	}
	debian, err := blob("pod-debian", func(w *layerWriter) error {
		if err := b.podSystem(w, "", base, upper); err != nil {
			return err
		}
		return w.dir("/tmp")
	})
	if err != nil {
		return nil, err
	}
	proxy, err := blob("kube-proxy", func(w *layerWriter) error {
		script, err := files.ReadFile("files/kube-proxy")
		if err != nil {
			return err
		}
		if err := w.data("/usr/local/bin/kube-proxy", 0o755, script); err != nil {
			return err
		}
		return w.copy("/usr/local/lib/kubernetes/kube-proxy", 0o755, bin("stock-kube-proxy"))
	})
	if err != nil {
		return nil, err
	}
	kube := func(name string) string { return "registry.k8s.io/" + name + ":" + KubernetesVersion }
	env := []string{podPath}
	list := []storeImage{
		{
			Names:  []string{pauseTag, pauseTagNew},
			Config: imageConfig{Env: env, Entrypoint: []string{"/bin/sleep", "infinity"}},
			Layers: []storeLayer{debian},
		},
		{
			Names:  []string{kube("kube-proxy")},
			Config: imageConfig{Env: env},
			Layers: []storeLayer{debian, proxy},
		},
	}
	for _, i := range []struct{ ref, program, file string }{
		{kube("kube-apiserver"), "stock-kube-apiserver", "/usr/local/bin/kube-apiserver"},
		{kube("kube-controller-manager"), "stock-kube-controller-manager", "/usr/local/bin/kube-controller-manager"},
		{kube("kube-scheduler"), "stock-kube-scheduler", "/usr/local/bin/kube-scheduler"},
		{etcdTag, "etcd", "/usr/local/bin/etcd"},
		{corednsTag, "coredns", "/coredns"},
	} {
		layer, err := blob(path.Base(i.file), func(w *layerWriter) error {
			if err := w.dir("/tmp"); err != nil {
				return err
			}
			return w.copy(i.file, 0o755, bin(i.program))
		})
		if err != nil {
			return nil, err
		}
		list = append(list, storeImage{
			Names:  []string{i.ref},
			Config: imageConfig{Env: env, Entrypoint: []string{i.file}},
			Layers: []storeLayer{layer},
		})
	}
	return list, nil
}

// calicoArchives writes Calico's manifest and the archives of the images that it
// names into the folder dir.
func (b *build) calicoArchives(ctx context.Context, dir, work string, debian []layer, bin func(string) string) error {
	calico, err := b.moduleDir(ctx, "calico", calicoModule)
	if err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(calico, "manifests", calicoManifest))
	if err != nil {
		return err
	}
	refs, err := calicoImages(string(manifest))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, calicoManifest), manifest, 0o644); err != nil {
		return err
	}
	for name, img := range map[string]struct {
		part   string // of Calico's sources
		below  []layer
		config imageConfig
		write  func(*layerWriter) error
	}{
		"cni": {
			part: "cni-plugin",
			config: imageConfig{
				Env:        []string{"PATH=/opt/cni/bin:" + strings.TrimPrefix(podPath, "PATH=")},
				WorkingDir: "/opt/cni/bin", Cmd: []string{"/opt/cni/bin/install"},
			},
			write: func(w *layerWriter) error { return cniFiles(w, bin) },
		},
		"node": {
			part:  "node",
			below: debian,
			config: imageConfig{
				Env: []string{podPath, "SVDIR=/etc/service/enabled"}, Cmd: []string{"start_runit"},
			},
			write: func(w *layerWriter) error { return agentFiles(w, filepath.Join(calico, "node/filesystem"), bin) },
		},
		"kube-controllers": {
			part:   "kube-controllers",
			config: imageConfig{Env: []string{podPath}, User: "999", Entrypoint: []string{"/usr/bin/kube-controllers"}},
			write:  func(w *layerWriter) error { return controllersFiles(w, bin) },
		},
	} {
		top, err := b.layer(filepath.Join(work, "calico-"+name+".tar"), func(w *layerWriter) error {
			if err := w.copy("/licenses/LICENSE", 0o644, filepath.Join(calico, img.part, "LICENSE")); err != nil {
				return err
			}
			return img.write(w)
		})
		if err != nil {
			return err
		}
		archive := dockerImage{
			tags: []string{refs[name]}, config: img.config,
			layers: append(append([]layer{}, img.below...), top),
		}
		if err := archive.save(filepath.Join(dir, name+".tar")); err != nil {
			return err
		}
	}
	return nil
}

// cniFiles are the plugins that Calico's installer copies to the node, and the
// installer.
func cniFiles(w *layerWriter, bin func(string) string) error {
	for name, prog := range map[string]string{
		"install": "stock-install", "calico": "stock-calico", "calico-ipam": "stock-calico",
		"host-local": "host-local", "loopback": "loopback", "portmap": "stock-portmap",
		"bandwidth": "stock-bandwidth", "tuning": "stock-tuning",
	} {
		if err := w.copy("/opt/cni/bin/"+name, 0o755, bin(prog)); err != nil {
			return err
		}
	}
	return w.dir("/tmp")
}

// agentFiles are calico-node and the services it consists of, from the folder of
// its image's files in Calico's module. A module's files have lost their modes.
func agentFiles(w *layerWriter, root string, bin func(string) string) error {
	if err := w.copy("/usr/bin/calico-node", 0o755, bin("stock-calico-node")); err != nil {
		return err
	}
	if err := w.copy("/usr/bin/mountns", 0o755, bin("stock-mountns")); err != nil {
		return err
	}
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if path.Base(rel) == "run" || rel == "etc/rc.local" {
			mode = 0o755
		}
		// In Debian /sbin is a link.
		if name, ok := strings.CutPrefix(rel, "sbin/"); ok {
			rel, mode = "usr/sbin/"+name, 0o755
		}
		return w.copy(rel, mode, p)
	})
}

// controllersFiles are kube-controllers and the files that it, as user 999,
// writes for check-status and profilers.
func controllersFiles(w *layerWriter, bin func(string) string) error {
	for _, name := range []string{"kube-controllers", "check-status"} {
		if err := w.copy("/usr/bin/"+name, 0o755, bin("stock-"+name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"/status/status.json", "/profiles/mem.pprof", "/profiles/cpu.pprof"} {
		if err := w.data(name, 0o666, nil); err != nil {
			return err
		}
	}
	return w.dir("/tmp")
}

var manifestImage = regexp.MustCompile(`(?m)^\s*image: (\S+)\s*$`)

// calicoImages finds the references of Calico's images in its manifest. One that
// is missing, or that this build does not make, is an error.
func calicoImages(manifest string) (map[string]string, error) {
	refs := map[string]string{}
	for _, m := range manifestImage.FindAllStringSubmatch(manifest, -1) {
		name, tag, _ := strings.Cut(path.Base(m[1]), ":")
		if !contains(calicoImageNames, name) || tag != CalicoVersion {
			return nil, fmt.Errorf("calico's manifest runs %s, which this build does not make: it makes %s of %s",
				m[1], strings.Join(calicoImageNames, ", "), CalicoVersion)
		}
		if other, ok := refs[name]; ok && other != m[1] {
			return nil, fmt.Errorf("calico's manifest calls one image both %s and %s", other, m[1])
		}
		refs[name] = m[1]
	}
	for _, name := range calicoImageNames {
		if refs[name] == "" {
			return nil, fmt.Errorf("calico's manifest does not run the image %s", name)
		}
	}
	return refs, nil
}

// save writes the image's archive to a file.
func (img dockerImage) save(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := bufio.NewWriterSize(f, 1<<20)
	if err := img.archive(buf); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// sweepStock removes from the cache what belongs to other stock images.
func (b *build) sweepStock(s stockPlan) {
	keep := map[string]bool{"stock-images-" + s.calico: true, "stock-packages-" + s.packages: true}
	for name, hash := range s.programs {
		keep[name+"-"+hash] = true
	}
	entries, err := os.ReadDir(b.cache)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".json"), ".tar")
		if strings.HasPrefix(name, "stock-") && !keep[name] {
			os.RemoveAll(filepath.Join(b.cache, e.Name()))
		}
	}
}
