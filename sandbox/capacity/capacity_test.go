package capacity

import (
	"strings"
	"testing"
)

// roomy is a machine whose limits let hundreds of sandboxes in.
func roomy() Machine {
	return Machine{
		Memory: Amount{Total: 1 << 40}, Processors: Amount{Total: 64_000}, Disk: Amount{Total: 1 << 40},
		InotifyInstances: Amount{Total: 1 << 20}, InotifyWatches: Amount{Total: 1 << 20}, Processes: Amount{Total: 1 << 22, From: PIDMax},
		Neighbours: Amount{Total: 1 << 20}, Files: Amount{Total: 1 << 20}, ControlGroups: 1,
	}
}

func TestOf_the_smallest_limit_comes_first(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Machine)
		first  string
		want   int
	}{
		"memory":              {func(m *Machine) { m.Memory.Total = memoryKept + 30*memory }, "memory", 30},
		"a small memory":      {func(m *Machine) { m.Memory.Total = 4 * memory }, "memory", 3}, // a quarter is kept
		"memory of others":    {func(m *Machine) { m.Memory = Amount{Total: 2*memoryKept + 20*memory, Used: 2 * memoryKept} }, "memory", 20},
		"inotify instances":   {func(m *Machine) { m.InotifyInstances.Total = inotifyInstancesKept + 5*inotifyInstances }, "inotify instances", 5},
		"almost one more":     {func(m *Machine) { m.InotifyInstances.Total = inotifyInstancesKept + 6*inotifyInstances - 1 }, "inotify instances", 5},
		"inotify watches":     {func(m *Machine) { m.InotifyWatches.Total = inotifyWatchesKept + 5*inotifyWatches }, "inotify watches", 5},
		"processes":           {func(m *Machine) { m.Processes = Amount{Total: 9000 + 7*processes, Used: 9000, From: PIDMax} }, "processes and threads", 7},
		"neighbours":          {func(m *Machine) { m.Neighbours.Total = neighboursKept + 7*neighbours }, "neighbour entries", 14}, // 7 awake, as many paused
		"files":               {func(m *Machine) { m.Files.Total = filesKept + 7*files }, "open files of the server", 7},
		"disk":                {func(m *Machine) { m.Disk = Amount{Total: 50<<30 + diskKept + 7*disk, Used: 50 << 30} }, "disk", 7},
		"processors":          {func(m *Machine) { m.Processors.Total = 40 * processor }, "processors", 60}, // 30 awake, as many paused
		"a full disk":         {func(m *Machine) { m.Disk = Amount{Total: 50 << 30, Used: 50 << 30} }, "disk", 1},
		"memory that is full": {func(m *Machine) { m.Memory = Amount{Total: 50 << 30, Used: 50 << 30} }, "memory", 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := roomy()
			c.change(&m)
			if got := Of(m); got.Sandboxes != c.want || got.First != c.first {
				t.Errorf("%d sandboxes by %q, want %d by %q", got.Sandboxes, got.First, c.want, c.first)
			}
		})
	}
}

func TestOf_control_groups_of_version_2_take_an_inotify_instance_for_each_container(t *testing.T) {
	m := roomy()
	m.InotifyInstances.Total = inotifyInstancesKept + 3*(inotifyInstances+containers)
	first := Of(m).Sandboxes
	for _, version := range []int{2, 0} { // where it is not known, as most have it
		m.ControlGroups = version
		if got := Of(m).Sandboxes; got != 3 || first <= 3 {
			t.Errorf("%d sandboxes with version %d, %d with version 1", got, version, first)
		}
	}
}

func TestOf_the_processors_limit_those_awake(t *testing.T) {
	m := roomy()
	m.Memory.Total, m.Processors.Total = memoryKept+30*memory, 2000
	c := Of(m)
	if want := 1500 / processor; c.Sandboxes != min(30, perAwake*want) || c.Awake != min(want, c.Sandboxes) {
		t.Errorf("%d, %d of them awake", c.Sandboxes, c.Awake)
	}
	m.Processors.Total = 64_000
	if c := Of(m); c.Sandboxes != 30 || c.Awake != 30 || c.FirstAwake != Memory {
		t.Errorf("with 64 processors %d, %d of them awake by %q", c.Sandboxes, c.Awake, c.FirstAwake)
	}
}

func TestOf_what_sandboxes_take_that_are_there_is_not_others(t *testing.T) {
	m := roomy()
	m.InotifyInstances.Total = inotifyInstancesKept + 5*inotifyInstances
	alone := Of(m).Sandboxes
	m.Sandboxes, m.InotifyInstances.Used = 4, 4*inotifyInstances+inotifyInstancesKept
	if got := Of(m); got.Sandboxes != alone || got.There != 4 {
		t.Errorf("%d with %d there, and %d without", got.Sandboxes, got.There, alone)
	}
}

func TestOf_what_is_not_known_limits_nothing_but_memory(t *testing.T) {
	m := roomy()
	m.Processes, m.Files, m.Disk = Amount{}, Amount{}, Amount{}
	m.InotifyInstances.Total = inotifyInstancesKept + 5*inotifyInstances
	if c := Of(m); c.Sandboxes != 5 || len(c.Limits) != 5 {
		t.Errorf("%d sandboxes by %d limits", c.Sandboxes, len(c.Limits))
	}
	c := Of(Machine{})
	if c.Sandboxes != withoutMemory || c.Awake != withoutMemory || c.ByMemory() != 0 || c.First != "" || len(c.Limits) > 0 || len(c.Unknown) != 1 {
		t.Errorf("with nothing known: %+v", c)
	}
	m = roomy()
	m.Memory.Total = 1
	if c := Of(m); c.ByMemory() != 1 {
		t.Errorf("one has to fit, by memory %d do", c.ByMemory())
	}
}

func TestLimit_what_raises_it_is_for_the_machine_that_docker_is_on(t *testing.T) {
	raise := func(m Machine, name string) string {
		for _, l := range Of(m).InOrder() {
			if l.Name == name {
				return l.Raise
			}
		}
		t.Fatalf("no limit is called %q", name)
		return ""
	}
	here := roomy()
	if got, want := raise(here, "inotify instances"), "fs.inotify.max_user_instances=8192 | sudo tee -a /etc/sysctl.d/90-netpol-lab.conf && sudo sysctl --system"; !strings.HasSuffix(got, want) {
		t.Errorf("here: %s", got)
	}
	if got := raise(here, "processes and threads"); !strings.Contains(got, "kernel.pid_max=4194304") {
		t.Errorf("processes: %s", got)
	}
	here.Memory.From, here.Processes.From = ControlGroup, ControlGroup
	if got := raise(here, "processes and threads"); !strings.HasPrefix(got, "docker update --pids-limit") {
		t.Errorf("processes in a container: %s", got)
	}
	if got := raise(here, Memory); !strings.HasPrefix(got, "docker update --memory") {
		t.Errorf("memory in a container: %s", got)
	}
	there := roomy()
	there.Elsewhere, there.Image = true, "node:1"
	if got := raise(there, "inotify instances"); got != "docker run --rm --privileged --network host --entrypoint sh node:1 -c 'echo 8192 > /proc/sys/fs/inotify/max_user_instances'" {
		t.Errorf("elsewhere: %s", got)
	}
	if got := raise(there, Memory); !strings.Contains(got, "Docker Desktop") {
		t.Errorf("memory elsewhere: %s", got)
	}
}
