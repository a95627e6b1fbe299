package srt

import (
	gosrt "github.com/datarhei/gosrt"
)

// silent is a logger for gosrt: what matters to us it returns. (Its own logger, with no topic on, costs a queue per connection.)
type silent struct{}

func (silent) HasTopic(string) bool                     { return false }
func (silent) Print(string, uint32, int, func() string) {}
func (silent) Listen() <-chan gosrt.Log                 { return nil }
func (silent) Close()                                   {}
