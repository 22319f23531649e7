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
func (g *getter) fromRegistry(ctx context.Context, node, pod string) (_ bool, err error) {
	ref := g.ask.Registry
	if ref == "" { // one that was named before stays
		if ids, err := g.tagged(ctx, node, pod); err != nil || !slices.Contains(ids, "") {
			return false, err
		}
		return false, errors.New("no release has named an image yet (--image-from NAME@sha256:... names one)")
	}
	if !byDigest.MatchString(ref) {
		return false, fmt.Errorf("%q does not say by its digest which image is meant: NAME@sha256:... (docker image ls --digests shows it where the image was pushed or pulled)", ref)
	}
	if done, err := g.pulled(ctx, ref, node, pod); done || err != nil {
		return false, err
	}
	g.progress.total = 2
	found, was, err := g.fetch(ctx, "the node image", ref)
	defer func() {
		if err != nil && !was {
			g.engine.forget(ctx, ref)
		}
	}()
	if err != nil {
		return false, err
	}
	if found.Config.Labels[LabelPodImage] == "" {
		return false, fmt.Errorf("%s is no node image of this lab", ref)
	}
	if _, err := g.engine.run(ctx, nil, "tag", ref, node); err != nil {
		return false, err
	}
	err = g.progress.step("make the pod image out of it", func() error {
		return g.engine.build(ctx, pod, nil, []file{podDockerfile("--from=" + node + " " + probeRoot + "/netpol-probe")})
	})
	return true, err
}

// fetch has Docker fetch an image that runs on its platform, and finds it. It was there
// already where was says so: whoever has it fetched then leaves it there.
func (g *getter) fetch(ctx context.Context, what, ref string) (found image, was bool, err error) {
	err = g.progress.step("fetch "+what+" from "+registryOf(ref), func() error {
		var err error
		if _, was, err = g.engine.image(ctx, ref); err != nil {
			was = true // as far as is known
			return err
		}
		if err := g.engine.pull(ctx, ref, g.progress.say); err != nil {
			return err
		}
		var ok bool
		if found, ok, err = g.engine.image(ctx, ref); err != nil {
			return err
		}
		if !ok {
			return errors.New("Docker has it not after all")
		}
		if have := found.Os + "/" + found.Architecture; have != g.engine.platform() {
			return fmt.Errorf("it is for %s, and Docker here runs %s", have, g.engine.platform())
		}
		return nil
	})
	return found, was, err
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
