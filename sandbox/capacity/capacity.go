// Package capacity works out how many kind sandboxes a machine takes, and which of its
// limits comes first. It asks nobody: a [Machine] is what was measured, and [Of] the sum.
package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Amount is how much of something there is. Where Total is 0 that is not known, and
// limits nothing.
type Amount struct {
	// Total is all that there is. Used is what is taken of it now, by sandboxes too.
	Total, Used int64
	// From says whose limit it is, where that is not the machine's.
	From string
}

// Machine is what the machine has that Docker runs on.
type Machine struct {
	// Memory and Disk are in bytes, Processors in thousandths of one. Disk is where
	// Docker keeps its data.
	Memory, Processors, Disk Amount
	// InotifyInstances and InotifyWatches are those of the user that the nodes run as,
	// Processes count threads, too, and Neighbours are the entries of the kernel's table
	// for one family of addresses.
	InotifyInstances, InotifyWatches, Processes, Neighbours Amount
	// Files are the files, connections among them, that the server may have open. What is
	// used of them is not counted.
	Files Amount
	// Sandboxes are there already, and in what is used.
	Sandboxes int
	// ControlGroups is the version of those that Docker uses, 1 or 2.
	ControlGroups int
	// Elsewhere says that Docker does not run on this machine, but in a virtual one of its
	// own, as Docker Desktop does, or on another. Image is one to run there, with a shell.
	Elsewhere bool
	Image     string
	// Unknown says, a sentence each, what could not be known.
	Unknown []string
}

// Unit is what an amount is counted in.
type Unit string

// The units.
const (
	Bytes       Unit = "bytes"
	Pieces      Unit = "pieces"
	Thousandths Unit = "thousandths of a processor"
)

// Limit is one of the machine's limits.
type Limit struct {
	Name string `json:"name"`
	// From says whose limit it is, where that is not the machine's.
	From string `json:"from,omitempty"`
	Unit Unit   `json:"unit"`
	// Total is what there is, and Others what others have of it or is kept for them.
	Total  int64 `json:"total"`
	Others int64 `json:"others"`
	// OneAwake and OnePaused are what one sandbox takes.
	OneAwake  int64 `json:"oneAwake"`
	OnePaused int64 `json:"onePaused"`
	// Sandboxes is how many that gives in all, and Awake how many awake at once. Where
	// OnePaused is 0 those that are paused are not limited, and Sandboxes is 0.
	Sandboxes int `json:"sandboxes"`
	Awake     int `json:"awake"`
	// Raise is the command that raises it, or says in words what would.
	Raise string `json:"raise"`
}

// Capacity is how many sandboxes a machine takes.
type Capacity struct {
	// Limits are those that are known.
	Limits []Limit `json:"limits"`
	// Sandboxes is how many there can be in all, and Awake how many of them can be awake at
	// once; at least one.
	Sandboxes int `json:"sandboxes"`
	Awake     int `json:"awake"`
	// First is the name of the limit that Sandboxes comes from, and FirstAwake of that which
	// Awake comes from; empty where none is known.
	First      string `json:"first"`
	FirstAwake string `json:"firstAwake"`
	// There is how many sandboxes there are now.
	There int `json:"there"`
	// Unknown says, a sentence each, what could not be known.
	Unknown []string `json:"unknown"`
}

// The names of limits that others ask for.
const (
	Memory     = "memory"
	Processors = "processors"
)

const (
	// withoutMemory is how many sandboxes there may be where nobody knows how much memory
	// there is.
	withoutMemory = 4
	// perAwake is how many sandboxes there may be for each that can be awake: of those that
	// nobody looks at all are paused, but who looks wakes theirs.
	perAwake = 2
)

// Of is the sum.
func Of(m Machine) Capacity {
	c := Capacity{Limits: []Limit{}, Sandboxes: math.MaxInt, Awake: math.MaxInt, There: m.Sandboxes, Unknown: append([]string{}, m.Unknown...)}
	instances, watches := int64(inotifyInstances), int64(inotifyWatches)
	if m.ControlGroups != 1 {
		instances += containers
		watches += 2 * containers
	}
	for _, known := range []struct {
		Limit
		amount Amount
		// kept is left to others at least, and free beside what they have.
		kept, free int64
	}{
		{Limit{Name: Memory, Unit: Bytes, OneAwake: memory, OnePaused: memory, Raise: m.raiseMemory()}, m.Memory, min(m.Memory.Total/4, memoryKept), 0},
		{Limit{Name: Processors, Unit: Thousandths, OneAwake: processor, Raise: "more of them; paused sandboxes need none"}, m.Processors, m.Processors.Total / 4, 0},
		{Limit{Name: "disk", Unit: Bytes, OneAwake: disk, OnePaused: disk, Raise: "docker system df   # says what takes it"}, m.Disk, 0, diskKept},
		{Limit{Name: "inotify instances", OneAwake: instances, OnePaused: instances, Raise: m.sysctl("fs.inotify.max_user_instances=8192")}, m.InotifyInstances, inotifyInstancesKept, 0},
		{Limit{Name: "inotify watches", OneAwake: watches, OnePaused: watches, Raise: m.sysctl("fs.inotify.max_user_watches=1048576")}, m.InotifyWatches, inotifyWatchesKept, 0},
		{Limit{Name: "processes and threads", OneAwake: processes, OnePaused: processes, Raise: m.raiseProcesses()}, m.Processes, processesKept, 0},
		{Limit{Name: "neighbour entries", OneAwake: neighbours, OnePaused: neighboursPaused, Raise: m.sysctl("net.ipv4.neigh.default.gc_thresh3=8192", "net.ipv6.neigh.default.gc_thresh3=8192")}, m.Neighbours, neighboursKept, 0},
		{Limit{Name: "open files of the server", OneAwake: files, OnePaused: files, Raise: "ulimit -n 65536   # before the server is started; LimitNOFILE= in a unit of systemd"}, m.Files, filesKept, 0},
	} {
		if known.amount.Total <= 0 {
			continue
		}
		l := known.Limit
		if l.Unit == "" {
			l.Unit = Pieces
		}
		l.Total, l.From = known.amount.Total, known.amount.From
		// What our own take is not others'.
		l.Others = max(known.kept, known.amount.Used-int64(m.Sandboxes)*l.OneAwake+known.free)
		rest := max(0, l.Total-l.Others)
		l.Awake = int(rest / l.OneAwake)
		if l.OnePaused > 0 {
			l.Sandboxes = int(rest / l.OnePaused)
			if l.Sandboxes < c.Sandboxes {
				c.Sandboxes, c.First = l.Sandboxes, l.Name
			}
		}
		if l.Awake < c.Awake {
			c.Awake, c.FirstAwake = l.Awake, l.Name
		}
		c.Limits = append(c.Limits, l)
	}
	if m.Memory.Total <= 0 && c.Sandboxes > withoutMemory {
		c.Sandboxes, c.First = withoutMemory, ""
		c.Unknown = append(c.Unknown, fmt.Sprintf("How much memory there is could not be found out: no more than %d sandboxes are made where nobody says otherwise.", withoutMemory))
	}
	c.Sandboxes, c.Awake = max(1, c.Sandboxes), max(1, c.Awake)
	if c.Awake > c.Sandboxes {
		c.Awake, c.FirstAwake = c.Sandboxes, c.First
	}
	if most := perAwake * c.Awake; c.Sandboxes > most {
		c.Sandboxes, c.First = most, c.FirstAwake
	}
	return c
}

// ByMemory is how many sandboxes the memory has room for, at least one; 0 where nobody
// knows how much there is.
func (c Capacity) ByMemory() int {
	for _, l := range c.Limits {
		if l.Name == Memory {
			return max(1, l.Awake)
		}
	}
	return 0
}

// InOrder are the limits in the order in which they come for sandboxes that are awake.
func (c Capacity) InOrder() []Limit {
	return slices.SortedStableFunc(slices.Values(c.Limits), func(a, b Limit) int { return cmp.Compare(a.Awake, b.Awake) })
}

// sysctl is the command that sets what the kernel is to have.
func (m Machine) sysctl(settings ...string) string {
	if m.Elsewhere { // until that machine starts again
		command := "docker run --rm --privileged --network host --entrypoint sh " + m.Image + " -c '"
		for i, setting := range settings {
			name, value, _ := strings.Cut(setting, "=")
			if i > 0 {
				command += "; "
			}
			command += "echo " + value + " > /proc/sys/" + strings.ReplaceAll(name, ".", "/")
		}
		return command + "'"
	}
	return `printf '%s\n' ` + strings.Join(settings, " ") + " | sudo tee -a /etc/sysctl.d/90-netpol-lab.conf && sudo sysctl --system"
}

func (m Machine) raiseMemory() string {
	switch {
	case m.Elsewhere:
		return "more of it: with Docker Desktop under Settings, Resources"
	case m.Memory.From == ControlGroup:
		return "docker update --memory ...   # of the container that Docker runs in"
	}
	return "more of it"
}

func (m Machine) raiseProcesses() string {
	if m.Processes.From == ControlGroup {
		return "docker update --pids-limit ...   # of the container that Docker runs in"
	}
	return m.sysctl(m.Processes.From + "=4194304")
}

// ControlGroup, PIDMax and ThreadsMax are whose limits of processes there are; that of
// memory and processors can be the control group's, too.
const (
	ControlGroup = "control group"
	PIDMax       = "kernel.pid_max"
	ThreadsMax   = "kernel.threads-max"
)
