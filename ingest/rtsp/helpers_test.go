package rtsp

import (
	"testing"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"tailcast/ingest/ingesttest"
)

func describe(formats ...format.Format) *description.Session {
	d := &description.Session{}
	for _, f := range formats {
		d.Medias = append(d.Medias, &description.Media{Type: description.MediaTypeApplication, Formats: []format.Format{f}})
	}
	return d
}

// listen starts a server on loopback.
func listen(t *testing.T, cfg ServerConfig) (*Server, *ingesttest.Record) {
	t.Helper()
	cfg.Addr, cfg.Logger = "127.0.0.1:0", ingesttest.Quiet()
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := ingesttest.NewRecord()
	ingesttest.Start(t, s, r)
	return s, r
}
