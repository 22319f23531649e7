//go:build !linux && !darwin

package capacity

import "errors"

// DiskOf is not known here.
func DiskOf(string) (Amount, error) { return Amount{}, errors.ErrUnsupported }

// OpenFiles is not known here.
func OpenFiles() Amount { return Amount{} }
