package kind

import (
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/capacity"
)

// desktopDocker is a Docker in a virtual machine of its own, with four nodes in it of
// which two are this server's. Its containers show what is in the file $FILES.
const desktopDocker = `case "$1" in
info) echo '{"Name":"docker-desktop","KernelVersion":"6.10.14-linuxkit","OSType":"linux","NCPU":4,"MemTotal":8000000000,"DockerRootDir":"/var/lib/docker"}' ;;
run)
  case "$*" in *"--entrypoint sh netpol-lab/node:latest"*proc/meminfo*) ;; *) exit 1 ;; esac
  printf "$FILES"
  ;;
ps)
  printf 'a\tnetpol-lab-one-a\nb\tnetpol-lab-one-b\nc\tnetpol-lab-two-c\nd\tsomebody-elses\n'
  ;;
esac
`

func TestMachine_a_container_says_what_docker_has_elsewhere(t *testing.T) {
	scriptDocker(t, desktopDocker)
	t.Setenv("FILES", `==> proc/meminfo\nMemTotal: 7800000 kB\nMemAvailable: 7000000 kB\n==> proc/loadavg\n0.1 0.1 0.1 1/700 9\n`+
		`==> proc/sys/fs/inotify/max_user_instances\n128\n==> proc/sys/kernel/pid_max\n99999\n==> disk\n1000 3000\n`)
	p, err := New(Options{Instance: "one"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Machine(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ got, want capacity.Amount }{
		"memory":            {m.Memory, capacity.Amount{Total: 7800000 << 10, Used: 800000 << 10}},
		"processors":        {m.Processors, capacity.Amount{Total: 4000}},
		"processes":         {m.Processes, capacity.Amount{Total: 99999, Used: 700, From: capacity.PIDMax}},
		"inotify instances": {m.InotifyInstances, capacity.Amount{Total: 128}},
		"disk":              {m.Disk, capacity.Amount{Total: 4000 << 10, Used: 1000 << 10}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", name, c.got, c.want)
		}
	}
	if !m.Elsewhere || m.Image != "netpol-lab/node:latest" || m.Sandboxes != 2 || len(m.Unknown) != 1 {
		t.Errorf("elsewhere %t, image %s, %d sandboxes, not known: %q", m.Elsewhere, m.Image, m.Sandboxes, m.Unknown)
	}
	if m, err := p.Machine(t.Context(), true); err != nil || m.Sandboxes != 3 {
		t.Errorf("%d sandboxes are all servers', %v", m.Sandboxes, err)
	}
}

func TestMachine_memory_and_processors_are_known_where_no_container_can_be_asked(t *testing.T) {
	scriptDocker(t, strings.Replace(desktopDocker, `printf "$FILES"`, `echo no such image >&2; exit 1`, 1))
	p, err := New(Options{Instance: "one"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Machine(t.Context(), false)
	if err != nil || m.Memory.Total != 8000000000 || m.Processors.Total != 4000 || m.Disk.Total != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if said := strings.Join(m.Unknown, " "); !strings.Contains(said, "no such image") {
		t.Errorf("not known: %s", said)
	}
}

func TestMachine_a_docker_that_does_not_answer_is_an_error(t *testing.T) {
	p, err := New(Options{Instance: "one"})
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"an error":                "echo cannot connect >&2; exit 1\n",
		"an answer with an error": `echo '{"ServerErrors":["cannot connect"]}'` + "\n",
		"no JSON":                 "echo cannot connect\n",
	} {
		scriptDocker(t, script)
		if _, err := p.Machine(t.Context(), false); err == nil {
			t.Errorf("%s is none", name)
		}
	}
}
