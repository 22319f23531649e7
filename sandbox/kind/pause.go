package kind

import (
	"context"
	"errors"
	"fmt"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// Pause freezes the node's container.
func (b *booted) Pause(ctx context.Context) error {
	if b.isPaused() {
		return nil
	}
	b.cluster.Rest()
	if err := freeze(ctx, b.node()); err != nil {
		b.cluster.Resume()
		return fmt.Errorf("kind: pause %s: %w", b.name, err)
	}
	b.setPaused(true)
	return nil
}

// Wake thaws the node's container, and proves that policies are enforced. A node that has
// stopped meanwhile is started again.
func (b *booted) Wake(ctx context.Context) error {
	if err := b.wake(ctx); err != nil {
		return fmt.Errorf("kind: wake %s: %w", b.name, err)
	}
	return nil
}

func (b *booted) wake(ctx context.Context) error {
	if err := thaw(ctx, b.node()); errors.Is(err, errNoSuchObject) {
		return sandbox.ErrGone
	} else if err != nil {
		return err
	}
	b.setPaused(false)
	b.cluster.Resume()
	if b.proveAtOnce(ctx) == nil {
		b.back()
		return nil
	}
	if err := b.awaitBack(ctx); err != nil {
		return err
	}
	b.back()
	return b.cluster.Prove(ctx)
}

// proveAtOnce proves a cluster that is as it was before.
func (b *booted) proveAtOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyAtOnce)
	defer cancel()
	return b.cluster.Prove(ctx)
}

func (b *booted) isPaused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paused
}

func (b *booted) setPaused(paused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = paused
}
