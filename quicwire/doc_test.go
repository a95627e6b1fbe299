package quicwire

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocument holds docs/wire.md to the tables of the code.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile("../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	want := func(line string) {
		if !strings.Contains(doc, line) {
			t.Errorf("docs/wire.md lacks %q", line)
		}
	}
	for _, sp := range specs[1:] {
		want(fmt.Sprintf("| 0x%02x | %s | %d |", uint64(sp.kind), sp.name, sp.limit))
	}
	for c := CodeDone; c <= CodeInternal; c++ {
		want(fmt.Sprintf("| 0x%02x | %s |", uint64(c), c))
	}
	for _, s := range []string{
		"ALPN `" + ALPN + "`", "`" + exporterLabel + "`", "`" + dialLabel + "`", "`" + acceptLabel + "`", "reason `" + errLink.Error() + "`",
		fmt.Sprintf("up to %d bytes", maxUnknown),
		fmt.Sprintf("| SUB | %d a second, %d at once", subRate, subBurst),
		fmt.Sprintf("| REQ and ranges together | %d a second, %d at once", reqRate, reqBurst),
		fmt.Sprintf("| all messages | %d a second, %d at once", messageRate, messageBurst),
		fmt.Sprintf("of unknown type | %d a second, %d at once", strayRate, strayBurst),
		fmt.Sprintf("| %d unidirectional, %d bidirectional |", maxIncomingUni, maxIncomingBidi),
		fmt.Sprintf("| link proof / HELLO | %.0f s / %.0f s", proofTimeout.Seconds(), messageTimeout.Seconds()),
		fmt.Sprintf("%d KiB a stream and %d KiB a connection at first. They grow, to %d KiB and %d MiB", streamWindow>>10, connWindow>>10, maxStreamWindow>>10, maxConnWindow>>20),
		fmt.Sprintf("%d; from %d on", maxUnproven, retryUnproven),
		fmt.Sprintf("varint n up to %d", MaxBits), fmt.Sprintf("u8 count up to %d, then 4 bytes each", MaxPath),
		fmt.Sprintf("u8 count up to %d, then each: node key", MaxReferrals), fmt.Sprintf("1 to %d of them", MaxRange),
	} {
		want(s)
	}
}
