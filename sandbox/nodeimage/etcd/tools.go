//go:build tools

// Package etcd pins the etcd programs of the node image; the builder
// compiles them straight from the module.
package etcd

import (
	_ "go.etcd.io/etcd/server/v3"
)
