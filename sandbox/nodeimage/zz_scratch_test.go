package nodeimage

import (
	"context"
	"os"
	"testing"
)

func TestScratchBuild(t *testing.T) {
	if os.Getenv("SCRATCH") == "" {
		t.Skip()
	}
	r, err := Build(context.Background(), Options{Repo: "/work/main", Progress: os.Stdout, Stock: os.Getenv("STOCK") != "", Probe: os.Getenv("PROBE")})
	t.Logf("%+v", r)
	if err != nil {
		t.Fatal(err)
	}
}
