package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The limits of what is kept. What is longer is refused, never cut.
const (
	// MaxName is in characters (code points).
	MaxName = 80
	// MaxKey is in bytes: of owners, of the names of lessons, sections, exercises,
	// quizzes, versions, attempts and flows, and of verdicts.
	MaxKey = 200
	// MaxJSON is in bytes: of a check's detail, of an attempt's answers, of the
	// predictions of one exercise.
	MaxJSON = 256 << 10
)

// InputError is the error of something that cannot be kept. Nothing was changed.
type InputError struct {
	// Field is what it is about: "name", "lesson", "answers" and so on.
	Field string
	// Problem is a sentence for the learner: what is wrong, and what to do.
	Problem string
}

func (e *InputError) Error() string { return "store: " + e.Field + ": " + e.Problem }

func refuse(field, format string, args ...any) error {
	return &InputError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// checkName takes any text that a person can be called by, and that stays in its
// line on a page. Whoever shows it escapes it.
func checkName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", refuse("name", "The name is not valid text (UTF-8). Write it again.")
	}
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n > MaxName {
		return "", refuse("name", "The name has %d characters, and %d are possible. Choose a shorter one.", n, MaxName)
	}
	visible := false
	for _, r := range name {
		switch {
		case unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			return "", refuse("name", "The name has a line break or another control character (U+%04X) in it. Remove that.", r)
		case unicode.Is(unicode.Bidi_Control, r):
			return "", refuse("name", "The name has a character in it that turns the direction of writing (U+%04X). Remove that.", r)
		case unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S):
			visible = true
		}
	}
	if name != "" && !visible {
		return "", refuse("name", "The name has no visible character. Write one, or leave the name empty.")
	}
	return name, nil
}

// checkKeys takes fields and values in turn.
func checkKeys(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		field, key := pairs[i], pairs[i+1]
		switch {
		case key == "":
			return refuse(field, "The %s is missing.", field)
		case len(key) > MaxKey:
			return refuse(field, "The %s is %d bytes long, and %d are possible.", field, len(key), MaxKey)
		case !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
			return refuse(field, "The %s is not plain text.", field)
		}
	}
	return nil
}

// checkJSON gives the value without needless space; nil is none.
func checkJSON(field string, value json.RawMessage) (*string, error) {
	if value == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil || !utf8.Valid(value) {
		return nil, refuse(field, "The %s is not valid JSON.", field)
	}
	if b.Len() > MaxJSON {
		return nil, refuse(field, "The %s is too long: %d KiB, and %d are possible.", field, (b.Len()+1023)>>10, MaxJSON>>10)
	}
	text := b.String()
	return &text, nil
}

func checkCounts(pairs ...any) error {
	for i := 0; i < len(pairs); i += 2 {
		if field, n := pairs[i].(string), pairs[i+1].(int); n < 0 || n > 1<<20 {
			return refuse(field, "The number of %s cannot be %d.", field, n)
		}
	}
	return nil
}

// checkTime takes what JSON can show, and no forgotten field.
func checkTime(at time.Time) (int64, error) {
	if at.IsZero() {
		return 0, refuse("time", "The time is missing.")
	}
	if year := at.UTC().Year(); year < 1 || year > 9999 {
		return 0, refuse("time", "The year cannot be %d.", year)
	}
	return at.UnixMilli(), nil
}
