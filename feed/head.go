package feed

import (
	"crypto/ed25519"
	"encoding/base64"
	"strconv"

	"tailcast/feed/merkle"
)

// A Head is the signed size and root of a log. Its text is a C2SP tlog-checkpoint without extension lines, so that stock
// verifiers and witnesses understand it; on the wire and on disk only the signature travels, and both ends rebuild the text:
//
//	tailcast/1/<root>/<epoch>/<log>
//	5077
//	<root of the tree, standard base64>
//
// https://c2sp.org/tlog-checkpoint
type Head struct {
	Size      uint64
	Root      merkle.Hash
	Signature Signature
}

// maxHeadText is the longest head text, in bytes: origin, decimal size, base64 root, three line breaks.
const maxHeadText = MaxOrigin + 20 + 44 + 3

// AppendHeadText appends the text that is signed for a log of that origin, size and root.
func AppendHeadText(dst []byte, origin string, size uint64, root merkle.Hash) []byte {
	dst = append(append(dst, origin...), '\n')
	dst = append(strconv.AppendUint(dst, size, 10), '\n')
	return append(base64.StdEncoding.AppendEncode(dst, root[:]), '\n')
}

// SignHead signs size and root of the log of that origin with the key of its epoch.
func SignHead(epoch ed25519.PrivateKey, origin string, size uint64, root merkle.Hash) Head {
	var buf [maxHeadText]byte
	sig := ed25519.Sign(epoch, AppendHeadText(buf[:0], origin, size, root))
	return Head{Size: size, Root: root, Signature: Signature(sig)}
}

// Verify reports whether key, that of the epoch, signed the head for the log of that origin.
func (h *Head) Verify(key PublicKey, origin string) bool {
	var buf [maxHeadText]byte
	return ed25519.Verify(key[:], AppendHeadText(buf[:0], origin, h.Size, h.Root), h.Signature[:])
}

// Note returns the head as a signed note by itself, which golang.org/x/mod/sumdb/note opens with the verifier key named origin.
// https://c2sp.org/signed-note
func (h *Head) Note(origin string, key PublicKey) []byte {
	return appendSignature(append(AppendHeadText(nil, origin, h.Size, h.Root), '\n'), origin, key, h.Signature)
}
