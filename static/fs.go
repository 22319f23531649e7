// Package static serves the files that pages refer to: the style sheet, the
// typefaces, the icons and the bundled scripts. They are part of the binary.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// Prefix is the path that the files are served under.
const Prefix = "/static/"

// The folder dist is filled by the build of web/frontend and not committed; its
// .keep lets the server be built without it.
//
//go:embed css icons all:dist
var embedded embed.FS

// contentTypes are the kinds of files that are served. The machine's own table
// is not asked: it differs from machine to machine.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".map":  "application/json",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
	".vtt":  "text/vtt; charset=utf-8",
	".webm": "video/webm",

	".woff2": "font/woff2",
}

// Styles is the name of the one style sheet that pages load: what is in css, joined.
const Styles = "css/site.css"

// sheets are the files in css in the order in which they are joined: what all pages
// have comes first, so that what is a part's own can change it. A file that is not
// named here is an error.
var sheets = []string{"tokens", "base", "frame", "home", "lesson", "quiz", "write", "see", "why", "history", "build", "terminal", "operator"}

// fonts are the typefaces of the tokens --sans and --mono. The build of web/frontend
// brings their files; without, the next typeface in the token stands in.
var fonts = []struct{ family, file, weights string }{
	{"Inter Variable", TextFont, "100 900"},
	{"JetBrains Mono Variable", "dist/fonts/jetbrains-mono.woff2", "100 800"},
}

// TextFont is the name of the typeface that every page's text is in. Pages ask for it
// at once, for text that changes its typeface moves.
const TextFont = "dist/fonts/inter.woff2"

// chunks is the folder of the scripts' shared parts, whose names have a hash of their
// content in them.
const chunks = "dist/chunks/"

// Files are the files to serve, read into memory.
type Files struct {
	byName map[string]file
}

type file struct {
	contentType string
	hash        string
	plain       []byte
	gzipped     []byte // nil where that is not smaller
}

// Content is the files that are part of the binary, for [Load].
func Content() fs.FS { return embedded }

// Load reads all files. It fails where one is of a kind that it does not know.
func Load(fsys fs.FS) (*Files, error) {
	files := &Files{byName: map[string]file{}}
	styles := map[string][]byte{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		plain, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if sheet, ok := strings.CutSuffix(strings.TrimPrefix(name, "css/"), ".css"); ok {
			styles[sheet] = plain
			return nil
		}
		return files.add(name, plain)
	})
	if err == nil {
		err = files.join(styles)
	}
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	return files, nil
}

// join makes one style sheet of all, with a rule for each typeface that is there.
func (f *Files) join(styles map[string][]byte) error {
	var b bytes.Buffer
	for _, font := range fonts {
		if url := f.URL(font.file); url != "" {
			fmt.Fprintf(&b, "@font-face { font-family: %q; src: url(%q) format(\"woff2\"); font-weight: %s; font-display: swap; }\n", font.family, url, font.weights)
		}
	}
	for _, name := range sheets {
		sheet, ok := styles[name]
		if !ok {
			return fmt.Errorf("the style sheet %s.css is missing", name)
		}
		b.WriteString("\n")
		b.Write(sheet)
		delete(styles, name)
	}
	for name := range styles {
		return fmt.Errorf("the style sheet %s.css is not in the order of sheets", name)
	}
	return f.add(Styles, b.Bytes())
}

func (f *Files) add(name string, plain []byte) error {
	contentType, ok := contentTypes[path.Ext(name)]
	if !ok {
		return fmt.Errorf("%s: no content type is known for %q", name, path.Ext(name))
	}
	var zipped []byte
	if !strings.HasPrefix(contentType, "video/") && !strings.HasPrefix(contentType, "font/") { // which are compressed already
		var err error
		if zipped, err = compress(plain); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	sum := sha256.Sum256(plain)
	f.byName[name] = file{contentType: contentType, hash: hex.EncodeToString(sum[:8]), plain: plain, gzipped: zipped}
	return nil
}

func compress(plain []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() >= len(plain) {
		return nil, nil
	}
	return b.Bytes(), nil
}

// URL is the address of the named file, "icons/favicon.svg", with a hash of its
// content, so that it may be kept for ever. It is empty where there is no such
// file, as with a script that has not been built.
func (f *Files) URL(name string) string {
	file, ok := f.byName[name]
	if !ok {
		return ""
	}
	return Prefix + name + "?v=" + file.hash
}

// Content is the content of the named file, nil where there is none. It is not to be
// changed.
func (f *Files) Content(name string) []byte { return f.byName[name].plain }

// Serve serves the file that the path names behind Prefix. It reports
// false, and writes nothing, where there is none; folders are not listed.
func (f *Files) Serve(w http.ResponseWriter, r *http.Request) bool {
	name := strings.TrimPrefix(r.URL.Path, Prefix)
	file, ok := f.byName[name]
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Vary", "Accept-Encoding")
	if r.URL.Query().Get("v") == file.hash || strings.HasPrefix(name, chunks) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	body, etag := file.plain, `"`+file.hash+`"`
	if file.gzipped != nil && acceptsGzip(r) {
		body, etag = file.gzipped, `"`+file.hash+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	return true
}

func acceptsGzip(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.ReplaceAll(params, " ", "") != "q=0"
		}
	}
	return false
}
