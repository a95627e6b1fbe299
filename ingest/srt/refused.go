package srt

import (
	"fmt"
	"strconv"
	"strings"

	gosrt "github.com/datarhei/gosrt"
)

// refusals are SRT's numbers for why a call is not taken, in words.
var refusals = map[gosrt.RejectionReason]string{
	gosrt.REJ_PEER:          "the other end refused",
	gosrt.REJ_VERSION:       "the other end wants another version of SRT",
	gosrt.REJ_BADSECRET:     "the passphrase is wrong",
	gosrt.REJ_UNSECURE:      "only one of the two ends has a passphrase",
	gosrt.REJ_CONGESTION:    "the other end does not send live streams",
	gosrt.REJX_BAD_REQUEST:  "the other end does not understand the stream id",
	gosrt.REJX_UNAUTHORIZED: "the key or password in the stream id is wrong or missing",
	gosrt.REJX_OVERLOAD:     "the other end has too much to do",
	gosrt.REJX_FORBIDDEN:    "the other end does not allow this",
	gosrt.REJX_NOTFOUND:     "there is no stream of this name",
	gosrt.REJX_BAD_MODE:     "the other end does not do what the stream id asks for: m=request or m=publish",
	gosrt.REJX_CONFLICT:     "somebody else is publishing there",
}

// inWords says what a failed Dial means: gosrt names a refusal by its number, to the base of 32.
func inWords(err error) error {
	for code, words := range refusals {
		if strings.Contains(err.Error(), "("+strconv.FormatInt(int64(code), 32)+")") {
			return fmt.Errorf("%s (SRT %d)", words, code)
		}
	}
	return err
}
