// Package views renders the pages. It holds their templates and the models that
// these draw; it asks nobody for anything.
package views

// Page is what every page needs besides its own model.
type Page struct {
	// Title is the page's own title, without the product's name.
	Title string
	// Simulated says that the lab's sandboxes are simulated: every page says so,
	// and none speaks of measuring.
	Simulated bool
	// Nonce is the one of the response's Content-Security-Policy. The editor
	// adds style elements at run time and marks them with it.
	Nonce string
	// StylesURL, ScriptURL, LabScriptURL and IconURL are addresses under /static/. Those
	// of the scripts are empty where they have not been built, and LabScriptURL on a
	// page without a lab.
	StylesURL    string
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
