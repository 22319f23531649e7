package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"
)

// MaxNodes is the most fields and list entries that Parse reads at once.
const MaxNodes = 10_000

// The other bounds of one input. Nobody nests so deeply, or parts so much.
const (
	maxDepth     = 100
	maxDocuments = 1000
	// MaxClusterNodes is what is read of a whole cluster's objects, on the command
	// line: some 10,000 pods.
	MaxClusterNodes = 2_000_000
)

var clusterBounds = bounds{MaxClusterNodes, MaxClusterNodes / 10}

// bounds is how much an input may ask to be read.
type bounds struct{ nodes, documents int }

// exceeds says where an input goes beyond the bounds, and how; "" where it does not.
// It looks at the text alone, which costs next to nothing, before anything is read
// of it. Every field has a colon, every entry a dash or a comma, and everything
// that holds others inside one line a bracket: so there are never more than it
// counts. That it also counts those in strings and comments is no harm.
func (b bounds) exceeds(src string) (Position, string) {
	nodes, documents, depth := 0, 0, 0
	dashes := 0 // At the beginning of the line: each is a list in a list. -1 behind them.
	line, begin := 1, 0
	for i := 0; i < len(src); i++ {
		counts, entry := false, false
		switch c := src[i]; c {
		case '\n':
			line, begin, dashes = line+1, i+1, 0
			continue
		case ' ', '\t', '\r':
			continue
		case ',':
			counts = true
		case '[', '{':
			counts = true
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		case ':':
			counts = endsToken(src, i) || i > 0 && strings.IndexByte(`"']}`, src[i-1]) >= 0
		case '-', '?':
			counts = endsToken(src, i)
			entry = counts && dashes >= 0
			if i == begin && strings.HasPrefix(src[i:], "---") {
				documents++
			}
		}
		if counts {
			nodes++
		}
		if dashes++; !entry {
			dashes = -1
		}
		message := ""
		switch {
		case nodes > b.nodes:
			message = fmt.Sprintf("there are more than %d fields and entries up to here; the lab takes no more at once", b.nodes)
		case depth > maxDepth || dashes > maxDepth:
			message = fmt.Sprintf("this is nested too deeply: the lab takes at most %d levels", maxDepth)
		case documents > b.documents:
			message = fmt.Sprintf("there are more than %d documents up to here; the lab takes no more at once", b.documents)
		default:
			continue
		}
		return Position{line, utf8.RuneCountInString(src[begin:i]) + 1}, message
	}
	return Position{}, ""
}

// endsToken reports whether nothing of the same word follows.
func endsToken(src string, i int) bool {
	return i+1 == len(src) || src[i+1] >= utf8.RuneSelf || strings.IndexByte(" \t\r\n,[]{}\"'", src[i+1]) >= 0
}

// reading has a place for each input that is read at a time: as many as there are
// cores. What is read beyond that would only take the cores from others.
var reading = make(chan struct{}, runtime.GOMAXPROCS(0))

// ParseContext is Parse for one of many who ask at the same time. It waits for its
// turn, and ends where the context does; the error is then the context's.
func ParseContext(ctx context.Context, src []byte, opts ParseOptions) ([]Policy, error) {
	select {
	case reading <- struct{}{}:
		defer func() { <-reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return parse(ctx, src, opts)
}

// ParseSettingAside is ParseContext of a text that may have more in it than policies, as
// one has that was copied from somewhere. Where that is in the way it is set aside, and
// returned, as long as something is left; where nothing is, the error says what is there.
func ParseSettingAside(ctx context.Context, src []byte, opts ParseOptions) ([]Policy, []Other, error) {
	policies, err := ParseContext(ctx, src, opts)
	var invalid *Error
	if !errors.As(err, &invalid) || len(src) > cmp.Or(opts.MaxBytes, MaxBytes) {
		return policies, nil, err
	}
	only, others := OnlyPolicies(src)
	if only != nil && others != nil {
		policies, err = ParseContext(ctx, only, opts)
	}
	return policies, others, err
}
