package feed

import (
	"errors"
	"io"
)

// ErrKilled is what a step of a KeyFolder returns at which the process is killed.
var ErrKilled = errors.New("killed")

// KillAt lets the process be killed at the step of that number, from 0: before it, or after it if landed is set. No later step happens.
func (k *KeyFolder) KillAt(step int, landed bool) {
	k.files.steps = &mortalSteps{left: step, landed: landed}
}

type mortalSteps struct {
	left   int
	landed bool
	dead   bool
}

func (m *mortalSteps) step(do func() error) error {
	switch {
	case m.dead:
		return ErrKilled
	case m.left > 0:
		m.left--
		return do()
	}
	m.dead = true
	if !m.landed {
		return ErrKilled
	}
	return errors.Join(do(), ErrKilled)
}

func (m *mortalSteps) write(path string, text []byte) error {
	return m.step(func() error { return diskSteps{}.write(path, text) })
}

func (m *mortalSteps) rename(from, to string) error {
	return m.step(func() error { return diskSteps{}.rename(from, to) })
}

func (m *mortalSteps) remove(path string) error {
	return m.step(func() error { return diskSteps{}.remove(path) })
}

// LockKeys takes the lock of key commands.
func LockKeys(dir string) (io.Closer, error) { return keyFiles{dir: dir}.lock(0) }

// StationKeyOf returns the public key that a station signs epochs with.
func StationKeyOf(s *Station) PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return publicKey(s.key)
}
