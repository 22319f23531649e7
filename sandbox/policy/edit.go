package policy

// Edit puts a text in the place of a part of the input, from Position up to but
// without the end. Lines and columns are counted from 1, columns in characters.
type Edit struct {
	Position
	EndLine   int    `json:"endLine"`
	EndColumn int    `json:"endColumn"`
	Text      string `json:"text"`
}

// Fix is what can be done about a problem.
type Fix struct {
	// Title says what it does: "Write app: web".
	Title string `json:"title"`
	// Edits are of the text that the problem is in, none of them in another's part.
	Edits []Edit `json:"edits"`
}
