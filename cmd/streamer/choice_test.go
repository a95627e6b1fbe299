package main

import "testing"

func TestChoiceOfProgramme(t *testing.T) {
	for _, c := range []struct {
		text    string
		number  uint16
		service string
		shown   string
	}{
		{"", 0, "", ""},
		{"0", 0, "", ""},
		{"28106", 28106, "", "28106"},
		{" Das Erste HD", 0, "Das Erste HD", "Das Erste HD"},
		{"3sat", 0, "3sat", "3sat"},
	} {
		o := &options{program: 7, service: "before"}
		v := &choice{o}
		if err := v.Set(c.text); err != nil || o.program != c.number || o.service != c.service || v.String() != c.shown {
			t.Errorf("%q: got %d, %q, shown as %q, %v", c.text, o.program, o.service, v, err)
		}
	}
	if err := (&choice{&options{}}).Set("65536"); err == nil {
		t.Error("65536 is taken for a number of a programme")
	}
	if got := new(choice).String(); got != "" {
		t.Errorf("the zero value is shown as %q", got)
	}
}
