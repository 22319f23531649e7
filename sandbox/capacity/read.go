package capacity

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Sources are where a Linux says what it has.
type Sources struct {
	// Read reads a file of /proc or /sys, by its name from there on: "proc/meminfo".
	Read func(name string) ([]byte, error)
	// Root is the folder that has them, for what has to be counted in them; where it is
	// empty, that is not known.
	Root string
	// User is the ID of the user that the nodes run as.
	User int
}

// Here are the sources of this machine, or those in another folder than "/".
func Here(root string, user int) Sources {
	return Sources{
		Read: func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(root, name)) },
		Root: root, User: user,
	}
}

// Names are the files that [Sources.Machine] reads.
var Names = []string{
	"proc/meminfo", "proc/cpuinfo", "proc/loadavg", "proc/net/stat/arp_cache", "proc/net/stat/ndisc_cache",
	"proc/sys/fs/inotify/max_user_instances", "proc/sys/fs/inotify/max_user_watches",
	"proc/sys/kernel/pid_max", "proc/sys/kernel/threads-max",
	"proc/sys/net/ipv4/neigh/default/gc_thresh3", "proc/sys/net/ipv6/neigh/default/gc_thresh3",
}

// The limits of the control group that everything here runs in, as version 2 and version
// 1 have them: where this is a container, they are its own, and on a machine there are none.
const (
	memoryMax, memoryLimit = "sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"
	memoryNow, memoryUsage = "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory/memory.usage_in_bytes"
	pidsMax, pidsLimit     = "sys/fs/cgroup/pids.max", "sys/fs/cgroup/pids/pids.max"
	pidsNow, pidsUsage     = "sys/fs/cgroup/pids.current", "sys/fs/cgroup/pids/pids.current"
	cpuMax                 = "sys/fs/cgroup/cpu.max"
	cpuQuota, cpuPeriod    = "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "sys/fs/cgroup/cpu/cpu.cfs_period_us"
)

// Machine is what can be read of the machine, without Docker's disk and the server's files.
func (s Sources) Machine() Machine {
	var m Machine
	s.memory(&m)
	s.processors(&m)
	s.processes(&m)
	s.neighbours(&m)
	s.inotify(&m)
	return m
}

// number is the whole number in the first of the files that has one. Where there is none,
// or it is no limit ("max", or below zero), that is 0.
func (s Sources) number(names ...string) int64 {
	for _, name := range names {
		b, err := s.Read(name)
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
		if n, err := strconv.ParseInt(first, 10, 64); err == nil {
			return max(0, n)
		}
		return 0
	}
	return 0
}

func (s Sources) memory(m *Machine) {
	b, err := s.Read("proc/meminfo")
	if err != nil {
		return
	}
	lines := map[string]int64{}
	for line := range bytes.Lines(b) {
		name, rest, _ := strings.Cut(string(line), ":")
		if fields := strings.Fields(rest); len(fields) == 2 && fields[1] == "kB" {
			if kib, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				lines[name] = kib << 10
			}
		}
	}
	m.Memory.Total = lines["MemTotal"]
	if available, ok := lines["MemAvailable"]; ok {
		m.Memory.Used = m.Memory.Total - available
	}
	if limit := s.number(memoryMax, memoryLimit); limit > 0 && limit < m.Memory.Total {
		m.Memory = Amount{Total: limit, Used: min(m.Memory.Used, s.number(memoryNow, memoryUsage)), From: ControlGroup}
	}
}

func (s Sources) processors(m *Machine) {
	b, err := s.Read("proc/cpuinfo")
	if err != nil {
		return
	}
	for line := range bytes.Lines(b) {
		if bytes.HasPrefix(line, []byte("processor")) {
			m.Processors.Total += 1000
		}
	}
	quota, period := s.number(cpuQuota), s.number(cpuPeriod)
	if b, err := s.Read(cpuMax); err == nil {
		quota = s.number(cpuMax)
		if fields := strings.Fields(string(b)); len(fields) == 2 {
			period, _ = strconv.ParseInt(fields[1], 10, 64) // 0 where it is no number
		}
	}
	if quota > 0 && period > 0 && quota*1000/period < m.Processors.Total {
		m.Processors = Amount{Total: quota * 1000 / period, From: ControlGroup}
	}
}

func (s Sources) processes(m *Machine) {
	for _, limit := range []Amount{
		{Total: s.number("proc/sys/kernel/pid_max"), Used: s.threads(), From: PIDMax},
		{Total: s.number("proc/sys/kernel/threads-max"), Used: s.threads(), From: ThreadsMax},
		{Total: s.number(pidsMax, pidsLimit), Used: s.number(pidsNow, pidsUsage), From: ControlGroup},
	} {
		if limit.Total > 0 && (m.Processes.Total == 0 || limit.Total < m.Processes.Total) {
			m.Processes = limit
		}
	}
}

// threads is how many processes and threads there are: the load has it as "running/all".
func (s Sources) threads() int64 {
	b, err := s.Read("proc/loadavg")
	if fields := strings.Fields(string(b)); err == nil && len(fields) > 3 {
		_, all, _ := strings.Cut(fields[3], "/")
		n, _ := strconv.ParseInt(all, 10, 64) // 0 where it is no number
		return n
	}
	return 0
}

// neighbours is the fuller of the two tables, of IPv4 and IPv6: each is one for all
// containers together.
func (s Sources) neighbours(m *Machine) {
	for _, table := range []struct{ limit, entries string }{
		{"proc/sys/net/ipv4/neigh/default/gc_thresh3", "proc/net/stat/arp_cache"},
		{"proc/sys/net/ipv6/neigh/default/gc_thresh3", "proc/net/stat/ndisc_cache"},
	} {
		a := Amount{Total: s.number(table.limit)}
		if b, err := s.Read(table.entries); err == nil {
			// The second line begins with the number of entries, in hexadecimal.
			if lines := strings.Split(string(b), "\n"); len(lines) > 1 {
				first, _, _ := strings.Cut(lines[1], " ")
				a.Used, _ = strconv.ParseInt(first, 16, 64) // 0 where it is no number
			}
		}
		if a.Total > 0 && (m.Neighbours.Total == 0 || a.Total-a.Used < m.Neighbours.Total-m.Neighbours.Used) {
			m.Neighbours = a
		}
	}
}

func (s Sources) inotify(m *Machine) {
	m.InotifyInstances.Total = s.number("proc/sys/fs/inotify/max_user_instances")
	m.InotifyWatches.Total = s.number("proc/sys/fs/inotify/max_user_watches")
	if s.Root == "" || m.InotifyInstances.Total == 0 {
		return
	}
	var all bool
	m.InotifyInstances.Used, m.InotifyWatches.Used, all = s.countInotify()
	if !all {
		m.Unknown = append(m.Unknown, "What others use of inotify is more than is counted here: not every process could be looked into (root sees most of them).")
	}
}

// countInotify counts the instances and watches of the user's processes. all says that
// every such process could be looked at.
func (s Sources) countInotify() (instances, watches int64, all bool) {
	processes, err := filepath.Glob(filepath.Join(s.Root, "proc/[0-9]*"))
	if err != nil {
		return 0, 0, false
	}
	all = true
	for _, process := range processes {
		if !s.isUsers(process) {
			continue
		}
		open, err := os.ReadDir(filepath.Join(process, "fd"))
		if errors.Is(err, fs.ErrPermission) {
			all = false
		}
		for _, f := range open { // none where the process has ended meanwhile
			to, err := os.Readlink(filepath.Join(process, "fd", f.Name()))
			if errors.Is(err, fs.ErrPermission) {
				all = false
				break
			}
			if to != "anon_inode:inotify" {
				continue
			}
			instances++
			if about, err := os.ReadFile(filepath.Join(process, "fdinfo", f.Name())); err == nil {
				watches += int64(bytes.Count(about, []byte("inotify wd:")))
			}
		}
	}
	return instances, watches, all
}

// isUsers says that the process is one of the user's.
func (s Sources) isUsers(process string) bool {
	f, err := os.Open(filepath.Join(process, "status"))
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if ids, ok := strings.CutPrefix(lines.Text(), "Uid:"); ok {
			fields := strings.Fields(ids)
			return len(fields) > 1 && fields[1] == strconv.Itoa(s.User) // the effective one
		}
	}
	return false
}
