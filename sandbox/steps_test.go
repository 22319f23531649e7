package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestRun_goes_through_the_actions_in_order_and_tells_the_one_that_failed(t *testing.T) {
	boom := errors.New("boom")
	var told []string
	failed, err := Run(t.Context(), []Action{
		{"First", func(context.Context) error { return nil }},
		{"Second", func(context.Context) error { return boom }},
		{"Third", func(context.Context) error { t.Error("it goes on after a failure"); return nil }},
	}, func(s Step) {
		told = append(told, fmt.Sprintf("%d/%d %s %s", s.Index, s.Total, s.Name, s.Status))
	})
	if failed != "Second" || err != boom {
		t.Errorf("got %q, %v", failed, err)
	}
	want := []string{"1/3 First running", "1/3 First done", "2/3 Second running", "2/3 Second failed"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestRun_does_nothing_once_its_time_is_over(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := 0
	failed, err := Run(ctx, []Action{
		{"First", func(context.Context) error { done++; cancel(); return nil }},
		{"Second", func(context.Context) error { done++; return nil }},
	}, nil)
	if failed != "Second" || !errors.Is(err, context.Canceled) || done != 1 {
		t.Errorf("got %q, %v after %d steps", failed, err, done)
	}
}
