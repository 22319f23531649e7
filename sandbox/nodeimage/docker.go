package nodeimage

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// imageConfig is the part of a Docker image's configuration that we set.
type imageConfig struct {
	Env        []string          `json:"Env,omitempty"`
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	Cmd        []string          `json:"Cmd,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
	StopSignal string            `json:"StopSignal,omitempty"`
	WorkingDir string            `json:"WorkingDir,omitempty"`
	User       string            `json:"User,omitempty"`
}

// dockerImage is an image to be loaded into Docker.
type dockerImage struct {
	tags   []string
	config imageConfig
	layers []layer
}

// archive writes the image in the format of `docker save`, layers as they are.
func (img dockerImage) archive(w io.Writer) error {
	type rootfs struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	config := struct {
		Architecture string      `json:"architecture"`
		OS           string      `json:"os"`
		Created      string      `json:"created"`
		Config       imageConfig `json:"config"`
		RootFS       rootfs      `json:"rootfs"`
	}{"amd64", "linux", layerTime.UTC().Format("2006-01-02T15:04:05Z"), img.config, rootfs{Type: "layers"}}
	for _, l := range img.layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.Digest)
	}
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	digest := digestOf(text)
	all := []content{inMemory(configName(digest), text)}
	for _, l := range img.layers {
		all = append(all, content{layerName(l.Digest), l.Size, func() (io.ReadCloser, error) { return os.Open(l.path) }})
	}
	tw := tar.NewWriter(w)
	if err := writeContents(tw, all); err != nil {
		return err
	}
	return writeLoadable(tw, []loadable{newLoadable(digest, config.RootFS.DiffIDs, img.tags...)})
}

// load hands an image to Docker. Layers that Docker has already are not unpacked
// again.
func (b *build) load(ctx context.Context, img dockerImage) error {
	cmd := exec.CommandContext(ctx, b.docker, "load", "--quiet")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("docker load: %w", err)
	}
	buf := bufio.NewWriterSize(in, 1<<20)
	writeErr := img.archive(buf)
	if writeErr == nil {
		writeErr = buf.Flush()
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("docker load %s: %w: %s", img.tags[0], err, strings.TrimSpace(said.String()))
	}
	if writeErr != nil {
		return fmt.Errorf("docker load %s: %w", img.tags[0], writeErr)
	}
	return nil
}

// inspect returns an image's labels and size, or false when Docker has no such
// image.
func (b *build) inspect(ctx context.Context, ref string) (map[string]string, int64, bool) {
	out, err := exec.CommandContext(ctx, b.docker, "image", "inspect", "--format", `{{json .Config.Labels}} {{.Size}}`, ref).Output()
	if err != nil {
		return nil, 0, false
	}
	labels, size := map[string]string{}, int64(0)
	text := strings.TrimSpace(string(out))
	i := strings.LastIndexByte(text, ' ')
	if i < 0 || json.Unmarshal([]byte(text[:i]), &labels) != nil {
		return nil, 0, false
	}
	fmt.Sscan(text[i+1:], &size)
	return labels, size, true
}

// tag gives an image another name.
func (b *build) tag(ctx context.Context, ref, name string) error {
	return b.run(ctx, "", nil, b.docker, "tag", ref, name)
}

// hashTag is how a build of ours is tagged; other tags somebody has given.
var hashTag = regexp.MustCompile(`^[0-9a-f]{16}$`)

// prune removes the images of a repository whose tag is a hash and not the one to
// keep. One that a container still uses stays.
func (b *build) prune(ctx context.Context, repository, keep string) {
	out, err := exec.CommandContext(ctx, b.docker, "image", "ls", "--format", "{{.Tag}}", repository).Output()
	if err != nil {
		return
	}
	for _, tag := range strings.Fields(string(out)) {
		if tag == keep || !hashTag.MatchString(tag) {
			continue
		}
		// The tag goes; the image goes with it unless it is in use.
		if exec.CommandContext(ctx, b.docker, "image", "rm", repository+":"+tag).Run() == nil {
			fmt.Fprintf(b.progress.w, "removed the old image %s:%s\n", repository, tag)
		}
	}
}
