package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
)

func TestImage_what_is_asked_for_is_the_only_way(t *testing.T) {
	for name, test := range map[string]struct {
		cmd  imageCmd
		want nodeimage.Way
	}{
		"nothing":         {imageCmd{Way: "auto"}, ""},
		"a way":           {imageCmd{Way: "upstream"}, nodeimage.FromUpstream},
		"a file":          {imageCmd{Way: "source", Load: "lab.tar.zst"}, nodeimage.FromArchive},
		"an image":        {imageCmd{Way: "auto", ImageFrom: "registry.test/node@sha256:0"}, nodeimage.FromRegistry},
		"the stock image": {imageCmd{Way: "auto", Stock: true}, nodeimage.FromSource},
	} {
		t.Run(name, func(t *testing.T) {
			test.cmd.Limit = nodeimage.DefaultLimit
			if a, err := test.cmd.ask(io.Discard); err != nil || a.Way != test.want {
				t.Errorf("got %q, %v; want %q", a.Way, err, test.want)
			}
		})
	}
}

func TestImage_says_what_cannot_be_meant(t *testing.T) {
	for _, args := range [][]string{
		{"--load", "a", "--save", "b"},
		{"--image-from", "x@sha256:0", "--load", "a"},
		{"--stock", "--save", "b"},
		{"--limit", "0s"},
		{"--way", "post"},
	} {
		_, err := command(t, append([]string{"image"}, args...)...)
		var usage *usageError
		if !errors.As(err, &usage) {
			t.Errorf("%v: got %v, want it called a mistake on the command line", args, err)
		}
	}
}

func TestImage_without_docker_says_so_whatever_the_way(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	file := filepath.Join(t.TempDir(), "lab.tar.zst")
	for _, args := range [][]string{nil, {"--load", file}, {"--save", file}, {"--way", "upstream"}, {"--image-from", "x.test/y@sha256:0"}} {
		if _, err := command(t, append([]string{"image"}, args...)...); err == nil || !strings.Contains(err.Error(), "install Docker") {
			t.Errorf("%v: got %v", args, err)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was written")
	}
}

func TestDoctor_names_the_ways_to_the_images_also_without_docker(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	said, err := command(t, "doctor")
	if err == nil || !strings.Contains(err.Error(), "install Docker") {
		t.Errorf("got %v, want it to name what is missing", err)
	}
	for _, part := range []string{"registry", "archive", "--load FILE", "--save FILE", "upstream", "quay.io", "source"} {
		if !strings.Contains(said, part) {
			t.Errorf("%q is not said: %s", part, said)
		}
	}
}
