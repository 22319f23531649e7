package nodeimage

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Upstream is what others publish and a lab can be made of, each by its digest.
type Upstream struct {
	Kubernetes, Calico string // the versions, for people to read
	// Node is kind's node image.
	Node string
	// Images are Calico's, by the names that its manifest has for them.
	Images map[string]string
	// Manifest is where Calico's manifest is, and Sum its SHA-256.
	Manifest, Sum string
}

// Published is what FromUpstream takes: the node image that this version of kind is
// released with (a test holds the two together), and a release of Calico's that is as
// new. Each digest is that of an index of several platforms.
var Published = Upstream{
	Kubernetes: "v1.37.0",
	Calico:     "v3.32.0",
	Node:       "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
	Images: map[string]string{
		"quay.io/calico/cni:v3.32.0":              "quay.io/calico/cni@sha256:1cfc6aa9c4dad3575fdf36b78185fd7d68bcd4acc95778f8342be4fb6a851a14",
		"quay.io/calico/node:v3.32.0":             "quay.io/calico/node@sha256:f4fafd8ba641d96c5a91b01e5a519117d77d55dee789a3562ba3ad4aa125b36a",
		"quay.io/calico/kube-controllers:v3.32.0": "quay.io/calico/kube-controllers@sha256:adf0ac895796d21bca5383bc81c4cd2614be3a4308085b47857d7999f4cc2b1f",
	},
	Manifest: "https://raw.githubusercontent.com/projectcalico/calico/v3.32.0/manifests/calico-vxlan.yaml",
	Sum:      "d2f8db69315063066eb7a440dead5e20852fbc1c3c69967cbdcd40061ed4a8c3",
}

// upstreamLayout changes when what is made of upstream's images does.
const upstreamLayout = "1"

// Where a node made of upstream's image keeps what it needs to become a lab's, and the
// labels that say so.
const (
	upstreamManifest = "/kind/lab/calico.yaml"
	upstreamImages   = "/kind/lab/images.tar"

	LabelManifest = "netpol-lab.manifest" // Calico's manifest, in the node
	LabelImages   = "netpol-lab.images"   // the archive of the images to load, in the node
)

func (u Upstream) registries() []string {
	seen := map[string]bool{registryOf(u.Node): true}
	for _, ref := range u.Images {
		seen[registryOf(ref)] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// hash is the name of what is made of it with this probe.
func (u Upstream) hash(platform, probe string) (string, error) {
	h := newHash("upstream", upstreamLayout, platform, u.Node, u.Sum)
	for _, name := range slices.Sorted(maps.Keys(u.Images)) {
		h.add(name, u.Images[name])
	}
	err := h.file(probe)
	return h.sum(), err
}

// check says what is not as it has to be, so that what is fetched is what was meant.
func (u Upstream) check() error {
	for _, ref := range append(slices.Collect(maps.Values(u.Images)), u.Node) {
		if !byDigest.MatchString(ref) {
			return fmt.Errorf("%q does not say by its digest which image is meant", ref)
		}
	}
	at, err := url.Parse(u.Manifest)
	if err != nil {
		return err
	}
	ip := net.ParseIP(at.Hostname())
	if at.Scheme != "https" && !(at.Scheme == "http" && ip != nil && ip.IsLoopback()) {
		return fmt.Errorf("%s: want https", u.Manifest)
	}
	return nil
}

// fromUpstream makes a node image of kind's, which brings Calico's images, its manifest
// and the pods' image, each as a file: all that differs from kind's is one layer, made by
// docker build. So neither root nor Debian is needed, and what serves the lab finds it
// as any other node image.
func (g *getter) fromUpstream(ctx context.Context, b *build, node, pod string) (bool, error) {
	u := g.ask.Upstream
	if err := u.check(); err != nil {
		return false, err
	}
	work, err := os.MkdirTemp(b.cache, "upstream-work-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)
	b.arch = g.engine.arch
	probe := filepath.Join(work, "netpol-probe")
	if err := b.compile(ctx, program{name: "netpol-probe", pkg: b.probe}, probe); err != nil {
		return false, err
	}
	hash, err := u.hash(g.engine.platform(), probe)
	if err != nil {
		return false, err
	}
	if found, ok, err := g.engine.image(ctx, node); err != nil {
		return false, err
	} else if _, podToo, err := g.engine.image(ctx, pod); err != nil {
		return false, err
	} else if ok && podToo && found.Config.Labels[LabelHash] == hash {
		return false, nil
	}

	g.progress.total = 5 + len(u.Images)
	var manifest []byte
	err = g.progress.step("fetch Calico's manifest", func() error {
		if manifest, err = fetch(ctx, u.Manifest, u.Sum); err != nil {
			return err
		}
		return u.runs(string(manifest))
	})
	if err != nil {
		return false, err
	}
	var fetched []string // what was not there before: only layers of it are needed afterwards
	defer func() { g.engine.forget(ctx, fetched...) }()
	pull := func(what, ref string) error {
		return g.progress.step("fetch "+what+" from "+registryOf(ref), func() error {
			_, there, err := g.engine.image(ctx, ref)
			if err != nil {
				return err
			}
			if err := g.engine.pull(ctx, ref, g.progress.say); err != nil {
				return err
			}
			if !there {
				fetched = append(fetched, ref)
			}
			found, ok, err := g.engine.image(ctx, ref)
			if err == nil && !ok {
				err = errors.New("Docker has it not after all")
			}
			if have := found.Os + "/" + found.Architecture; err == nil && have != g.engine.platform() {
				err = fmt.Errorf("it is for %s, and Docker here runs %s", have, g.engine.platform())
			}
			return err
		})
	}
	if err := pull("kind's node image with Kubernetes "+u.Kubernetes, u.Node); err != nil {
		return false, err
	}
	names := slices.Sorted(maps.Keys(u.Images))
	refs := []string{pod}
	for _, name := range names {
		if err := pull(name, u.Images[name]); err != nil {
			return false, err
		}
		refs = append(refs, u.Images[name])
	}
	err = g.progress.step("make the pod image", func() error {
		return g.engine.build(ctx, pod, nil, []file{
			{name: "Dockerfile", text: []byte("FROM scratch\nCOPY netpol-probe /\nENTRYPOINT [\"/netpol-probe\"]\nCMD [\"serve\"]\n")},
			{name: "netpol-probe", mode: 0o755, path: probe},
		})
	})
	if err != nil {
		return false, err
	}
	images := filepath.Join(work, "images.tar")
	err = g.progress.step("collect the images that a node loads", func() error {
		all, err := g.engine.saveAll(ctx, work, refs, g.progress.say)
		if err != nil {
			return err
		}
		defer closeAll(all)
		return writeForNode(images, all, append([]string{PodImage}, names...))
	})
	if err != nil {
		return false, err
	}
	err = g.progress.step("make the node image", func() error {
		labels := map[string]string{
			LabelKubernetes: u.Kubernetes, LabelCalico: u.Calico, LabelPodImage: PodImage, LabelHash: hash,
			LabelManifest: upstreamManifest, LabelImages: upstreamImages,
		}
		// One instruction: Docker keeps what each has made.
		return g.engine.build(ctx, node, labels, []file{
			{name: "Dockerfile", text: []byte("FROM " + u.Node + "\nCOPY root /\n")},
			{name: "root" + upstreamManifest, text: manifest},
			{name: "root" + upstreamImages, path: images},
			{name: "root" + probeRoot + "/netpol-probe", mode: 0o755, path: probe},
		})
	})
	return true, err
}

// runs says whether the manifest runs these images and no others.
func (u Upstream) runs(manifest string) error {
	seen := map[string]bool{}
	for _, m := range manifestImage.FindAllStringSubmatch(manifest, -1) {
		if u.Images[m[1]] == "" {
			return fmt.Errorf("Calico's manifest runs %s, of which no digest is known", m[1])
		}
		seen[m[1]] = true
	}
	if len(seen) != len(u.Images) {
		return fmt.Errorf("Calico's manifest runs %d of %d images", len(seen), len(u.Images))
	}
	return nil
}

// maxManifest is the largest manifest that is fetched, in bytes.
const maxManifest = 4 << 20

// fetch fetches a text whose SHA-256 is known.
func fetch(ctx context.Context, from, sum string) ([]byte, error) {
	at, err := url.Parse(from)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, fmt.Errorf("%s has not answered for %s", at.Host, answerLimit))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", from, response.Status)
		}
		var text []byte
		text, err = io.ReadAll(io.LimitReader(response.Body, maxManifest))
		if have := sha256.Sum256(text); err == nil && hex.EncodeToString(have[:]) != sum {
			return nil, fmt.Errorf("%s: its SHA-256 is %x, want %s", from, have, sum)
		}
		if err == nil {
			return text, nil
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	return nil, err
}

// writeForNode writes images into the file name, under these names, for a node's
// containerd to load.
func writeForNode(name string, images []*saved, names []string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(buf)
	if err := writeContents(w, contents(images)); err != nil {
		return err
	}
	var list []loadable
	for i, image := range images {
		list = append(list, newLoadable(image.digest(), image.diffIDs(), names[i]))
	}
	return errors.Join(writeLoadable(w, list), buf.Flush(), f.Close())
}

// file is one of those that an image is built of.
type file struct {
	name string
	mode int64 // 0 means 0644
	path string
	text []byte // where there is no path
}

// build has Docker build an image of these files, which include the Dockerfile.
func (e engine) build(ctx context.Context, tag string, labels map[string]string, all []file) error {
	args := []string{"build", "--quiet", "--force-rm", "--tag", tag}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		args = append(args, "--label", key+"="+labels[key])
	}
	in, out := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := writeFiles(out, all)
		out.CloseWithError(err)
		written <- err
	}()
	_, err := e.run(ctx, in, append(args, "-")...)
	in.Close() // where docker has not read all
	if writeErr := <-written; writeErr != nil && !errors.Is(writeErr, io.ErrClosedPipe) {
		return writeErr
	}
	return err
}

func writeFiles(to io.Writer, all []file) error {
	w := tar.NewWriter(to)
	for _, f := range all {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.text)), ModTime: layerTime}
		if f.mode != 0 {
			h.Mode = f.mode
		}
		var from io.Reader = strings.NewReader(string(f.text))
		if f.path != "" {
			opened, err := os.Open(f.path)
			if err != nil {
				return err
			}
			defer opened.Close()
			info, err := opened.Stat()
			if err != nil {
				return err
			}
			h.Size, from = info.Size(), opened
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(w, from); err != nil {
			return err
		}
	}
	return w.Close()
}
