package kind

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"

	kindcluster "sigs.k8s.io/kind/pkg/cluster"
	kindnodes "sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"
)

// maxManifest is the largest manifest that is fetched, in bytes.
const maxManifest = 16 << 20

// installCalico brings into a node without Calico what its image lacks: the
// images of Calico, where they were given as archives, the lab pods' image, and
// Calico's manifest.
func (p *Provider) installCalico(ctx context.Context, cluster string, f flavour) error {
	if f.manifest != "" {
		_, err := docker(ctx, "exec", nodeName(cluster), "sh", "-ec", installBrought, f.images, f.manifest)
		return err
	}
	manifest, err := readManifest(ctx, p.opts.CalicoManifest)
	if err != nil {
		return fmt.Errorf("the Calico manifest: %w", err)
	}
	list, err := kindcluster.NewProvider(kindcluster.ProviderWithDocker()).ListNodes(cluster)
	if err != nil {
		return kindError(err)
	}
	for _, node := range list {
		for _, archive := range p.opts.LoadImages {
			if err := loadFile(node, archive); err != nil {
				return fmt.Errorf("load %s: %w", archive, err)
			}
		}
		if err := p.loadPodImage(ctx, node); err != nil {
			return fmt.Errorf("load %s: %w", p.opts.PodImage, err)
		}
	}
	_, err = dockerInput(ctx, strings.NewReader(manifest), "exec", "--interactive", nodeName(cluster),
		"kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "apply", "--server-side", "-f", "-")
	return err
}

// installBrought loads the archive $0 that a node has brought along, and applies the
// manifest $1. kind has chosen the snapshotter when the node started.
const installBrought = `snapshotter=overlayfs
if grep -q '"fuse-overlayfs"' /etc/containerd/config.toml; then snapshotter=fuse-overlayfs; fi
ctr --namespace=k8s.io images import --digests --snapshotter="$snapshotter" "$0" >/dev/null
kubectl --kubeconfig=/etc/kubernetes/admin.conf apply --server-side -f "$1"`

// readManifest reads a file or an http(s) URL.
func readManifest(ctx context.Context, from string) (string, error) {
	if !strings.HasPrefix(from, "http://") && !strings.HasPrefix(from, "https://") {
		text, err := os.ReadFile(from)
		return string(text), err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", from, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxManifest+1))
	if err == nil && len(text) > maxManifest {
		err = fmt.Errorf("%s: more than %d bytes", from, maxManifest)
	}
	return string(text), err
}

func loadFile(node kindnodes.Node, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	return kindError(nodeutils.LoadImageArchive(node, file))
}

// loadPodImage copies the lab pods' image from Docker into the node, under the
// name that the pods use there.
func (p *Provider) loadPodImage(ctx context.Context, node kindnodes.Node) error {
	save := exec.CommandContext(ctx, "docker", "save", p.opts.PodImage)
	archive, err := save.StdoutPipe()
	if err != nil {
		return err
	}
	if err := save.Start(); err != nil {
		return err
	}
	loadErr := nodeutils.LoadImageArchive(node, archive)
	if err := save.Wait(); err != nil {
		return fmt.Errorf("docker save: %w", err)
	}
	if loadErr != nil {
		return kindError(loadErr)
	}
	// containerd knows it by its full name.
	full := p.opts.PodImage
	if !strings.Contains(strings.SplitN(full, "/", 2)[0], ".") {
		full = "docker.io/" + full
	}
	return kindError(nodeutils.ReTagImage(node, full, defaultPodImageInNode))
}
