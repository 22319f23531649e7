package capacity

import (
	"os"
	"path/filepath"
	"testing"
)

// folder makes a folder with the files, by their names; what begins with "->" is where a
// link leads.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if len(content) > 2 && content[:2] == "->" {
			err = os.Symlink(content[2:], path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// plain is a machine with two processors and 8 GiB, of which 2 are used.
func plain() map[string]string {
	return map[string]string{
		"proc/meminfo":                               "MemTotal:        8388608 kB\nMemFree:          100000 kB\nMemAvailable:    6291456 kB\nHugePages_Total:       0\n",
		"proc/cpuinfo":                               "processor\t: 0\nmodel name\t: some processor\n\nprocessor\t: 1\nmodel name\t: some processor\n",
		"proc/loadavg":                               "0.50 0.40 0.30 2/1031 6425\n",
		"proc/net/stat/arp_cache":                    "entries  allocs\n00000030 000013e0\n00000030 00001254\n",
		"proc/net/stat/ndisc_cache":                  "entries  allocs\n00000038 00001194\n",
		"proc/sys/fs/inotify/max_user_instances":     "128\n",
		"proc/sys/fs/inotify/max_user_watches":       "192536\n",
		"proc/sys/kernel/pid_max":                    "32768\n",
		"proc/sys/kernel/threads-max":                "60000\n",
		"proc/sys/net/ipv4/neigh/default/gc_thresh3": "1024\n",
		"proc/sys/net/ipv6/neigh/default/gc_thresh3": "1024\n",
		"proc/7/status":                              "Name:\tsystemd\nUid:\t0\t0\t0\t0\n",
		"proc/7/fd/3":                                "->anon_inode:inotify",
		"proc/7/fd/4":                                "->/dev/null",
		"proc/7/fdinfo/3":                            "pos:\t0\ninotify wd:2 ino:1\ninotify wd:1 ino:2\n",
		"proc/8/status":                              "Name:\teditor\nUid:\t1000\t1000\t1000\t1000\n",
		"proc/8/fd/5":                                "->anon_inode:inotify",
		"proc/9/status":                              "Name:\tlogin\nUid:\t1000\t0\t0\t0\n",
		"proc/9/fd/5":                                "->anon_inode:inotify",
		"proc/self/fd/5":                             "->anon_inode:inotify",
		"sys/fs/cgroup/system.slice/pids.max":        "10\n",
		"sys/fs/cgroup/system.slice/memory.max":      "10\n", // a service\'s own, not everything\'s
	}
}

func TestMachine_is_read_from_the_kernels_files(t *testing.T) {
	m := Here(folder(t, plain()), 0).Machine()
	for name, c := range map[string]struct{ got, want Amount }{
		"memory":            {m.Memory, Amount{Total: 8 << 30, Used: 2 << 30}},
		"processors":        {m.Processors, Amount{Total: 2000}},
		"processes":         {m.Processes, Amount{Total: 32768, Used: 1031, From: PIDMax}},
		"neighbours":        {m.Neighbours, Amount{Total: 1024, Used: 0x38}},
		"inotify instances": {m.InotifyInstances, Amount{Total: 128, Used: 2}},
		"inotify watches":   {m.InotifyWatches, Amount{Total: 192536, Used: 2}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", name, c.got, c.want)
		}
	}
	if len(m.Unknown) > 0 {
		t.Errorf("not known: %q", m.Unknown)
	}
	if m := Here(folder(t, plain()), 1000).Machine(); m.InotifyInstances.Used != 1 {
		t.Errorf("another user has %d instances, want 1", m.InotifyInstances.Used)
	}
}

func TestMachine_the_control_group_that_all_runs_in_can_have_less(t *testing.T) {
	for name, c := range map[string]struct {
		files                         map[string]string
		memory, processors, processes Amount
	}{
		"version 2": {
			map[string]string{
				"sys/fs/cgroup/memory.max": "4294967296\n", "sys/fs/cgroup/memory.current": "1073741824\n", "sys/fs/cgroup/cpu.max": "150000 100000\n",
				"sys/fs/cgroup/pids.max": "4096\n", "sys/fs/cgroup/pids.current": "300\n",
			},
			Amount{Total: 4 << 30, Used: 1 << 30, From: ControlGroup}, Amount{Total: 1500, From: ControlGroup}, Amount{Total: 4096, Used: 300, From: ControlGroup},
		},
		"version 2 without limits": {
			map[string]string{"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/pids.max": "max\n"},
			Amount{Total: 8 << 30, Used: 2 << 30}, Amount{Total: 2000}, Amount{Total: 32768, Used: 1031, From: PIDMax},
		},
		"version 1": {
			map[string]string{
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "4294967296\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1073741824\n",
				"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
				"sys/fs/cgroup/pids/pids.max": "4096\n", "sys/fs/cgroup/pids/pids.current": "300\n",
			},
			Amount{Total: 4 << 30, Used: 1 << 30, From: ControlGroup}, Amount{Total: 500, From: ControlGroup}, Amount{Total: 4096, Used: 300, From: ControlGroup},
		},
		"version 1 without limits": {
			map[string]string{
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
				"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n", "sys/fs/cgroup/pids/pids.max": "max\n",
			},
			Amount{Total: 8 << 30, Used: 2 << 30}, Amount{Total: 2000}, Amount{Total: 32768, Used: 1031, From: PIDMax},
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := plain()
			for f, content := range c.files {
				files[f] = content
			}
			m := Here(folder(t, files), 0).Machine()
			if m.Memory != c.memory || m.Processors != c.processors || m.Processes != c.processes {
				t.Errorf("memory %+v, processors %+v, processes %+v", m.Memory, m.Processors, m.Processes)
			}
		})
	}
}

func TestMachine_what_is_absent_or_no_number_is_not_known(t *testing.T) {
	if m := Here(t.TempDir(), 0).Machine(); m.Memory.Total != 0 || m.Processors.Total != 0 || m.Processes.Total != 0 || m.InotifyInstances.Total != 0 || m.Neighbours.Total != 0 {
		t.Errorf("of an empty folder: %+v", m)
	}
	broken := map[string]string{}
	for name := range plain() {
		broken[name] = "what is this\n"
	}
	if m := Here(folder(t, broken), 0).Machine(); m.Memory.Total != 0 || m.Processors.Total != 0 || m.Processes.Total != 0 || m.InotifyInstances.Total != 0 {
		t.Errorf("of nonsense: %+v", m)
	}
	old := plain()
	old["proc/meminfo"] = "MemTotal:        8388608 kB\n" // before Linux 3.14
	if m := Here(folder(t, old), 0).Machine(); m.Memory != (Amount{Total: 8 << 30}) {
		t.Errorf("without MemAvailable: %+v", m.Memory)
	}
}

func TestMachine_processes_that_may_not_be_looked_at_are_said_to_be_missing(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may look at all")
	}
	root := folder(t, plain())
	locked := filepath.Join(root, "proc/7/fd")
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(locked, 0o700) // so that it can be removed
	if m := Here(root, 0).Machine(); len(m.Unknown) != 1 {
		t.Errorf("not known: %q", m.Unknown)
	}
}

func TestDiskOf_what_is_used_and_free_is_the_whole(t *testing.T) {
	a, err := DiskOf(t.TempDir())
	if err != nil || a.Total <= 0 || a.Used < 0 || a.Used > a.Total {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := DiskOf(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there has a disk")
	}
}
