package rtp

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"tailcast/ingest"
	"tailcast/ingest/ingesttest"
	"tailcast/ingest/rtp/rtptest"
	"tailcast/internal/es"
)

// streams are what a description of a media for each format says.
func streams(formats ...format.Format) (c Config) {
	for i, f := range formats {
		c.Streams = append(c.Streams, Stream{Media: i, Format: f, Clock: f.ClockRate()})
	}
	return c
}

// session drives an intake in virtual time, as encoders and the network would.
type session struct {
	t     *testing.T
	in    *Intake
	rec   *ingesttest.Record
	stats *ingest.Stats
	start time.Time
	rtp   []uint32 // RTP time of each track that stands for media time zero
	seq   []uint16
}

func newSession(t *testing.T, formats ...format.Format) *session {
	t.Helper()
	return newSessionOf(t, "", formats...)
}

func newSessionOf(t *testing.T, agent string, formats ...format.Format) *session {
	t.Helper()
	s := &session{t: t, rec: ingesttest.NewRecord(), stats: &ingest.Stats{}, start: time.Unix(1_800_000_000, 500_000_000)}
	out := NewOutput(s.rec, s.stats, ingesttest.Quiet(), s.start)
	c := streams(formats...)
	c.Agent = agent
	in, err := NewIntake(out, c)
	if err != nil {
		t.Fatal(err)
	}
	s.in = in
	for i := range formats {
		s.rtp = append(s.rtp, uint32(1000*(i+1)))
		s.seq = append(s.seq, uint16(65530+i)) // wraps soon
	}
	return s
}

// send delivers a payload of a track with media time media, at arrival, both since the start.
func (s *session) send(track int, media, arrival time.Duration, marker bool, payload []byte) {
	t := s.in.tracks[track]
	s.in.Packet(t, &rtp.Packet{
		Header: rtp.Header{
			Version: 2, SSRC: uint32(track + 1), PayloadType: t.Format.PayloadType(), SequenceNumber: s.seq[track], Marker: marker,
			Timestamp: s.rtp[track] + uint32(int64(media)*int64(t.rate)/int64(time.Second)),
		},
		Payload: payload,
	}, s.start.Add(arrival))
	s.seq[track]++
}

// lose drops the next n packets of a track.
func (s *session) lose(track int, n uint16) { s.seq[track] += n }

// report delivers a true sender report about a track for media time media.
func (s *session) report(track int, media, arrival time.Duration) {
	s.reportNTP(track, media, arrival, rtptest.NTP(s.start.Add(media)))
}

func (s *session) reportNTP(track int, media, arrival time.Duration, ntp uint64) {
	rate := int64(s.in.tracks[track].rate)
	s.in.Report(track, &rtcp.SenderReport{
		SSRC: uint32(track + 1), NTPTime: ntp, RTPTime: s.rtp[track] + uint32(int64(media)*rate/int64(time.Second)),
	}, s.start.Add(arrival))
}

const (
	ms    = time.Millisecond
	frame = 40 * ms
)

// gap is the presentation time of the newest sample of a track against media time.
func (s *session) gap(track uint8, media time.Duration) int64 {
	s.t.Helper()
	got := s.rec.Of(track)
	if len(got) == 0 {
		s.t.Fatalf("track %d has no sample", track)
	}
	return got[len(got)-1].PTS - ticks(media)
}

func TestAlignment(t *testing.T) {
	const skew = 150 * ms // the audio's packets come that much after those of the video with the same time
	for _, c := range []struct {
		name            string
		reports         []time.Duration // arrival of reports on both tracks
		before, after   time.Duration   // of the sound against the picture at 0.9 s and at the end: more is later
		discontinuities uint64
	}{
		{"reports first", []time.Duration{0}, 0, 0, 0},
		{"reports while holding", []time.Duration{320 * ms}, 0, 0, 0},
		{"reports late", []time.Duration{time.Second}, skew, 0, 1},
		{"no reports", nil, skew, skew, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSession(t, rtptest.PlainH264(), rtptest.AAC())
			var before int64
			for m := time.Duration(0); m < 2*time.Second; m += frame {
				for _, r := range c.reports {
					if r == m {
						s.report(0, m, m)
						s.report(1, m, m)
					}
				}
				s.send(0, m, m, true, rtptest.IDR)
				if m >= 160*ms { // the audio begins when it arrives with what was media time 10 ms
					s.send(1, m-skew, m, true, rtptest.AACPacket(1))
				}
				if m == 920*ms {
					before = s.gap(1, m-skew) - s.gap(0, m)
				}
			}
			end := 2*time.Second - frame
			after := s.gap(1, end-skew) - s.gap(0, end)
			if before != ticks(c.before) || after != ticks(c.after) {
				t.Errorf("sound is late by %v, then by %v, want %v, then %v", duration(before), duration(after), c.before, c.after)
			}
			if n := s.stats.Discontinuities.Load(); n != c.discontinuities {
				t.Errorf("%d discontinuities, want %d", n, c.discontinuities)
			}
			ingesttest.CheckTimes(t, s.rec.All())
		})
	}
}

// A correction moves forward what is behind, marks it, and leaves the other track alone.
func TestLateReportsMoveForward(t *testing.T) {
	for _, c := range []struct {
		name  string
		skew  time.Duration // of the audio's arrival
		moved uint8
	}{{"sound was too late: the picture moves", 100 * ms, 0}, {"sound was too early: it moves", -100 * ms, 1}} {
		t.Run(c.name, func(t *testing.T) {
			s := newSession(t, rtptest.PlainH264(), rtptest.AAC())
			for m := 200 * ms; m < 2*time.Second; m += frame {
				if m == 1200*ms {
					s.report(0, m, m)
					s.report(1, m, m)
				}
				s.send(0, m, m, true, rtptest.IDR)
				s.send(1, m-c.skew, m, true, rtptest.AACPacket(1))
			}
			for i := range uint8(2) {
				jumps, samples := 0, s.rec.Of(i)
				for j := 1; j < len(samples); j++ {
					want := ticks(frame)
					if samples[j].Flags&ingest.Discontinuity != 0 {
						jumps++
						want += ticks(100 * ms)
					}
					if got := samples[j].PTS - samples[j-1].PTS; got != want {
						t.Errorf("track %d, sample %d: PTS moves by %d, want %d", i, j, got, want)
					}
				}
				if want := map[bool]int{true: 1, false: 0}[i == c.moved]; jumps != want {
					t.Errorf("track %d has %d discontinuities, want %d", i, jumps, want)
				}
			}
		})
	}
}

// Over UDP a report may overtake the packets that it is about, and the other way round.
func TestReportsOvertake(t *testing.T) {
	for name, run := range map[string]func(*session){
		"reports first": func(s *session) {
			s.report(0, 0, 0)
			s.report(1, 0, 0)
			s.send(0, 0, 0, true, rtptest.IDR)
			s.send(1, 0, 0, true, rtptest.AACPacket(1))
		},
		"reports last": func(s *session) {
			s.send(0, 0, 0, true, rtptest.IDR)
			s.send(1, 0, 0, true, rtptest.AACPacket(1))
			s.report(0, 0, 0)
			s.report(1, 0, 0)
		},
	} {
		s := newSession(t, rtptest.PlainH264(), rtptest.AAC())
		run(s)
		got := s.rec.All()
		if len(got) != 2 || got[0].PTS != 0 || got[1].PTS != 0 {
			t.Errorf("%s: got %+v, want both samples at once, at the start of time", name, got)
		}
	}
}

// Clocks that drift apart are corrected by steady reports, not by a single odd one.
func TestDriftIsCorrectedAndHiccupsAreNot(t *testing.T) {
	s := newSession(t, rtptest.PlainH264(), rtptest.AAC())
	step := func(m, off time.Duration) {
		s.send(0, m, m, true, rtptest.IDR)
		s.send(1, m, m, true, rtptest.AACPacket(1))
		s.report(0, m, m)
		s.reportNTP(1, m-off, m, rtptest.NTP(s.start.Add(m))) // says that the sound is later than it was
	}
	step(0, 0)
	step(frame, 0)
	step(2*frame, 60*ms)
	step(3*frame, 0)
	if n := s.stats.Discontinuities.Load(); n != 0 {
		t.Fatalf("a hiccup made %d discontinuities, want 0", n)
	}
	for i := range 6 {
		step(time.Duration(4+i)*frame, 60*ms)
	}
	if n := s.stats.Discontinuities.Load(); n != 1 {
		t.Errorf("a drift made %d discontinuities, want 1", n)
	}
	ingesttest.CheckTimes(t, s.rec.All())
}

// What gortsplib reports is good for the time of day and not for the alignment, which stays that of the arrival.
func TestReportsOfPassingPackets(t *testing.T) {
	nanoseconds := func(at time.Time) uint64 { return uint64(at.Unix()+ntpEpoch)<<32 | uint64(at.Nanosecond()) }
	for _, c := range []struct {
		name  string
		named bool
		first time.Duration // when the picture is reported; the sound is, 2 ms later
	}{
		{"known by name", true, 100 * ms},
		{"known by 2 ms across the turn of a second", false, 499 * ms},
		{"not known", false, 100 * ms}, // nothing proves that they are to be believed
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSession(t, rtptest.PlainH264(), rtptest.AAC())
			if c.named {
				s = newSessionOf(t, "gortsplib", rtptest.PlainH264(), rtptest.AAC())
			}
			for m := time.Duration(0); m < time.Second; m += frame {
				s.send(0, m, m, true, rtptest.IDR)
				s.send(1, m, m, true, rtptest.AACPacket(1))
			}
			for i, late := range []time.Duration{0, 150 * ms} { // the sound is said to be late
				at := time.Second + c.first + time.Duration(2*i)*ms
				s.reportNTP(i, at-late, at, nanoseconds(s.start.Add(at)))
			}
			s.send(0, 2*time.Second, 2*time.Second, true, rtptest.IDR)
			s.send(1, 2*time.Second, 2*time.Second, true, rtptest.AACPacket(1))
			if off := s.gap(1, 2*time.Second) - s.gap(0, 2*time.Second); off != 0 {
				t.Errorf("sound is off by %v, want 0", duration(off))
			}
			samples := s.rec.Of(0)
			if w := samples[len(samples)-1].Wall.Sub(s.start.Add(2 * time.Second)); c.name != "not known" && w.Abs() > ms {
				t.Errorf("wall is off by %v, want less than 1 ms", w)
			}
		})
	}
}

func TestReportsNotBelieved(t *testing.T) {
	for _, c := range []struct {
		name string
		ntp  func(s *session) uint64 // of the audio's report
	}{
		{"no time of day", func(*session) uint64 { return 0 }},
		{"another day", func(s *session) uint64 { return rtptest.NTP(s.start.Add(24 * time.Hour)) }},
		{"half a second of its own", func(s *session) uint64 { return rtptest.NTP(s.start.Add(500 * ms)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSession(t, rtptest.PlainH264(), rtptest.AAC())
			for m := time.Duration(0); m < time.Second; m += frame {
				if m == 0 {
					s.report(0, m, m)
					s.reportNTP(1, m, m, c.ntp(s))
				}
				s.send(0, m, m, true, rtptest.IDR)
				s.send(1, m, m, true, rtptest.AACPacket(1))
			}
			if off := s.gap(1, 960*ms) - s.gap(0, 960*ms); off != 0 {
				t.Errorf("sound is off by %v, want that of the arrival, 0", duration(off))
			}
		})
	}
}

func TestTimestampsWrap(t *testing.T) {
	s := newSession(t, rtptest.PlainH264(), rtptest.AAC())
	s.rtp = []uint32{1<<32 - 90000, 1<<32 - 1000} // one second, and 20 ms, before they wrap
	s.report(0, 0, 0)
	s.report(1, 0, 0)
	for m := time.Duration(0); m < 3*time.Second; m += frame {
		s.send(0, m, m, true, rtptest.IDR)
		s.send(1, m, m, true, rtptest.AACPacket(1))
	}
	for i := range uint8(2) {
		samples := s.rec.Of(i)
		for j := 1; j < len(samples); j++ {
			if got := samples[j].PTS - samples[j-1].PTS; got != ticks(frame) {
				t.Fatalf("track %d, sample %d: PTS moves by %d, want %d", i, j, got, ticks(frame))
			}
		}
	}
	if off := s.gap(1, 2960*ms) - s.gap(0, 2960*ms); off != 0 {
		t.Errorf("sound is off by %v, want 0", duration(off))
	}
}

func TestWall(t *testing.T) {
	s := newSession(t, rtptest.AAC())
	s.report(0, 0, 0)
	s.send(0, 100*ms, 120*ms, true, rtptest.AACPacket(2))
	got := s.rec.All()
	want := s.start.Add(100 * ms)
	if d := got[0].Wall.Sub(want).Abs(); d > ms {
		t.Errorf("wall is %v, want %v", got[0].Wall, want)
	}
	if d := got[1].Wall.Sub(got[0].Wall) - 1024*time.Second/48000; d.Abs() > ms {
		t.Errorf("second frame is %v behind the first", got[1].Wall.Sub(got[0].Wall))
	}
	s.reportNTP(0, 200*ms, 200*ms, rtptest.NTP(s.start.Add(time.Hour)))
	s.send(0, 200*ms, 200*ms, true, rtptest.AACPacket(1))
	if w := s.rec.All()[2].Wall; !w.IsZero() {
		t.Errorf("an encoder whose clock is an hour off gives wall %v, want none", w)
	}
}

// fragments of an IDR picture (RFC 6184, 5.8): start, middle, end.
var fragments = [][]byte{{0x7c, 0x85, 1, 2}, {0x7c, 0x05, 3, 4}, {0x7c, 0x45, 5, 6}}

// Whatever is lost of a picture that is one NAL unit, the picture is gone, the next one says that something is missing, and times
// stay right.
func TestLoss(t *testing.T) {
	for _, lost := range [][]int{nil, {0}, {1}, {2}, {0, 1}, {1, 2}, {0, 1, 2}} {
		s := newSession(t, rtptest.H264())
		s.send(0, 0, 0, true, rtptest.IDR)
		for i, f := range fragments {
			if slices.Contains(lost, i) {
				s.lose(0, 1)
			} else {
				s.send(0, frame, frame, i == 2, f)
			}
		}
		s.send(0, 2*frame, 2*frame, true, rtptest.Inter)
		s.send(0, 3*frame, 3*frame, true, rtptest.Inter)
		got := s.rec.All()
		if len(lost) == 0 {
			if len(got) != 4 || got[1].Flags != ingest.RandomAccess {
				t.Errorf("without loss: got %+v, want 4 samples, the second a random access point", got)
			}
			continue
		}
		if len(got) != 3 || got[1].Flags != ingest.Damaged || got[2].Flags != 0 {
			t.Errorf("lost %v: got %+v, want 3 samples of which the second is damaged", lost, got)
			continue
		}
		if d := got[2].PTS - got[0].PTS; d != 3*ticks(frame) {
			t.Errorf("lost %v: last sample is %d after the first, want %d", lost, d, 3*ticks(frame))
		}
		if n := s.stats.LostPackets.Load(); n != uint64(len(lost)) {
			t.Errorf("lost %v: %d packets counted, want %d", lost, n, len(lost))
		}
		ingesttest.CheckTimes(t, got)
	}
}

// A picture of two slices keeps the one that arrived, and says that it is damaged.
func TestDamagedPictureIsKept(t *testing.T) {
	s := newSession(t, rtptest.H264())
	s.send(0, 0, 0, false, rtptest.IDR)
	s.lose(0, 1)
	s.send(0, 0, 0, true, rtptest.Inter)
	got := s.rec.All()
	if len(got) != 1 || got[0].Flags != ingest.RandomAccess|ingest.Damaged {
		t.Fatalf("got %+v, want one damaged random access point", got)
	}
	if n := s.stats.DamagedSamples.Load(); n != 1 {
		t.Errorf("%d damaged samples counted, want 1", n)
	}
}

// Some cameras never set the marker: a unit ends where the timestamp changes, and has its own time.
func TestNoMarkers(t *testing.T) {
	s := newSession(t, rtptest.H264())
	for m := time.Duration(0); m < 4*frame; m += frame {
		s.send(0, m, m, false, rtptest.IDR)
	}
	s.in.Close(s.start.Add(4 * frame))
	got := s.rec.All()
	if len(got) != 4 {
		t.Fatalf("%d samples, want 4: the last when the session ends", len(got))
	}
	for i, g := range got {
		if g.PTS-got[0].PTS != int64(i)*ticks(frame) {
			t.Errorf("sample %d has PTS %d after the first, want %d", i, g.PTS-got[0].PTS, int64(i)*ticks(frame))
		}
	}
}

// Some encoders set the marker on every NAL unit; parameter sets are still part of the picture that follows.
func TestMarkerOnParameterSets(t *testing.T) {
	s := newSession(t, &format.H264{PayloadTyp: 96, PacketizationMode: 1})
	s.send(0, 0, 0, true, rtptest.SPS)
	s.send(0, 0, 0, true, rtptest.PPS)
	s.send(0, 0, 0, true, rtptest.IDR)
	want := es.AnnexB(nil, [][]byte{rtptest.SPS, rtptest.PPS, rtptest.IDR})
	if got := s.rec.All(); len(got) != 1 || !bytes.Equal(got[0].Data, want) {
		t.Errorf("got %v, want one sample % x", got, want)
	}
}

func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-time.Hour, time.Hour} {
		s := newSession(t, rtptest.PlainH264(), rtptest.AAC())
		s.report(0, 0, 0)
		s.report(1, 0, 0)
		for m := time.Duration(0); m < 2*time.Second; m += frame {
			media := m
			if m >= time.Second {
				media += jump
			}
			s.send(0, media, m, true, rtptest.IDR)
			s.send(1, media, m, true, rtptest.AACPacket(1))
		}
		got := s.rec.All()
		ingesttest.CheckTimes(t, got)
		for i := range uint8(2) {
			track := s.rec.Of(i)
			if d := duration(track[len(track)-1].PTS - track[0].PTS); (d - (2*time.Second - frame)).Abs() > 100*ms {
				t.Errorf("jump of %v: track %d lasts %v, want what has passed, 1.96 s", jump, i, d)
			}
			if at := track[25]; at.Flags&ingest.Discontinuity == 0 {
				t.Errorf("jump of %v: track %d does not say so: %+v", jump, i, at)
			}
		}
		if n := s.stats.Discontinuities.Load(); n != 2 {
			t.Errorf("jump of %v: %d discontinuities, want 2", jump, n)
		}
	}
}

// Sound that was announced and does not come must not hold the picture; when it comes it is in time.
func TestLateTrack(t *testing.T) {
	for _, reports := range []bool{true, false} {
		s := newSession(t, rtptest.PlainH264(), rtptest.AAC())
		for m := time.Duration(0); m < 11*time.Second; m += frame {
			if reports && m%time.Second == 0 {
				s.report(0, m, m)
			}
			s.send(0, m, m, true, rtptest.IDR)
			if m == 600*ms {
				if n := len(s.rec.Of(0)); n != 16 {
					t.Fatalf("after 600 ms there are %d pictures, want all 16", n)
				}
			}
			if m >= 10*time.Second {
				if reports && m == 10*time.Second {
					s.report(1, m, m)
				}
				s.send(1, m, m, true, rtptest.AACPacket(1))
			}
		}
		off := duration(s.gap(1, 11*time.Second-frame) - s.gap(0, 11*time.Second-frame))
		if bound := map[bool]time.Duration{true: 0, false: 100 * ms}[reports]; off.Abs() > bound {
			t.Errorf("reports %v: sound is off by %v, want at most %v", reports, off, bound)
		}
		ingesttest.CheckTimes(t, s.rec.All())
	}
}

// What is held at the start is bounded: a file pushed as fast as it goes does not wait for half a second.
func TestHoldIsBounded(t *testing.T) {
	s := newSession(t, rtptest.H264(), rtptest.AAC())
	for i := range holdUnits + 2 {
		s.send(0, time.Duration(i)*frame, 0, true, rtptest.IDR)
	}
	if n := len(s.rec.All()); n < holdUnits {
		t.Errorf("%d samples went out, want what was held", n)
	}
}

func TestParameterSetsFromSDP(t *testing.T) {
	s := newSession(t, rtptest.H264())
	delimiter := []byte{9, 0xf0}
	s.send(0, 0, 0, true, rtptest.IDR)
	s.send(0, frame, frame, true, rtptest.Inter)
	s.send(0, 2*frame, 2*frame, false, delimiter)
	s.send(0, 2*frame, 2*frame, true, rtptest.IDR)
	for i, want := range [][][]byte{{rtptest.SPS, rtptest.PPS, rtptest.IDR}, {rtptest.Inter}, {delimiter, rtptest.SPS, rtptest.PPS, rtptest.IDR}} {
		if got := s.rec.All()[i].Data; !bytes.Equal(got, es.AnnexB(nil, want)) {
			t.Errorf("sample %d is % x, want % x", i, got, es.AnnexB(nil, want))
		}
	}
	info := s.rec.Program(t).Tracks[0]
	if info.Width != 854 || info.Height != 480 || !bytes.Equal(info.Config, es.AnnexB(nil, [][]byte{rtptest.SPS, rtptest.PPS})) {
		t.Errorf("track is %+v, want 854x480 with the parameter sets of the SDP", info)
	}
}

// Parameter sets that change make a new program.
func TestParameterSetsChange(t *testing.T) {
	s := newSession(t, rtptest.H264())
	other := append(append([]byte(nil), rtptest.PPS...), 0x80)
	s.send(0, 0, 0, true, rtptest.IDR)
	s.send(0, frame, frame, false, other)
	s.send(0, frame, frame, true, rtptest.IDR)
	if n := len(s.rec.Programs()); n != 2 {
		t.Fatalf("%d programs, want 2", n)
	}
	if got := s.rec.Program(t).Tracks[0].Config; !bytes.Equal(got, es.AnnexB(nil, [][]byte{rtptest.SPS, other})) {
		t.Errorf("config is % x, want the new PPS in it", got)
	}
}

// A program without pictures can be joined at any sample.
func TestAudioOnly(t *testing.T) {
	s := newSession(t, rtptest.AAC())
	s.send(0, 0, 0, true, rtptest.AACPacket(3))
	got := s.rec.All()
	if len(got) != 3 {
		t.Fatalf("%d samples, want 3 at once: there is nothing to align", len(got))
	}
	for i, g := range got {
		if g.Flags != ingest.RandomAccess || g.PTS-got[0].PTS != int64(i)*1920 {
			t.Errorf("frame %d has flags %v and PTS %d after the first, want random access and %d", i, g.Flags, g.PTS-got[0].PTS, i*1920)
		}
	}
}

// A later session of the same source says that it does not continue, and does not go back in time.
func TestSecondSession(t *testing.T) {
	s := newSession(t, rtptest.H264())
	for i := range 50 {
		s.send(0, time.Duration(i)*frame, 0, true, rtptest.IDR) // faster than real time
	}
	s.in.Close(s.start)
	in, err := NewIntake(s.in.out, streams(rtptest.H264()))
	if err != nil {
		t.Fatal(err)
	}
	s.in = in
	s.send(0, 0, 100*ms, true, rtptest.IDR)
	s.send(0, frame, 140*ms, true, rtptest.IDR)
	got := s.rec.All()
	ingesttest.CheckTimes(t, got)
	if got[50].Flags&ingest.Discontinuity == 0 || got[51].Flags&ingest.Discontinuity != 0 {
		t.Errorf("flags are %v and %v, want a discontinuity on the first only", got[50].Flags, got[51].Flags)
	}
	if n := len(s.rec.Programs()); n != 2 {
		t.Errorf("%d programs, want 2", n)
	}
}

func TestNothingCanBeCarried(t *testing.T) {
	out := NewOutput(ingesttest.NewRecord(), &ingest.Stats{}, ingesttest.Quiet(), time.Time{})
	_, err := NewIntake(out, streams(&format.G711{PayloadTyp: 0, SampleRate: 8000, ChannelCount: 1}))
	want := "nothing in the stream can be carried (G711 is not carried): send H.264, H.265, AAC, Opus, AC-3 or MPEG audio"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// BenchmarkIntake takes pictures of 20 kB in packets of the usual size all the way to the sink.
func BenchmarkIntake(b *testing.B) {
	f := rtptest.PlainH264()
	out := NewOutput(drop{}, &ingest.Stats{}, ingesttest.Quiet(), time.Now())
	in, err := NewIntake(out, streams(f))
	if err != nil {
		b.Fatal(err)
	}
	e, err := f.CreateEncoder()
	if err != nil {
		b.Fatal(err)
	}
	packets, err := e.Encode([][]byte{rtptest.FrameWith(20_000, 0x65, 0x88)})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(20_000)
	b.ReportAllocs()
	seq, now := uint16(0), time.Now()
	for i := range b.N {
		for _, p := range packets {
			q := *p
			q.SequenceNumber, q.Timestamp = seq, uint32(i)*3600
			in.Packet(in.tracks[0], &q, now)
			seq++
		}
		now = now.Add(frame)
	}
}

// drop is a sink that keeps nothing.
type drop struct{}

func (drop) SetProgram(*ingest.Program) {}
func (drop) WriteSample(ingest.Sample)  {}

// A recovery point is where a stream without IDR pictures can be joined.
func TestRandomAccessByRecoveryPoint(t *testing.T) {
	s := newSession(t, rtptest.H264())
	s.send(0, 0, 0, false, []byte{0x06, 6, 1, 0xc4, 0x80})
	s.send(0, 0, 0, true, rtptest.Inter)
	if got := s.rec.All()[0].Flags; got != ingest.RandomAccess|ingest.Recovery {
		t.Errorf("flags are %v, want random access by recovery", got)
	}
}
