package nodeimage

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	manifest := entry{RepoTags: img.tags}
	for _, l := range img.layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.Digest)
		manifest.Layers = append(manifest.Layers, strings.TrimPrefix(l.Digest, "sha256:")+".tar")
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	manifest.Config = hex.EncodeToString(sum[:]) + ".json"

	tw := tar.NewWriter(w)
	put := func(name string, content []byte) error {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: layerTime}); err != nil {
			return err
		}
		_, err := tw.Write(content)
		return err
	}
	if err := put(manifest.Config, raw); err != nil {
		return err
	}
	for i, l := range img.layers {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: manifest.Layers[i], Mode: 0o644, Size: l.Size, ModTime: layerTime}); err != nil {
			return err
		}
		f, err := os.Open(l.path)
		if err != nil {
			return err
		}
		_, err = io.Copy(tw, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	list, err := json.Marshal([]entry{manifest})
	if err != nil {
		return err
	}
	if err := put("manifest.json", list); err != nil {
		return err
	}
	return tw.Close()
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
