//go:build integration

package cgroup2

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
)

// What the emulated machine's Debian has, and what emulates it: that is in the same
// folder, so that nothing is installed on this machine.
var (
	packages = []string{"apparmor", "systemd", "systemd-sysv", "udev", "dbus", "docker.io", "iptables", "kmod", "iproute2", "e2fsprogs", "linux-image-cloud-amd64"}
	newer    = []string{"qemu-system-x86"} // QEMU 10 is much faster here than Debian 12's own
)

// guestFiles are what the machine's Debian has besides its packages. It runs what the
// disk called lab brings, tells what that says on its second serial line, and ends.
var guestFiles = map[string]string{
	"etc/hostname": "cgroup2\n",
	"etc/hosts":    "127.0.0.1 localhost cgroup2\n",
	"etc/fstab": `/dev/nvme0n2 /var/lib/docker ext4 defaults 0 0
/dev/nvme0n3 /lab ext4 ro 0 0
tmpfs /tmp tmpfs defaults 0 0
`,
	"etc/systemd/system/lab.service": `[Unit]
After=docker.service
Wants=docker.service
RequiresMountsFor=/lab /tmp
[Service]
Environment=HOME=/root
ExecStart=/bin/sh -c '/bin/sh /lab/run >/dev/ttyS1 2>&1; echo "` + ended + ` $$?" >/dev/ttyS1; poweroff -ff'
`,
}

// ended begins the machine's last line, which has its test's exit status.
const ended = "The test has ended with status"

// machine is the emulated machine: a Debian's folder and its disks.
type machine struct {
	cache string // where everything is kept
	root  string // the Debian
	disks []string
	log   *os.File
	say   func(format string, args ...any)
}

// newMachine makes the machine's disks, as far as they are not there, with these images
// in its Docker.
func newMachine(ctx context.Context, images []string, say func(format string, args ...any)) (*machine, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	m := &machine{cache: filepath.Join(dir, "netpol-lab", "cgroup2"), say: say}
	if err := os.MkdirAll(m.cache, 0o755); err != nil {
		return nil, err
	}
	if m.log, err = os.OpenFile(filepath.Join(m.cache, "log"), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, err
	}
	if err := m.make(ctx, images); err != nil {
		m.close()
		return nil, fmt.Errorf("%w (all output: %s)", err, m.log.Name())
	}
	return m, nil
}

func (m *machine) close() { m.log.Close() }

func (m *machine) make(ctx context.Context, images []string) error {
	// One at a time: the log is the lock.
	if err := syscall.Flock(int(m.log.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another emulated machine is at work here: %w", err)
	}
	if err := m.log.Truncate(0); err != nil {
		return err
	}
	ids, err := imageIDs(ctx, images)
	if err != nil {
		return err
	}
	debian := hash(append(append(packages, newer...), fmt.Sprint(guestFiles))...)
	docker := hash(append([]string{debian, loadImages}, ids...)...)
	m.root = filepath.Join(m.cache, "debian-"+debian)
	system, store := m.root+".disk", filepath.Join(m.cache, "docker-"+docker+".disk")
	m.disks = []string{system, store}
	if err := m.sweep(m.root, system, store, m.log.Name()); err != nil {
		return err
	}
	for _, part := range []struct {
		path, what string
		make       func(ctx context.Context, path string) error
	}{
		{m.root, "a Debian with Docker and QEMU", m.makeRoot},
		{system, "its disk", func(ctx context.Context, path string) error { return m.makeDisk(ctx, path, m.root, "4G") }},
		{store, "a disk with the images", func(ctx context.Context, path string) error { return m.makeStore(ctx, path, images) }},
	} {
		if _, err := os.Stat(part.path); err == nil {
			continue
		}
		began := time.Now()
		if err := part.make(ctx, part.path); err != nil {
			return fmt.Errorf("make %s: %w", part.what, err)
		}
		m.say("made %s in %s", part.what, time.Since(began).Round(time.Second))
	}
	return nil
}

// sweep removes from the cache what is no longer used.
func (m *machine) sweep(keep ...string) error {
	kept := map[string]bool{}
	for _, path := range keep {
		kept[path] = true
	}
	there, err := filepath.Glob(filepath.Join(m.cache, "*"))
	for _, path := range there {
		if !kept[path] {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return err
}

func (m *machine) makeRoot(ctx context.Context, path string) error {
	part := path + ".part"
	if err := nodeimage.MakeDebian(ctx, part, packages, newer, m.log); err != nil {
		return err
	}
	for name, text := range guestFiles {
		if err := os.WriteFile(filepath.Join(part, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, folder := range []string{"lab", "var/lib/docker"} {
		if err := os.MkdirAll(filepath.Join(part, folder), 0o711); err != nil {
			return err
		}
	}
	if err := os.Symlink("../lab.service", filepath.Join(part, "etc/systemd/system/multi-user.target.wants/lab.service")); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// makeDisk makes a disk with what is in a folder.
func (m *machine) makeDisk(ctx context.Context, path, folder, size string) error {
	part := path + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", folder, part, size)
	if err := m.run(cmd); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// loadImages has a Docker of its own take in what it reads.
const loadImages = `
ip link set lo up
dockerd --bridge=none --iptables=false --ip6tables=false --storage-driver=overlay2 &
docker=$!
until docker version; do sleep 0.2; kill -0 $docker; done
docker load
kill $docker
wait $docker
`

// makeStore makes a disk with what Docker has when it has the images.
func (m *machine) makeStore(ctx context.Context, path string, images []string) error {
	folder := filepath.Join(m.cache, "docker")
	if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o710)); err != nil {
		return err
	}
	save := exec.CommandContext(ctx, "docker", append([]string{"save"}, images...)...)
	saved, err := save.StdoutPipe()
	if err != nil {
		return err
	}
	load := m.inRoot(ctx, "mount --bind '"+folder+"' var/lib/docker", loadImages)
	load.Stdin = saved
	save.Stderr = m.log
	if err := save.Start(); err != nil {
		return err
	}
	err = m.run(load)
	saved.Close() // which ends a save that nobody reads any more
	if err = errors.Join(err, save.Wait()); err != nil {
		return err
	}
	if err := m.makeDisk(ctx, path, folder, "16G"); err != nil {
		return err
	}
	return os.RemoveAll(folder)
}

// inRoot is a command that carries out the script in the machine's Debian, with these
// mounts, which are relative to it. It is alone there: it sees no other processes and no
// network, and when it ends, or this process does, so does all that it has started.
func (m *machine) inRoot(ctx context.Context, mounts, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-ec", `mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --rbind /sys sys
mount -t tmpfs tmpfs run
`+mounts+`
exec chroot . /bin/sh -ec "$2"`, "sh", m.root, script)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd
}

// run runs a command to its end. What it says goes to the log, and its end into the error.
func (m *machine) run(cmd *exec.Cmd) error {
	// The signal at the parent's death is that of the thread which has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var said bytes.Buffer
	out := io.MultiWriter(&said, m.log)
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	return nil
}

// boot starts the machine with the folder as its disk called lab, and waits for its end.
// Each line that its test says is given to said. What the test leaves of the other disks
// is forgotten.
func (m *machine) boot(ctx context.Context, folder string, said func(line string)) error {
	work := filepath.Join(m.cache, "work")
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o700)); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	lab := filepath.Join(work, "lab.disk")
	if err := m.makeDisk(ctx, lab, folder, "1G"); err != nil {
		return err
	}
	kernels, err := filepath.Glob(filepath.Join(m.root, "boot/vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		return fmt.Errorf("kernels %q: %v", kernels, err)
	}
	const cache = "/mnt"
	inside := func(path string) string { return strings.Replace(path, m.cache, cache, 1) }
	args := []string{
		"exec env TMPDIR=" + inside(work), "nice -n 19 qemu-system-x86_64",
		// The machine's clock follows what it has done, so that no limit of time in it is
		// over sooner because this machine is busy.
		"-accel tcg,tb-size=1024 -icount shift=0 -rtc clock=vm -cpu qemu64 -smp 1 -m 6G",
		"-nodefaults -no-user-config -display none -monitor none -nic none -no-reboot",
		"-kernel", strings.TrimPrefix(kernels[0], m.root),
		"-append 'root=/dev/nvme0n1 rw console=ttyS0 mitigations=off tsc=reliable nowatchdog systemd.default_timeout_start_sec=900 systemd.mask=serial-getty@ttyS0.service systemd.mask=getty@tty1.service'",
		"-serial file:" + inside(filepath.Join(work, "console")), "-serial stdio",
		"-device nvme,id=disks,serial=lab",
	}
	for i, disk := range append(m.disks, lab) {
		args = append(args, fmt.Sprintf("-drive if=none,id=d%d,format=raw,snapshot=on,cache=unsafe,file=%s -device nvme-ns,bus=disks,nsid=%d,drive=d%d", i, inside(disk), i+1, i))
	}
	qemu := m.inRoot(ctx, "mount --bind '"+m.cache+"' ."+cache, strings.Join(args, " "))
	lines := &lineWriter{said: said}
	qemu.Stdout = lines
	err = m.run(qemu)
	if lines.last == ended+" 0" {
		return nil
	}
	console, _ := os.ReadFile(filepath.Join(work, "console"))
	fmt.Fprintf(m.log, "The console:\n%s", console)
	return fmt.Errorf("the emulated machine's last line was %q (%v)\nthe end of its console:\n%s", lines.last, cmp.Or(context.Cause(ctx), err), console[max(0, len(console)-3000):])
}

// lineWriter gives on what is written to it, line by line.
type lineWriter struct {
	said func(line string)
	rest []byte
	last string
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		advance, line, _ := bufio.ScanLines(w.rest, false)
		if advance == 0 {
			return len(b), nil
		}
		w.last = strings.TrimRight(string(line), "\r")
		w.said(w.last)
		w.rest = w.rest[advance:]
	}
}

func imageIDs(ctx context.Context, images []string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "docker", append([]string{"image", "inspect", "--format", "{{.Id}}"}, images...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("the images %q are not in Docker (make node-image): %w", images, err)
	}
	return strings.Fields(string(out)), nil
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}
