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

func testFiles(t *testing.T) *Files {
	t.Helper()
	files, err := Load(fstest.MapFS{
		"css/lab.css":       {Data: []byte(style)},
		"dist/lab.js":       {Data: []byte("1")},
		"dist/.keep":        {},
		"icons/dot.svg":     {Data: []byte("<svg/>")},
		"dist/video/a.webm": {Data: []byte(strings.Repeat("frame", 100))},
		"dist/video/a.vtt":  {Data: []byte("WEBVTT\n")},
	})
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
	for _, name := range []string{"css/lab.css", "icons/favicon.svg"} {
		if files.URL(name) == "" {
			t.Errorf("%s is not there", name)
		}
	}
}

func TestURL_with_the_contents_hash_is_kept_for_ever(t *testing.T) {
	files := testFiles(t)
	res := get(t, files, files.URL("css/lab.css"))
	if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control = %q, want immutable", got)
	}
	for _, url := range []string{"/static/css/lab.css", "/static/css/lab.css?v=older"} {
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
		"/static/css/lab.css":   "text/css; charset=utf-8",
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
	for _, url := range []string{"/static/", "/static/css", "/static/css/", "/static/dist/.keep", "/static/fs.go", "/static/../go.mod"} {
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
	res := get(t, files, "/static/css/lab.css", "Accept-Encoding", "br, gzip")
	if got := res.Header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding = %q, want gzip", got)
	}
	zr, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(zr); err != nil || string(got) != style {
		t.Errorf("content differs (error %v)", err)
	}
	for _, accept := range []string{"", "identity", "gzip;q=0"} {
		res := get(t, files, "/static/css/lab.css", "Accept-Encoding", accept)
		if got, _ := io.ReadAll(res.Body); string(got) != style {
			t.Errorf("Accept-Encoding %q: content is not plain", accept)
		}
	}
}

func TestA_file_of_unknown_kind_is_an_error(t *testing.T) {
	if _, err := Load(fstest.MapFS{"css/lab.exe": {}}); err == nil || !strings.Contains(err.Error(), "css/lab.exe") {
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
