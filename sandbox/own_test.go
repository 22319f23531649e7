package sandbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

const ownLab = `# My shop.
name: My shop
namespaces:
  - name: shop
    labels: {team: a}
    pods:
      - name: web
        labels: {app: web}
        ports: [{name: http, port: 8080}]
      - name: db
        note: the orders
        labels: {app: db}
        ports: [{port: 5432}]
    services:
      - {name: db, pod: db, ports: [{port: 5432, targetPort: 5432}]}
external:
  - {name: partner, ports: [{port: 443}]}
`

func TestParseOwn_reads_a_lab_and_gives_it_a_name_that_follows_from_what_is_in_it(t *testing.T) {
	title, lab, err := sandbox.ParseOwn([]byte(ownLab))
	if err != nil {
		t.Fatal(err)
	}
	if title != "My shop" || !strings.HasPrefix(lab.Name, sandbox.OwnPrefix) || len(lab.Flows()) != 11 {
		t.Errorf("%q is %s with %d flows", title, lab.Name, len(lab.Flows()))
	}
	if _, again, err := sandbox.ParseOwn([]byte(strings.Replace(ownLab, "# My shop.", "# Another comment.", 1))); err != nil || again.Name != lab.Name {
		t.Errorf("with another comment it is %s, %v; want %s", again.Name, err, lab.Name)
	}
	for old, other := range map[string]string{
		"name: My shop": "name: Your shop", "team: a": "team: b", "port: 8080": "port: 80", "{port: 5432, target": "{port: 80, target", "note: the orders": "note: orders", "port: 443": "port: 444",
	} {
		if _, changed, err := sandbox.ParseOwn([]byte(strings.Replace(ownLab, old, other, 1))); err != nil || changed.Name == lab.Name {
			t.Errorf("with %q it has the same name, or %v", other, err)
		}
	}
}

func TestParseOwn_says_with_line_and_column_what_is_wrong(t *testing.T) {
	edit := func(old, new string) string {
		if !strings.Contains(ownLab, old) {
			t.Fatalf("the lab has no %q", old)
		}
		return strings.Replace(ownLab, old, new, 1)
	}
	pods := func(n int, ports string) string {
		var b strings.Builder
		b.WriteString("name: x\nnamespaces:\n- name: a\n  pods:\n")
		for i := range n {
			fmt.Fprintf(&b, "  - {name: p%d, ports: [%s]}\n", i, ports)
		}
		return b.String()
	}
	for what, c := range map[string]struct {
		yaml         string
		line, column int
		want         string
	}{
		"nothing":               {"# later\n", 1, 1, "nothing here yet"},
		"no YAML":               {edit("name: shop\n", "name: [shop\n"), 4, 11, "a bracket that is opened here is not closed"},
		"a list":                {"- a\n", 1, 1, "want fields"},
		"two documents":         {ownLab + "---\nname: b\n", 0, 0, "more than one document"},
		"unknown field":         {edit("ports: [{port: 5432}]", "port: 5432"), 13, 9, `no field "port" here; there are name, labels, note`},
		"field twice":           {edit("name: db\n", "name: db\n        name: db\n"), 11, 9, "there twice"},
		"text for a port":       {edit("port: 8080", "port: http"), 9, 36, "whole number"},
		"number for a name":     {edit("name: web", "name: 3"), 7, 15, "want a text"},
		"no value":              {edit("note: the orders", "note:"), 11, 14, "nothing here"},
		"alias":                 {edit("{app: web}", "&a {app: web}"), 8, 17, "anchors"},
		"list for a map":        {edit("{team: a}", "[team]"), 5, 13, "want fields"},
		"map for a list":        {edit("[{port: 443}]", "{port: 443}"), 17, 28, "want a list"},
		"bad name":              {edit("name: web", "name: Web"), 7, 15, `"Web"`},
		"Kubernetes' own":       {edit("name: shop\n", "name: kube-system\n"), 4, 11, "belongs to Kubernetes"},
		"the lab's own":         {edit("name: shop\n", "name: netpol-lab-system\n"), 4, 11, "the cluster's own"},
		"Calico's own":          {edit("name: shop\n", "name: calico-system\n"), 4, 11, "the cluster's own"},
		"enforcing label":       {edit("{team: a}", "{pod-security.kubernetes.io/enforce: restricted}"), 5, 5, "means something"},
		"no name":               {edit("name: My shop", "name: ' '"), 2, 7, "give the lab a name"},
		"long name":             {edit("name: My shop", "name: "+strings.Repeat("x", 41)), 2, 7, "41 characters"},
		"port out of range":     {edit("port: 8080", "port: 80800"), 9, 36, "not a port"},
		"port twice":            {edit("[{port: 5432}]", "[{port: 5432}, {port: 5432}]"), 0, 0, "listed twice"},
		"node's port":           {edit("labels: {app: web}", "labels: {app: web}\n        hostNetwork: true"), 10, 36, "20000 to 29999"},
		"address of somebody":   {edit("name: partner,", "name: partner, address: 8.8.8.8,"), 17, 30, "may be somebody's"},
		"address of nobody":     {edit("name: partner,", "name: partner, address: here,"), 17, 30, "no address"},
		"host without a port":   {edit("ports: [{port: 443}]", "ports: []"), 17, 5, "give it ports"},
		"four hosts":            {edit("  - {name: partner", "  - {name: a, ports: []}\n  - {name: b, ports: []}\n  - {name: c, ports: []}\n  - {name: partner"), 16, 1, "4 outside hosts"},
		"Service of no pod":     {edit("pod: db", "pod: nobody"), 15, 25, "no pod"},
		"Service of a bare pod": {edit("labels: {app: db}", "hostNetwork: false"), 15, 25, "no label to select it by"},
		"Service to both":       {edit("labels: {app: db}", "labels: {app: web}"), 0, 0, "lead to both"},
		"Service's port twice":  {edit("[{port: 5432, targetPort: 5432}]", "[{name: a, port: 1, targetPort: 5432}, {name: b, port: 1, targetPort: 5432}]"), 0, 0, "listed twice"},
		"Service's bad port":    {edit("port: 5432, target", "port: 0, target"), 0, 0, "not a port"},
		"many pods":             {pods(25, ""), 2, 1, "25 pods in all"},
		"many connections":      {pods(20, "{port: 80}"), 2, 1, "connections to watch"},
		"nothing to prove":      {pods(2, ""), 2, 1, "two pods"},
		"one pod":               {pods(1, "{port: 80}"), 2, 1, "two pods"},
		"too long":              {ownLab + "#" + strings.Repeat("x", sandbox.MaxOwnBytes), 1, 1, "KiB"},
		"no text":               {"name: \xff\n", 1, 1, "UTF-8"},
		"deep":                  {"name: a\nnamespaces: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), 0, 0, ""},
		"merge":                 {"name: a\n<<: {name: b}\n", 2, 1, "want the name of a field"},
	} {
		t.Run(strings.ReplaceAll(what, " ", "_"), func(t *testing.T) {
			_, lab, err := sandbox.ParseOwn([]byte(c.yaml))
			var wrong *policy.Error
			if !errors.As(err, &wrong) || len(wrong.Problems) == 0 {
				t.Fatalf("got %+v, %v; want problems", lab, err)
			}
			said := map[string]bool{}
			for _, p := range wrong.Problems {
				if said[p.String()] {
					t.Errorf("it is said twice: %s", p)
				}
				said[p.String()] = true
			}
			for _, p := range wrong.Problems {
				if strings.Contains(p.Message, c.want) && (c.line == 0 || p.Line == c.line) && (c.column == 0 || p.Column == c.column) {
					return
				}
			}
			t.Errorf("got\n%v\nwant line %d, column %d, %q", err, c.line, c.column, c.want)
		})
	}
}

func FuzzParseOwn_never_fails_otherwise_than_by_saying_what_is_wrong(f *testing.F) {
	f.Add([]byte(ownLab))
	f.Add([]byte("name: a\nnamespaces: [{name: a, pods: [{name: p, ports: [{port: 1}]}, {name: q}]}]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		_, lab, err := sandbox.ParseOwn(src)
		var wrong *policy.Error
		switch {
		case err == nil:
			if len(lab.Flows()) > 400 || len(lab.Flows()) == 0 {
				t.Errorf("%d flows", len(lab.Flows()))
			}
			if _, err := sandbox.NewPredictor(lab, lab.PlannedAddresses(), nil); err != nil {
				t.Error(err)
			}
		case !errors.As(err, &wrong) || len(wrong.Problems) == 0 || wrong.Problems[0].Line < 1:
			t.Errorf("got %v", err)
		}
	})
}
