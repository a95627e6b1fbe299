package feedtest

import (
	"testing"

	"tailcast/feed"
)

func TestDiskIsFiles(t *testing.T) {
	TestFiles(t, func(*testing.T) feed.Files { return NewDisk() })
}
