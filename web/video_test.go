package web

import (
	"html"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/netpol-lab/netpol-lab/static"
)

const captions = `WEBVTT

00:00:00.000 --> 00:00:03.500
Every pod can reach
every other pod.

2
00:00:03.500 --> 00:00:07.000 line:0
An intruder's pod & all.
`

func TestTranscript_is_the_text_of_the_captions(t *testing.T) {
	want := []string{"Every pod can reach every other pod.", "An intruder's pod & all."}
	for _, vtt := range []string{captions, strings.ReplaceAll(captions, "\n", "\r\n")} {
		if got := transcript(vtt); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := transcript("WEBVTT"); len(got) > 0 {
		t.Errorf("no captions give %q", got)
	}
}

// built is the style sheets of the binary with what was built.
func built(t *testing.T, files fstest.MapFS) fstest.MapFS {
	t.Helper()
	all := fstest.MapFS{}
	maps.Copy(all, files)
	names, err := fs.Glob(static.Content(), "css/*.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		sheet, err := fs.ReadFile(static.Content(), name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: sheet}
	}
	return all
}

func TestWhere_a_video_is_built_the_lesson_shows_it_else_a_walkthrough(t *testing.T) {
	without := newLab(t, setup{files: built(t, nil)}).learner(t).page("GET", "/lessons/network-policies", nil).body
	if strings.Contains(without, "<video") || strings.Count(without, `id="picture-walkthrough-`) < 10 {
		t.Error("without a video there is no walk-through, or a video")
	}
	half := newLab(t, setup{files: built(t, fstest.MapFS{"dist/video/network-policies.webm": {Data: []byte("1")}})}).learner(t)
	if body := half.page("GET", "/lessons/network-policies", nil).body; strings.Contains(body, "<video") {
		t.Error("a video without captions is shown")
	}
	v := newLab(t, setup{files: built(t, fstest.MapFS{
		"dist/video/network-policies.webm": {Data: []byte("1")},
		"dist/video/network-policies.vtt":  {Data: []byte(captions)},
	})}).learner(t)
	a := v.page("GET", "/lessons/network-policies", nil)
	contains(t, html.UnescapeString(a.body), `<source src="/static/dist/video/network-policies.webm?v=`, `src="/static/dist/video/network-policies.vtt?v=`, "<p>An intruder's pod & all.</p>")
	if strings.Contains(a.body, "data-walkthrough") {
		t.Error("the walk-through is shown beside the video")
	}
	contains(t, a.header.Get("Content-Security-Policy"), "media-src 'self'")
	if body := v.page("GET", "/lessons/tenants", nil).body; strings.Contains(body, "<video") || strings.Contains(body, "data-walkthrough") {
		t.Error("a lesson that has neither shows one")
	}
}
