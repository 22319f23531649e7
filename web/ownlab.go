package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/picture"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/web/store"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// listLabs shows the labs to choose from, and where one of the learner's own is made.
// With the query's field edit it begins with one that there is.
func (s *server) listLabs(w http.ResponseWriter, r *http.Request) error {
	draft := views.LabDraft{}
	if name := r.URL.Query().Get("edit"); name != "" {
		kept, there, err := s.Progress.Lab(r.Context(), ownerOf(r.Context()), name)
		if err != nil {
			return err
		}
		if !there {
			return errNoLab
		}
		draft, _, _ = drafted(kept.YAML)
	}
	return s.renderLabs(w, r, http.StatusOK, draft)
}

// showOwnLab is the YAML of one of the learner's own labs, as they wrote it.
func (s *server) showOwnLab(w http.ResponseWriter, r *http.Request) error {
	kept, there, err := s.Progress.Lab(r.Context(), ownerOf(r.Context()), chi.URLParam(r, "lab"))
	if err != nil {
		return err
	}
	if !there {
		return errNoLab
	}
	w.Header().Set("Content-Type", "application/yaml")
	_, err = io.WriteString(w, kept.YAML)
	return err
}

func (s *server) renderLabs(w http.ResponseWriter, r *http.Request, status int, draft views.LabDraft) error {
	own, err := s.Progress.Labs(r.Context(), ownerOf(r.Context()))
	if err != nil {
		return err
	}
	labs := views.Labs{Draft: draft}
	seen := map[string]bool{}
	for _, l := range s.Lessons {
		if !seen[l.Topology.Name] {
			seen[l.Topology.Name] = true
			labs.Lessons = append(labs.Lessons, views.Entry{URL: place{lesson: l, workbench: true}.url(), Title: l.Title, Detail: sizeOfLab(l.Topology)})
		}
	}
	for _, kept := range own {
		entry := views.OwnLab{Name: kept.Name, Title: kept.Title}
		// One that cannot be read any more is listed without a size, to be mended or deleted;
		// to open it says what is wrong.
		if lesson, err := s.lab(r, kept.Name); err == nil {
			entry.Size = sizeOfLab(lesson.Topology)
		}
		labs.Own = append(labs.Own, entry)
	}
	return render(w, r, status, views.LabsPage(s.page(r, "Labs"), labs))
}

func sizeOfLab(t *sandbox.Topology) string {
	pods := len(t.Sources())
	of := func(n int, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %s", n, many)
	}
	return fmt.Sprintf("%s in %s, %s", of(pods, "pod", "pods"), of(len(t.Namespaces), "namespace", "namespaces"), of(len(t.Flows()), "connection", "connections"))
}

// drafted is the text with what is wrong with it, or with its picture and the lab that it
// is, which is nil where something is wrong.
func drafted(yaml string) (draft views.LabDraft, title string, lab *sandbox.Topology) {
	draft.YAML = yaml
	title, lab, err := sandbox.ParseOwn([]byte(yaml))
	var wrong *policy.Error
	if errors.As(err, &wrong) {
		for _, p := range wrong.Problems {
			draft.Problems = append(draft.Problems, p.String())
		}
		return draft, "", nil
	}
	draft.Picture, draft.Size = picture.Lab(lab), sizeOfLab(lab)
	return draft, title, lab
}

// makeLab keeps the lab of the form's field yaml and opens it in the workbench; where the
// field do is "look" it only shows it.
func (s *server) makeLab(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, 3*sandbox.MaxOwnBytes+maxFormBytes); err != nil {
		return err
	}
	yaml := strings.ReplaceAll(r.PostForm.Get("yaml"), "\r\n", "\n")
	draft, title, lab := drafted(yaml)
	switch {
	case lab == nil:
		return s.renderLabs(w, r, http.StatusUnprocessableEntity, draft)
	case r.PostForm.Get("do") == "look":
		return s.renderLabs(w, r, http.StatusOK, draft)
	}
	err := s.Progress.SaveLab(r.Context(), ownerOf(r.Context()), store.Lab{Name: lab.Name, Title: title, YAML: yaml, At: time.Now()})
	var refused *store.InputError
	if errors.As(err, &refused) {
		draft.Problems = []string{refused.Problem}
		return s.renderLabs(w, r, http.StatusUnprocessableEntity, draft)
	} else if err != nil {
		return err
	}
	http.Redirect(w, r, "/workbench?lab="+url.QueryEscape(lab.Name), http.StatusSeeOther)
	return nil
}

// composeLab writes the YAML of what the small form says.
func (s *server) composeLab(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	draft, _, lab := drafted(composed(r.PostForm))
	status := http.StatusOK
	if lab == nil {
		status = http.StatusUnprocessableEntity
	}
	return s.renderLabs(w, r, status, draft)
}

func (s *server) deleteLab(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	name := chi.URLParam(r, "lab")
	snapshot, _, ok := s.Sandboxes.ByOwner(ownerOf(r.Context()))
	if ok && snapshot.Lab == name {
		return refuse(http.StatusConflict, "You have a sandbox of this lab. Stop it first; then the lab can be deleted.")
	}
	if err := s.Progress.DeleteLab(r.Context(), ownerOf(r.Context()), name); err != nil {
		return err
	}
	http.Redirect(w, r, "/labs", http.StatusSeeOther)
	return nil
}

// composed is the lab of the form's fields, as a person would write it. What is wrong in a
// field is written as it is, for whoever reads the YAML to say.
func composed(form url.Values) string {
	at := func(name string, i int) string { return strings.TrimSpace(form.Get(fmt.Sprintf("%s-%d", name, i))) }
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nnamespaces:\n", word(strings.TrimSpace(form.Get("title"))))
	var order []string
	labels, pods, services := map[string]string{}, map[string][]string{}, map[string][]string{}
	namespace := func(name string) {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	for i := range views.FormNamespaces {
		if name := at("namespace", i); name != "" {
			namespace(name)
			labels[name] = at("namespace-labels", i)
		}
	}
	for i := range views.FormPods {
		name := at("pod", i)
		if name == "" {
			continue
		}
		in := at("pod-namespace", i)
		namespace(in)
		fields := "name: " + word(name)
		if l := labelsYAML(at("pod-labels", i)); l != "" {
			fields += ", labels: " + l
		}
		ports, servicePorts := portsYAML(at("pod-ports", i))
		if ports != "" {
			fields += ", ports: [" + ports + "]"
		}
		pods[in] = append(pods[in], "{"+fields+"}")
		if service := at("pod-service", i); service != "" {
			services[in] = append(services[in], fmt.Sprintf("{name: %s, pod: %s, ports: [%s]}", word(service), word(name), servicePorts))
		}
	}
	for _, name := range order {
		fmt.Fprintf(&b, "- name: %s\n", word(name))
		if l := labelsYAML(labels[name]); l != "" {
			fmt.Fprintf(&b, "  labels: %s\n", l)
		}
		list(&b, "  pods:\n", "  - ", pods[name])
		list(&b, "  services:\n", "  - ", services[name])
	}
	var hosts []string
	for i := range views.FormHosts {
		if name := at("host", i); name != "" {
			ports, _ := portsYAML(at("host-ports", i))
			hosts = append(hosts, fmt.Sprintf("{name: %s, ports: [%s]}", word(name), ports))
		}
	}
	list(&b, "external:\n", "- ", hosts)
	return b.String()
}

func list(b *strings.Builder, head, dash string, items []string) {
	if len(items) == 0 {
		return
	}
	b.WriteString(head)
	for _, item := range items {
		b.WriteString(dash + item + "\n")
	}
}

// labelsYAML reads labels such as "app=web, tier=front".
func labelsYAML(text string) string {
	var all []string
	for _, one := range splitList(text) {
		key, value, _ := strings.Cut(one, "=")
		all = append(all, word(strings.TrimSpace(key))+": "+word(strings.TrimSpace(value)))
	}
	if len(all) == 0 {
		return ""
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// portsYAML reads ports such as "8080, sql:5432, 53/UDP", and gives them as a pod has
// them and as a Service does that leads to the same ones.
func portsYAML(text string) (pod, service string) {
	all := splitList(text)
	var pods, services []string
	for i, one := range all {
		name, rest, named := strings.Cut(one, ":")
		if !named {
			name, rest = "", one
		}
		port, protocol, _ := strings.Cut(rest, "/")
		var first, last string
		if name = strings.TrimSpace(name); name != "" {
			first = "name: " + word(name) + ", "
		}
		if protocol = strings.TrimSpace(protocol); protocol != "" {
			last = ", protocol: " + word(strings.ToUpper(protocol))
		}
		port = number(strings.TrimSpace(port))
		pods = append(pods, "{"+first+"port: "+port+last+"}")
		if first == "" && len(all) > 1 {
			first = fmt.Sprintf("name: port-%d, ", i+1)
		}
		services = append(services, "{"+first+"port: "+port+", targetPort: "+port+last+"}")
	}
	return strings.Join(pods, ", "), strings.Join(services, ", ")
}

func splitList(text string) []string {
	var all []string
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

var (
	plainWord   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.-]*$`)
	plainNumber = regexp.MustCompile(`^[1-9][0-9]{0,8}$`)
	// notWords are texts that YAML takes for something else.
	notWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
)

// word is the text as a scalar.
func word(s string) string {
	if plainWord.MatchString(s) && !slices.Contains(notWords, strings.ToLower(s)) {
		return s
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // A text: it cannot fail.
	}
	return string(quoted)
}

func number(s string) string {
	if plainNumber.MatchString(s) {
		return s
	}
	return word(s)
}
