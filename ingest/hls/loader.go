package hls

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"tailcast/ingest"
)

// drain hands out all that the playlist has.
func (f *follower) drain(ctx context.Context) error {
	f.measure()
	for {
		p, ok, err := f.take(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		if p.data == nil {
			continue
		}
		select {
		case f.out <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take fetches what is next and moves on. Ok is false when nothing is there; a piece without data is one that is missing.
func (f *follower) take(ctx context.Context) (p piece, ok bool, err error) {
	if missing := f.list.first - f.next.number; missing > 0 {
		f.pull.trouble("segments are gone before they could be fetched", f.stream.name, fmt.Errorf("%d segments are missing", missing))
		f.lost(missing)
		f.next = position{number: f.list.first}
	}
	i := f.next.number - f.list.first
	if i >= len(f.list.segments) {
		return p, false, nil
	}
	s := &f.list.segments[i]
	media, gap := s.media, s.gap
	p = piece{era: era{f.runs, s.discontinuity}, start: f.taken, duration: s.duration, date: s.date, dated: s.dated, whole: true}
	switch {
	case f.next.part == 0 && !s.open && (!f.lowLatency() || len(s.parts) == 0):
		f.next = position{number: s.number + 1}
	case f.next.part < len(s.parts):
		x := s.parts[f.next.part]
		media, gap, p.duration, p.whole = x.media, x.gap || s.gap, x.duration, false
		for _, before := range s.parts[:f.next.part] {
			p.date, p.dated = p.date.Add(before.duration), false
		}
		if s.date.IsZero() {
			p.date = time.Time{}
		}
		f.next.part++
	case s.open:
		return p, false, nil
	default: // all parts of it were taken, or the others are not listed any more
		if len(s.parts) == 0 {
			f.lost(1)
		}
		f.next = position{number: s.number + 1}
		return p, true, nil
	}
	f.taken += p.duration
	if gap {
		f.lost(1)
		return p, true, nil
	}
	p.data, p.init, err = f.fetch(ctx, s, media)
	return p, true, err
}

// fetch gets one piece, in several attempts. Nil data say that it could not be had; an error, that nothing can.
func (f *follower) fetch(ctx context.Context, s *segment, media resource) (data, init []byte, err error) {
	within := stallTime + 3*min(max(s.duration, time.Second), longTarget)
	for delay, n := firstDelay, 1; ; n, delay = n+1, 2*delay {
		data, init, err = f.loader.load(ctx, s, media, within)
		var final refusal
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case err == nil:
			return data, init, nil
		case errors.As(err, &final):
			return nil, nil, err
		case n == attempts:
			f.lost(1)
			f.pull.trouble("segment is passed over", f.stream.name, err)
			if errors.Is(err, io.ErrUnexpectedEOF) && len(data) > 0 && s.key == nil {
				return data, init, nil // what there is of it is better than nothing
			}
			return nil, nil, nil
		}
		f.pull.log.Debug("segment could not be fetched, trying again", "playlist", f.stream.name, "error", err)
		if !ingest.Sleep(ctx, delay) {
			return nil, nil, ctx.Err()
		}
	}
}

// loader fetches and decrypts, and remembers the last key and init section.
type loader struct {
	client  *client
	most    int64 // bytes of a segment
	keyURI  string
	keyData []byte
	initOf  initSection
	init    []byte
}

func (l *loader) load(ctx context.Context, s *segment, media resource, within time.Duration) (data, init []byte, err error) {
	if s.init != nil {
		if init, err = l.section(ctx, s, within); err != nil {
			return nil, nil, err
		}
	}
	data, err = l.clear(ctx, media, s.key, s.number, l.most, within)
	return data, init, err
}

func (l *loader) section(ctx context.Context, s *segment, within time.Duration) ([]byte, error) {
	if l.init != nil && l.initOf.media == s.init.media {
		return l.init, nil
	}
	b, err := l.clear(ctx, s.init.media, s.init.key, s.number, maxInit, within)
	if err != nil {
		return nil, err
	}
	l.initOf, l.init = *s.init, b
	return b, nil
}

// clear fetches something of at most so many bytes, and decrypts it (RFC 8216, 4.3.2.4).
func (l *loader) clear(ctx context.Context, r resource, k *key, number int, most int64, within time.Duration) ([]byte, error) {
	if k != nil && (l.keyData == nil || l.keyURI != k.uri) {
		a, err := l.client.get(ctx, resource{uri: k.uri}, maxKey, stallTime)
		if err == nil && len(a.body) != maxKey {
			err = fmt.Errorf("the key at %s has %d bytes, and AES-128 wants 16", public(k.uri), len(a.body))
		}
		if err != nil {
			return nil, err
		}
		l.keyURI, l.keyData = k.uri, a.body
	}
	a, err := l.client.get(ctx, r, most, within)
	if err != nil || k == nil {
		return a.body, err
	}
	iv := k.iv
	if iv == nil {
		iv = binary.BigEndian.AppendUint64(make([]byte, 8), uint64(number))
	}
	return decrypt(a.body, l.keyData, iv)
}

// decrypt undoes AES-128 in CBC mode and takes off the padding of PKCS #7, in place.
func decrypt(b, secret, iv []byte) ([]byte, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("an encrypted segment has %d bytes, which is no multiple of 16: %w", len(b), io.ErrUnexpectedEOF)
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(b, b)
	pad := int(b[len(b)-1])
	if pad == 0 || pad > aes.BlockSize {
		return nil, errors.New("an encrypted segment does not end as one that was decrypted: is the key the right one?")
	}
	return b[:len(b)-pad], nil
}
