//go:build tools

// Package coredns pins the coredns programs of the node image; the builder
// compiles them straight from the module.
package coredns

import (
	_ "github.com/coredns/coredns"
)
