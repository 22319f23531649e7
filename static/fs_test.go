package static

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

var style = strings.Repeat("a { color: red }\n", 100)

// content is the files with an empty style sheet wherever one is missing.
func content(files fstest.MapFS) fstest.MapFS {
	for _, name := range sheets {
		if path := "css/" + name + ".css"; files[path] == nil {
			files[path] = &fstest.MapFile{}
		}
	}
	return files
}

func testFiles(t *testing.T) *Files {
	t.Helper()
	files, err := Load(content(fstest.MapFS{
		"css/tokens.css":    {Data: []byte(style)},
		"dist/lab.js":       {Data: []byte("1")},
		"dist/chunks/a.js":  {Data: []byte("2")},
		"dist/.keep":        {},
		"icons/dot.svg":     {Data: []byte("<svg/>")},
		"dist/video/a.webm": {Data: []byte(strings.Repeat("frame", 100))},
		"dist/video/a.vtt":  {Data: []byte("WEBVTT\n")},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func get(t *testing.T, files *Files, url string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest("GET", url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	if !files.Serve(w, r) {
		w.WriteHeader(http.StatusNotFound)
	}
	return w.Result()
}

func TestFiles_of_the_binary_load(t *testing.T) {
	files, err := Load(Content())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{Styles, "icons/favicon.svg"} {
		if files.URL(name) == "" {
			t.Errorf("%s is not there", name)
		}
	}
}

func TestURL_with_the_contents_hash_is_kept_for_ever(t *testing.T) {
	files := testFiles(t)
	res := get(t, files, files.URL(Styles))
	if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control = %q, want immutable", got)
	}
	for _, url := range []string{Prefix + Styles, Prefix + Styles + "?v=older"} {
		if got := get(t, files, url).Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: Cache-Control = %q, want no-cache", url, got)
		}
	}
}

func TestA_known_ETag_is_answered_without_the_body(t *testing.T) {
	files := testFiles(t)
	etag := get(t, files, "/static/dist/lab.js").Header.Get("ETag")
	if res := get(t, files, "/static/dist/lab.js", "If-None-Match", etag); res.StatusCode != http.StatusNotModified {
		t.Errorf("status = %d, want 304", res.StatusCode)
	}
}

func TestContent_types_come_from_the_name(t *testing.T) {
	files := testFiles(t)
	for url, want := range map[string]string{
		Prefix + Styles:         "text/css; charset=utf-8",
		"/static/dist/lab.js":   "text/javascript; charset=utf-8",
		"/static/icons/dot.svg": "image/svg+xml",
	} {
		if got := get(t, files, url).Header.Get("Content-Type"); got != want {
			t.Errorf("%s: Content-Type = %q, want %q", url, got, want)
		}
	}
}

func TestFolders_hidden_files_and_strangers_are_not_served(t *testing.T) {
	files := testFiles(t)
	for _, url := range []string{"/static/", "/static/css", "/static/css/", "/static/css/tokens.css", "/static/dist/.keep", "/static/fs.go", "/static/../go.mod"} {
		if res := get(t, files, url); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status = %d, want 404", url, res.StatusCode)
		}
	}
	if got := files.URL("dist/none.js"); got != "" {
		t.Errorf("URL of a missing file = %q, want none", got)
	}
}

func TestText_is_sent_compressed_to_who_takes_it(t *testing.T) {
	files := testFiles(t)
	res := get(t, files, Prefix+Styles, "Accept-Encoding", "br, gzip")
	if got := res.Header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding = %q, want gzip", got)
	}
	zr, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(zr); err != nil || !strings.Contains(string(got), style) {
		t.Errorf("content differs (error %v)", err)
	}
	for _, accept := range []string{"", "identity", "gzip;q=0"} {
		res := get(t, files, Prefix+Styles, "Accept-Encoding", accept)
		if got, _ := io.ReadAll(res.Body); !strings.Contains(string(got), style) {
			t.Errorf("Accept-Encoding %q: content is not plain", accept)
		}
	}
}

func TestA_file_of_unknown_kind_is_an_error(t *testing.T) {
	if _, err := Load(content(fstest.MapFS{"icons/lab.exe": {}})); err == nil || !strings.Contains(err.Error(), "icons/lab.exe") {
		t.Errorf("error = %v, want one that names the file", err)
	}
}

func TestA_video_is_served_in_pieces_and_as_it_is(t *testing.T) {
	files := testFiles(t)
	res := get(t, files, files.URL("dist/video/a.webm"), "Accept-Encoding", "gzip", "Range", "bytes=5-9")
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusPartialContent || string(body) != "frame" || res.Header.Get("Content-Range") != "bytes 5-9/500" {
		t.Errorf("status %d, %q, range %q", res.StatusCode, body, res.Header.Get("Content-Range"))
	}
	if got := res.Header.Get("Content-Encoding"); got != "" {
		t.Errorf("Content-Encoding = %q of what is compressed already", got)
	}
	if got := res.Header.Get("Content-Type"); got != "video/webm" {
		t.Errorf("Content-Type = %q", got)
	}
	if got := get(t, files, files.URL("dist/video/a.vtt")).Header.Get("Content-Type"); !strings.HasPrefix(got, "text/vtt") {
		t.Errorf("Content-Type of the captions = %q", got)
	}
	if got := string(files.Content("dist/video/a.vtt")); got != "WEBVTT\n" {
		t.Errorf("the content is %q", got)
	}
}

func TestStyle_sheets_are_joined_in_the_order_that_is_written_down(t *testing.T) {
	files := fstest.MapFS{}
	for _, name := range sheets {
		files["css/"+name+".css"] = &fstest.MapFile{Data: []byte("." + name + "{}\n")}
	}
	loaded, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	want := ".tokens{} .base{} .frame{} .home{} .lesson{} .quiz{} .write{} .see{} .why{} .history{} .build{} .terminal{} .operator{}"
	if got := strings.Join(strings.Fields(string(loaded.Content(Styles))), " "); got != want {
		t.Errorf("the style sheet is\n%s, want\n%s", got, want)
	}
}

func TestA_style_sheet_that_is_missing_or_in_no_order_is_an_error(t *testing.T) {
	missing := content(fstest.MapFS{})
	delete(missing, "css/see.css")
	if _, err := Load(missing); err == nil || !strings.Contains(err.Error(), "see.css") {
		t.Errorf("error = %v, want one that names see.css", err)
	}
	if _, err := Load(content(fstest.MapFS{"css/stray.css": {}})); err == nil || !strings.Contains(err.Error(), "stray.css") {
		t.Errorf("error = %v, want one that names stray.css", err)
	}
}

func TestA_typeface_that_was_built_is_in_the_style_sheet_and_kept_for_ever(t *testing.T) {
	if got := string(testFiles(t).Content(Styles)); strings.Contains(got, "@font-face") {
		t.Errorf("a typeface that was not built is in the style sheet: %s", got)
	}
	files, err := Load(content(fstest.MapFS{"dist/fonts/inter.woff2": {Data: []byte("wOF2")}}))
	if err != nil {
		t.Fatal(err)
	}
	url := files.URL("dist/fonts/inter.woff2")
	if got := string(files.Content(Styles)); strings.Count(got, "@font-face") != 1 || !strings.Contains(got, url) {
		t.Errorf("the style sheet is %s, want one typeface at %s", got, url)
	}
	res := get(t, files, url, "Accept-Encoding", "gzip")
	if h := res.Header; h.Get("Content-Type") != "font/woff2" || !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("Content-Encoding") != "" {
		t.Errorf("header = %v", h)
	}
}

func TestA_part_of_the_scripts_is_kept_for_ever_by_its_name(t *testing.T) {
	if got := get(t, testFiles(t), "/static/dist/chunks/a.js").Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control = %q, want immutable", got)
	}
}
