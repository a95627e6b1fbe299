package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// players are the programs that --player can open, with their arguments for our address.
var players = map[string]func(url string) []string{
	"mpv":     func(url string) []string { return []string{"mpv", "--profile=low-latency", url + "/live.ts?join=next"} },
	"vlc":     func(url string) []string { return []string{"vlc", "--network-caching=300", url + "/live.ts?join=next"} },
	"browser": func(url string) []string { return []string{"xdg-open", url} },
}

// errPlayerClosed ends the viewer when its player has been closed; it is no error to the user.
var errPlayerClosed = fmt.Errorf("player closed: %w", context.Canceled)

// open runs the player; closing mpv or vlc ends the viewer too, a browser is left alone.
func open(ctx context.Context, player, url string) error {
	args := players[player](url)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("--player %s: %w; open %s yourself", player, err, url)
	case player == "browser":
		return nil
	}
	return errPlayerClosed
}
