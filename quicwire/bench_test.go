package quicwire

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"tailcast/internal/cpu"
)

// BenchmarkStripe sends blocks of 8 KiB through one session over loopback, both ends in this process, as fast as they go: 64 to a
// stream, 16 stripes. An op is one block, written and read, neither signed nor verified.
func BenchmarkStripe(b *testing.B) {
	child, parent := connect(b, newEndpoint(b, "a", loopback(b)), newEndpoint(b, "b", loopback(b)))
	const stripes, each = 16, 64
	blocks := testBlocks(stripes*each, 8192)
	for i := range uint8(stripes) {
		child.Send(&Sub{Log: testLog(), Stripe: i, Stripes: stripes})
		if _, err := parent.Receive(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	done := make(chan int)
	go func() {
		n := 0
		for n < b.N {
			r, err := child.AcceptStripe(context.Background())
			for ; err == nil; n++ {
				_, err = r.ReadBlock()
			}
			if err != io.EOF {
				break
			}
			n-- // the end of the stream is no block
		}
		done <- n
	}()
	b.ReportAllocs()
	b.SetBytes(8192)
	start, sent := cpu.Used(), 0
	b.ResetTimer()
	for stripe := 0; sent < b.N; stripe = (stripe + 1) % stripes {
		w, err := parent.OpenStripe(StripeHeader{Log: testLog(), Stripe: uint8(stripe), Stripes: stripes, First: uint64(stripe)})
		for i := stripe; err == nil && i < len(blocks) && sent < b.N; i += stripes {
			err = w.WriteBlock(&blocks[i], time.Time{})
			sent++
		}
		if err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
	if got := <-done; got != sent {
		b.Fatalf("%d of %d blocks arrived; %v", got, sent, child.Err())
	}
	b.StopTimer()
	spent := cpu.Used() - start
	b.ReportMetric(float64(sent)*8192*8/1e9/spent.Seconds(), "Gbit/core-s")
	b.ReportMetric(float64(spent.Microseconds())/float64(sent), "cpu-us/block")
}

// BenchmarkIdleSession reports what a session without traffic holds, at both ends together.
func BenchmarkIdleSession(b *testing.B) {
	server, err := New(Config{Conn: loopback(b), MaxSessions: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	client := newEndpoint(b, "a", loopback(b))
	before := memory()
	var keep []*Session
	for b.Loop() {
		root := public(fmt.Sprint(len(keep)))
		unregister := server.Register(root, func() Hello { return Hello{} })
		s, err := client.Dial(b.Context(), root, server.Addr().String(), nil, Hello{})
		if err != nil {
			b.Fatal(err)
		}
		in, err := server.Accept(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		unregister()
		keep = append(keep, s, in)
	}
	b.ReportMetric(float64(memory()-before)/1024/float64(len(keep)), "KiB/end")
	runtime.KeepAlive(keep)
}

func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// BenchmarkAppendBlock reports what it takes to put a block in its wire form, QUIC aside.
func BenchmarkAppendBlock(b *testing.B) {
	blocks := testBlocks(1024, 8192)
	st := newStripeState(&StripeHeader{Stripes: 16})
	var buf []byte
	b.ReportAllocs()
	b.SetBytes(8192)
	for i := 0; b.Loop(); i += 16 {
		if i >= len(blocks) {
			i, st = 0, newStripeState(&StripeHeader{Stripes: 16})
		}
		var err error
		if buf, _, err = st.appendBlock(buf[:0], &blocks[i]); err != nil {
			b.Fatal(err)
		}
		st.sent(&blocks[i])
	}
}
