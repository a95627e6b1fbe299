package captions

import "slices"

// national are the thirteen places of the Latin alphabet that languages share out among them (EN 300 706, 15.6.2, table 36).
const national = "#$@[\\]^_`{|}~"

// What stands in those places. The names are those of the table.
const (
	english    = "£$@←½→↑#—¼‖¾÷"
	french     = "éïàëêùî#èâôûç"
	swedish    = "#¤ÉÄÖÅÜ_éäöåü"
	czech      = "#ůčťžýířéáěúš"
	german     = "#$§ÄÖÜ^_°äöüß"
	spanish    = "ç$¡áéíóú¿üñèà"
	italian    = "£$é°ç→↑#ùàòèì"
	polish     = "#ńąŻŚŁćóężśłź"
	turkish    = "₺ğİŞÖÇÜĞışöçü"
	serbian    = "#ËČĆŽĐŠëčćžđš"
	romanian   = "#¤ŢÂŞĂÎıţâşăî"
	estonian   = "#õŠÄÖŽÜÕšäöžü"
	lithuanian = "#$ŠėęŽčūšąųžį"
)

// beyond are the places of the Cyrillic and Greek alphabets: three signs, and 0x40 to 0x7e.
const beyond = "&<>@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"

// What stands in those (EN 300 706, 15.6.4 to 15.6.7, tables 38 to 41).
const (
	serbianCyrillic = "&<>ЧАБЦДЕФГХИЈКЛМНОПЌРСТУВЃЉЊЗЋЖЂШЏчабцдефгхијклмнопќрстувѓљњзћжђш"
	russian         = "ы<>ЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЪЗШЭЩЧЫюабцдефгхийклмнопярстужвьъзшэщч"
	ukrainian       = "ї<>ЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬІЗШЄЩЧЇюабцдефгхийклмнопярстужвьізшєщч"
	greek           = "&«»ΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡʹΣΤΥΦΧΨΩΪΫάέήίΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώ"
)

// baltic is what receivers of the Baltic states assume: region 4 without its Cyrillic alphabets. No packet names it.
const baltic = 16

// regions are the alphabets that C12 to C14 choose from (table 33). The Arabic and Hebrew ones of regions 8 and 10 are not here.
var regions = map[int][8]string{
	0:      {english, french, swedish, czech, german, spanish, italian, english},
	1:      {polish, french, swedish, czech, german, spanish, italian, english},
	2:      {english, french, swedish, turkish, german, spanish, italian, english},
	3:      {english, french, swedish, czech, german, serbian, italian, romanian},
	4:      {serbianCyrillic, russian, estonian, czech, german, ukrainian, lithuanian, english},
	6:      {english, french, swedish, turkish, german, spanish, italian, greek},
	baltic: {english, french, estonian, czech, german, spanish, lithuanian, english},
}

// habits are the regions that receivers of a country assume, since few senders say theirs.
var habits = map[string]int{
	"pol": 1, "tur": 2, "srp": 3, "hrv": 3, "slv": 3, "bos": 3, "ron": 3, "rum": 3, "est": baltic, "lav": baltic, "lit": baltic,
	"rus": 4, "bul": 4, "ukr": 4, "bel": 4, "mkd": 4, "mac": 4, "ell": 6, "gre": 6,
}

// alphabet returns the letters for 0x20 to 0x7f.
func alphabet(language string, region int, option byte) *[96]rune {
	if region < 0 {
		region = habits[language]
	}
	own, known := regions[region]
	if !known {
		own = regions[0]
	}
	var out [96]rune
	for i := range out {
		out[i] = rune(0x20 + i)
	}
	out[0x7f-0x20] = '■'
	letters, places := []rune(own[option&7]), national
	if len(letters) > len(national) {
		places = beyond
	}
	for i, c := range []byte(places) {
		out[c-0x20] = letters[i]
	}
	return &out
}

// regionOf reads the designation of alphabets in packet 28 or 29, format 1 (EN 300 706, 9.4.2): triplet 1, bits 8 to 14, of which the lower three
// are overridden by each page's own choice. Packets that say something else leave it as it was.
func regionOf(b []byte, before int) int {
	designation, ok := nibble(b[0])
	if !ok || designation != 0 && designation != 4 {
		return before
	}
	v, ok := triplet(b[1:4])
	if !ok || designation == 0 && v&0xf != 0 { // the page's function is another than text
		return before
	}
	return int(v >> 10 & 0xf)
}

// An accent is what packet 26 puts into one place of a page (EN 300 706, 12.3): another letter, or a mark above or below one.
type accent struct {
	row, column int
	letter      rune
	mark        rune // 0: none
}

// Modes of column triplets of packet 26, and of the row triplet that sets where they count.
const (
	modeRow    = 0x04
	modeMore   = 0x0f // a character of the supplementary set
	modeAccent = 0x10 // and up: a letter with diacritical mark mode - 0x10
	firstRow   = 40   // addresses from here on are rows
)

// supplement is the supplementary set, from 0x20 on (EN 300 706, 15.6.3), without its marks.
const supplement = " ¡¢£$¥#§¤‘“«←↑→↓°±²³×µ¶·÷’”»¼½¾¿                ―¹®©™♪₠‰∝   ⅛⅜⅝⅞ΩÆÐªĦ ĲĿŁØŒºÞŦŊŉĸæđðħıĳŀłøœßþŧŋ "

// marks are combining characters, for modes 0x11 to 0x1f.
var marks = [16]rune{0, 0x300, 0x301, 0x302, 0x303, 0x304, 0x306, 0x307, 0x308, 0x323, 0x30a, 0x327, 0x332, 0x30b, 0x328, 0x30c}

const maxAccents = 16 * 13 // triplets in all packets 26 of a page

// accents reads packet 26: a designation, and thirteen triplets of address (6 bits), mode (5) and data (7).
func (p *page) accents(b []byte) {
	row := 0
	for b = b[1:]; len(b) >= 3; b = b[3:] {
		v, ok := triplet(b)
		if !ok {
			continue
		}
		address, mode, data := int(v&0x3f), v>>6&0x1f, rune(v>>11&0x7f)
		switch {
		case address >= firstRow && mode == modeRow:
			if row = address - firstRow; row == 0 {
				row = lines
			}
		case address >= firstRow || row == 0 || data < 0x20 || len(p.accent) >= maxAccents:
		case mode == modeMore:
			p.accent = append(p.accent, accent{row, address, []rune(supplement)[data-0x20], 0})
		case mode >= modeAccent:
			p.accent = append(p.accent, accent{row, address, data, marks[mode-modeAccent]})
		}
	}
}

// accented is what stands in a place.
func (p *page) accented(row, column int, r rune) string {
	i := slices.IndexFunc(p.accent, func(a accent) bool { return a.row == row && a.column == column })
	switch {
	case i < 0:
		return string(r)
	case p.accent[i].mark == 0:
		return string(p.accent[i].letter)
	}
	return string([]rune{p.accent[i].letter, p.accent[i].mark})
}
