//go:build !unix

package web

// openFiles is how many files the process may have open; here nobody says.
func openFiles() int { return 2 * socketsAtMost }
