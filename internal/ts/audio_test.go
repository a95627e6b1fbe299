package ts

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"tailcast/ingest"
)

// radio is a program of one sound.
func radio(streamType uint8) *build {
	b := new(build)
	b.pat(0, 1, 0x100)
	b.pmt(0x100, 1, 0, 0x102, nil, es(streamType, 0x102))
	return b
}

func describeFrames(r *recorder) (out []string) {
	for _, s := range r.of(0x102) {
		mark := ""
		if s.Flags&ingest.Damaged != 0 {
			mark = " damaged"
		}
		out = append(out, fmt.Sprintf("%d at %d%s", len(s.Data), s.DTS, mark))
	}
	return out
}

// layer2 is a frame of MPEG-1 layer II, 48 kHz, 192 kbit/s: 576 bytes.
func layer2() []byte { return append([]byte{0xff, 0xfd, 0xa4, 0x00}, make([]byte, 572)...) }

// TestFramesAcrossPES: as broadcasters send it, PES packets end wherever they are full.
func TestFramesAcrossPES(t *testing.T) {
	sound := bytes.Repeat(layer2(), 6) // 3456 bytes, 2160 ticks each
	b := radio(typeMPEG1Audio)
	for from := 0; from < len(sound); from += 1000 {
		// The time is that of the first frame that begins in the packet.
		first := int64((from + 575) / 576)
		b.unit(0x102, nil, pes(idAudio, 90000+first*2160, 90000+first*2160, true, sound[from:min(from+1000, len(sound))]))
	}
	r, _ := scan(b.Bytes(), 188, Config{})
	want := []string{"576 at 90000", "576 at 92160", "576 at 94320", "576 at 96480", "576 at 98640", "576 at 100800"}
	if got := describeFrames(r); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFramesAmongGarbage(t *testing.T) {
	frame := aac(100)
	crc := bytes.Clone(frame)
	crc[1] &^= 1 // has a CRC behind the header
	long := bytes.Clone(frame)
	long[6] |= 1 // two blocks: 2048 samples
	for _, c := range []struct {
		name string
		pes  [][]byte
		want []string
	}{
		{"frames", [][]byte{bytes.Repeat(frame, 2)}, []string{"100 at 0", "100 at 1920"}},
		{"with a CRC", [][]byte{bytes.Repeat(crc, 2)}, []string{"100 at 0", "100 at 1920"}},
		{"of two blocks", [][]byte{append(bytes.Clone(long), frame...)}, []string{"100 at 0", "100 at 3840"}},
		{"garbage in front", [][]byte{append([]byte("garbage"), bytes.Repeat(frame, 2)...)}, []string{"7 at 0 damaged", "100 at 0", "100 at 1920"}},
		{"garbage in between", [][]byte{slices.Concat(frame, []byte("\xff\xf2garbage"), frame)}, []string{"100 at 0", "9 at 1920 damaged", "100 at 1920"}},
		{"what looks like a frame", [][]byte{append(bytes.Clone(frame), "\xff\xf1g@\x08\x7f\x00"...), frame}, []string{"100 at 0", "7 at 1920 damaged", "100 at 90000"}},
		{"garbage behind", [][]byte{append(bytes.Clone(frame), "garbage"...), frame}, []string{"100 at 0", "7 at 1920 damaged", "100 at 90000"}},
		{"nothing but garbage", [][]byte{[]byte("garbage")}, []string{"7 at 0 damaged"}},
		{"no end", [][]byte{frame[:60]}, []string{"60 at 0 damaged"}},
		{"in parts, of which the first has the time", [][]byte{frame[:1], frame[1:2], frame[2:50], frame[50:]}, []string{"100 at 0"}},
		{"nothing", [][]byte{{}}, nil},
	} {
		b := radio(typeAAC)
		for i, p := range c.pes {
			b.unit(0x102, nil, pes(idAudio, int64(i)*90000, int64(i)*90000, true, p))
		}
		r, _ := scanAll(b.Bytes())
		got := describeFrames(r)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFramesWithoutTime(t *testing.T) {
	b := radio(typeAAC)
	untimed := append([]byte{0, 0, 1, idAudio, 0, 203, 0x80, 0, 0}, bytes.Repeat(aac(100), 2)...)
	b.unit(0x102, nil, untimed)
	b.unit(0x102, nil, pes(idAudio, 90000, 90000, true, aac(100)))
	b.unit(0x102, nil, untimed)
	r, _ := scanAll(b.Bytes())
	want := []string{"100 at 0", "100 at 1920", "100 at 90000", "100 at 91920", "100 at 93840"}
	if got := describeFrames(r); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFramesAfterLoss: the end of a frame is lost; the next PES packet begins with a frame, which is not searched for that end.
func TestFramesAfterLoss(t *testing.T) {
	b := radio(typeAAC)
	from := b.Len() / 188
	for i := range int64(3) {
		b.unit(0x102, nil, pes(idAudio, i*90000, i*90000, true, bytes.Repeat(aac(200), 2)))
	}
	in, _ := without(b.Bytes(), func(i int, _ []byte) bool { return i == from+2 })
	r, _ := scanAll(in)
	got := describeFrames(r)
	want := []string{"200 at 0 damaged", "154 at 1920 damaged", "200 at 90000", "200 at 91920", "200 at 180000", "200 at 181920"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSoundChanges(t *testing.T) {
	b := radio(typeAAC)
	other := aac(100)
	other[2] = 0x50 // 44.1 kHz
	b.frames(0, 2)
	b.unit(0x102, nil, pes(idAudio, 3840, 3840, true, bytes.Repeat(other, 3)))
	r, _ := scanAll(b.Bytes())
	if len(r.programs) != 2 || r.programs[1].Tracks[0].SampleRate != 44100 || r.during[1] != 0 || r.during[2] != 1 {
		t.Errorf("got %d programs, want a second one of 44100 Hz from the third frame on", len(r.programs))
	}
	if got, want := dtsOf(r.of(0x102)), []int64{0, 1920, 3840, 5929, 8019}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestDolbyFurtherChannels: frames of E-AC-3 with further channels belong to that of the main ones.
func TestDolbyFurtherChannels(t *testing.T) {
	main := append([]byte{0x0b, 0x77, 0x00, 0x31, 0x3f, 0x85, 0, 0}, make([]byte, 92)...)    // 100 bytes, 6 blocks
	further := append([]byte{0x0b, 0x77, 0x40, 0x18, 0x3f, 0x85, 0, 0}, make([]byte, 42)...) // 50 bytes
	b := radio(typeEAC3)
	b.unit(0x102, nil, pes(idPrivate1, 0, 0, true, slices.Concat(main, further, main, further, further)))
	r, _ := scanAll(b.Bytes())
	want := []string{"150 at 0", "200 at 2880"}
	if got := describeFrames(r); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
