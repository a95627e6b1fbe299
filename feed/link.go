package feed

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A Link names a channel, and perhaps some nodes that have it:
//
//	tailcast:<56 base32 characters>?a=<host:port>[~<node key>]&a=...
//
// The characters stand for 35 bytes: root key (32), checksum (2), version (1), as in Tor's onion addresses. The checksum is the first two bytes of
// SHA-256("tailcast link checksum" || key || version).
type Link struct {
	Root    PublicKey
	Anchors []Anchor
}

// An Anchor is a node to ask first.
type Anchor struct {
	Addr string     // host:port; the host is a name or an address
	Node *PublicKey // nil if the link does not say who it is
}

const (
	linkScheme  = "tailcast:"
	linkVersion = 1
	linkBytes   = KeySize + 2 + 1
	linkChars   = 56

	maxLink    = 4096
	maxAnchors = 16
	maxAnchor  = 1024 // characters, all of them escaped
)

// linkAgain ends what is said of a mistyped link.
const linkAgain = "; it was probably mistyped, so copy it again"

// ErrLink says that a string is no link.
var ErrLink = errors.New("not a channel link")

// ParseLink reads a link. Upper case, spaces around it and unknown parameters do no harm; what is wrong with a mistyped one, the error says.
func ParseLink(s string) (Link, error) {
	l, err := parseLink(strings.Trim(s, " \t\r\n"))
	if err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrLink, err)
	}
	return l, nil
}

func parseLink(s string) (Link, error) {
	if len(s) > maxLink {
		return Link{}, fmt.Errorf("%d characters are too many, want at most %d", len(s), maxLink)
	}
	if len(s) < len(linkScheme) || !strings.EqualFold(s[:len(linkScheme)], linkScheme) {
		return Link{}, fmt.Errorf("a link begins with %q, this with %.20q", linkScheme, s)
	}
	name, query, _ := strings.Cut(s[len(linkScheme):], "?")
	root, err := parseLinkName(lower(name))
	if err != nil {
		return Link{}, err
	}
	anchors, err := parseAnchors(query)
	return Link{Root: root, Anchors: anchors}, err
}

// lower turns A-Z into a-z. strings.ToLower would turn other letters into these as well: the sign for kelvin (U+212A) into k.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// parseLinkName reads the 56 characters. It says the most precise thing that it can: a wrong character, else the length, else the checksum.
func parseLinkName(s string) (PublicKey, error) {
	for i, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= '2' && c <= '7') {
			return PublicKey{}, fmt.Errorf("character %d is %q, and a link has only the letters a-z and the digits 2-7"+linkAgain, i+1, c)
		}
	}
	if len(s) != linkChars {
		return PublicKey{}, fmt.Errorf("%d characters after %q, want %d"+linkAgain, len(s), linkScheme, linkChars)
	}
	b, err := decode32(s, linkBytes)
	if err != nil {
		return PublicKey{}, err
	}
	key, sum, version := b[:KeySize], [2]byte(b[KeySize:]), b[linkBytes-1]
	if sum != linkChecksum(key, version) {
		return PublicKey{}, errors.New("the checksum is wrong" + linkAgain)
	}
	if version != linkVersion {
		return PublicKey{}, fmt.Errorf("it is of version %d, and this program knows version %d: get a newer one", version, linkVersion)
	}
	return ParsePublicKey(key)
}

func linkChecksum(key []byte, version byte) [2]byte {
	b := append([]byte("tailcast link checksum"), key...)
	sum := sha256.Sum256(append(b, version))
	return [2]byte(sum[:2])
}

// parseAnchors reads the parameters named a.
func parseAnchors(query string) ([]Anchor, error) {
	var anchors []Anchor
	for parameter := range strings.SplitSeq(query, "&") {
		value, ok := strings.CutPrefix(parameter, "a=")
		if !ok {
			continue
		}
		if len(anchors) == maxAnchors {
			return nil, fmt.Errorf("more than %d addresses", maxAnchors)
		}
		a, err := parseAnchor(value)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w"+linkAgain, value, err)
		}
		anchors = append(anchors, a)
	}
	return anchors, nil
}

// ParseAnchor reads host:port[~node key], as links spell it.
func ParseAnchor(s string) (Anchor, error) {
	if len(s) > maxAnchor {
		return Anchor{}, fmt.Errorf("%d characters are too many, want at most %d", len(s), maxAnchor)
	}
	return parseAnchor(strings.TrimSpace(s))
}

func parseAnchor(s string) (Anchor, error) {
	s, err := url.QueryUnescape(s)
	if err != nil {
		return Anchor{}, err
	}
	addr, node, ok := strings.Cut(s, "~")
	addr, err = cleanAddr(addr)
	if err != nil || !ok {
		return Anchor{Addr: addr}, err
	}
	key, err := DecodePublicKey(lower(node))
	if err != nil {
		return Anchor{}, fmt.Errorf("node key: %w", err)
	}
	return Anchor{Addr: addr, Node: &key}, nil
}

// cleanAddr returns the one spelling of host:port, or what is wrong with it. Names are in lower case; an address has no zone, which would
// mean nothing elsewhere.
func cleanAddr(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", errors.New("want host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", fmt.Errorf("port %q is not a number of 1 to 65535", port)
	}
	ip, err := netip.ParseAddr(host)
	if brackets := s[0] == '['; brackets && (err != nil || !ip.Is6()) {
		return "", fmt.Errorf("%q is not an IPv6 address", host)
	}
	if err == nil && ip.Zone() == "" {
		return net.JoinHostPort(ip.String(), port), nil
	}
	host = lower(host)
	if host == "" || len(host) > 253 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		return "", fmt.Errorf("%q is neither a host name nor an address", host)
	}
	return net.JoinHostPort(host, port), nil
}

// String returns the link, in its one canonical spelling if it was parsed.
func (l Link) String() string {
	sum := linkChecksum(l.Root[:], linkVersion)
	b := append(append(l.Root[:len(l.Root):len(l.Root)], sum[:]...), linkVersion)
	s := linkScheme + base32Lower.EncodeToString(b)
	for i, a := range l.Anchors {
		s += string("?&"[min(i, 1)]) + "a=" + a.String()
	}
	return s
}

// String returns host:port[~node key].
func (a Anchor) String() string {
	if a.Node == nil {
		return a.Addr
	}
	return a.Addr + "~" + a.Node.String()
}
