// Which rendition is watched: the one that was chosen, and a lower one when the line does not carry it. Times come in, in seconds; what to do goes out.

import { bitrate } from './status.js';

const WINDOW = 12;   // seconds that are looked at
const LACK = 4;      // of them, how many without a picture are too many
const FIRST = 6;     // seconds after a change in which a new stream may still be finding its way
const LESS = 0.8;    // a step down has at most so much of the bits
const ALIVE = 2;     // seconds without a block after which it is not the line that fails

//	chosen ──the line does not carry it──▶ lower ──and not that either──▶ lower still
//	   ▲                                     │
//	   └──────────── back(), choose() ───────┘
export class Quality {
  list = [];      // as in the status, best first
  asked = null;   // what the viewer chose; null: what the node has chosen
  fell = null;    // {from, to}: why another one is watched
  #lacks = [];    // {at, for}: without a picture, in seconds
  #since = -Infinity; // the last change
  #last = null;   // when it was looked at

  // seen takes in what there is.
  seen(list) { this.list = list ?? []; }

  // now is the name of what is to be watched; null while there is nothing to choose.
  get now() {
    if (this.list.length < 2) return null;
    const name = this.fell?.to ?? this.asked;
    return (this.list.find(r => r.name === name) ?? this.list.find(r => r.chosen) ?? this.list[0]).name;
  }

  // choose is the viewer's word.
  choose(name, now) {
    Object.assign(this, { asked: name, fell: null });
    this.#begin(now);
  }

  // back undoes a step down.
  back(now) { this.choose(this.fell?.from ?? this.asked, now); }

  // look is told now and then how it goes: lacking says that no picture comes although one should, silent for how long no block has come, of any kind.
  // It returns the name of what to go down to, or null.
  look(now, lacking, silent = 0) {
    const passed = this.#last === null ? 0 : Math.min(1, now - this.#last);
    this.#last = now;
    if (now - this.#since < FIRST || silent > ALIVE) return null;
    if (lacking) this.#lacks.push({ at: now, for: passed });
    while (this.#lacks.length && this.#lacks[0].at < now - WINDOW) this.#lacks.shift();
    if (this.#lacks.reduce((sum, l) => sum + l.for, 0) < LACK) return null;
    const to = this.#below();
    if (!to) return null;
    this.fell = { from: this.fell?.from ?? this.now, to: to.name };
    this.#begin(now);
    return to.name;
  }

  // #below is the best one that is clearly less than what is watched.
  #below() {
    const here = this.list.find(r => r.name === this.now);
    if (!here) return undefined;
    return this.list.filter(r => r.bitrate_bps > 0 && r.bitrate_bps <= LESS * here.bitrate_bps).sort((a, b) => b.bitrate_bps - a.bitrate_bps)[0];
  }

  #begin(now) {
    this.#since = now;
    this.#lacks = [];
  }

  // trouble is what to say of a step down.
  trouble() {
    if (!this.fell || !this.list.some(r => r.name === this.fell.from)) return null;
    const from = this.list.find(r => r.name === this.fell.from);
    return {
      id: 'lower', tone: 'note', what: `Your line did not carry ${label(from)}: this is ${this.fell.to} now.`,
      todo: 'Go back when less else is on the line.', action: { id: 'back', label: `Back to ${from.name}` },
    };
  }
}

// label is what a rendition is called in a menu.
export function label(r) {
  const size = r.height && !r.name.includes(String(r.height)) ? `${r.height}p` : '';
  return [r.name, size, r.bitrate_bps ? bitrate(r.bitrate_bps) : ''].filter(Boolean).join(', ');
}

// tell lets the node follow a rendition, whether somebody watches it or not, and no other. Who watches from another machine may not; then it is
// followed while it is watched.
export async function tell(base, name) {
  try {
    const answer = await fetch(new URL('api/v1/token', base), { cache: 'no-store' });
    if (!answer.ok) return;
    const { token } = await answer.json();
    const url = new URL('api/v1/rendition', base);
    url.searchParams.set('name', name);
    await fetch(url, { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
  } catch { /* it is followed while it is watched */ }
}
