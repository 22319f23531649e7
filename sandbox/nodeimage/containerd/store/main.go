// Command store writes containerd's root folder as it looks after a set of
// images was pulled and unpacked, without running containerd and without
// unpacking anything: the content of an unpacked layer is a symlink to a folder
// that the node image already has elsewhere. For the stock node it writes the
// folder as it looks after an import without unpacking.
//
//	store ROOT < images.json
//
// Docker copies everything under /var of the node image into a volume of each
// new node. With the layers outside of /var, that copy is a few kilobytes, and
// all clusters run from the same files and share them in the page cache.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
)

// image is one image as the builder describes it.
type image struct {
	Names  []string            `json:"names"`
	Config ocispec.ImageConfig `json:"config"`
	Layers []layer             `json:"layers"`
}

// layer is either unpacked (ID, Path) or a blob (Blob, Digest). The layers of an
// image are all of one sort.
type layer struct {
	// ID stands for the layer's content; it changes when the content does.
	ID string `json:"id"`
	// Path is the folder in the node that holds the unpacked content.
	Path string `json:"path"`
	// Blob is a tar file on this machine. It becomes part of the store as it
	// is, as after an import without unpacking: containerd unpacks it when
	// the first container of the image is made.
	Blob   string        `json:"blob"`
	Digest digest.Digest `json:"digest"` // the blob's
	Size   int64         `json:"size"`
}

const snapshotter = "overlayfs"

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "store:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: store ROOT < images.json")
	}
	root := args[0]
	var list []image
	dec := json.NewDecoder(os.Stdin)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		return fmt.Errorf("read the images from standard input: %w", err)
	}

	blobs, err := local.NewStore(filepath.Join(root, "io.containerd.content.v1.content"))
	if err != nil {
		return err
	}
	snapshotRoot := filepath.Join(root, "io.containerd.snapshotter.v1."+snapshotter)
	layers, err := overlay.NewSnapshotter(snapshotRoot)
	if err != nil {
		return err
	}
	defer layers.Close()
	metaRoot := filepath.Join(root, "io.containerd.metadata.v1.bolt")
	if err := os.MkdirAll(metaRoot, 0o711); err != nil {
		return err
	}
	file, err := bolt.Open(filepath.Join(metaRoot, "meta.db"), 0o644, nil)
	if err != nil {
		return err
	}
	defer file.Close()
	db := metadata.NewDB(file, blobs, map[string]snapshots.Snapshotter{snapshotter: layers})
	if err := db.Init(ctx); err != nil {
		return err
	}
	s := &store{db: db, snapshots: filepath.Join(snapshotRoot, "snapshots"), content: map[string]string{}}

	ctx = namespaces.WithNamespace(ctx, "k8s.io")
	// Garbage is collected by another process, later: everything must be
	// reachable from an image by then, and is when this function returns.
	for _, img := range list {
		if err := s.add(ctx, img); err != nil {
			return fmt.Errorf("image %s: %w", img.Names[0], err)
		}
	}
	return s.link()
}

type store struct {
	db        *metadata.DB
	snapshots string
	// content is where an unpacked layer's content is in the node, by the layer's
	// folder below snapshots.
	content map[string]string
}

// link makes the content of each unpacked layer a link to its folder in the node,
// when all layers are there: the snapshotter looks at the layer below a new one.
func (s *store) link() error {
	for id, path := range s.content {
		fs := filepath.Join(s.snapshots, id, "fs")
		if err := os.Remove(fs); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(s.snapshots, id, "work")); err != nil {
			return err
		}
		if err := os.Symlink(path, fs); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) add(ctx context.Context, img image) error {
	var diffs []digest.Digest
	var descs []ocispec.Descriptor
	for _, l := range img.Layers {
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: l.Digest, Size: l.Size}
		if l.Blob == "" {
			// The blob itself is not there, as after a pull with
			// discard_unpacked_layers.
			desc.Digest = digest.FromString(l.ID)
		} else if err := s.copy(ctx, l.Blob, desc); err != nil {
			return err
		}
		diffs = append(diffs, desc.Digest)
		descs = append(descs, desc)
	}
	parent := ""
	for i, l := range img.Layers {
		if l.Blob != "" {
			continue
		}
		chain := identity.ChainID(diffs[:i+1]).String()
		if err := s.unpacked(ctx, chain, parent, l); err != nil {
			return err
		}
		parent = chain
	}

	configLabels := map[string]string{}
	if parent != "" {
		configLabels["containerd.io/gc.ref.snapshot."+snapshotter] = parent
	}
	created := time.Unix(0, 0).UTC()
	config, err := s.write(ctx, ocispec.MediaTypeImageConfig, ocispec.Image{
		Created:  &created,
		Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"},
		Config:   img.Config,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: diffs},
	}, configLabels)
	if err != nil {
		return err
	}
	labels := map[string]string{"containerd.io/gc.ref.content.config": config.Digest.String()}
	for i, d := range descs {
		labels[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = d.Digest.String()
	}
	manifest, err := s.write(ctx, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    descs,
	}, labels)
	if err != nil {
		return err
	}
	for _, name := range img.Names {
		_, err := metadata.NewImageStore(s.db).Create(ctx, images.Image{
			Name:   name,
			Target: manifest,
			// Pinned: the kubelet never removes it, whatever the disk is like.
			Labels: map[string]string{"io.cri-containerd.image": "managed", "io.cri-containerd.pinned": "pinned"},
		})
		if err != nil {
			return fmt.Errorf("name %s: %w", name, err)
		}
	}
	return nil
}

// unpacked records a layer as unpacked, with its content at l.Path.
func (s *store) unpacked(ctx context.Context, chain, parent string, l layer) error {
	sn := s.db.Snapshotter(snapshotter)
	if _, err := sn.Stat(ctx, chain); err == nil {
		return nil
	}
	before, err := s.ids()
	if err != nil {
		return err
	}
	key := "extract " + chain
	if _, err := sn.Prepare(ctx, key, parent); err != nil {
		return fmt.Errorf("prepare layer: %w", err)
	}
	if err := sn.Commit(ctx, chain, key); err != nil {
		return fmt.Errorf("commit layer: %w", err)
	}
	after, err := s.ids()
	if err != nil {
		return err
	}
	for id := range after {
		if before[id] {
			continue
		}
		s.content[id] = l.Path
		return nil
	}
	return fmt.Errorf("the snapshotter made no folder for the layer")
}

func (s *store) ids() (map[string]bool, error) {
	entries, err := os.ReadDir(s.snapshots)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, e := range entries {
		ids[e.Name()] = true
	}
	return ids, nil
}

func (s *store) write(ctx context.Context, mediaType string, v any, labels map[string]string) (ocispec.Descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	err = content.WriteBlob(ctx, s.db.ContentStore(), desc.Digest.String(), bytes.NewReader(data), desc, content.WithLabels(labels))
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("write %s: %w", mediaType, err)
	}
	return desc, nil
}

// copy writes a file into the store as the content that desc describes.
func (s *store) copy(ctx context.Context, from string, desc ocispec.Descriptor) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := content.WriteBlob(ctx, s.db.ContentStore(), desc.Digest.String(), f, desc); err != nil {
		return fmt.Errorf("write %s: %w", from, err)
	}
	return nil
}
