package nodeimage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// debianLines is the apt configuration of this machine as far as it is about
// Debian's own suites: the node image is built from where the machine's own
// packages come from.
type debianLines struct {
	mirror string   // of the main suite
	lines  []string // sources.list lines: the main suite, its updates, its security updates
}

// debianSources reads the host's apt sources below root ("/" or a test's).
func debianSources(root string) (debianLines, error) {
	var entries []aptEntry
	names, _ := filepath.Glob(filepath.Join(root, "etc/apt/sources.list.d/*"))
	sort.Strings(names)
	names = append([]string{filepath.Join(root, "etc/apt/sources.list")}, names...)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return debianLines{}, err
		}
		switch {
		case strings.HasSuffix(name, ".list"):
			entries = append(entries, parseSourcesList(string(data))...)
		case strings.HasSuffix(name, ".sources"):
			entries = append(entries, parseDeb822(string(data))...)
		}
	}
	var out debianLines
	seen := map[string]bool{}
	for _, suite := range []string{debianSuite, debianSuite + "-updates", debianSuite + "-security"} {
		for _, e := range entries {
			if e.suite != suite || seen[suite] {
				continue
			}
			seen[suite] = true
			if suite == debianSuite {
				out.mirror = e.uri
			}
			out.lines = append(out.lines, fmt.Sprintf("deb %s %s main", e.uri, suite))
		}
	}
	if out.mirror == "" {
		return out, fmt.Errorf("no apt source for Debian's suite %q on this machine: building the node image needs Debian %s, or its source added under /etc/apt", debianSuite, debianSuite)
	}
	return out, nil
}

type aptEntry struct{ uri, suite string }

// parseSourcesList reads the one-line format: deb [options] URI SUITE COMPONENT...
func parseSourcesList(data string) []aptEntry {
	var out []aptEntry
	for line := range strings.Lines(data) {
		fields := strings.Fields(strings.SplitN(line, "#", 2)[0])
		if len(fields) < 3 || fields[0] != "deb" {
			continue
		}
		fields = fields[1:]
		if strings.HasPrefix(fields[0], "[") {
			for len(fields) > 0 && !strings.HasSuffix(fields[0], "]") {
				fields = fields[1:]
			}
			if len(fields) < 3 {
				continue
			}
			fields = fields[1:]
		}
		out = append(out, aptEntry{fields[0], fields[1]})
	}
	return out
}

// parseDeb822 reads the stanza format of .sources files.
func parseDeb822(data string) []aptEntry {
	var out []aptEntry
	stanza := map[string]string{}
	last := ""
	flush := func() {
		if strings.EqualFold(stanza["enabled"], "no") || !strings.Contains(" "+stanza["types"]+" ", " deb ") {
			stanza = map[string]string{}
			return
		}
		for _, uri := range strings.Fields(stanza["uris"]) {
			for _, suite := range strings.Fields(stanza["suites"]) {
				out = append(out, aptEntry{uri, suite})
			}
		}
		stanza = map[string]string{}
	}
	scan := bufio.NewScanner(strings.NewReader(data))
	for scan.Scan() {
		line := scan.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			stanza[last] += " " + strings.TrimSpace(line)
		default:
			key, value, ok := strings.Cut(line, ":")
			if ok {
				last = strings.ToLower(strings.TrimSpace(key))
				stanza[last] = strings.TrimSpace(value)
			}
		}
	}
	flush()
	return out
}

// unneeded is what no image of ours needs, below its root.
var unneeded = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale",
	"usr/share/lintian", "usr/share/bug", "usr/share/i18n", "usr/share/bash-completion",
	"var/cache/apt", "var/cache/debconf", "var/cache/ldconfig", "var/lib/apt/lists", "var/log",
}

// noDocs tells dpkg not to unpack them in the first place.
const noDocs = `path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/bug/*
path-exclude=/usr/share/bash-completion/*
`

// aptConf keeps what apt downloads from staying behind, here and in whatever is
// built on the image.
const aptConf = `APT::Install-Recommends "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
`

// debianBase makes the minimal Debian in the folder root.
func (b *build) debianBase(ctx context.Context, root string) error {
	if err := cannotMakeDebian(); err != nil {
		return err
	}
	src, err := debianSources("/")
	if err != nil {
		return err
	}
	part := root + ".part"
	if err := removeTree(part); err != nil {
		return err
	}
	if err := b.debootstrap(ctx, part, src.mirror); err != nil {
		return err
	}
	files := map[string]string{
		"etc/apt/sources.list":             strings.Join(src.lines, "\n") + "\n",
		"etc/apt/apt.conf.d/90netpol-lab":  aptConf,
		"etc/dpkg/dpkg.cfg.d/90netpol-lab": noDocs,
		"etc/hostname":                     "localhost\n",
		"etc/resolv.conf":                  "",
		"usr/sbin/policy-rc.d":             "#!/bin/sh\nexit 101\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(part, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(part, "usr/sbin/policy-rc.d"), 0o755); err != nil {
		return err
	}
	// debootstrap knows one suite; its updates come now.
	err = b.inRoot(ctx, part, []string{
		"apt-get update",
		"apt-get -y upgrade",
	})
	if err != nil {
		return err
	}
	if err := clean(part); err != nil {
		return err
	}
	return os.Rename(part, root)
}

// MakeDebian makes a Debian with packages in the folder root, for others than the images,
// from where the node image's comes. Of newer, too, are packages, which are taken from
// the suite's backports where the mirror has them. All that is said goes to log.
func MakeDebian(ctx context.Context, root string, packages, newer []string, log *os.File) error {
	b := &build{log: log}
	part := root + ".debian"
	if err := removeTree(part); err != nil {
		return err
	}
	if err := b.debianBase(ctx, part); err != nil {
		return err
	}
	// A kernel needs no initial RAM disk, which takes a minute to make.
	const install = "INITRD=No apt-get install -y --no-install-recommends "
	if err := b.inRoot(ctx, part, []string{"apt-get update", install + strings.Join(packages, " ")}); err != nil {
		return err
	}
	src, err := debianSources("/")
	if err != nil {
		return err
	}
	list, backports := filepath.Join(part, "etc/apt/sources.list.d/backports.list"), debianSuite+"-backports"
	if err := os.WriteFile(list, fmt.Appendf(nil, "deb %s %s main\n", src.mirror, backports), 0o644); err != nil {
		return err
	}
	wanted := strings.Join(newer, " ")
	if b.inRoot(ctx, part, []string{"apt-get update", install + "-t " + backports + " " + wanted}) != nil {
		if err := os.Remove(list); err != nil {
			return err
		}
		if err := b.inRoot(ctx, part, []string{"apt-get update", install + wanted}); err != nil {
			return err
		}
	}
	if err := clean(part); err != nil {
		return err
	}
	return os.Rename(part, root)
}

// debianKeyring has the keys by which Debian signs its suites.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// debootstrap fills the folder root from a mirror, of which nothing is believed that
// Debian has not signed: not for the sake of an option in this machine's sources, and
// not for want of the keys, without which debootstrap would go on unless told.
//
// debootstrap refuses a folder of a file system mounted without device files and
// says so; everything it says is kept for the error.
func (b *build) debootstrap(ctx context.Context, root, mirror string) error {
	if _, err := os.Stat(debianKeyring); err != nil {
		return fmt.Errorf("Debian's keys are missing (apt-get install debian-archive-keyring): %w", err)
	}
	return b.run(ctx, "", nil, "debootstrap", "--force-check-gpg", "--keyring="+debianKeyring, "--variant=minbase", debianSuite, root, mirror)
}

// debianPackages installs packages over the base and leaves what they add in
// the folder upper.
func (b *build) debianPackages(ctx context.Context, base, upper string, packages []string) error {
	part := upper + ".part"
	work, merged := upper+".work", upper+".merged"
	for _, dir := range []string{part, work, merged} {
		if err := removeTree(dir); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", base, part, work)
	if err := mount(merged, options, false); err != nil {
		return fmt.Errorf("mount the Debian base for the packages: %w", err)
	}
	defer detach(merged)
	err := b.inRoot(ctx, merged, []string{
		"apt-get update",
		"apt-get install -y --no-install-recommends " + strings.Join(packages, " "),
	})
	if err != nil {
		return err
	}
	if err := clean(merged); err != nil {
		return err
	}
	if err := syscall.Unmount(merged, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", merged, err)
	}
	os.RemoveAll(work)
	os.RemoveAll(merged)
	return os.Rename(part, upper)
}

// removeTree removes a folder that an interrupted build may have left with file
// systems mounted in it. Those belong to the machine: they are unmounted, never
// emptied.
func removeTree(root string) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var below []string
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && (f[1] == root || strings.HasPrefix(f[1], root+"/")) {
			below = append(below, f[1])
		}
	}
	for i := len(below) - 1; i >= 0; i-- {
		if err := syscall.Unmount(below[i], 0); err != nil {
			return fmt.Errorf("unmount %s: %w", below[i], err)
		}
	}
	return os.RemoveAll(root)
}

// mountOverlay shows base and upper, read-only, as one folder.
func mountOverlay(base, upper string) (string, func(), error) {
	root, err := os.MkdirTemp(filepath.Dir(base), "merged-")
	if err != nil {
		return "", nil, err
	}
	if err := mount(root, fmt.Sprintf("lowerdir=%s:%s", upper, base), true); err != nil {
		os.Remove(root)
		return "", nil, fmt.Errorf("mount the node's Debian: %w", err)
	}
	return root, func() {
		detach(root)
		os.Remove(root)
	}, nil
}

// clean empties the folders nothing needs. The folders stay: programs expect
// them.
func clean(root string) error {
	for _, name := range unneeded {
		entries, err := os.ReadDir(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(root, name, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// inRoot runs shell commands inside a Debian root folder, with this machine's
// network, names and certificates.
func (b *build) inRoot(ctx context.Context, root string, commands []string) error {
	// What the machine's own programs need to reach the packages, for as long as
	// the commands run.
	lent := map[string]string{"etc/resolv.conf": "/etc/resolv.conf"}
	if ca := os.Getenv("SSL_CERT_FILE"); ca != "" {
		lent["tmp/ca.crt"] = ca
	} else {
		lent["tmp/ca.crt"] = "/etc/ssl/certs/ca-certificates.crt"
	}
	for name, from := range lent {
		target := filepath.Join(root, name)
		before, readErr := os.ReadFile(target)
		data, err := os.ReadFile(from)
		if err != nil {
			continue
		}
		if err := os.WriteFile(target, data, 0o644); err != nil {
			return err
		}
		defer func() {
			if readErr != nil {
				os.Remove(target)
			} else {
				os.WriteFile(target, before, 0o644)
			}
		}()
	}
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
	}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for _, command := range commands {
		command = strings.Replace(command, "apt-get ", "apt-get -q -o Acquire::https::CaInfo=/tmp/ca.crt -o Dpkg::Use-Pty=0 ", 1)
		cmd := exec.CommandContext(ctx, "/bin/sh", "-ec", "mount -t proc proc /proc; cd /; "+command)
		cmd.Env = env
		cmd.SysProcAttr = inRootFolder(root)
		if err := b.runCmd(cmd); err != nil {
			return err
		}
	}
	return nil
}
