package rtsp

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
)

// lobby has a handler for each stream that may be published, and shows gortsplib's questions to the one that they are for.
type lobby struct {
	rooms map[string]*handler // by the first element of the path; one alone takes every path
	first *handler            // of these; answers what is no stream's
	names []string            // of the paths
	log   *slog.Logger
}

// room is the handler of a path, nil if there is none.
func (l *lobby) room(path string) *handler {
	if len(l.rooms) == 1 {
		return l.first
	}
	name, _, _ := strings.Cut(strings.Trim(path, "/"), "/")
	return l.rooms[name]
}

// of is the handler of a session.
func (l *lobby) of(s *gortsplib.ServerSession) *handler {
	for _, h := range l.rooms {
		if h.current(s) != nil {
			return h
		}
	}
	return l.first
}

// OnAnnounce implements gortsplib.ServerHandlerOnAnnounce.
func (l *lobby) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	if h := l.room(ctx.Path); h != nil {
		return h.OnAnnounce(ctx)
	}
	if err := l.first.admits(ctx); err != nil { // who may not publish need not know what there is
		return challenge(err)
	}
	err := fmt.Errorf("nothing of this name is waited for: publish to /%s", strings.Join(l.names, " or /"))
	l.log.Warn("rtsp publisher refused", "peer", peer(ctx.Conn), "reason", err)
	return refuse(base.StatusNotFound, err)
}

// OnDescribe implements gortsplib.ServerHandlerOnDescribe.
func (l *lobby) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return l.first.OnDescribe(ctx)
}

// OnSetup implements gortsplib.ServerHandlerOnSetup.
func (l *lobby) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return l.of(ctx.Session).OnSetup(ctx)
}

// OnRecord implements gortsplib.ServerHandlerOnRecord.
func (l *lobby) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	return l.of(ctx.Session).OnRecord(ctx)
}

// OnRequest implements gortsplib.ServerHandlerOnRequest.
func (l *lobby) OnRequest(c *gortsplib.ServerConn, r *base.Request) {
	for _, h := range l.rooms {
		h.OnRequest(c, r)
	}
}

// OnSessionClose implements gortsplib.ServerHandlerOnSessionClose.
func (l *lobby) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	l.of(ctx.Session).OnSessionClose(ctx)
}

// OnConnClose implements gortsplib.ServerHandlerOnConnClose: to the handler whose publisher it was, else to any, which says what went wrong.
func (l *lobby) OnConnClose(ctx *gortsplib.ServerHandlerOnConnCloseCtx) {
	for _, h := range l.rooms {
		if h.publishes(ctx.Conn) {
			h.OnConnClose(ctx)
			return
		}
	}
	l.first.OnConnClose(ctx)
}

// OnPacketsLost implements gortsplib.ServerHandlerOnPacketsLost.
func (l *lobby) OnPacketsLost(ctx *gortsplib.ServerHandlerOnPacketsLostCtx) {
	l.of(ctx.Session).OnPacketsLost(ctx)
}

// OnDecodeError implements gortsplib.ServerHandlerOnDecodeError.
func (l *lobby) OnDecodeError(ctx *gortsplib.ServerHandlerOnDecodeErrorCtx) {
	l.of(ctx.Session).OnDecodeError(ctx)
}

// newLobby makes a lobby of at least one room.
func (s *Server) newLobby(rooms map[string]*handler) *lobby {
	names := slices.Sorted(maps.Keys(rooms))
	return &lobby{rooms: rooms, first: rooms[names[0]], names: names, log: s.cfg.Logger}
}
