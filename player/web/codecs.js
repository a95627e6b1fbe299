// What codings are called, and whether this browser knows them.

export const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

const NAMES = [
  [/^avc/, 'H.264'], [/^h[ev][cv]1/, 'H.265 (HEVC)'], [/^av01/, 'AV1'], [/^vp09/, 'VP9'], [/^mp4v\.61/, 'MPEG-2 video'],
  [/^mp4a\.40\.33/, 'MPEG layer II sound'], [/^mp4a\.6b/i, 'MP3'], [/^mp4a\.40/, 'AAC'], [/^opus/i, 'Opus'],
  [/^ac-3/, 'Dolby Digital (AC-3)'], [/^ec-3/, 'Dolby Digital Plus (E-AC-3)'],
];

// list takes a media type apart: [name for people, code].
export function list(type) {
  const inside = /codecs="([^"]*)"/.exec(type)?.[1] ?? '';
  return inside.split(',').filter(Boolean).map(code => [NAMES.find(([re]) => re.test(code))?.[1] ?? code, code]);
}

export const isSound = code => /^(mp4a|opus|ac-3|ec-3|flac|mp3)/i.test(code);

// unplayable names what of a type this browser cannot decode.
export function unplayable(type) {
  const family = type.split(';')[0];
  return list(type).filter(([, code]) => !Source.isTypeSupported(`${family}; codecs="${code}"`));
}

// A sound track of a programme, by the name that the node has for its coding, as a browser asks for it. What is missing here is not known to any.
const ASKED = { aac: 'mp4a.40.2', opus: 'opus', ac3: 'ac-3', eac3: 'ec-3', mp3: 'mp3' };
const SPOKEN = { aac: 'AAC', aac_latm: 'AAC', opus: 'Opus', ac3: 'AC-3', eac3: 'E-AC-3', mp3: 'MPEG' };

// sounds reads X-Tailcast-Audio: [{number, codec, language, known, name}].
export function sounds(header) {
  return (header ?? '').split(',').map(s => s.trim()).filter(Boolean).map((entry, number) => {
    const [codec, language = ''] = entry.split(';');
    const known = Boolean(ASKED[codec] && Source?.isTypeSupported(`audio/mp4; codecs="${ASKED[codec]}"`));
    return { number, codec, language, known, name: [tongue(language) || `Sound ${number + 1}`, SPOKEN[codec] ?? codec].join(' · ') };
  });
}

// tongue names a language, which broadcasters write in three letters.
export function tongue(code) {
  if (!/^[a-z]{2,3}$/.test(code) || ['und', 'mis', 'zxx', 'qaa'].includes(code)) return '';
  try {
    return new Intl.DisplayNames(['en'], { type: 'language' }).of(code);
  } catch {
    return code;
  }
}
