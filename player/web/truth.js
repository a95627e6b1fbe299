// The truth panel: numbers of now, where each stripe comes from, what was checked, who the peers are. All of it is the node's own count.

import { peers, sent, received, ratio, saved, seconds, bytes, bitrate, plural, watched } from './status.js';
import { $, set, rows, make } from './dom.js';
import { Spark } from './spark.js';
import { sources } from './sources.js';

const MINUTE = 60;
const FEW = 8; // peers that are listed at first

export class Truth {
  constructor(stream) {
    this.stream = stream;
    this.sparks = Object.fromEntries(['lag', 'buffer', 'down', 'shared'].map(name => [name, new Spark($(`${name}-spark`))]));
    this.before = null;
    this.drawn = 0;
    $('all-peers').addEventListener('click', () => {
      this.all = !this.all;
      this.peers(this.status);
    });
  }

  // show is called for each status; sparks take one value a second.
  show(status, behind) {
    this.status = status;
    const at = performance.now() / 1000, due = at - this.drawn > 0.95;
    if (due) this.drawn = at;
    const rates = this.rates(status, due);
    this.lag(status, behind, due);
    this.buffer(due);
    this.flow(status, rates, due);
    this.checked(status);
    this.sharing(status);
    this.peers(status);
    sources(status);
  }

  // rates are bits per second since the last value of the sparks, by the node's clock: what it says may come late, and two at once.
  rates(status, due) {
    const at = status?.uptime_s ?? 0;
    const now = { at, sent: sent(status), received: received(status), appended: status?.bytes?.appended ?? 0, verified: status?.blocks?.verified ?? 0 };
    const b = this.before;
    if (due || !b) this.before = now;
    if (b && at - b.at > 0.2) {
      const rate = key => Math.max(0, now[key] - b[key]) / (at - b.at);
      this.last = { up: 8 * rate('sent'), down: 8 * rate('received'), made: 8 * rate('appended'), blocks: rate('verified') };
    }
    return this.last ?? null;
  }

  lag(status, b, due) {
    set('lag', b === null ? '–' : seconds(b));
    set('lag-unit', b === null ? '' : 's');
    set('lag-note', b === null ? this.idle(status) : split(status.lag_s?.p50 ?? 0, b));
    if (due) this.sparks.lag.push(b);
  }

  idle(status) {
    if (!this.stream.live) return 'watching the past';
    return status?.state === 'live' ? 'not playing' : 'not live';
  }

  buffer(due) {
    const s = this.stream, ahead = s.placed && s.state !== 'refused' ? s.ahead() : null;
    set('buffer', ahead === null ? '–' : seconds(ahead));
    set('buffer-unit', ahead === null ? '' : 's');
    const n = s.stallsLately(MINUTE);
    set('buffer-note', `${n ? plural(n, 'stall', 'stalls') : 'no stall'} in a minute, target ${s.latency.buffer(performance.now() / 1000).toFixed(2)}\u00a0s`);
    $('buffer-note').classList.toggle('alarm', n > 2);
    if (due) this.sparks.buffer.push(ahead);
  }

  flow(status, rates, due) {
    const streamer = status?.role === 'streamer', down = streamer ? rates?.made : rates?.down;
    set('down-title', streamer ? 'Signed' : 'Coming in');
    rate('down', down);
    set('down-note', rates ? (streamer ? `${bytes(status?.bytes?.appended ?? 0)} since the start` : `${Math.round(rates.blocks)} blocks a second, all checked`) : 'nothing yet');
    if (due) this.sparks.down.push(down ?? null);
    const r = ratio(status);
    set('shared-title', streamer ? 'Uploaded' : 'Passed on');
    set('shared', sent(status) || r ? r.toFixed(1) : '0');
    set('shared-unit', '×');
    set('shared-note', rates ? `${rates.up > 1000 ? bitrate(rates.up) : 'nothing'} now, ${bytes(sent(status))} in all` : 'nothing yet');
    if (due) this.sparks.shared.push(rates?.up ?? null);
  }

  checked(status) {
    const b = status?.blocks ?? {}, streamer = status?.role === 'streamer';
    const head = watched(status)?.head ?? 0;
    const good = streamer ? head : b.verified ?? 0;
    set('checked-title', streamer ? 'Signed block by block' : 'Checked block by block');
    set('verified', good.toLocaleString('en'));
    set('verified-unit', streamer ? 'blocks signed in this run' : good === 1 ? 'block verified' : 'blocks verified');
    const parts = { verified: Math.max(0, good - (b.repaired ?? 0)), repaired: b.repaired ?? 0, missed: b.missed ?? 0, rejected: b.rejected ?? 0 };
    const all = Object.values(parts).reduce((x, y) => x + y, 0) || 1;
    for (const i of $('stack').children) {
      i.hidden = !parts[i.dataset.kind]; // else its gap stays, and looks like something
      i.style.flexGrow = String(Math.max(parts[i.dataset.kind], all / 150));
    }
    $('stack').hidden = streamer;
    rows('blocks', streamer ? {
      'Runs of this channel condemned': String(status.faults?.length ?? 0),
      'Kept on disk': status.history ? `${bytes(status.history.bytes)}, since ${new Date(status.history.from).toLocaleString()}` : 'nothing',
      'Channel note ends': status.note_expires ? new Date(status.note_expires).toLocaleDateString() : '–',
    } : {
      'Repaired (asked for one by one)': (b.repaired ?? 0).toLocaleString('en'), 'Missed (came from nobody in time)': (b.missed ?? 0).toLocaleString('en'),
      'Refused (did not verify)': (b.rejected ?? 0).toLocaleString('en'), 'Came twice': (b.duplicate ?? 0).toLocaleString('en'),
    });
    $('blocks').classList.toggle('plain', streamer);
    const list = status?.refused ?? [];
    $('refused').hidden = list.length === 0;
    const text = JSON.stringify(list);
    if ($('refused').dataset.text === text) return;
    $('refused').dataset.text = text;
    $('refused').replaceChildren(...list.slice(-5).reverse().map(r => make('li', { textContent: `${new Date(r.at).toLocaleTimeString()}: ${r.role} ${r.id} (${r.addr}) ${r.why}` })));
  }

  sharing(status) {
    const b = status?.bytes ?? {}, t = status?.role === 'streamer' ? null : saved(status);
    if (status?.role === 'streamer') {
      const a = status.audience ?? {}, part = a.delivered > 0 ? Math.max(0, 1 - a.sent / a.delivered) : null;
      set('saved', part === null ? '–' : String(Math.round(100 * part)));
      set('saved-unit', part === null ? '' : '% of your upload');
      set('saved-note', part === null ? 'Nobody has watched yet.' : `A server would have sent ${bytes(a.delivered)} to so many; you sent ${bytes(a.sent)}.`);
    } else {
      set('saved', t === null ? '–' : String(Math.round(100 * t)));
      set('saved-unit', t === null ? '' : '% of the broadcaster’s upload to you');
      set('saved-note', t === null ? 'Nothing has come yet.' : 'So much of what you watched came from other viewers and relays, and cost the broadcaster nothing.');
    }
    rows('traffic', {
      'Pictures and sound, in, out': `${bytes(b.received?.media ?? 0)}, ${bytes(b.sent?.media ?? 0)}`,
      'Repairs, in, out': `${bytes(b.received?.repair ?? 0)}, ${bytes(b.sent?.repair ?? 0)}`,
      'Proofs and signatures, in, out': `${bytes(b.received?.proofs ?? 0)}, ${bytes(b.sent?.proofs ?? 0)}`,
      'Control, in, out': `${bytes(b.received?.control ?? 0)}, ${bytes(b.sent?.control ?? 0)}`,
    });
  }

  peers(status) {
    const use = p => (p.parent ? 1e6 : 0) + (p.fed ?? 0) * 1e3 + (p.stripes ?? 0);
    const every = peers(status), list = this.all || every.length <= FEW ? every : [...every].sort((a, b) => use(b) - use(a)).slice(0, FEW);
    $('all-peers').hidden = every.length <= FEW;
    set('all-peers', this.all ? 'Show fewer' : `Show all ${every.length}`);
    const names = ['Node', 'Role', 'Path', 'Round trip', 'From it', 'To it', 'Behind', 'Stripes'];
    const lines = list.map(p => [
      p.id, p.inner ? 'viewer of this page' : p.role, `${PATHS[p.path] ?? p.path ?? ''} ${p.addr}`, `${p.rtt_ms < 10 ? p.rtt_ms.toFixed(1) : Math.round(p.rtt_ms)} ms`, bitrate(p.down_bps), bitrate(p.up_bps),
      p.lag_s === null || p.lag_s === undefined ? '–' : `${p.lag_s.toFixed(2)} s`, String(p.stripes),
    ]);
    const body = $('peer-rows'), text = JSON.stringify(lines);
    if (body.dataset.text === text) return;
    body.dataset.text = text;
    body.replaceChildren(...lines.map(cells => make('tr', {}, ...cells.map((cell, i) => make('td', { textContent: cell, 'data-name': names[i] })))));
    if (!lines.length) body.append(make('tr', {}, make('td', { textContent: 'Nobody is connected.', colSpan: 8, className: 'none' })));
  }
}

const split = (way, all) => `${way.toFixed(2)}\u00a0s on the way, ${Math.max(0, all - way).toFixed(2)}\u00a0s here`;

const PATHS = { 'this machine': 'This machine', lan: 'LAN', direct: 'Direct', relay: 'Relay' };

function rate(id, bps) {
  const [value, unit] = bitrate(bps).split('\u00a0');
  set(id, value);
  set(`${id}-unit`, unit ?? '');
}
