package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailcast/internal/command"
	"tailcast/node"
)

// OBS Studio is what most broadcasters have. It runs as they run it, with what docs/ingest.md tells them to type, on a screen that nobody sees.

// screen is an X server without a screen; it chooses its own number, as "127.0.0.1:0" does a port.
func screen(t *testing.T) (display string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.CommandContext(t.Context(), "Xvfb", "-displayfd", "3", "-screen", "0", "640x480x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it takes its socket and its lock away
		_ = cmd.Wait()
	})
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb has not said which display it is: %v", err)
	}
	return ":" + strings.TrimSpace(number)
}

// A studio is a folder with all that OBS knows: a profile, with what is set in Settings, and a scene with a film.
type studio struct {
	dir, display string
}

// Settings → Output, in both of its modes: x264 with B-frames and a keyframe each second, and a recording of the stream. In mode Simple that has the sound of
// the stream too, else an encoder of its own.
const (
	simple = "[Output]\nMode=Simple\nReconnect=false\n[SimpleOutput]\nStreamEncoder=x264\nVBitrate=500\nABitrate=128\nUseAdvanced=true\nPreset=superfast\n" +
		"x264Settings=keyint=30\nRecQuality=Stream\nRecFormat=ts\nFilePath="
	advanced = "[Output]\nMode=Advanced\nReconnect=false\n[AdvOut]\nEncoder=obs_x264\nTrackIndex=1\nTrack1Bitrate=128\nRecEncoder=none\nRecTracks=1\nRecFormat=ts\nRecFilePath="
	encoder  = `{"rate_control":"CBR","bitrate":500,"keyint_sec":1,"bf":2,"preset":"superfast"}` // of Advanced
)

// newStudio has pictures of 320x180, at a rate of OBS's list.
func newStudio(t *testing.T, display, film, output, rate, server, key string) *studio {
	t.Helper()
	s := &studio{filepath.Join(t.TempDir(), "obs"), display}
	for name, text := range map[string]string{
		"global.ini": "[General]\nFirstRun=true\nLastVersion=486539266\nEnableAutoUpdates=false\n",
		"basic/profiles/Main/basic.ini": "[General]\nName=Main\n" + output + s.dir + "\n[Audio]\nSampleRate=48000\nChannelSetup=Stereo\n" +
			"[Video]\nBaseCX=320\nBaseCY=180\nOutputCX=320\nOutputCY=180\nFPSType=0\nFPSCommon=" + rate + "\n",
		"basic/profiles/Main/streamEncoder.json": encoder,
		"basic/profiles/Main/service.json":       asJSON(map[string]any{"type": "rtmp_custom", "settings": map[string]any{"server": server, "key": key}}),
		"basic/scenes/Evening.json":              asJSON(scene(film)),
	} {
		file := filepath.Join(s.dir, "obs-studio", name) // and s.dir is its owner's alone, as XDG_RUNTIME_DIR has to be
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// scene has a film in it, as a media source that begins again.
func scene(film string) any {
	type m = map[string]any
	item := m{"id": 1, "name": "film", "visible": true, "align": 5, "scale": m{"x": 1.0, "y": 1.0}}
	return m{
		"name": "Evening", "current_scene": "Film", "current_program_scene": "Film", "scene_order": []m{{"name": "Film"}},
		"sources": []m{
			{"id": "scene", "name": "Film", "settings": m{"id_counter": 1, "items": []m{item}}},
			{"id": "ffmpeg_source", "name": "film", "mixers": 255, "settings": m{"is_local_file": true, "local_file": film, "looping": true}},
		},
	}
}

func asJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// start goes on air, and records what it sends; kill ends both at once, as a crash does.
func (s *studio) start(t *testing.T) (kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "obs", "--multi", "--startstreaming", "--startrecording", "--profile", "Main", "--collection", "Evening")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + s.dir, "XDG_CONFIG_HOME=" + s.dir, "XDG_RUNTIME_DIR=" + s.dir,
		"DISPLAY=" + s.display, "LIBGL_ALWAYS_SOFTWARE=1", "LP_NUM_THREADS=1",
		"https_proxy=http://127.0.0.1:9", // it looks for news of streaming services
	}
	// Its recorder, a process of its own, writes the rest of what it has once OBS is gone, and ends; one that has just begun may wait for ever.
	cmd.SysProcAttr, cmd.WaitDelay = &syscall.SysProcAttr{Setpgid: true}, 2*time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said // which the recorder has open too: Wait waits for both
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	t.Cleanup(func() {
		if kill(); t.Failed() {
			t.Logf("OBS wrote, at the end:\n%s", said.Bytes()[max(0, said.Len()-2000):])
		}
	})
	return kill
}

// recording is what it recorded of itself when it was on air for the first time.
func (s *studio) recording(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.ts"))
	if err != nil || len(files) == 0 {
		t.Fatalf("OBS has recorded nothing (%v)", err)
	}
	return files[0]
}

// TestOBS: OBS Studio publishes by RTMP and by SRT, typed as docs/ingest.md says, with B-frames. A viewer gets what OBS recorded of itself, to the byte
// and with its times; the streamer has nothing to complain of; and when OBS is killed and started again, the epoch goes on.
func TestOBS(t *testing.T) {
	need(t, "obs", "Xvfb", "ffmpeg", "ffprobe")
	beside(t, browser) // it encodes, and draws without a graphics card
	display, film := screen(t), filepath.Join(t.TempDir(), "film.ts")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=5", "-f", "lavfi", "-i", "anoisesrc=r=48000:d=5:a=0.2:seed=1", "-c:v", "mpeg2video", "-c:a", "mp2", film)
	for _, way := range []struct {
		name, output string
		rate, shown  string                                      // of pictures, in OBS and in ffprobe
		fields       func(*command.Process) (server, key string) // of Settings → Stream
		late         int64                                       // ticks of 90 kHz
	}{
		{"RTMP", simple, "29.97", "30000/1001", func(p *command.Process) (string, string) { return strings.TrimSuffix(p.RTMP, "/main"), "sesame-open" }, 90},
		{"SRT", advanced, "30", "30/1", func(p *command.Process) (string, string) {
			return strings.Replace(p.SRT, ":main", ":sesame-open", 1), ""
		}, 0},
		{"SRT, encrypted", simple, "30", "30/1", func(p *command.Process) (string, string) { return p.SRT + "&passphrase=sesame-open", "" }, 0},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := streamer(t, "--rtsp", "", "--rtmp", "127.0.0.1:0", "--srt", "127.0.0.1:0", "--stream-key-file", keyFile(t))
			server, key := way.fields(s)
			obs := newStudio(t, display, film, way.output, way.rate, server, key)
			kill := obs.start(t)
			v := viewer(t, s.LinkTo())
			until(t, v, "live", live)
			out := filepath.Join(t.TempDir(), "out.ts")
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			record(ctx, t, v.HTTP+"/live.ts?join=last", out)
			before := content(t, s)
			kill()
			streams := []string{bareH264, bareAAC}
			if way.output == advanced {
				streams = streams[:1]
			}
			sameAsRecorded(t, obs.recording(t), out, streams, way.late)
			looksLike(t, out, "h264,320,180,"+way.shown, "aac,0/0")

			obs.start(t)
			now := until(t, s, "on air again", func(n status) bool { return live(n) && n.Renditions[0].Head > before.Head+10 })
			if now.Renditions[0].Epoch != before.Epoch {
				t.Error("another epoch, when OBS is started again")
			}
		})
	}
}

// content is a streamer that has nothing to complain of: pictures come at their rate, with a keyframe each second.
func content(t *testing.T, s *command.Process) (r struct {
	Epoch string
	Head  uint64
},
) {
	t.Helper()
	said := untilAt(t, s, "/api/v1/status", "content", func(n node.Status) bool {
		return n.Ingest != nil && n.Ingest.Keyframe > 0.9 && n.Ingest.Keyframe < 1.1 && n.Ingest.FPS > 20 && n.Ingest.FPS < 31
	})
	i := said.Ingest
	if len(i.Warnings) > 0 || i.LastError != "" || i.LostPackets+i.LostDatagrams+i.DamagedSamples+i.SkippedBytes+i.Discontinuities+i.DTSFallbacks+i.Reconnects+i.Refused > 0 {
		t.Errorf("the streamer says %+v", *i)
	}
	r.Epoch, r.Head = said.Renditions[0].Epoch, said.Renditions[0].Head
	return r
}

// sameAsRecorded compares what a viewer got with what OBS recorded, which may begin later or end sooner. OBS lets the times of each of its outputs begin with
// the first picture and the frame of sound that is nearest to it (initialize_interleaved_packets): by less than a frame they may differ.
func sameAsRecorded(t *testing.T, recorded, got string, filters []string, late int64) {
	t.Helper()
	const near = 1024 * 90000 / 48000
	var first int64
	for i, filter := range filters {
		stream := fmt.Sprintf("0:%d", i)
		sent, seen := frames(t, recorded, stream, filter), frames(t, got, stream, filter)
		if k := slices.IndexFunc(seen, func(f frame) bool { return f.hash == sent[0].hash }); k > 0 {
			seen = seen[k:]
		}
		if k := slices.IndexFunc(seen, func(f frame) bool { return f.hash == sent[len(sent)-1].hash }); k > 0 {
			seen = seen[:k+1]
		}
		shift := sameUnits(t, stream, sent, seen, len(sent), late)
		if i == 0 {
			first = shift
		}
		if off := shift - first; off < -near || off > near {
			t.Errorf("sound moved by %d ticks of 90 kHz against the pictures, want less than %d", off, near)
		}
	}
}

// looksLike decodes a recording, and compares its streams with what they should be: codec, size, rate.
func looksLike(t *testing.T, file string, want ...string) {
	t.Helper()
	ffmpeg(t, "-xerror", "-i", file, "-f", "null", "-")
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height,r_frame_rate", "-of", "csv=p=0", file).Output()
	got := strings.Fields(string(out))
	if got = got[:len(got)/2]; err != nil || !slices.Equal(got, want) { // once as those of the program, once as all
		t.Errorf("a viewer gets %q (%v), want %q", got, err, want)
	}
}
