package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Way is one by which the images come to be in Docker.
type Way string

const (
	FromRegistry Way = "registry" // the lab's own image from an image registry
	FromArchive  Way = "archive"  // a file that Save has written
	FromUpstream Way = "upstream" // kind's node image and Calico's images, as they are published
	FromSource   Way = "source"   // Build
)

// order is that in which the ways are tried.
var order = []Way{FromRegistry, FromArchive, FromUpstream, FromSource}

// Released is the node image of this release in a registry, by its digest: a release
// fills it in. Empty, no release has named one.
const Released = ""

// DefaultLimit is how long a way may take that depends on others.
const DefaultLimit = 20 * time.Minute

// Ask says by which ways the images may come.
type Ask struct {
	// Way is the only one that may be taken. Empty, the first that works is.
	Way Way
	// Registry is a node image of the lab's in a registry, by its digest:
	// NAME@sha256:... Empty means [Released].
	Registry string
	// Archive is the file that FromArchive loads.
	Archive string
	// Upstream is what FromUpstream takes; its zero value means [Published].
	Upstream Upstream
	// Limit is how long FromRegistry, FromArchive and FromUpstream may take, each;
	// 0 means [DefaultLimit].
	Limit time.Duration
	// Node and Pod are the images' repositories in Docker; empty means
	// [NodeRepository] and [PodRepository]. From source only these are made.
	Node, Pod string
	// Build is how FromSource builds; the other ways, too, use its Repo, CacheDir,
	// Docker and Progress.
	Build Options
}

func (a *Ask) defaults() {
	if a.Registry == "" {
		a.Registry = Released
	}
	if a.Upstream.Node == "" {
		a.Upstream = Published
	}
	if a.Limit == 0 {
		a.Limit = DefaultLimit
	}
	if a.Node == "" {
		a.Node = NodeRepository
	}
	if a.Pod == "" {
		a.Pod = PodRepository
	}
	if a.Build.Progress == nil {
		a.Build.Progress = io.Discard
	}
}

// Got is what there is now: the images of the lab, as latest in their repositories.
type Got struct {
	Way       Way
	Node, Pod string // references
	NodeSize  int64  // in bytes, as Docker says
	New       bool   // false: they were there
	Stock     *Stock // set when Ask.Build.Stock was
}

// getter is one call of Get.
type getter struct {
	ask      Ask
	engine   engine
	progress *progress
}

// Get sees to it that Docker has the images of the lab: as [NodeRepository] and
// [PodRepository] with the tag latest, where the server looks for them. What is there
// and up to date stays. Else the ways are tried in their order, that by which the
// images came the last time before the others; why one does not work is said in a line
// of its own. A way that fails, or ctx that ends, leaves the images as they were.
func Get(ctx context.Context, a Ask) (Got, error) {
	a.defaults()
	g := &getter{ask: a}
	e, err := findEngine(ctx, a.Build.Docker)
	if err != nil {
		return Got{}, err
	}
	g.engine = e
	ways, err := g.ways(ctx)
	if err != nil {
		return Got{}, err
	}
	var failed []error
	for _, way := range ways {
		got, err := g.try(ctx, way)
		switch {
		case err == nil:
			return got, nil
		case ctx.Err() != nil:
			return Got{}, fmt.Errorf("stopped: %w", context.Cause(ctx))
		case len(ways) == 1:
			return Got{}, fmt.Errorf("%s: %w", way, err)
		}
		failed = append(failed, fmt.Errorf("%s: %w", way, err))
		g.say("%s: not this way: %s", way, inALine(err))
	}
	return Got{}, fmt.Errorf("no way to the images works here:\n%w", errors.Join(failed...))
}

func (g *getter) say(format string, args ...any) {
	fmt.Fprintf(g.ask.Build.Progress, format+"\n", args...)
}

// inALine is an error's first line, and its last, which is the end of what a command
// said.
func inALine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	if len(lines) == 1 {
		return lines[0]
	}
	return lines[0] + ": " + lines[len(lines)-1]
}

// ways are those to be tried, in their order.
func (g *getter) ways(ctx context.Context) ([]Way, error) {
	if g.ask.Way != "" {
		return []Way{g.ask.Way}, nil
	}
	here, err := whence(ctx, g.engine, g.ask)
	if err != nil {
		return nil, err
	}
	var list []Way
	if here != "" {
		list = append(list, here)
	}
	for _, way := range order {
		if way != here && way != FromArchive { // which has to be asked for
			list = append(list, way)
		}
	}
	return list, nil
}

// try takes one way.
func (g *getter) try(ctx context.Context, way Way) (got Got, err error) {
	g.progress = &progress{w: g.ask.Build.Progress, now: time.Now}
	if way == FromSource {
		g.say("source: what is not up to date is compiled here, at first for half an hour")
		r, err := Build(ctx, g.ask.Build)
		if err == nil {
			g.removeOthers(ctx, way)
		}
		return Got{Way: way, Node: r.Node, Pod: r.Pod, NodeSize: r.NodeSize, New: r.Built, Stock: r.Stock}, err
	}
	b, err := newBuild(ctx, g.ask.Build) // whoever else is at it here comes first
	if err != nil {
		return Got{}, err
	}
	defer b.close()
	limited, cancel := context.WithTimeoutCause(ctx, g.ask.Limit, fmt.Errorf("it is not done after %s (--limit gives it longer)", g.ask.Limit))
	defer cancel()
	node, pod := g.ask.Node+":"+tagOf(way), g.ask.Pod+":"+tagOf(way)
	before, err := g.tagged(limited, node, pod)
	if err != nil {
		return Got{}, err
	}
	defer func() {
		if err != nil {
			if cause := context.Cause(limited); cause != nil {
				err = cause
			}
			g.restore(ctx, before, node, pod)
		}
	}()
	done := false
	switch way {
	case FromRegistry:
		done, err = g.fromRegistry(limited, node, pod)
	case FromArchive:
		done, err = g.fromArchive(limited, node, pod)
	case FromUpstream:
		done, err = g.fromUpstream(limited, b, node, pod)
	default:
		err = fmt.Errorf("there is no such way")
	}
	if err != nil {
		return Got{}, err
	}
	size, err := g.settle(limited, way, node, pod)
	return Got{Way: way, Node: node, Pod: pod, NodeSize: size, New: done}, err
}

// tagOf is the tag by which the images of a way other than FromSource are known: so
// Docker itself remembers whence they came.
func tagOf(way Way) string { return "from-" + string(way) }

// whence says by which way the images came that are there, or nothing where there are
// none.
func whence(ctx context.Context, e engine, a Ask) (Way, error) {
	found, ok, err := e.image(ctx, a.Node+":latest")
	if err != nil || !ok {
		return "", err
	}
	if _, ok, err := e.image(ctx, a.Pod+":latest"); err != nil || !ok {
		return "", err
	}
	for _, way := range order {
		for _, tag := range found.RepoTags {
			if tag == a.Node+":"+tagOf(way) {
				return way, nil
			}
		}
	}
	return FromSource, nil
}

// tagged are the IDs of the images that have these names, "" for one that has not.
func (g *getter) tagged(ctx context.Context, refs ...string) ([]string, error) {
	var ids []string
	for _, ref := range refs {
		found, _, err := g.engine.image(ctx, ref)
		if err != nil {
			return nil, err
		}
		ids = append(ids, found.ID)
	}
	return ids, nil
}

// restore gives the names back to the images that had them before.
func (g *getter) restore(ctx context.Context, before []string, refs ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyLimit)
	defer cancel()
	for i, ref := range refs {
		now, there, err := g.engine.image(ctx, ref)
		switch {
		case err != nil || !there || now.ID == before[i]:
		case before[i] == "":
			g.engine.forget(ctx, ref)
		default:
			if _, err := g.engine.run(ctx, nil, "tag", before[i], ref); err == nil {
				g.engine.forget(ctx, now.ID)
			}
		}
	}
}

// settle makes these images the lab's, and takes their names from those of other ways.
// It is not interrupted half-way.
func (g *getter) settle(ctx context.Context, way Way, node, pod string) (size int64, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyLimit)
	defer cancel()
	found, ok, err := g.engine.image(ctx, node)
	if err != nil || !ok {
		return 0, errors.Join(err, fmt.Errorf("Docker has no %s after all", node))
	}
	for _, name := range []struct{ from, to string }{{pod, g.ask.Pod + ":latest"}, {node, g.ask.Node + ":latest"}} {
		was, _, err := g.engine.image(ctx, name.to)
		if err != nil {
			return 0, err
		}
		if _, err := g.engine.run(ctx, nil, "tag", name.from, name.to); err != nil {
			return 0, err
		}
		if was.ID != "" && len(was.RepoTags) < 2 {
			g.engine.forget(ctx, was.ID) // it had no other name; a container may still use it
		}
	}
	g.removeOthers(ctx, way)
	return found.Size, nil
}

// removeOthers takes away what other ways have brought.
func (g *getter) removeOthers(ctx context.Context, way Way) {
	for _, other := range order {
		if other != way {
			g.remove(ctx, g.ask.Node+":"+tagOf(other))
			g.remove(ctx, g.ask.Pod+":"+tagOf(other))
		}
	}
}

// remove takes a name from an image, and removes it where that was the last but for
// the registry's.
func (g *getter) remove(ctx context.Context, ref string) {
	found, ok, err := g.engine.image(ctx, ref)
	if err != nil || !ok {
		return
	}
	g.engine.forget(ctx, ref)
	if left, ok, err := g.engine.image(ctx, found.ID); err == nil && ok && len(left.RepoTags) == 0 {
		g.engine.forget(ctx, found.ID)
	}
}

// byDigest is how an image of a registry has to be named: what is fetched is then what
// was meant, whoever sends it.
var byDigest = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]*@sha256:[0-9a-f]{64}$`)

// usable says what is wrong with an image as the lab's node, or nothing.
func (g *getter) usable(i image) error {
	if have := i.Os + "/" + i.Architecture; have != g.engine.platform() {
		return fmt.Errorf("it is for %s, and Docker here runs %s", have, g.engine.platform())
	}
	if i.Config.Labels[LabelPodImage] == "" {
		return errors.New("it is no node image of this lab")
	}
	return nil
}

// Described is a way and what there is to say of it on this machine.
type Described struct {
	Way  Way
	Here bool // the images that are there came by it
	Text string
}

// Describe says of each way whether it can be gone here, as far as that is known
// without asking others.
func Describe(ctx context.Context, a Ask) []Described {
	a.defaults()
	var here Way
	e, err := findEngine(ctx, a.Build.Docker)
	if err == nil {
		here, err = whence(ctx, e, a)
	}
	if err != nil { // That Docker is missing is for others to say.
		e.os, e.arch = "linux", runtime.GOARCH
	}
	registry := "no release has named an image yet; --image-from NAME@sha256:... names yours"
	if a.Registry != "" {
		registry = a.Registry
	}
	source := "compiles everything, up to half an hour"
	if err := cannotBuild(e); err != nil {
		source = "not here: " + err.Error()
	}
	list := []Described{
		{Way: FromRegistry, Text: registry},
		{Way: FromArchive, Text: "--load FILE; --save FILE writes one where the images are"},
		{Way: FromUpstream, Text: fmt.Sprintf("kind's node image with Kubernetes %s and Calico %s, where %s answer; has no terminal", a.Upstream.Kubernetes, a.Upstream.Calico, strings.Join(a.Upstream.registries(), " and "))},
		{Way: FromSource, Text: source},
	}
	for i := range list {
		list[i].Here = list[i].Way == here
	}
	return list
}

// cannotBuild says at once why the images cannot be built from source here, where that
// would else show after a quarter of an hour.
func cannotBuild(e engine) error {
	if runtime.GOOS != "linux" || e.platform() != "linux/amd64" {
		return fmt.Errorf("only on Linux, for linux/amd64; Docker here runs %s", e.platform())
	}
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("Go is missing")
	}
	return cannotMakeDebian()
}

// able is cannotBuild for a build of which the cache may have the parts that need root.
func (b *build) able(e engine, p plan) error {
	base, _ := b.debianFolders(p)
	for _, made := range []string{base + ".tar", filepath.Join(b.cache, "system-"+p.system+".tar")} {
		if _, err := os.Stat(made); err != nil {
			return cannotBuild(e)
		}
	}
	return nil
}
