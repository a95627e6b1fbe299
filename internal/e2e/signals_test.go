package e2e

import "testing"

// TestSignals: SIGTERM is how a service is stopped, and no error; Ctrl-C ends with 130, as shells expect.
func TestSignals(t *testing.T) {
	need(t)
	beside(t, 1)
	s := streamer(t, "demo")
	v := viewer(t, s.LinkTo())
	until(t, v, "live", live)
	if code := v.Interrupt(); code != 130 {
		t.Errorf("viewer after SIGINT: got exit code %d, want 130", code)
	}
	if err := s.Stop(); err != nil {
		t.Errorf("streamer after SIGTERM: got %v, want exit code 0", err)
	}
}
