package hls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/abema/go-mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"tailcast/ingest"
	"tailcast/internal/es"
)

// mp4Demuxer takes fMP4 (ISO/IEC 14496-12; CMAF): an init section says the tracks, fragments have their samples.
type mp4Demuxer struct {
	sink  ingest.Sink
	stats *ingest.Stats
	log   *slog.Logger

	init   []byte // that tracks are from
	tracks []*mp4Track
	told   bool // the sink knows the program as it is now
}

// mp4Track is one of them.
type mp4Track struct {
	number int // in the file
	rate   int64
	offset int64 // of presentation against the file's times, by its edit list; of 90 kHz
	length uint32
	track  ingest.Track
	form   form
	lag    int64 // by how much decoding has to be earlier for no picture to be shown before it is decoded
}

// unitSample is a sample in the form of MPEG-TS.
type unitSample struct {
	track    uint8
	pts, dts int64
	flags    ingest.Flags
	data     []byte
	of       *mp4Track
	fresh    bool // the track can be described better from here on
}

func (d *mp4Demuxer) restart() {}

func (d *mp4Demuxer) write(p piece) error {
	d.stats.Bytes.Add(uint64(len(p.data)))
	if p.init != nil && !bytes.Equal(p.init, d.init) {
		if err := d.begin(p.init); err != nil {
			return err
		}
	}
	if d.tracks == nil {
		return errors.New("an fMP4 segment came without an init section (EXT-X-MAP)")
	}
	parts, err := partsOf(p.data)
	if err != nil {
		return err
	}
	var out []unitSample
	room := 2*len(p.data) + roomForHeaders
	for _, part := range parts {
		for _, t := range part.Tracks {
			if i := slices.IndexFunc(d.tracks, func(x *mp4Track) bool { return x.number == t.ID }); i >= 0 {
				if out, err = d.tracks[i].units(out, t, d.stats, &room); err != nil {
					return err
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b unitSample) int { return int(max(-1, min(1, a.dts-b.dts))) })
	d.deliver(out)
	return nil
}

// deliver gives samples to the sink, and the program before those that need it.
func (d *mp4Demuxer) deliver(out []unitSample) {
	for _, u := range out {
		if u.fresh {
			u.of.form.about(&u.of.track)
		}
		if u.fresh || !d.told {
			d.tell()
		}
		d.stats.Samples.Add(1)
		d.stats.LastSample.Store(time.Now().UnixNano())
		d.sink.WriteSample(ingest.Sample{Track: u.track, PTS: u.pts, DTS: u.dts, Flags: u.flags, Data: u.data})
	}
}

func (d *mp4Demuxer) tell() {
	d.told = true
	tracks := make([]ingest.Track, len(d.tracks))
	for i, t := range d.tracks {
		tracks[i] = t.track
		tracks[i].Descriptors, tracks[i].Config = bytes.Clone(t.track.Descriptors), bytes.Clone(t.track.Config)
	}
	d.sink.SetProgram(es.NewProgram("", tracks))
}

// begin reads an init section.
func (d *mp4Demuxer) begin(init []byte) error {
	var head fmp4.Init
	err := bounded(init)
	if err == nil {
		err = head.Unmarshal(bytes.NewReader(roomy(init)))
	}
	if err != nil {
		return fmt.Errorf("couldn't understand an fMP4 init section (if it is encrypted: Tailcast does not decrypt samples): %w", err)
	}
	more := detailsOf(init)
	video := slices.ContainsFunc(head.Tracks, func(t *fmp4.InitTrack) bool { return t.Codec.IsVideo() })
	var tracks []*mp4Track
	for _, t := range head.Tracks {
		codec, f := newForm(t.Codec, video)
		if f.unit == nil || len(tracks) >= maxMP4Tracks {
			d.log.Warn("track is left out: its codec is not carried", "codec", fmt.Sprintf("%T", t.Codec))
			continue
		}
		x := &mp4Track{number: t.ID, rate: int64(t.TimeScale), track: es.NewTrack(uint8(len(tracks)), codec), form: f}
		x.offset, x.length = more[t.ID].offset, more[t.ID].length
		f.about(&x.track)
		tracks = append(tracks, x)
	}
	if len(tracks) == 0 {
		return errors.New("the init section has no track whose codec is carried")
	}
	d.init, d.tracks, d.told = init, tracks, false
	return nil
}

const maxMP4Tracks = 16

// units makes samples of a fragment of t, as long as there is room for them.
func (t *mp4Track) units(out []unitSample, f *fmp4.PartTrack, stats *ingest.Stats, room *int) ([]unitSample, error) {
	at := int64(f.BaseTime & (1<<62 - 1))
	first := len(out)
	for _, s := range f.Samples {
		u := unitSample{track: t.track.ID, of: t, dts: rescale(at, t.rate) + t.offset, pts: rescale(at+int64(s.PTSOffset), t.rate) + t.offset}
		length := s.Duration
		if length == 0 {
			length = t.length
		}
		at += int64(length)
		var err error
		if u.data, u.flags, u.fresh, err = t.form.unit(s); err != nil || len(u.data) == 0 {
			stats.SkippedBytes.Add(uint64(len(s.Payload)))
			stats.SetError(err)
			continue
		}
		if *room -= len(u.data); *room < 0 {
			return nil, errSwollen
		}
		t.lag = max(t.lag, u.dts-u.pts)
		out = append(out, u)
	}
	for i := range out[first:] {
		out[first+i].dts -= t.lag
	}
	return out, nil
}

// rescale turns a time of a rate into one of 90 kHz, without overflow for clocks that count from 1970.
func rescale(at, rate int64) int64 {
	return at/rate*ingest.ClockRate + at%rate*ingest.ClockRate/rate
}

// roomy is an init section whose dec3 boxes have six bytes, or more. Those of ETSI TS 102 366, F.6, have five where there are no dependent substreams,
// as ffmpeg writes them, and mediacommon reads 48 bits.
func roomy(init []byte) []byte {
	path := mp4.BoxPath{
		mp4.BoxTypeMoov(), mp4.BoxTypeTrak(), mp4.BoxTypeMdia(), mp4.BoxTypeMinf(), mp4.BoxTypeStbl(), mp4.BoxTypeStsd(), mp4.StrToBoxType("ec-3"), mp4.StrToBoxType("dec3"),
	}
	r := bytes.NewReader(init)
	found, err := mp4.ExtractBox(r, nil, path)
	if err != nil || len(found) > maxMP4Tracks { // each is looked for anew
		return init
	}
	out := bytes.Clone(init)
	for _, box := range slices.Backward(found) { // what comes before it stays where it is
		if end := box.Offset + box.Size; box.Size == 8+5 {
			out = slices.Insert(out, int(end), 0)
			for depth := range path {
				around, _ := mp4.ExtractBox(r, nil, path[:depth+1]) // which was found with it
				for _, b := range around {
					if b.Offset <= box.Offset && end <= b.Offset+b.Size {
						size := out[b.Offset:]
						binary.BigEndian.PutUint32(size, binary.BigEndian.Uint32(size)+1)
					}
				}
			}
		}
	}
	return out
}

// details are what mediacommon does not read of an init section.
type details struct {
	offset int64  // of presentation, of 90 kHz
	length uint32 // of a sample, unless a fragment says it
}

// detailsOf reads edit lists, and the default durations of samples.
func detailsOf(init []byte) map[int]details {
	out := make(map[int]details)
	r := bytes.NewReader(init)
	movie := int64(1)
	for _, x := range boxes[*mp4.Mvhd](r, nil, mp4.BoxTypeMoov(), mp4.BoxTypeMvhd()) {
		movie = max(1, int64(x.Timescale))
	}
	for _, x := range boxes[*mp4.Trex](r, nil, mp4.BoxTypeMoov(), mp4.BoxTypeMvex(), mp4.BoxTypeTrex()) {
		out[int(x.TrackID)] = details{length: x.DefaultSampleDuration}
	}
	traks, err := mp4.ExtractBox(r, nil, mp4.BoxPath{mp4.BoxTypeMoov(), mp4.BoxTypeTrak()})
	if err != nil {
		return out
	}
	for _, trak := range traks {
		for _, head := range boxes[*mp4.Tkhd](r, trak, mp4.BoxTypeTkhd()) {
			for _, clock := range boxes[*mp4.Mdhd](r, trak, mp4.BoxTypeMdia(), mp4.BoxTypeMdhd()) {
				for _, edits := range boxes[*mp4.Elst](r, trak, mp4.BoxTypeEdts(), mp4.BoxTypeElst()) {
					x := out[int(head.TrackID)]
					x.offset = offsetOf(edits, movie, max(1, int64(clock.Timescale)))
					out[int(head.TrackID)] = x
				}
			}
		}
	}
	return out
}

// offsetOf reads an edit list (ISO/IEC 14496-12, 8.6.6): packagers let a track begin later by an empty edit, in time of the movie, and take back the delay
// of an encoder by the first entry that is not empty, in time of the track.
func offsetOf(edits *mp4.Elst, movie, track int64) (offset int64) {
	for i := range edits.Entries {
		at := edits.GetMediaTime(i)
		if at >= 0 {
			return offset - rescale(at, track)
		}
		offset += rescale(int64(edits.GetSegmentDuration(i)&(1<<48-1)), movie)
	}
	return 0
}

// boxes are those of one kind below parent.
func boxes[T any](r *bytes.Reader, parent *mp4.BoxInfo, path ...mp4.BoxType) (out []T) {
	found, err := mp4.ExtractBoxWithPayload(r, parent, path)
	if err != nil {
		return nil
	}
	for _, b := range found {
		if x, ok := b.Payload.(T); ok {
			out = append(out, x)
		}
	}
	return out
}
