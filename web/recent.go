package web

import "sync"

// recent keeps what was made lately, up to about a size, so that it need not be made
// anew: what is asked for stays, and the rest goes when there is more. What it keeps must
// never be changed.
type recent[K comparable, V any] struct {
	most int

	mu sync.Mutex
	// fresh has what was asked for since last became stale; size is of fresh.
	fresh, stale map[K]V
	size         int
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{most: most, fresh: map[K]V{}}
}

// get is what is kept under the key, or else what make makes, which is kept as something
// of that size. Two who ask at once may both make it.
func (r *recent[K, V]) get(key K, size int, make func() (V, error)) (V, error) {
	if v, ok := r.find(key, size); ok {
		return v, nil
	}
	v, err := make()
	if err == nil {
		r.keep(key, v, size)
	}
	return v, err
}

func (r *recent[K, V]) find(key K, size int) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.fresh[key]
	if !ok {
		if v, ok = r.stale[key]; ok {
			r.keepLocked(key, v, size)
		}
	}
	return v, ok
}

func (r *recent[K, V]) keep(key K, v V, size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keepLocked(key, v, size)
}

func (r *recent[K, V]) keepLocked(key K, v V, size int) {
	if _, ok := r.fresh[key]; ok {
		return
	}
	if r.size += size; r.size > r.most/2 {
		r.stale, r.fresh, r.size = r.fresh, map[K]V{}, size
	}
	r.fresh[key] = v
}
