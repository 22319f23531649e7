package kind

import (
	"strings"
	"testing"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"

	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
)

// What makes the nodes and what they are made of are released together, and kind's own
// module, which has a checksum here, says by which digest.
func TestPublished_is_the_node_image_of_the_kind_in_use(t *testing.T) {
	u := nodeimage.Published
	if u.Node != defaults.Image || !strings.Contains(u.Node, ":"+u.Kubernetes+"@") {
		t.Errorf("%s, Kubernetes %s; kind has %s", u.Node, u.Kubernetes, defaults.Image)
	}
	for name := range u.Images {
		if !strings.HasSuffix(name, ":"+u.Calico) || !strings.Contains(u.Manifest, "/"+u.Calico+"/") {
			t.Errorf("%s of Calico %s, whose manifest is %s", name, u.Calico, u.Manifest)
		}
	}
}

func TestFlavour_a_node_made_of_upstream_s_image_needs_nothing_else(t *testing.T) {
	scriptDocker(t, `echo '[{"Config":{"Labels":{"`+nodeimage.LabelManifest+`":"/kind/lab/calico.yaml","`+nodeimage.LabelImages+`":"/kind/lab/images.tar","`+nodeimage.LabelPodImage+`":"own.test/pod:v2"}}}]'
`)
	p, err := New(Options{Instance: "test"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.flavour(t.Context())
	if want := (flavour{manifest: "/kind/lab/calico.yaml", images: "/kind/lab/images.tar", podImage: "own.test/pod:v2"}); err != nil || f != want {
		t.Errorf("got %+v, %v; want %+v", f, err, want)
	}
	// A manifest that was given counts before the image's own.
	p.opts.CalicoManifest = "calico.yaml"
	if f, err := p.flavour(t.Context()); err != nil || f != (flavour{podImage: defaultPodImageInNode}) {
		t.Errorf("with a manifest of one's own: got %+v, %v", f, err)
	}
}
