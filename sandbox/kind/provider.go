// Package kind boots kind clusters that run Calico; what is laid in one is the work of
// sandbox/kubernetes.
//
// A cluster is one node container. Outside the clusters stand containers that they
// share, "the internet": one for each outside host. The kubeconfig of a cluster is
// held in memory only.
package kind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
)

// Options says how a Provider makes its clusters.
type Options struct {
	// Instance tells this server's clusters from those of other servers on
	// the same Docker: up to 16 lower-case letters and digits, the same each
	// time that the server runs on the same data.
	Instance string
	// NodeImage is the kind node image. Default "netpol-lab/node:latest".
	NodeImage string
	// PodImage is the Docker image of the lab's pods, which "the internet"
	// runs too. Default "netpol-lab/pod:latest".
	PodImage string
	// CalicoManifest is a file or an http(s) URL. It is used where the node
	// image does not bring Calico itself, as stock kind images do not.
	CalicoManifest string
	// LoadImages are archives, as "docker save" writes them, of what the
	// manifest's pods run. They are loaded into a node without Calico.
	LoadImages []string
	// Patience is how many times longer than on a usual machine each part of a boot and of
	// a Lay, and the return of a node that has stopped, may take before it is given up.
	// Less than 1 counts as 1.
	Patience float64
	// Log receives what is for whoever runs the server. Default slog.Default.
	Log *slog.Logger
}

const (
	// labelCNI is the node image's label that says which network it brings.
	labelCNI = "netpol-lab.cni"
	// labelPodImage is the node image's label with the name of the lab pods'
	// image in it.
	labelPodImage = "netpol-lab.pod-image"
	// labelCluster is the label by which kind knows a node's cluster.
	labelCluster = "io.x-k8s.kind.cluster"

	// defaultPodImageInNode is how the lab pods' image is called in a node
	// whose image does not say.
	defaultPodImageInNode = "netpol-lab.local/pod:v1"

	// cleanupLimit is how long the removal of a failed cluster may take.
	cleanupLimit = 2 * time.Minute
)

var instanceName = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// Provider boots kind clusters. It is a [sandbox.Provider];
// its methods may be called concurrently.
type Provider struct {
	opts Options
	log  *slog.Logger

	// mu serialises what is done to "the internet", which the sandboxes share.
	mu sync.Mutex
	// hosts are the outside hosts that each cluster uses, by the cluster's name; nil
	// where that is not known yet. They have their addresses.
	hosts map[string][]outside

	// seen is since when outside hosts run, by their names, as Docker last said; "" of one
	// that does not.
	seen struct {
		sync.Mutex
		at      time.Time
		started map[string]string
	}
}

var _ sandbox.Provider = (*Provider)(nil)

// New makes a Provider. It fails where an option is malformed; whether Docker
// and the images are there is for Check to say.
func New(opts Options) (*Provider, error) {
	if !instanceName.MatchString(opts.Instance) {
		return nil, fmt.Errorf("kind: instance %q: want 1 to 16 lower-case letters and digits", opts.Instance)
	}
	if opts.NodeImage == "" {
		opts.NodeImage = "netpol-lab/node:latest"
	}
	if opts.PodImage == "" {
		opts.PodImage = "netpol-lab/pod:latest"
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	opts.Patience = max(opts.Patience, 1)
	return &Provider{opts: opts, log: opts.Log, hosts: map[string][]outside{}}, nil
}

// Name is "kind".
func (p *Provider) Name() string { return "kind" }

// Steps lists the names of the steps that Boot and Lay go through.
func (p *Provider) Steps() sandbox.Steps {
	return sandbox.Steps{Boot: sandbox.Names((*boot)(nil).steps()), Lay: kubernetes.LaySteps()}
}

// patient is a limit of time as this machine needs it.
func (p *Provider) patient(limit time.Duration) time.Duration {
	return time.Duration(float64(limit) * p.opts.Patience)
}

// Check reports whether Docker answers and has the images. Its error is a
// sentence that says what is missing and how to get it.
func (p *Provider) Check(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("there is no docker command here: install Docker, start it and try again")
	}
	if _, err := docker(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var failed *dockerError
		if errors.As(err, &failed) && strings.Contains(failed.stderr, "permission denied") {
			return errors.New("you may not use Docker: run the server as a user in the group docker, or as root")
		}
		return fmt.Errorf("Docker does not answer: start it and try again (%w)", err)
	}
	_, err := p.flavour(ctx)
	if err != nil {
		return err
	}
	if _, err := inspectImage(ctx, p.opts.PodImage); errors.Is(err, errNoSuchObject) {
		return fmt.Errorf("the image of the lab's pods, %s, is not in Docker: get it with: netpol-lab image (or make node-image, from source)", p.opts.PodImage)
	} else if err != nil {
		return err
	}
	return nil
}

// flavour is what a node image brings.
type flavour struct {
	// calico says that the image's default network is Calico.
	calico bool
	// manifest and images are files in the node: Calico's manifest, and the archive
	// of what its pods and the lab's run. Both are empty where the image brings neither.
	manifest, images string
	// podImage is the name of the lab pods' image inside the node.
	podImage string
}

func (p *Provider) flavour(ctx context.Context) (flavour, error) {
	img, err := inspectImage(ctx, p.opts.NodeImage)
	if errors.Is(err, errNoSuchObject) {
		return flavour{}, fmt.Errorf("the node image %s is not in Docker: get it with: netpol-lab image (or make node-image, from source)", p.opts.NodeImage)
	} else if err != nil {
		return flavour{}, err
	}
	labels := img.Config.Labels
	f := flavour{calico: labels[labelCNI] == "calico", podImage: labels[labelPodImage]}
	if !f.calico && p.opts.CalicoManifest == "" {
		f.manifest, f.images = labels[nodeimage.LabelManifest], labels[nodeimage.LabelImages]
	}
	if !f.calico && f.manifest == "" && p.opts.CalicoManifest == "" {
		return flavour{}, fmt.Errorf("the node image %s has no Calico in it, and no Calico manifest was given: give one, or use the image that netpol-lab image gets", p.opts.NodeImage)
	}
	if !f.calico && f.manifest == "" || f.podImage == "" {
		f.podImage = defaultPodImageInNode
	}
	return f, nil
}

// everyClusterPrefix begins the name of every cluster of the lab, whichever server made it.
const everyClusterPrefix = "netpol-lab-"

// clusterPrefix begins the name of every cluster of this instance.
func (p *Provider) clusterPrefix() string { return everyClusterPrefix + p.opts.Instance + "-" }

func (p *Provider) clusterName(id sandbox.ClusterID) string { return p.clusterPrefix() + string(id) }

// nodeName is the name that kind gives a cluster's node, as a container and in
// Kubernetes.
func nodeName(cluster string) string { return cluster + "-control-plane" }

// List names the clusters of this instance that have a container, running or not, or a
// folder in which kind has worked for them.
func (p *Provider) List(ctx context.Context) ([]sandbox.ClusterID, error) {
	containers, err := containersWith(ctx, labelCluster)
	if err != nil {
		return nil, fmt.Errorf("kind: list clusters: %w", err)
	}
	seen := map[sandbox.ClusterID]bool{}
	for _, cluster := range containers {
		if id, ok := strings.CutPrefix(cluster, p.clusterPrefix()); ok {
			seen[sandbox.ClusterID(id)] = true
		}
	}
	folders, err := filepath.Glob(scratch(p.clusterPrefix() + "*"))
	if err != nil {
		return nil, fmt.Errorf("kind: list clusters: %w", err)
	}
	for _, folder := range folders {
		seen[sandbox.ClusterID(strings.TrimPrefix(folder, scratch(p.clusterPrefix())))] = true
	}
	ids := make([]sandbox.ClusterID, 0, len(seen))
	for id := range seen {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids, nil
}

// Delete removes the cluster's containers with their volumes, and the outside hosts
// that no other cluster of this instance uses. To delete what is not there is no
// error.
func (p *Provider) Delete(ctx context.Context, id sandbox.ClusterID) error {
	if err := p.remove(ctx, p.clusterName(id)); err != nil {
		return fmt.Errorf("kind: delete cluster %s: %w", id, err)
	}
	if err := os.RemoveAll(scratch(p.clusterName(id))); err != nil {
		return fmt.Errorf("kind: delete cluster %s: %w", id, err)
	}
	p.end(ctx, p.clusterName(id))
	return nil
}

// remove removes every container of a cluster, by kind's label and by name, until
// none is left, ctx ends, or a minute is over: the "docker run" of a server that was
// killed may still be at work, and make one while others are removed.
func (p *Provider) remove(ctx context.Context, cluster string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// Not every Docker kills what is frozen.
	if err := thaw(ctx, nodeName(cluster)); err != nil && !errors.Is(err, errNoSuchObject) {
		p.log.Warn("a node that is to be removed could not be thawed", "cluster", cluster, "err", err)
	}
	if err := removeContainer(ctx, nodeName(cluster)); err != nil {
		return err
	}
	for again := false; ; again = true {
		left, err := removeLabelled(ctx, cluster)
		if again && ctx.Err() != nil {
			return fmt.Errorf("containers of cluster %s are still there after their removal: %w", cluster, ctx.Err())
		}
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(removeAgain):
		}
	}
}

// removeLabelled removes the containers of a cluster by kind's label, and says how
// many there were.
func removeLabelled(ctx context.Context, cluster string) (int, error) {
	there, err := containersWith(ctx, labelCluster+"="+cluster)
	if err != nil {
		return 0, err
	}
	for name := range there {
		if err := removeContainer(ctx, name); err != nil {
			return 0, err
		}
	}
	return len(there), nil
}

// removeAgain is the pause before containers are counted again.
const removeAgain = 100 * time.Millisecond
