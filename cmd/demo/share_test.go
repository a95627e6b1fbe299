package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"tailcast/internal/command"
)

// The line counts pushed and repaired blocks of those that answer.
func TestSharing(t *testing.T) {
	node := func(name, status string) *command.Process {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(status)) }))
		t.Cleanup(server.Close)
		return &command.Process{Name: name, Ready: command.Ready{HTTP: server.URL}}
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	chain := []*command.Process{
		node("streamer", `{"peers":[{"id":"a"}],"bytes":{"sent":{"media":4000000,"proofs":9,"control":9,"repair":200000}}}`),
		node("viewer1", `{"peers":[{"id":"a"},{"id":"b"}],"bytes":{"sent":{"media":2000000,"repair":100000}}}`),
		node("viewer2", `{"peers":[],"bytes":{"sent":{"media":0}}}`),
		{Name: "viewer3", Ready: command.Ready{HTTP: gone.URL}},
	}
	want := "The streamer has sent 4.2 MB, viewers passed on 2.1 MB: viewer1 2.1 (2 peers), viewer2 0.0 (0 peers)."
	if got := sharing(shares(chain)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := sharing(shares(chain[3:])); got != "" {
		t.Errorf("all have ended: got %q, want nothing", got)
	}
}
