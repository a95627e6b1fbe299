package feed_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

// A slow disk lets one reader of one file wait until go on is closed, and counts how many files are open.
type slow struct {
	feed.Files
	name    string // ends so
	once    sync.Once
	waiting chan struct{} // closed when somebody waits
	goOn    chan struct{}
	open    atomic.Int64
}

func newSlow(files feed.Files, name string) *slow {
	return &slow{Files: files, name: name, waiting: make(chan struct{}), goOn: make(chan struct{})}
}

func (s *slow) Open(name string, create bool) (feed.File, error) {
	f, err := s.Files.Open(name, create)
	if err == nil {
		s.open.Add(1)
		f = slowFile{f, s, strings.HasSuffix(name, s.name)}
	}
	return f, err
}

type slowFile struct {
	feed.File
	disk *slow
	slow bool
}

func (f slowFile) Close() error {
	f.disk.open.Add(-1)
	return f.File.Close()
}

func (f slowFile) ReadAt(p []byte, at int64) (int, error) {
	if f.slow {
		f.disk.once.Do(func() { close(f.disk.waiting); <-f.disk.goOn })
	}
	return f.File.ReadAt(p, at)
}

// An archive closes the files that were used longest ago, but none that is being read.
func TestArchiveKeepsWhatIsRead(t *testing.T) {
	disk := feedtest.NewDisk()
	for k := range 100 {
		disk.Put(fmt.Sprintf("f%d", k), []byte("content"))
	}
	files := newSlow(disk, "f0")
	archive := feed.NewArchive(files)
	read := func(k int) error {
		f, err := archive.Open(fmt.Sprintf("f%d", k), false)
		if err == nil {
			_, err = f.ReadAt(make([]byte, 7), 0)
		}
		return err
	}
	first := make(chan error, 1)
	go func() { first <- read(0) }()
	<-files.waiting
	for k := 1; k < 100; k++ {
		if err := read(k); err != nil {
			t.Error(err)
		}
	}
	if got := files.open.Load(); got > 33 {
		t.Errorf("%d files are open, want at most 32 and the one that is being read", got)
	}
	close(files.goOn)
	if err := <-first; err != nil {
		t.Errorf("a file was closed while it was read: %v", err)
	}
}

// A payload is read although its file is closed meanwhile, since the log has gone on to the next one.
func TestPayloadFileIsClosedWhileRead(t *testing.T) {
	files := newSlow(feedtest.NewDisk(), fmt.Sprintf("main/payload/%020d", 0))
	c := feedtest.NewChannel(t, feed.WithPayloadFiles(feed.Config{Files: files, TailBytes: 1}, smallFiles), 1)
	next := func(n int) {
		c.Append(t, n, 60)
		if err := c.Replica.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	next(5)
	read := make(chan error, 1)
	go func() {
		_, err := c.Log.Log().Block(2)
		read <- err
	}()
	<-files.waiting
	next(50)
	next(50)
	close(files.goOn)
	if err := <-read; err != nil {
		t.Error(err)
	}
}
