package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/capacity"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

const wantCapacity = `
LIMIT                                    THERE IS   FOR OTHERS   ONE AWAKE   ONE PAUSED   IN ALL   AWAKE
memory                                   24 GiB     4.0 GiB      640 MiB     640 MiB      31       31
processors                               2          0.5          0.08        0            -        18
inotify instances                        128        16           22          22           5        5
processes and threads (kernel.pid_max)   32768      1024         500         500          63       63

5 sandboxes in all, 5 of them awake at once; 2 there now. A paused one keeps everything and costs no CPU.
The first limit is that of inotify instances.

What raises them:
  inotify instances: sysctl one
  processors: more of them
  memory: more of it
  processes and threads: sysctl two

Not known:
  Who knows.
`

func TestDoctor_shows_each_limit_what_one_takes_and_what_raises_it(t *testing.T) {
	c := capacity.Capacity{
		Limits: []capacity.Limit{
			{Name: capacity.Memory, Unit: capacity.Bytes, Total: 24 << 30, Others: 4 << 30, OneAwake: 640 << 20, OnePaused: 640 << 20, Sandboxes: 31, Awake: 31, Raise: "more of it"},
			{Name: capacity.Processors, Unit: capacity.Thousandths, Total: 2000, Others: 500, OneAwake: 80, Awake: 18, Raise: "more of them"},
			{Name: "inotify instances", Unit: capacity.Pieces, Total: 128, Others: 16, OneAwake: 22, OnePaused: 22, Sandboxes: 5, Awake: 5, Raise: "sysctl one"},
			{Name: "processes and threads", From: capacity.PIDMax, Unit: capacity.Pieces, Total: 32768, Others: 1024, OneAwake: 500, OnePaused: 500, Sandboxes: 63, Awake: 63, Raise: "sysctl two"},
		},
		Sandboxes: 5, Awake: 5, First: "inotify instances", FirstAwake: "inotify instances", There: 2, Unknown: []string{"Who knows."},
	}
	var out bytes.Buffer
	writeCapacity(&out, c)
	if out.String() != wantCapacity {
		t.Errorf("got\n%s\nwant\n%s", &out, wantCapacity)
	}
	out.Reset()
	c.Sandboxes, c.Awake, c.FirstAwake, c.Unknown = 1, 1, capacity.Processors, nil
	writeCapacity(&out, c)
	for _, want := range []string{"\n1 sandbox in all, 1 of", "\nThe first limit is that of inotify instances, and for those awake that of processors.\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}

// elsewhere is a Docker in another machine with so many bytes of memory, with or without
// the images.
func elsewhere(t *testing.T, memory string, images bool) {
	t.Helper()
	inspect := `echo "no such image" >&2; exit 1`
	if images {
		inspect = `echo '[{"Config":{"Labels":{"netpol-lab.cni":"calico"}}}]'`
	}
	script := `#!/bin/sh
case "$1" in
version) echo 28 ;;
image) ` + inspect + ` ;;
info) echo '{"Name":"elsewhere","OSType":"linux","NCPU":64,"MemTotal":` + memory + `}' ;;
run) printf '==> proc/sys/fs/inotify/max_user_instances\n128\n' ;;
esac
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestDoctor_prints_one_object_for_scripts_and_the_exit_code_says_whether_all_is_there(t *testing.T) {
	for name, images := range map[string]bool{"with images": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			elsewhere(t, "68719476736", images)
			var out bytes.Buffer
			err := run(t.Context(), []string{"doctor", "--json"}, streams{strings.NewReader(""), &out, io.Discard})
			if images && err != nil || !images && !errors.Is(err, errNo) {
				t.Errorf("it ended with %v", err)
			}
			var got diagnosis
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			if got.Ready != images || (got.Missing == "") != images || got.Capacity == nil || got.Capacity.First != "inotify instances" || got.Capacity.Sandboxes < 1 {
				t.Errorf("got %s", &out)
			}
			out.Reset()
			err = run(t.Context(), []string{"doctor"}, streams{strings.NewReader(""), &out, io.Discard})
			if (err == nil) != images || !strings.Contains(out.String(), "The first limit is that of inotify instances") {
				t.Errorf("got %v and\n%s", err, &out)
			}
		})
	}
}

func TestFit_the_sum_says_how_many_there_may_be(t *testing.T) {
	for memory, byMemory := range map[string]bool{"68719476736": false, "1073741824": true} {
		elsewhere(t, memory, true)
		m, err := new(kindFlags).making(&data{instance: "one"}, newLog(io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		m.fit(t.Context(), newLog(io.Discard))
		if m.MaxSandboxes < 1 || m.most < m.MaxSandboxes || (m.MaxSandboxes == m.most) != byMemory {
			t.Errorf("of %s bytes: %d sandboxes, %d by memory", memory, m.MaxSandboxes, m.most)
		}
	}
}

func TestFit_a_docker_that_does_not_answer_any_more_leaves_a_few(t *testing.T) {
	m := making{machine: func(context.Context, bool) (capacity.Machine, error) { return capacity.Machine{}, errors.New("gone") }}
	var said bytes.Buffer
	m.fit(t.Context(), newLog(&said))
	if m.MaxSandboxes < 1 || m.MaxSandboxes > 8 || m.most != 0 || !strings.Contains(said.String(), "gone") {
		t.Errorf("%d sandboxes, %d by memory; said was\n%s", m.MaxSandboxes, m.most, &said)
	}
}

// kindly is a provider by the name of kind.
type kindly struct{ sandboxtest.Provider }

func (*kindly) Name() string { return "kind" }

func TestSize_there_are_never_more_than_memory_has_room_for(t *testing.T) {
	for name, c := range map[string]struct {
		asked, fit, most, want int
		warned                 []string
	}{
		"nobody says":                    {0, 5, 30, 5, nil},
		"fewer than fit":                 {3, 5, 30, 3, nil},
		"more than a limit":              {20, 5, 30, 20, []string{"max=20 fit=5"}},
		"more than memory":               {200, 5, 30, 30, []string{"--max-sandboxes=200 max=30", "max=30 fit=5"}},
		"more than memory, nothing else": {200, 30, 30, 30, []string{"--max-sandboxes=200 max=30"}},
		"memory is not known":            {200, 4, 0, 200, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			opts := sandbox.Options{Provider: new(kindly), MaxSandboxes: c.fit}
			serve := serveCmd{MaxSandboxes: c.asked, PoolReserve: -1, PoolMax: -1}
			if err := serve.size(&opts, c.most, []*lessons.Lesson{{}}, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
				t.Fatal(err)
			}
			if opts.MaxSandboxes != c.want {
				t.Errorf("there may be %d, want %d", opts.MaxSandboxes, c.want)
			}
			if got := strings.Count(said.String(), "level=WARN"); got != len(c.warned) {
				t.Errorf("%d warnings, want %d:\n%s", got, len(c.warned), &said)
			}
			for _, want := range c.warned {
				if !strings.Contains(said.String(), want) {
					t.Errorf("%q is not in\n%s", want, &said)
				}
			}
		})
	}
}

func TestSize_where_fewer_than_three_fit_none_is_kept_in_reserve(t *testing.T) {
	for name, c := range map[string]struct{ fit, asked, reserve, want int }{
		"three fit":                {3, 0, -1, 1},
		"two fit":                  {2, 0, -1, 0},
		"two are asked for":        {5, 2, -1, 0},
		"who asks for one gets it": {2, 0, 1, 1},
		"more than there may be":   {2, 0, 9, 2},
	} {
		opts := sandbox.Options{Provider: new(kindly), MaxSandboxes: c.fit}
		serve := serveCmd{MaxSandboxes: c.asked, PoolReserve: c.reserve, PoolMax: -1}
		if err := serve.size(&opts, 30, []*lessons.Lesson{{}}, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if opts.PoolReserve != c.want {
			t.Errorf("%s: %d are kept in reserve, want %d", name, opts.PoolReserve, c.want)
		}
	}
}
