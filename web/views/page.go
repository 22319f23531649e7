// Package views renders the pages. It holds their templates and the models that
// these draw; it asks nobody for anything.
package views

import (
	"fmt"
	"strconv"
)

// Page is what every page needs besides its own model.
type Page struct {
	// Title is the page's own title, without the product's name.
	Title string
	// Simulated says that the lab's sandboxes are simulated: every page says so,
	// and none speaks of measuring.
	Simulated bool
	// Scheme is the learner's choice of colours, "light" or "dark"; empty where it is the
	// system's.
	Scheme string
	// Nonce is the one of the response's Content-Security-Policy. The editor
	// adds style elements at run time and marks them with it.
	Nonce string
	// StylesURL, FontURL, ScriptURL, LabScriptURL and IconURL are addresses under /static/.
	// Those of the font and the scripts are empty where they have not been built, and
	// LabScriptURL on a page without a lab.
	StylesURL    string
	FontURL      string
	ScriptURL    string
	LabScriptURL string
	IconURL      string
}

// Entry is one line of a list of lessons or quizzes.
type Entry struct {
	URL, Title, Text, Detail string
}

// Failure is what an error's page says.
type Failure struct {
	Status int
	// Heading is a few words, Message says what happened and what to do.
	Heading, Message string
	RequestID        string
}

// Bar is what a page's own of the bar above it is.
type Bar struct {
	// Parent and ParentURL lead up from the page, Here is its title; empty on a page that
	// is at the top.
	Parent, ParentURL, Here string
	// Progress has a step for each section of the page's lesson.
	Progress []ProgressStep
	// Lab is the page's; nil where it has none.
	Lab *Lab
}

// ProgressStep is a section of a lesson. Next is the first that is not done.
type ProgressStep struct {
	Title      string
	Done, Next bool
}

func (b Bar) progressWords() string {
	done := 0
	for _, step := range b.Progress {
		if step.Done {
			done++
		}
	}
	return fmt.Sprintf("%d of %d sections done", done, len(b.Progress))
}

// IsScheme says that there is such a choice of colours.
func IsScheme(name string) bool { return name == "light" || name == "dark" }

func pressed(is bool) string { return strconv.FormatBool(is) }
