package views

// How many rows the small form has in which a lab is put together.
const (
	FormNamespaces = 3
	FormPods       = 8
	FormHosts      = 2
)

// Labs is the page on which a lab is chosen or made.
type Labs struct {
	// Lessons are the lessons' labs.
	Lessons []Entry
	Own     []OwnLab
	Draft   LabDraft
}

// OwnLab is one of the learner's own.
type OwnLab struct {
	Name, Title string
	// Size says how large it is.
	Size string
}

// LabDraft is a lab that is being made. It has problems or a picture, or is empty.
type LabDraft struct {
	YAML     string
	Problems []string
	// Picture is its topology as SVG.
	Picture string
	Size    string
}

// exampleLab is what the text area has to begin with.
const exampleLab = `name: My shop
namespaces:
- name: shop
  labels: {team: a}
  pods:
  - {name: web, labels: {app: web}, ports: [{name: http, port: 8080}]}
  - {name: db, labels: {app: db}, ports: [{port: 5432}]}
  services:
  - {name: db, pod: db, ports: [{port: 5432, targetPort: 5432}]}
- name: tools
  pods:
  - {name: shell, labels: {app: shell}}
external:
- {name: partner, ports: [{port: 443}]}
`

func (d LabDraft) text() string {
	if d.YAML == "" {
		return exampleLab
	}
	return d.YAML
}
