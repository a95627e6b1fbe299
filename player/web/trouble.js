// What is wrong, and what somebody can do about it. Each trouble is {id, tone, what, todo}: tone "bad" if pictures or truth suffer, "note"
// if not. The list is short: causes come first, and what only follows from them is left out.

import { bitrate, sentence, span, plural, peers, watched } from './status.js';

const QUIET = 1.5;      // seconds without a new block before we speak of it
const PATIENT = 1.5;    // seconds of looking for somebody
const OFTEN = 3;        // stalls in a minute that are too many
const DROPPED = 0.1;    // part of the frames
const SOURCE = 2.25;    // copies of the stream that a broadcaster's line must carry
const LATE_NOTE = 14;   // days before the channel note ends

// troubles looks at a status and at what the page itself sees: {phase, trouble, refused, stalls (of the last minute), dropped (part of the
// last frames), starving, waited (seconds), lower (what Quality says)}.
export function troubles(status, page = {}) {
  if (status === undefined) return [];
  if (status === null) {
    return [{ id: 'contact', tone: 'bad', what: 'The program that brings this channel does not answer.', todo: 'Start it again, or close this page.' }];
  }
  const flow = flowing(status, page);
  const own = flow.length || page.lower ? [] : here(page); // a change of renditions has its stalls behind it
  return [...flow, codec(page), page.lower, clock(status), disk(status), room(status), uplink(status), ...proof(status), ...own, ...input(status), ...notes(status)]
    .filter(Boolean);
}

// flowing says why nothing comes, if nothing comes.
function flowing(s, page) {
  const silent = s.silent_s ?? 0;
  const late = s.state === 'stalled' || (s.state === 'live' && (silent > QUIET || page.starving > QUIET));
  if (s.role === 'streamer') return s.state === 'waiting' || s.state === 'starting' || s.state === 'stalled' ? [encoder(s)] : [];
  if (s.state === 'ended' || (s.state !== 'waiting' && s.state !== 'starting' && !late)) return [];
  const why = sentence(s.state === 'live' ? s.flow : s.reason);
  if (!peers(s).length) {
    if ((page.waited ?? PATIENT) < PATIENT) return [];
    return [{
      id: 'peers', tone: 'bad', what: `Nobody who has this channel is connected. ${why}`.trim(),
      todo: 'Is the broadcaster on air, and is this computer online? A firewall must let UDP through. A link with another address behind ?a= helps if that one has moved.',
    }];
  }
  if (s.state === 'starting' || s.state === 'waiting') return []; // the veil says so
  if (/clock/i.test(s.reason) && s.state !== 'live') return []; // told by clock
  return [{
    id: 'source', tone: 'bad', what: `Nothing new has come for ${span(Math.max(silent, 2))}. ${why}`.trim(),
    todo: 'There is nothing to do here: it goes on by itself when the broadcaster is back. Meanwhile you can go back in time on the timeline.',
  }];
}

function encoder(s) {
  const i = s.ingest ?? {};
  return {
    id: 'encoder', tone: 'bad', what: `Nothing comes from the encoder: ${s.reason || 'no input yet'}.${i.last_error ? ` The last trouble was: ${sentence(i.last_error)}` : ''}`,
    todo: 'Start your encoder with the settings below. If it runs, look whether it sends to this address.',
  };
}

function codec(page) {
  if (page.phase !== 'refused') return null;
  return { id: 'codec', tone: 'bad', what: sentence(page.trouble), todo: 'The channel itself is well: open it in mpv or VLC, which play everything.' };
}

function clock(s) {
  const off = s.clock_error_s ?? 0;
  if (Math.abs(off) < 5) {
    if (s.state === 'stalled' && /clock/i.test(s.reason ?? '')) {
      return { id: 'clock', tone: 'bad', what: sentence(s.reason), todo: 'Set the clock of this computer; the system settings call it network time.' };
    }
    return null;
  }
  return {
    id: 'clock', tone: 'bad', what: `The clock of this computer is ${span(Math.abs(off))} ${off > 0 ? 'slow' : 'fast'}, as all peers say.`,
    todo: 'Set it (the system settings call it network time): whether something is live can only be told by the clock.',
  };
}

function disk(s) {
  if (!s.disk_error) return null;
  return { id: 'disk', tone: 'bad', what: `The disk takes nothing more: ${short(s.disk_error)}.`, todo: 'Live goes on. Make room on the disk, or give it a smaller --window; until then there is a hole in what can be watched again.' };
}

// short leaves of a path its end.
const short = text => text.replace(/(?:\/[^/\s:]+){3,}/g, path => `…/${path.split('/').slice(-2).join('/')}`);

function room(s) {
  if (!s.history?.no_room) return null;
  return { id: 'room', tone: 'note', what: 'The disk is full, so less of the past is kept than was asked for.', todo: 'Make room, or ask for less with --window.' };
}

function uplink(s) {
  const streams = s.role === 'streamer' ? s.renditions ?? [] : [watched(s)]; // who broadcasts sends all of them
  const need = streams.reduce((sum, r) => sum + (r?.bitrate_bps ?? 0), 0), up = limit(s.upload);
  if (!need || !up) return null;
  if (s.role === 'streamer') {
    const copies = SOURCE;
    if (up >= copies * need || !peers(s).length) return null;
    return {
      id: 'uplink', tone: 'bad', what: `Your line carries ${bitrate(up)} up, but ${bitrate(copies * need)} are needed for two copies of ${streams.length > 1 ? `these ${streams.length} renditions` : 'this stream'}.`,
      todo: 'Lower the bit rate of the encoder, go on air with --copies 1, or ask somebody with a good line to run a relay.',
    };
  }
  if (up >= 0.5 * need) return null;
  return {
    id: 'uplink', tone: 'note', what: `Your line carries ${bitrate(up)} up, less than half of this stream: others pass on what you cannot.`,
    todo: 'You watch as well as anybody. If the line is better than that, say so with --up.',
  };
}

// limit is what may be sent, of what is known.
function limit(u = {}) {
  const both = [u.limit_bps, u.uplink_bps].filter(x => x > 0);
  return both.length ? Math.min(...both) : 0;
}

function proof(s) {
  const list = [], n = s.blocks?.rejected ?? 0;
  if (n) {
    const last = s.refused?.at(-1);
    list.push({
      id: 'refused', tone: 'note', what: `${plural(n, 'block', 'blocks')} did not verify and ${n === 1 ? 'was' : 'were'} thrown away${last ? `: ${last.role} ${last.addr} ${last.why}` : ''}.`,
      todo: 'Nothing of that was shown. Who sent it is left alone for a while.',
    });
  }
  for (const f of (s.faults ?? []).slice(0, 1)) {
    list.push({ id: 'fault', tone: 'bad', what: `A run of this channel is condemned: ${f.reason}.`, todo: 'Its signer broke the rules, and that is proved. Ask the broadcaster; the next run is followed by itself.' });
  }
  return list;
}

// here is what is wrong on this side of the node.
function here(page) {
  const list = [];
  if (page.stalls >= OFTEN) {
    list.push({ id: 'stalls', tone: 'note', what: `The picture stood still ${page.stalls} times in the last minute.`, todo: 'It stays a little further behind live now. A cable instead of wireless, or less traffic on the line, helps most.' });
  }
  if (page.dropped > DROPPED) {
    list.push({ id: 'frames', tone: 'note', what: `This computer shows only ${Math.round(100 * (1 - page.dropped))} % of the pictures in time.`, todo: 'Close other programs or the full screen, or open the channel in mpv, which uses less.' });
  }
  return list;
}

// input is what a streamer should know of its encoder.
function input(s) {
  const of = (i, named) => (i?.warnings ?? []).map((w, n) => ({
    id: `input-${named ? `${i.rendition}-` : ''}${w.id ?? n}`, tone: 'note', what: named ? `${i.rendition}: ${w.what}.` : sentence(w.what), todo: sentence(w.todo),
  }));
  return s.inputs ? s.inputs.flatMap(i => of(i, true)) : of(s.ingest, false);
}

function notes(s) {
  const list = (s.notes ?? []).map((what, i) => ({ id: `note-${i}`, tone: 'note', what: sentence(what), todo: '' }));
  const days = s.note_expires ? (Date.parse(s.note_expires) - Date.now()) / 86400e3 : Infinity;
  if (s.role === 'streamer' && days < LATE_NOTE) {
    list.push({ id: 'note-ends', tone: 'note', what: `Your channel note ends in ${Math.max(0, Math.floor(days))} days.`, todo: 'Renew it with the root key: streamer key renew.' });
  }
  return list;
}
