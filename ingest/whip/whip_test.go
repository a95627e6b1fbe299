package whip

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"tailcast/ingest"
	"tailcast/ingest/admit"
	"tailcast/ingest/ingesttest"
	"tailcast/internal/es"
)

const (
	ms    = time.Millisecond
	frame = 40 * ms
)

// sound is an Opus packet, different for each n.
func sound(n int) []byte { return append([]byte{0xfc}, bytes.Repeat([]byte{byte(n) | 1}, 40)...) }

// What is sent comes out: every access unit, byte for byte, in order, with its time; and the sound as late as the reports say.
func TestPublish(t *testing.T) {
	p := newPlace(t, nil)
	c := newClient(t, h264Codec, opusCodec)
	c.publish(p)
	const late = 75 * ms // the sound began that much after the picture
	now := time.Now()
	var want [2][][]byte
	for n := range 50 {
		at := time.Duration(n) * frame
		nalus := picture(n, n%25 == 0)
		c.write("video", c.tracks["video"].packets(at, payloads(t, nalus)...)...)
		want[0] = append(want[0], es.AnnexB(nil, nalus))
		for i := range 2 {
			packet := sound(2*n + i)
			c.write("audio", c.tracks["audio"].packets(at+time.Duration(i)*20*ms, packet)...)
			unit, err := (&es.Opus{}).Append(nil, packet)
			if err != nil {
				t.Fatal(err)
			}
			want[1] = append(want[1], unit)
		}
		if n == 0 {
			c.report("video", 0, now)
			c.report("audio", 0, now.Add(late))
		}
		p.rec.Wait(t, 3*n) // as fast as it is taken
	}
	all := p.rec.Wait(t, 150)
	ingesttest.CheckTimes(t, all)
	tracks := [2]uint8{trackOf(t, p, ingest.H264), trackOf(t, p, ingest.Opus)}
	first := p.rec.Of(tracks[0])[0].PTS
	for i, step := range []int64{3600, 1800} {
		got := p.rec.Of(tracks[i])
		if len(got) != len(want[i]) {
			t.Fatalf("track %d: %d samples, want %d", i, len(got), len(want[i]))
		}
		begin := first + int64(i)*int64(late/ms)*90
		for n, g := range got {
			if !bytes.Equal(g.Data, want[i][n]) {
				t.Fatalf("track %d: sample %d is not what was sent", i, n)
			}
			if g.PTS != begin+int64(n)*step {
				t.Fatalf("track %d: sample %d is at %d, want %d", i, n, g.PTS, begin+int64(n)*step)
			}
			if i == 0 && (g.Flags == ingest.RandomAccess) != (n%25 == 0) {
				t.Errorf("picture %d has flags %v", n, g.Flags)
			}
		}
	}
	info := p.rec.Program(t).Tracks
	if info[tracks[0]].Width != 1920 || info[tracks[1]].Channels != 2 {
		t.Errorf("tracks are %+v, want 1920 pixels wide, and stereo as the packets say", info)
	}
	if s := p.Stats(); s.LostPackets.Load()+s.Discontinuities.Load()+s.DTSFallbacks.Load()+s.DamagedSamples.Load() != 0 {
		t.Errorf("%d lost, %d jumps, %d guesses, %d damaged, want none", s.LostPackets.Load(), s.Discontinuities.Load(), s.DTSFallbacks.Load(), s.DamagedSamples.Load())
	}
}

func trackOf(t *testing.T, p *place, codec ingest.Codec) uint8 {
	t.Helper()
	tracks := p.rec.Program(t).Tracks
	i := slices.IndexFunc(tracks, func(t ingest.Track) bool { return t.Codec == codec })
	if i < 0 {
		t.Fatalf("no %s in %+v", codec, tracks)
	}
	return tracks[i].ID
}

// OBS drops the first packets of a stream. Nothing comes out that nobody can decode, and a keyframe is asked for.
func TestWaitsForKeyframe(t *testing.T) {
	p := newPlace(t, nil)
	c := newClient(t, h264Codec)
	c.publish(p)
	video := c.tracks["video"]
	video.packets(0, payloads(t, picture(0, true))...) // gone
	for n := 1; n < 5; n++ {
		c.write("video", video.packets(time.Duration(n)*frame, payloads(t, picture(n, false))...)...)
	}
	c.write("video", video.packets(5*frame, []byte{0x65, 0x88, 1})...) // an IDR whose parameter sets nobody has seen
	c.told(isPLI)
	c.write("video", video.packets(6*frame, payloads(t, picture(6, true))...)...)
	c.write("video", video.packets(20*frame, payloads(t, picture(20, false))...)...)
	got := p.rec.Wait(t, 2)
	if !bytes.Equal(got[0].Data, es.AnnexB(nil, picture(6, true))) || got[0].Flags&ingest.RandomAccess == 0 {
		t.Errorf("the first sample is not the first keyframe: flags %v, %d bytes", got[0].Flags, len(got[0].Data))
	}
}

// What is lost is asked for, and taken when it comes: late, in any order, twice.
func TestLostPacketsComeAgain(t *testing.T) {
	p := newPlace(t, nil)
	c := newClient(t, h264Codec)
	c.publish(p)
	video := c.tracks["video"]
	var want [][]byte
	for n := range 20 {
		nalus := picture(n, n == 0)
		want = append(want, es.AnnexB(nil, nalus))
		packets := video.packets(time.Duration(n)*frame, payloads(t, nalus)...)
		switch n {
		case 5: // one is missing until it is asked for
			c.write("video", packets[0], packets[2])
			c.told(func(r rtcp.Packet) bool {
				nack, ok := r.(*rtcp.TransportLayerNack)
				return ok && slices.Contains(nack.Nacks[0].PacketList(), packets[1].SequenceNumber)
			})
			c.write("video", packets[1])
		case 9: // overtaken by the next
			slices.Reverse(packets)
			c.write("video", packets...)
		default:
			c.write("video", packets...)
		}
	}
	got := p.rec.Wait(t, len(want))
	for n, g := range got {
		if !bytes.Equal(g.Data, want[n]) || g.Flags&ingest.Damaged != 0 {
			t.Errorf("picture %d is not what was sent, or damaged", n)
		}
	}
	if n := p.Stats().LostPackets.Load(); n != 0 {
		t.Errorf("%d packets are counted as lost, want 0", n)
	}
}

// A network that loses one packet in ten, and as many of those that are sent again, and lets some overtake others, costs nothing but time.
func TestBadNetwork(t *testing.T) {
	s, err := Listen(Config{Addr: "127.0.0.1:0", Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	s.wait = 5 * time.Second // of a busy machine
	p := serve(t, s, nil)
	c := newClient(t, h264Codec)
	c.publish(p)
	var kept sync.Map
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	loses := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return dice.IntN(10) == 0
	}
	c.resend("video", &kept, loses)
	video, lost := c.tracks["video"], 0
	var want [][]byte
	for n := range 150 {
		nalus := picture(n, n%50 == 0)
		want = append(want, es.AnnexB(nil, nalus))
		packets := video.packets(time.Duration(n)*frame, payloads(t, nalus)...)
		for _, packet := range packets {
			kept.Store(packet.SequenceNumber, packet)
		}
		if loses() {
			packets[0], packets[1] = packets[1], packets[0]
		}
		for _, packet := range packets {
			if n > 0 && n < 149 && loses() { // the first starts the clock, and the last shows what is missing before
				lost++
				continue
			}
			c.write("video", packet)
		}
		<-time.After(10 * ms) // four times as fast as they are played
	}
	got := p.rec.Wait(t, len(want))
	for n, g := range got {
		if !bytes.Equal(g.Data, want[n]) || g.Flags&ingest.Damaged != 0 {
			t.Errorf("picture %d is not what was sent, or damaged", n)
		}
	}
	ingesttest.CheckTimes(t, got)
	if n := p.Stats().LostPackets.Load(); n != 0 || lost == 0 {
		t.Errorf("%d of %d lost packets did not come again", n, lost)
	}
}

// Listening on all interfaces, every address of this machine is in the answer, and leads here.
func TestAllInterfaces(t *testing.T) {
	s, err := Listen(Config{Addr: "0.0.0.0:0", Gate: admit.NewGate("sesame-open", ingesttest.Quiet()), Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, s, nil)
	c := newClient(t, h264Codec)
	c.publish(p)
	c.write("video", c.tracks["video"].packets(0, payloads(t, picture(0, true))...)...)
	p.rec.Wait(t, 1)
	if strings.Contains(c.answer, "0.0.0.0 "+p.Addr().String()[len("0.0.0.0:"):]) {
		t.Errorf("the answer names no address:\n%s", c.answer)
	}
}

// Behind a NAT the answer names the address that is forwarded, too.
func TestPublicAddress(t *testing.T) {
	public := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8")}
	s, err := Listen(Config{Addr: "127.0.0.1:0", Public: public, Logger: ingesttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, s, nil)
	c := newClient(t, h264Codec)
	c.publish(p)
	c.write("video", c.tracks["video"].packets(0, payloads(t, picture(0, true))...)...)
	p.rec.Wait(t, 1)
	for _, host := range []string{"127.0.0.1", "192.0.2.7", "192.0.2.8"} {
		if !strings.Contains(c.answer, fmt.Sprintf(" %s %d typ host", host, p.Addr().Port())) {
			t.Errorf("the answer lacks %s:\n%s", host, c.answer)
		}
	}
}

// What never comes holds nothing up for long; the picture says that it is damaged, and a keyframe is asked for.
func TestLostForGood(t *testing.T) {
	p := newPlace(t, nil)
	c := newClient(t, h264Codec)
	c.publish(p)
	video := c.tracks["video"]
	c.write("video", video.packets(0, payloads(t, picture(0, true))...)...)
	c.write("video", video.packets(20*frame, payloads(t, picture(1, false))...)...)
	p.rec.Wait(t, 2)
	c.mu.Lock()
	c.feedback = nil
	c.mu.Unlock()
	lost := video.packets(21*frame, payloads(t, picture(2, false))...)
	c.write("video", lost[1:]...)
	for n := 3; p.Stats().DamagedSamples.Load() == 0; n++ { // the next packets show that time has passed
		if n == 1000 {
			t.Fatal("the loss holds everything up")
		}
		c.write("video", video.packets(time.Duration(19+n)*frame, payloads(t, picture(n, false))...)...)
		<-time.After(10 * ms)
	}
	c.told(isPLI)
	if n := p.Stats().LostPackets.Load(); n != 1 {
		t.Errorf("%d packets are counted as lost, want 1", n)
	}
	ingesttest.CheckTimes(t, p.rec.All())
}

// The answer has one codec for each media, ours to receive, and everything an ICE lite agent has to say.
func TestAnswer(t *testing.T) {
	p := newPlace(t, nil)
	c := newClient(t, vp8Codec, opusCodec)
	offer := c.offer()
	if _, err := readOffer([]byte(offer)); err == nil || !strings.Contains(err.Error(), "nothing of the video that is offered is carried (VP8): send H.264") {
		t.Errorf("an offer of VP8 alone: %v, want a sentence that names it", err)
	}
	c = newClient(t, h264Codec, opusCodec)
	c.publish(p)
	for _, line := range []string{
		"a=ice-lite", "a=recvonly", "a=setup:passive", "a=rtpmap:102 H264/90000", "a=rtpmap:111 opus/48000/2",
		"a=rtcp-fb:102 nack pli", "127.0.0.1 " + p.Addr().String()[len("127.0.0.1:"):] + " typ host", "a=end-of-candidates",
	} {
		if !strings.Contains(c.answer, line) {
			t.Errorf("the answer lacks %q:\n%s", line, c.answer)
		}
	}
	if strings.Count(c.answer, "a=rtpmap") != 2 || strings.Contains(c.answer, ".local") {
		t.Errorf("the answer has more than was chosen:\n%s", c.answer)
	}
}
