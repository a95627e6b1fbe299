package node

import (
	"crypto/ed25519"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tailcast/internal/durable"
)

// nodeKeyFile holds the seed of the key that names a streamer or relay to other nodes, in base32, one line.
const nodeKeyFile = "node.key"

// Key returns the node key kept in dir, after making one at first use. Streamers and relays keep theirs, so that links can name
// it; viewers take a new one at each start and call this never.
func Key(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, nodeKeyFile)
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, Configuration(fmt.Errorf("%s is no file (mode %v): remove it to get a new key", path, info.Mode()))
	case err == nil:
		return readKey(path, info.Mode().Perm())
	case !errors.Is(err, fs.ErrNotExist):
		return nil, Configuration(fmt.Errorf("node key: %w", err))
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, Configuration(fmt.Errorf("node key: %w", err))
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	line := strings.ToLower(keyEncoding.EncodeToString(key.Seed())) + "\n"
	if err := durable.WriteFile(path, []byte(line), 0o600); err != nil {
		return nil, Configuration(fmt.Errorf("node key: %w", err))
	}
	return key, nil
}

var keyEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// readKey reads no more than a key has: the file may be anything.
func readKey(path string, mode os.FileMode) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, Configuration(fmt.Errorf("node key: %w", err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 128))
	if err != nil {
		return nil, Configuration(fmt.Errorf("node key: %w", err))
	}
	return parseKey(path, string(text), mode)
}

func parseKey(path, text string, mode os.FileMode) (ed25519.PrivateKey, error) {
	if mode&0o077 != 0 {
		return nil, Configuration(fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it, or remove it to get a new one", path, mode))
	}
	seed, err := keyEncoding.DecodeString(strings.ToUpper(strings.TrimSuffix(text, "\n")))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, Configuration(fmt.Errorf("%s is damaged: want 52 base32 characters; remove it to get a new one", path))
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
