// Package registry tests the ways to the lab's images with an image registry that the
// tests run themselves, on the loopback interface.
package registry
