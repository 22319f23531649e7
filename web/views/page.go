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
	// StylesURL, ScriptURL and IconURL are addresses under /static/. ScriptURL
	// is empty where the script has not been built.
	StylesURL string
	ScriptURL string
	IconURL   string
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
