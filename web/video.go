package web

import (
	"strings"

	"github.com/netpol-lab/netpol-lab/web/views"
)

// video is the lesson's video, which `make video` records; nil where that has not been
// done.
func (s *server) video(lesson string) *views.Video {
	name := "dist/video/" + lesson
	v := views.Video{URL: s.Static.URL(name + ".webm"), CaptionsURL: s.Static.URL(name + ".vtt")}
	if v.URL == "" || v.CaptionsURL == "" {
		return nil
	}
	v.Transcript = transcript(string(s.Static.Content(name + ".vtt")))
	return &v
}

// transcript is the text of a WebVTT file's cues. Of the format it knows what the
// recorder writes: blocks with an empty line between, and in each the text below the
// line of the times. See https://www.w3.org/TR/webvtt1/.
func transcript(vtt string) (lines []string) {
	for block := range strings.SplitSeq(strings.ReplaceAll(vtt, "\r\n", "\n"), "\n\n") {
		_, rest, ok := strings.Cut(block, " --> ")
		_, text, more := strings.Cut(rest, "\n")
		if ok && more {
			lines = append(lines, strings.Join(strings.Fields(text), " "))
		}
	}
	return lines
}
