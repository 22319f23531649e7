package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// fromRegistry has Docker fetch the lab's node image. The pods' image is made out of
// it, so that one digest says what both are.
func (g *getter) fromRegistry(ctx context.Context, node, pod string) (bool, error) {
	ref := g.ask.Registry
	if ref == "" {
		return false, errors.New("no release has named an image yet (--image-from NAME@sha256:... names one)")
	}
	if !byDigest.MatchString(ref) {
		return false, fmt.Errorf("%q does not say by its digest which image is meant: NAME@sha256:... (docker image ls --digests shows it where the image was pushed or pulled)", ref)
	}
	if done, err := g.pulled(ctx, ref, node, pod); done || err != nil {
		return false, err
	}
	g.progress.total = 2
	err := g.progress.step("fetch the node image from "+registryOf(ref), func() error {
		_, there, err := g.engine.image(ctx, ref)
		if err != nil {
			return err
		}
		if err := g.engine.pull(ctx, ref, g.progress.say); err != nil {
			return err
		}
		found, ok, err := g.engine.image(ctx, ref)
		if err == nil && !ok {
			err = errors.New("Docker has it not after all")
		}
		if err == nil {
			err = g.usable(found)
		}
		if err == nil {
			_, err = g.engine.run(ctx, nil, "tag", ref, node)
		}
		if err != nil && !there {
			g.engine.forget(ctx, ref)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	err = g.progress.step("make the pod image out of it", func() error {
		_, err := g.engine.run(ctx, strings.NewReader(podOfNode(node)), "build", "--quiet", "--tag", pod, "-")
		return err
	})
	if err != nil {
		g.engine.forget(ctx, ref)
	}
	return true, err
}

// pulled reports whether these images are of the reference already.
func (g *getter) pulled(ctx context.Context, ref, node, pod string) (bool, error) {
	found, _, err := g.engine.image(ctx, node)
	if err != nil || !slices.Contains(found.RepoDigests, familiar(ref)) {
		return false, err
	}
	_, ok, err := g.engine.image(ctx, pod)
	return ok, err
}

// familiar is a reference as Docker shows it.
func familiar(ref string) string {
	name, digest, _ := strings.Cut(ref, "@")
	if slash := strings.LastIndexByte(name, '/'); strings.Contains(name[slash+1:], ":") {
		name = name[:strings.LastIndexByte(name, ':')]
	}
	return strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), "library/") + "@" + digest
}

// podOfNode is the Dockerfile of the pods' image out of a node that has their program.
func podOfNode(node string) string {
	return fmt.Sprintf(`FROM scratch
COPY --from=%s %s/netpol-probe /netpol-probe
ENTRYPOINT ["/netpol-probe"]
CMD ["serve"]
`, node, probeRoot)
}
