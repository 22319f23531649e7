package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

// dockerError is the failure of one docker command.
type dockerError struct {
	args   []string
	stderr string
	err    error
}

func (e *dockerError) Error() string {
	msg := "docker " + strings.Join(e.args, " ") + ": " + e.err.Error()
	if e.stderr != "" {
		msg += ": " + e.stderr
	}
	return msg
}

func (e *dockerError) Unwrap() error { return e.err }

// docker runs the docker command, as kind itself does, so that both see the
// same daemon, and returns its standard output, also where it fails.
func docker(ctx context.Context, args ...string) (string, error) {
	return dockerInput(ctx, nil, args...)
}

// dockerInput is docker with a standard input.
func dockerInput(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	// A child of the command may keep its output open after the command was ended.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return strings.TrimSpace(stdout.String()), &dockerError{args: args, stderr: strings.TrimSpace(stderr.String()), err: err}
	}
	return strings.TrimSpace(stdout.String()), nil
}

// errNoSuchObject says that Docker has no container or image of that name.
var errNoSuchObject = errors.New("Docker has no such object")

// inspect reads what Docker knows of a container or an image.
func inspect(ctx context.Context, kind, name string, into any) error {
	out, err := docker(ctx, kind, "inspect", name)
	if err != nil {
		var failed *dockerError
		if errors.As(err, &failed) && strings.Contains(strings.ToLower(failed.stderr), "no such") {
			return fmt.Errorf("%s %s: %w", kind, name, errNoSuchObject)
		}
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("docker %s inspect %s: %w", kind, name, err)
	}
	return nil
}

// image is what the provider needs to know of a Docker image.
type image struct {
	ID     string `json:"Id"`
	Config struct{ Labels map[string]string }
}

func inspectImage(ctx context.Context, name string) (image, error) {
	var found []image
	if err := inspect(ctx, "image", name, &found); err != nil {
		return image{}, err
	}
	return found[0], nil
}

// container is what the provider needs to know of a Docker container.
type container struct {
	Config struct{ Labels map[string]string }
	State  struct {
		Running   bool // also where it is frozen
		Paused    bool
		StartedAt string
	}
	// NetworkSettings is filled in while the container runs.
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
		Ports    map[string][]struct{ HostIP, HostPort string }
	}
}

func inspectContainer(ctx context.Context, name string) (container, error) {
	var found []container
	if err := inspect(ctx, "container", name, &found); err != nil {
		return container{}, err
	}
	return found[0], nil
}

// network is the Docker network that the container is in, and its address there.
func (c container) network() (string, netip.Addr, error) {
	for name, n := range c.NetworkSettings.Networks {
		addr, err := netip.ParseAddr(n.IPAddress)
		if err != nil {
			return "", netip.Addr{}, fmt.Errorf("the container's address in network %s: %w", name, err)
		}
		return name, addr, nil
	}
	return "", netip.Addr{}, errors.New("the container is in no Docker network")
}

// published is the address on this machine that leads to the container's port.
func (c container) published(port string) (string, error) {
	for _, p := range c.NetworkSettings.Ports[port] {
		return net.JoinHostPort(p.HostIP, p.HostPort), nil
	}
	return "", fmt.Errorf("the container's port %s is not published", port)
}

// containersWith lists all containers, running or not, that have the label
// ("key", or "key=value"): the label's value by the container's name.
func containersWith(ctx context.Context, label string) (map[string]string, error) {
	key, _, _ := strings.Cut(label, "=")
	out, err := docker(ctx, "ps", "--all", "--filter", "label="+label, "--format", `{{.Names}}	{{.Label "`+key+`"}}`)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if name != "" {
			found[name] = value
		}
	}
	return found, nil
}

// freeze freezes all processes of the container. One that is frozen stays so.
func freeze(ctx context.Context, name string) error {
	_, err := docker(ctx, "pause", name)
	return stateError(err, "already paused")
}

// thaw lets the processes of the container go on. Where they do already, and where there
// are none, that is no error.
func thaw(ctx context.Context, name string) error {
	_, err := docker(ctx, "unpause", name)
	return stateError(err, "not paused", "not running")
}

// stateError is the error of a command that changes a container's state, where it is
// none that the container has that state already.
func stateError(err error, already ...string) error {
	var failed *dockerError
	if !errors.As(err, &failed) {
		return err
	}
	said := strings.ToLower(failed.stderr)
	for _, a := range already {
		if strings.Contains(said, a) {
			return nil
		}
	}
	if strings.Contains(said, "no such container") {
		return fmt.Errorf("%w: %w", errNoSuchObject, err)
	}
	return err
}

// removeContainer removes a container and its anonymous volumes. That it is
// not there is no error.
func removeContainer(ctx context.Context, name string) error {
	_, err := docker(ctx, "rm", "--force", "--volumes", name)
	var failed *dockerError
	if errors.As(err, &failed) && strings.Contains(strings.ToLower(failed.stderr), "no such container") {
		return nil
	}
	return err
}
