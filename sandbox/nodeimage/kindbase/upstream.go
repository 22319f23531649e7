//go:build tools

// Package kindbase pins the version of kind whose base files (entry point,
// systemd units, containerd configuration) the node image takes.
package kindbase

import _ "sigs.k8s.io/kind"
