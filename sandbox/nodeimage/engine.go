package nodeimage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// engine is the Docker that the images go to.
type engine struct {
	docker string // the program
	os     string // what its containers run on: linux
	arch   string // as Go calls it: amd64, arm64
}

const (
	// engineLimit is how long Docker may take to say what it is.
	engineLimit = 30 * time.Second
	// answerLimit is how long a registry may take to say what an image consists of.
	answerLimit = 30 * time.Second
	// tidyLimit is how long the removal of what is not wanted may take.
	tidyLimit = 30 * time.Second
	// progressEvery is how often something that takes its time says how far it is.
	progressEvery = 10 * time.Second
)

// findEngine asks Docker what it is.
func findEngine(ctx context.Context, docker string) (engine, error) {
	if docker == "" {
		docker = "docker"
	}
	e := engine{docker: docker}
	ctx, cancel := context.WithTimeoutCause(ctx, engineLimit, fmt.Errorf("it has not answered for %s", engineLimit))
	defer cancel()
	out, err := e.run(ctx, nil, "version", "--format", "{{.Server.Os}} {{.Server.Arch}}")
	if err == nil {
		_, err = fmt.Sscan(out, &e.os, &e.arch)
	}
	if errors.Is(err, exec.ErrNotFound) {
		return e, errors.New("there is no docker program here: install Docker and start it, or run .ci/docker start")
	}
	if err != nil {
		return e, fmt.Errorf("docker does not answer: start it, or run .ci/docker start (%w)", err)
	}
	return e, nil
}

// platform is what images have to be for.
func (e engine) platform() string { return e.os + "/" + e.arch }

// run runs docker and returns what it prints. Its error is one line.
func (e engine) run(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, e.docker, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	// A child of the command may keep its output open after the command was ended.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return "", said(ctx, err, stderr.String())
	}
	return strings.TrimSpace(stdout.String()), nil
}

// said is the error of a command in one line: why it was ended, or the last that it
// said itself.
func said(ctx context.Context, err error, stderr string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := strings.TrimPrefix(strings.TrimSpace(lines[len(lines)-1]), "Error response from daemon: ")
	if last == "" {
		return err
	}
	return errors.New(last)
}

// image is what Docker knows of one.
type image struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Os           string
	Architecture string
	Size         int64
	Config       struct{ Labels map[string]string }
}

// image finds an image, or says false where Docker has none of that name.
func (e engine) image(ctx context.Context, ref string) (image, bool, error) {
	out, err := e.run(ctx, nil, "image", "inspect", ref)
	if err != nil {
		if strings.Contains(strings.ToLower(err.Error()), "no such") {
			return image{}, false, nil
		}
		return image{}, false, err
	}
	var found []image
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 {
		return image{}, false, fmt.Errorf("docker image inspect %s: cannot be read (%v)", ref, err)
	}
	return found[0], true, nil
}

// pull has Docker fetch an image, and tells say how far it is.
func (e engine) pull(ctx context.Context, ref string, say func(string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	registry := registryOf(ref)
	silent := time.AfterFunc(answerLimit, func() { cancel(fmt.Errorf("%s has not answered for %s", registry, answerLimit)) })
	defer silent.Stop()
	cmd := exec.CommandContext(ctx, e.docker, "pull", "--platform", e.platform(), ref)
	var stderr bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	layers := map[string]bool{} // layer -> is here
	began, tick := time.Now(), time.NewTicker(progressEvery)
	defer tick.Stop()
	for open := true; open; {
		var line string
		select {
		case line, open = <-lines:
			silent.Stop() // Docker says nothing before the registry does.
			switch layer, state, _ := strings.Cut(line, ": "); state {
			case "Pulling fs layer", "Waiting":
				layers[layer] = false
			case "Pull complete", "Already exists":
				layers[layer] = true
			}
		case <-tick.C:
			here := 0
			for _, ok := range layers {
				if ok {
					here++
				}
			}
			say(fmt.Sprintf("%d of %d layers are here after %s", here, len(layers), time.Since(began).Round(time.Second)))
		}
	}
	if err := cmd.Wait(); err != nil {
		return said(ctx, err, stderr.String())
	}
	return nil
}

// registryOf is the host that an image comes from.
func registryOf(ref string) string {
	first, _, more := strings.Cut(ref, "/")
	if more && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first
	}
	return "docker.io"
}

// forget removes names of images, and with the last name the image where nothing
// uses it. That one is not there, or in use, is no error: it is tidying up, also after
// the end of ctx.
func (e engine) forget(ctx context.Context, refs ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyLimit)
	defer cancel()
	for _, ref := range refs {
		_, _ = e.run(ctx, nil, "image", "rm", ref)
	}
}

// meter counts bytes that pass, and tells now and then how many.
type meter struct {
	r     io.Reader
	n     int64
	total int64 // 0 where it is not known
	next  time.Time
	say   func(string)
}

func newMeter(r io.Reader, total int64, say func(string)) *meter {
	return &meter{r: r, total: total, say: say, next: time.Now().Add(progressEvery)}
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	if now := time.Now(); now.After(m.next) {
		m.next = now.Add(progressEvery)
		if m.total > 0 {
			m.say(fmt.Sprintf("%d of %d MB", m.n/1e6, m.total/1e6))
		} else {
			m.say(fmt.Sprintf("%d MB", m.n/1e6))
		}
	}
	return n, err
}
