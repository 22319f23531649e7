// Package oracle compares the policies' evaluator with other people's, and, in
// its package apiserver, their validation with Kubernetes' own.
//
// It is a module apart: what only the comparison needs, Kubernetes itself among
// it, is no dependency of the lab. It holds nothing but tests.
package oracle
