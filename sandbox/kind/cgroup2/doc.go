// Package cgroup2 is where the lab is tried on a machine with control groups of version
// 2, which nearly everybody has and not every machine of this project's tests: in a
// Debian that QEMU emulates. The emulation is some ten times slower than the machine, and
// has no network.
package cgroup2
