package main

import (
	"fmt"
	"slices"
	"time"
)

// times are how long something took, one for each time.
type times []time.Duration

func (t times) at(share float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func (t times) String() string {
	ms := func(share float64) float64 { return float64(t.at(share)) / float64(time.Millisecond) }
	return fmt.Sprintf("%6d times; p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, longest %.1f ms", len(t), ms(0.5), ms(0.95), ms(0.99), ms(1))
}
