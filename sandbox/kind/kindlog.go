package kind

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"sigs.k8s.io/kind/pkg/log"
)

// kindLog is kind's logger. kind tells of its progress in no other way, so the
// milestones are read off its lines.
type kindLog struct {
	log *slog.Logger
	// nodeUp is closed when the node's container runs, configured when
	// kubeadm begins.
	nodeUp, configured chan struct{}
	up, conf           sync.Once
}

func newKindLog(l *slog.Logger) *kindLog {
	return &kindLog{log: l, nodeUp: make(chan struct{}), configured: make(chan struct{})}
}

// finished closes what kind's lines have not closed, so that a kind with other
// words delays its reader but never hangs it.
func (k *kindLog) finished() {
	k.up.Do(func() { close(k.nodeUp) })
	k.conf.Do(func() { close(k.configured) })
}

func (k *kindLog) line(level slog.Level, msg string) {
	msg = strings.TrimSpace(msg)
	if begun, ok := strings.CutPrefix(msg, "•"); ok {
		switch {
		case strings.Contains(begun, "Writing configuration"):
			k.up.Do(func() { close(k.nodeUp) })
		case strings.Contains(begun, "Starting control-plane"):
			k.finished()
		}
	}
	k.log.Log(context.Background(), level, "kind: "+msg)
}

func (k *kindLog) Warn(msg string)                  { k.line(slog.LevelWarn, msg) }
func (k *kindLog) Warnf(format string, args ...any) { k.Warn(fmt.Sprintf(format, args...)) }
func (k *kindLog) Error(msg string)                 { k.line(slog.LevelError, msg) }
func (k *kindLog) Errorf(format string, args ...any) {
	k.Error(fmt.Sprintf(format, args...))
}
func (k *kindLog) V(level log.Level) log.InfoLogger { return kindInfo{k, level} }

// kindInfo is kind's logger for one verbosity: 0 is its progress, more is
// detail that nobody asked for.
type kindInfo struct {
	*kindLog
	level log.Level
}

func (i kindInfo) Enabled() bool { return i.level <= 0 }

func (i kindInfo) Info(msg string) {
	if i.Enabled() {
		i.line(slog.LevelDebug, msg)
	}
}

func (i kindInfo) Infof(format string, args ...any) {
	if i.Enabled() {
		i.Info(fmt.Sprintf(format, args...))
	}
}
