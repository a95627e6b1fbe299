package main

import "testing"

func TestParseLoad(t *testing.T) {
	before := parseLoad("cpu  100 10 50 800 40 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	after := parseLoad("cpu  140 10 60 840 40 0 5 5 0 0\n")
	if got := after.since(before); got.busy != 60 || got.all != 100 || got.share() != 0.6 {
		t.Errorf("got %+v, %v; want 60 busy of 100", got, got.share())
	}
	for _, text := range []string{"", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3 x 5 6 7 8\n"} {
		if got := parseLoad(text); got != (load{}) {
			t.Errorf("%q: got %+v, want nothing", text, got)
		}
	}
	if got := (load{}).share(); got != 0 {
		t.Errorf("an unknown load is %v, want 0", got)
	}
}

func TestParseDropped(t *testing.T) {
	text := "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 5 6 7 8 42\nUdpLite: RcvbufErrors\nUdpLite: 9\n"
	if got := parseDropped(text); got != 42 {
		t.Errorf("got %v, want 42", got)
	}
	for _, text := range []string{"", "Udp: RcvbufErrors\n", "Udp: InDatagrams\nUdp: 5\n", "Udp: InDatagrams RcvbufErrors\nUdp: 5\n"} {
		if got := parseDropped(text); got != 0 {
			t.Errorf("%q: got %v, want 0", text, got)
		}
	}
}
