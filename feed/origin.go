package feed

import (
	"fmt"
	"strings"
)

// originPrefix begins everything that a key of ours signs.
const originPrefix = "tailcast/1/"

// MaxLogName is the longest name of a log, in bytes.
const MaxLogName = 32

// CatalogLog is the name of the log that says what an epoch consists of.
const CatalogLog = "catalog"

// Origin returns the name of a log among all logs of the world, the first line of its heads: tailcast/1/<root>/<epoch>/<log>.
// It panics if log is not a log name, since a line break there would forge another log's head.
func Origin(root PublicKey, id EpochID, log string) string {
	if err := CheckLogName(log); err != nil {
		panic("feed: " + err.Error())
	}
	return originPrefix + root.String() + "/" + id.String() + "/" + log
}

// ParseOrigin takes apart what Origin makes, and accepts no other spelling.
func ParseOrigin(s string) (root PublicKey, id EpochID, log string, err error) {
	rest, ok := strings.CutPrefix(s, originPrefix)
	parts := strings.SplitN(rest, "/", 4)
	if !ok || len(s) > MaxOrigin || len(parts) != 3 {
		return root, id, "", fmt.Errorf("%.140q is not %s<root>/<epoch>/<log>", s, originPrefix)
	}
	if root, err = DecodePublicKey(parts[0]); err != nil {
		return root, id, "", fmt.Errorf("root of the origin: %w", err)
	}
	if id, err = ParseEpochID(parts[1]); err != nil {
		return root, id, "", fmt.Errorf("epoch of the origin: %w", err)
	}
	return root, id, parts[2], CheckLogName(parts[2])
}

// MaxOrigin is more than the longest origin, in bytes.
const MaxOrigin = 128

// CheckLogName reports whether s can name a log: [a-z0-9][a-z0-9-]{0,31}.
func CheckLogName(s string) error {
	if len(s) == 0 || len(s) > MaxLogName || s[0] == '-' || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%.40q cannot name a log: want 1 to %d of a-z, 0-9 and -, not - first", s, MaxLogName)
	}
	return nil
}
