// Captions. The node puts them between the fragments of /live.mp4, as event messages (player/emsg.go), which the browser passes over; they are
// read here on the way, and the browser shows them as it shows text, in the size and colours that its user has set.

import { tongue } from './codecs.js';

const MEMORY = 'tailcast-captions';
const SCHEME = 'urn:tailcast:captions';
const LARGEST = 1 << 16; // bytes of a message
const CLOCK = 90000;
const LONG = 3600;       // seconds that a text stays if nothing else is said
const KEEP = 90;         // seconds of texts that have been shown

// Boxes takes bytes as they come and hands out the messages among the boxes (ISO/IEC 14496-12, 4.2).
export class Boxes {
  #skip = 0;
  #held = []; // of a header, or of a message

  take(bytes, each) {
    for (let i = 0; i < bytes.length;) {
      if (this.#skip > 0) {
        const n = Math.min(this.#skip, bytes.length - i);
        [this.#skip, i] = [this.#skip - n, i + n];
        continue;
      }
      this.#held.push(bytes[i++]);
      if (this.#held.length >= 8) this.#look(each);
    }
  }

  #look(each) {
    const b = this.#held, size = b[0] * 2 ** 24 + (b[1] << 16 | b[2] << 8 | b[3]);
    if (String.fromCharCode(...b.slice(4, 8)) !== 'emsg' || size > LARGEST || size < 8) {
      this.#skip = size < 8 ? Infinity : size - 8; // a box that does not say how long it is goes on to the end
      this.#held = [];
    } else if (b.length >= size) {
      this.#held = [];
      const m = message(Uint8Array.from(b));
      if (m) each(m);
    }
  }
}

// message reads one: {at (s), track, text}.
export function message(bytes) {
  const view = new DataView(bytes.buffer);
  if (bytes.length < 32 || bytes[8] !== 1) return null;
  const at = Number(view.getBigUint64(16)) / view.getUint32(12);
  const [scheme, track, ...text] = new TextDecoder().decode(bytes.subarray(32)).split('\0');
  return scheme === SCHEME && track && view.getUint32(12) === CLOCK ? { at, track, text: text.join('') } : null;
}

// entry reads how the node names a track: {id, language, name, shown}; what is not shown are pictures.
export function entry(text) {
  const [id, language = '', impaired = ''] = text.trim().split(';'), [kind, number] = id.split('-');
  const what = { teletext: `Teletext ${number}`, cc: `CC${number}`, bitmap: 'pictures, in mpv and VLC only' }[kind] ?? kind;
  return { id, language, shown: kind !== 'bitmap', name: [tongue(language), impaired && 'hard of hearing', what].filter(Boolean).join(' · ') };
}

export class Captions {
  #own = new Map(); // id: {track, open}, of those that came between fragments
  #boxes = new Boxes();
  #asked = recall();

  // changed is called when there is more to choose from, or something else is shown.
  constructor(video, changed) {
    Object.assign(this, { video, changed, list: [], way: 'frames' });
    video.textTracks.addEventListener?.('addtrack', () => { if (this.way === 'hls') this.#hls(); });
  }

  // begin is called when the element gets another source; header is X-Tailcast-Captions.
  begin(header) {
    this.way = 'frames';
    this.#boxes = new Boxes();
    this.list = (header ?? '').split(',').filter(s => s.trim()).map(entry);
    for (const own of this.#own.values()) {
      for (const cue of [...own.track.cues ?? []]) own.track.removeCue(cue);
      Object.assign(own, { open: null });
    }
    this.#show();
  }

  // fallBack is called when HLS brings its own.
  fallBack() {
    this.way = 'hls';
    this.#hls();
  }

  #hls() {
    const own = new Set([...this.#own.values()].map(o => o.track));
    this.list = [...this.video.textTracks].filter(t => !own.has(t) && /^(captions|subtitles)$/.test(t.kind))
      .map((track, i) => ({ id: `hls-${i}`, language: track.language, name: track.label.replace(/^[a-z]{3}(?= · )/, tongue) || tongue(track.language) || `Captions ${i + 1}`, shown: true, track }));
    this.#show();
  }

  // take looks through bytes that are on their way into the MediaSource.
  take(bytes) { this.#boxes.take(bytes, m => this.#said(m)); }

  #said({ at, track, text }) {
    const { id } = entry(track);
    if (!this.list.some(t => t.id === id)) {
      this.list.push(entry(track));
      this.#show();
    }
    const own = this.#track(id), last = own.open;
    if (last && last.said === text) return;
    if (last) last.endTime = Math.max(last.startTime, at);
    own.open = null;
    for (const cue of [...own.track.cues ?? []]) {
      if (cue.endTime < this.video.currentTime - KEEP || cue.startTime >= at) own.track.removeCue(cue);
    }
    if (!text) return;
    own.open = Object.assign(new VTTCue(at, at + LONG, text.replace(/&/g, '&amp;').replace(/</g, '&lt;')), { said: text });
    own.track.addCue(own.open);
  }

  #track(id) {
    if (!this.#own.has(id)) {
      const { name, language } = this.list.find(t => t.id === id);
      const track = this.video.addTextTrack('captions', name, language);
      track.mode = id === this.chosen ? 'showing' : 'hidden';
      this.#own.set(id, { track, open: null });
    }
    return this.#own.get(id);
  }

  // chosen is the id of what is shown, or null: what was asked for, or what comes nearest.
  get chosen() {
    const { on, id, language } = this.#asked, list = this.list.filter(t => t.shown);
    if (!on || !list.length) return null;
    return (list.find(t => t.id === id && t.language === language) ?? list.find(t => t.language === language) ?? list[0]).id;
  }

  choose(id) {
    const t = this.list.find(x => x.id === id);
    this.#asked = t ? { on: true, id, language: t.language } : { ...this.#asked, on: false };
    try { localStorage.setItem(MEMORY, JSON.stringify(this.#asked)); } catch { /* no storage, no memory */ }
    this.#show();
  }

  toggle() { this.choose(this.chosen === null ? this.#wanted() : null); }

  #wanted() {
    const { id, language } = this.#asked, list = this.list.filter(t => t.shown);
    return (list.find(t => t.id === id) ?? list.find(t => t.language === language) ?? list[0])?.id;
  }

  #show() {
    const id = this.chosen;
    for (const [own, { track }] of this.#own) track.mode = this.way === 'frames' && own === id ? 'showing' : 'hidden';
    if (this.way === 'hls') for (const t of this.list) t.track.mode = t.id === id ? 'showing' : 'disabled';
    this.changed();
  }
}

function recall() {
  try {
    return JSON.parse(localStorage.getItem(MEMORY)) ?? { on: false };
  } catch {
    return { on: false }; // the first time, or no storage
  }
}
