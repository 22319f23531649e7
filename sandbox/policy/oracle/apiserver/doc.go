// Package apiserver compares how policies are defaulted and validated with the
// code of Kubernetes' API server. It is a package of its own because that code
// takes minutes to compile.
package apiserver
