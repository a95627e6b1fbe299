package hls

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tailcast/ingest"
	"tailcast/internal/ts"
)

// TestDiscontinuity: after a discontinuity the clock of the segments is another, that of the channel goes on; nothing else about the program has changed, so
// nothing is flagged.
func TestDiscontinuity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, o := newSource(t), &origin{}
		list := head + "#EXT-X-DISCONTINUITY-SEQUENCE:7\n"
		for i, by := range []int64{0, 0, 5 << 32, 5 << 32, -100000, -100000} {
			if i == 2 || i == 4 {
				list += "#EXT-X-DISCONTINUITY\n"
			}
			o.put(fmt.Sprintf("s%d.ts", i), src.ts(t, src.segments[i], by))
			list += fmt.Sprintf("#EXTINF:1,\ns%d.ts\n", i)
		}
		o.put("index.m3u8", []byte(list+"#EXT-X-ENDLIST\n"))
		s, stats := whole(t, o, "index.m3u8")
		got := s.of(t, true, 0)
		if len(got) != 6*24 || len(s.programs) != 1 || stats.Discontinuities.Load() != 0 {
			t.Fatalf("got %d pictures, %d programs, %d discontinuities", len(got), len(s.programs), stats.Discontinuities.Load())
		}
		for i := range got[1:] { // sound is cut at another place: a gap of less than its frame
			if d := got[i+1].DTS - got[i].DTS; d < 3750 || d > 3750+1920 {
				t.Fatalf("picture %d lasts %d ticks", i, d)
			}
		}
		sound := s.of(t, false, 0)
		for i := range sound[1:] {
			if d := sound[i+1].DTS - sound[i].DTS; d < 1919 || d > 1920+3750 {
				t.Fatalf("frame of sound %d lasts %d ticks", i, d)
			}
		}
		even(t, got, time.Millisecond)
	})
}

// TestGap: segments that are announced as missing, and numbers that are left out.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, o := newSource(t), &origin{}
		list := recording(t, o, src)
		list = strings.Replace(list, "#EXTINF:1,\ns3.ts", "#EXT-X-GAP\n#EXTINF:1,\nnone.ts", 1)
		o.put("index.m3u8", []byte(list+"#EXT-X-ENDLIST\n"))
		s, stats := whole(t, o, "index.m3u8")
		got := s.of(t, true, 0)
		if len(got) != 7*24 || stats.LostSegments.Load() != 1 || len(o.requests("none.ts")) != 0 {
			t.Fatalf("got %d pictures, %d lost segments", len(got), stats.LostSegments.Load())
		}
		even(t, got, time.Millisecond)
	})
}

func encrypt(t *testing.T, b, secret, iv []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	pad := 16 - len(b)%16
	b = append(bytes.Clone(b), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(b, b)
	return b
}

// TestEncrypted: AES-128 with an IV of its own, with that of the number, a change of key, and none at the end.
func TestEncrypted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, o := newSource(t), &origin{}
		keys := [][]byte{[]byte("0123456789abcdef"), []byte("fedcba9876543210")}
		o.put("key0", keys[0])
		o.put("key1", keys[1])
		list := head + "#EXT-X-MEDIA-SEQUENCE:300\n"
		for i, seg := range src.segments {
			b, iv := src.ts(t, seg, 0), binary.BigEndian.AppendUint64(make([]byte, 8), uint64(300+i))
			switch {
			case i == 0:
				list += "#EXT-X-KEY:METHOD=AES-128,URI=\"key0\"\n"
			case i == 2:
				list += "#EXT-X-KEY:METHOD=AES-128,URI=\"/key1\",IV=0xABCD\n"
			case i == 6:
				list += "#EXT-X-KEY:METHOD=NONE\n"
			}
			if i < 2 {
				b = encrypt(t, b, keys[0], iv)
			} else if i < 6 {
				b = encrypt(t, b, keys[1], append(make([]byte, 14), 0xab, 0xcd))
			}
			o.put(fmt.Sprintf("s%d.ts", i), b)
			list += fmt.Sprintf("#EXTINF:1,\ns%d.ts\n", i)
		}
		o.put("index.m3u8", []byte(list+"#EXT-X-ENDLIST\n"))
		s, stats := whole(t, o, "index.m3u8")
		same(t, s.of(t, true, 0), of(true, src.program, everything(src)), 0)
		same(t, s.of(t, false, 0), of(false, src.program, everything(src)), 0)
		if len(o.requests("key0")) != 1 || len(o.requests("key1")) != 1 || stats.LostSegments.Load() != 0 {
			t.Errorf("keys were fetched %d and %d times, want once each", len(o.requests("key0")), len(o.requests("key1")))
		}
	})
}

func TestEncryptedErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, key := range map[string]string{"16": "short", "the key the right one": "fedcba9876543210"} {
			src, o := newSource(t), &origin{}
			o.put("key", []byte(key))
			o.put("s.ts", encrypt(t, src.ts(t, src.segments[0], 0), []byte("0123456789abcdef"), make([]byte, 16)))
			o.put("index.m3u8", []byte(head+"#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x0\n#EXTINF:1,\ns.ts\n#EXT-X-ENDLIST\n"))
			_, stats := whole(t, o, "index.m3u8")
			if text := stats.LastError(); !strings.Contains(text, want) || stats.LostSegments.Load() != 1 {
				t.Errorf("got %q, want %q", text, want)
			}
		}
	})
}

// TestRanges: segments that are ranges of one file, from a server that knows ranges and one that does not.
func TestRanges(t *testing.T) {
	for _, knows := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			src, o := newSource(t), &origin{}
			var all []byte
			list := head
			for i, seg := range src.segments {
				b := src.ts(t, seg, 0)
				at := ""
				if i == 0 {
					at = "@5"
					all = append(all, "xxxxx"...)
				}
				all = append(all, b...)
				list += fmt.Sprintf("#EXTINF:1,\n#EXT-X-BYTERANGE:%d%s\nall.ts\n", len(b), at)
			}
			o.put("all.ts", all)
			o.put("index.m3u8", []byte(list+"#EXT-X-ENDLIST\n"))
			if knows {
				o.answer = func(r *http.Request) *http.Response {
					var a, b int
					if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &a, &b); err != nil {
						return nil
					}
					return reply(r, 206, all[a:b+1])
				}
			}
			s, _ := whole(t, o, "index.m3u8")
			same(t, s.of(t, true, 0), of(true, src.program, everything(src)), 0)
		})
	}
}

// only is a source of one kind of track.
func (s *source) only(pictures bool) *source {
	p := *s.program
	p.Tracks = nil
	for _, t := range s.program.Tracks {
		if t.Codec.IsVideo() == pictures {
			p.Tracks = append(p.Tracks, t)
		}
	}
	p.PCRPID = p.Tracks[0].PID
	out := &source{program: &p}
	for _, seg := range s.segments {
		out.segments = append(out.segments, of(pictures, s.program, seg))
	}
	return out
}

// packedSound is a segment of sound as it is, with its time in front.
func packedSound(samples []ingest.Sample) []byte {
	tag := append([]byte("PRIV\x00\x00\x00\x35\x00\x00com.apple.streaming.transportStreamTimestamp\x00"), 0, 0, 0, 0)
	tag = binary.BigEndian.AppendUint32(tag, uint32(samples[0].PTS))
	out := append([]byte{'I', 'D', '3', 4, 0, 0, 0, 0, 0, byte(len(tag))}, tag...)
	for _, x := range samples {
		out = append(out, x.Data...)
	}
	return out
}

// TestMaster: the best variant, or the one that is wanted, with all sounds of its group: one in TS and half a round of the clock away, one packed.
func TestMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, o := newSource(t), &origin{}
		o.put("master.m3u8", []byte(`#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="low",NAME="low",URI="none.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="hi",NAME="Deutsch",LANGUAGE="de",URI="sound/packed.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="hi",NAME="English",LANGUAGE="en-GB",DEFAULT=YES,URI="sound/ts.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=640x360,AUDIO="low"
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,AUDIO="hi"
video/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=3840x2160,AUDIO="hi"
uhd.m3u8
`))
		video, sound := src.only(true), src.only(false)
		lists := [3]string{head, head, head}
		for i := range src.segments {
			for k := range lists {
				lists[k] += fmt.Sprintf("#EXTINF:1,\n%d\n", i)
			}
			o.put(fmt.Sprintf("video/%d", i), video.ts(t, video.segments[i], 0))
			o.put(fmt.Sprintf("sound/ts/%d", i), sound.ts(t, sound.segments[i], -1<<33))
			o.put(fmt.Sprintf("sound/%d", i), packedSound(sound.segments[i]))
		}
		o.put("video/index.m3u8", []byte(lists[0]+"#EXT-X-ENDLIST\n"))
		o.put("sound/ts.m3u8", []byte(strings.ReplaceAll(lists[1], ",\n", ",\nts/")+"#EXT-X-ENDLIST\n"))
		o.put("sound/packed.m3u8", []byte(lists[2]+"#EXT-X-ENDLIST\n"))
		s, stats := whole(t, o, "master.m3u8#variant=720p")
		p := s.program(t)
		if len(p.Tracks) != 3 || len(s.programs) != 1 {
			t.Fatalf("got %d tracks and %d programs, want 3 and 1: %s", len(p.Tracks), len(s.programs), stats.LastError())
		}
		if p.Tracks[1].Language != "eng" || p.Tracks[2].Language != "deu" || p.Tracks[1].PID == p.Tracks[2].PID {
			t.Errorf("got languages %s and %s, PIDs %d and %d", p.Tracks[1].Language, p.Tracks[2].Language, p.Tracks[1].PID, p.Tracks[2].PID)
		}
		all := everything(src)
		same(t, s.of(t, true, 0), of(true, src.program, all), 0)
		want := of(false, src.program, all)
		for k := range 2 {
			got := s.of(t, false, k)
			if len(got) != len(want) {
				t.Fatalf("sound %d: got %d frames, want %d", k, len(got), len(want))
			}
			for i, g := range got {
				if d := g.PTS - want[i].PTS; !bytes.Equal(g.Data, want[i].Data) || d < -1 || d > 1 || g.Flags != 0 {
					t.Fatalf("sound %d: frame %d is %d ticks off, flags %b", k, i, d, g.Flags)
				}
			}
			even(t, got, 200*time.Millisecond)
		}
	})
}

// TestSoundIsLate: a playlist of sound that stops does not stop the pictures, and comes back.
func TestSoundIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t)
		b := &broadcast{src: src.only(true)}
		o := b.serve(t, nil)
		video := o.answer
		sound := &broadcast{src: src.only(false), began: b.began}
		o.put("master.m3u8", []byte("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a/live.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nlive.m3u8\n"))
		o.answer = func(r *http.Request) *http.Response {
			path, ok := strings.CutPrefix(r.URL.Path, "/a")
			if !ok {
				return video(r)
			}
			if n := sound.newest(); n >= 16 && n < 26 {
				return reply(r, 404, nil)
			}
			if path == "/live.m3u8" {
				return reply(r, 200, []byte(sound.list()))
			}
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(path, "/seg"), ".ts"))
			if err != nil {
				return nil
			}
			return reply(r, 200, sound.segment(t, n))
		}
		s, stats, stop, _ := start(t, o, Config{}, "master.m3u8")
		time.Sleep(time.Minute)
		stop()
		pictures := s.of(t, true, 0)
		if len(pictures) < 55*24 {
			t.Errorf("got %d pictures in a minute: %s", len(pictures), stats.LastError())
		}
		for i := range pictures[1:] {
			if d := pictures[i+1].at.Sub(pictures[i].at); d > 1500*time.Millisecond {
				t.Fatalf("picture %d comes %v after the one before", i+1, d)
			}
		}
		frames := s.of(t, false, 0)
		if last, v := frames[len(frames)-1], pictures[len(pictures)-1]; len(frames) < 40*46 || (last.PTS-v.PTS) < -90000 || last.PTS-v.PTS > 90000 {
			t.Errorf("got %d frames of sound, the last %d ticks from the picture", len(frames), last.PTS-v.PTS)
		}
		if stats.LostSegments.Load() == 0 {
			t.Error("no lost segment is counted")
		}
	})
}

// TestLowLatency: parts of segments, as soon as they are there, by reloads that wait.
func TestLowLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t)
		began := time.Now()
		const perSegment = 4
		count := func() int { return int(time.Since(began)/(250*time.Millisecond)) + 40 } // parts that are there
		parts := make(map[[2]int][]byte)
		for k := range src.segments { // one muxer for a segment: its parts go on
			var out bytes.Buffer
			m := ts.NewMuxer(&out)
			if err := m.SetProgram(src.program); err != nil {
				t.Fatal(err)
			}
			base := of(true, src.program, src.segments[k])[0].DTS
			for _, x := range src.segments[k] {
				n := min(int((x.DTS-base)*perSegment/90000), perSegment-1)
				if n > 0 && parts[[2]int{k, n - 1}] == nil {
					parts[[2]int{k, n - 1}] = bytes.Clone(out.Bytes())
					out.Reset()
				}
				if err := m.WriteSample(x); err != nil {
					t.Fatal(err)
				}
			}
			parts[[2]int{k, perSegment - 1}] = bytes.Clone(out.Bytes())
		}
		list := func(n int) string {
			text := "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.75\n#EXT-X-PART-INF:PART-TARGET=0.25\n"
			open := n / perSegment
			text += fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d\n", open-6)
			for i := open - 6; i <= open; i++ {
				for k := 0; k < perSegment && i*perSegment+k < n && i > open-3; k++ {
					independent := ""
					if k == 0 {
						independent = ",INDEPENDENT=YES"
					}
					text += fmt.Sprintf("#EXT-X-PART:DURATION=0.25,URI=\"part%d.%d\"%s\n", i, k, independent)
				}
				if i < open {
					text += fmt.Sprintf("#EXTINF:1,\nseg%d\n", i)
				}
			}
			return text + fmt.Sprintf("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part%d.%d\"\n", open, n%perSegment)
		}
		o := &origin{answer: func(r *http.Request) *http.Response {
			var i, k int
			if r.URL.Path == "/live.m3u8" {
				q := r.URL.Query()
				msn, _ := strconv.Atoi(q.Get("_HLS_msn"))
				part, _ := strconv.Atoi(q.Get("_HLS_part"))
				for count() <= msn*perSegment+part && r.Context().Err() == nil {
					time.Sleep(10 * time.Millisecond)
				}
				return reply(r, 200, []byte(list(count())))
			}
			if _, err := fmt.Sscanf(r.URL.Path, "/part%d.%d", &i, &k); err == nil && i*perSegment+k < count() {
				b := parts[[2]int{i % 8, k}]
				return reply(r, 200, b)
			}
			return nil
		}}
		s, stats, stop, _ := start(t, o, Config{}, "live.m3u8")
		time.Sleep(5 * time.Second)
		there := count()
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		got := s.of(t, true, 0)
		if n := stats.LostSegments.Load() + stats.DamagedSamples.Load() + stats.SkippedBytes.Load(); n != 0 {
			t.Errorf("got %d losses: %s", n, stats.LastError())
		}
		for i := range got[1:] {
			if d := got[i+1].DTS - got[i].DTS; d != 3750 && i > 0 && got[i+1].Flags&ingest.Discontinuity == 0 {
				t.Fatalf("picture %d lasts %d ticks", i, d)
			}
		}
		first := src.segments[10%8]
		at := got[len(got)-1].DTS - of(true, src.program, first)[0].DTS
		end := int64(there)*22500 - 10*90000
		if behind := end - at; behind < 0 || behind > 2*90000 {
			t.Errorf("the newest picture is %d ticks behind the newest part, want less than two seconds", behind)
		}
		if n := len(o.requests("live.m3u8")); n > 30 {
			t.Errorf("asked %d times for the playlist in 5 s, want once a part", n)
		}
	})
}
