// What the node knows, and what may be said of it. The word "Live" comes from here alone, and only from the node's own verdict,
// which looks at signatures and clocks; that pictures move proves nothing.

const LOST = 2200;   // ms without a word before contact is lost
const POLL = 1000;   // ms, where events do not come
const AGAIN = 5000;  // ms before events are tried again
const QUIET = 2;     // seconds without a new block in which a channel may still be called live

// listen calls seen(status or null) about twice a second; null means that the node does not answer. Events are preferred, polling will do. A page
// that nobody looks at does not listen: a browser has six connections for all pages of a node, and each picture takes one already.
export function listen(base, seen) {
  let heard = performance.now(), source = null, tried = -Infinity;
  const take = status => {
    heard = performance.now();
    seen(status);
  };
  const subscribe = () => {
    tried = performance.now();
    source = new EventSource(new URL('api/v1/events', base));
    source.onmessage = e => take(JSON.parse(e.data));
    source.onerror = () => { // it tries again by itself, unless the answer was no stream of events
      if (source.readyState !== EventSource.CLOSED) return;
      source = null;
    };
  };
  const ask = async () => {
    const now = performance.now();
    if (document.hidden) {
      source?.close();
      [source, tried, heard] = [null, -Infinity, now];
      return setTimeout(ask, POLL / 2);
    }
    if (source === null && now - tried > AGAIN) subscribe();
    if (now - heard > POLL) {
      const alarm = setTimeout(seen, Math.max(POLL / 2, LOST - (now - heard)), null); // a node that takes the question and never answers
      try {
        const response = await fetch(new URL('api/v1/status', base), { cache: 'no-store', signal: AbortSignal.timeout(POLL) });
        if (response.ok) take(await response.json());
      } catch { /* no contact: below */ }
      clearTimeout(alarm);
    }
    if (performance.now() - heard > LOST) seen(null);
    setTimeout(ask, POLL / 2);
  };
  ask();
}

// verdict is what the page may claim: {tone, label, reason}. status is the node's answer, null if there is none, undefined before
// the first.
export function verdict(status) {
  if (status === undefined) return { tone: 'wait', label: 'Connecting', reason: 'Asking the node on this computer.' };
  if (status === null) return { tone: 'bad', label: 'No contact', reason: 'The program that brings this channel does not answer. Is it still running?' };
  const reason = sentence(status.reason);
  switch (status.state) {
    case 'live':
      if ((status.silent_s ?? 0) <= QUIET) return { tone: 'live', label: 'Live', reason };
      return { tone: 'wait', label: 'Interrupted', reason: `Nothing new has come for ${span(Math.max(2, status.silent_s))}. ${sentence(status.flow)}`.trim() };
    case 'waiting': return { tone: 'wait', label: 'Waiting', reason: reason || 'Nobody who has this channel has been found yet.' };
    case 'starting': return { tone: 'wait', label: 'Starting', reason: reason || 'The first pictures are on their way.' };
    case 'stalled': return { tone: 'bad', label: 'Stalled', reason: reason || 'No new blocks arrive.' };
    case 'ended': return { tone: 'end', label: 'Ended', reason: reason || 'The broadcaster has ended this broadcast.' };
  }
  return { tone: 'bad', label: 'Not live', reason };
}

// summary is the plain sentence under the title. behind is in seconds, null if unknown; ago likewise, of what is watched, if it is the past.
export function summary(status, behind, ago = null) {
  const v = verdict(status);
  if (v.tone !== 'live') return v.reason;
  const streamer = status.role === 'streamer';
  const first = [ago === null ? 'Live' : `Watching ${span(ago)} ago`];
  if (behind !== null && ago === null) first.push(`${seconds(behind)} s behind`);
  first.push(plural(viewers(status).length, streamer ? 'viewer connected' : 'peer', streamer ? 'viewers connected' : 'peers'));
  return `${[first.join(', '), given(status, streamer), integrity(status)].filter(Boolean).join('; ')}.`;
}

function given(status, streamer) {
  const r = ratio(status);
  if (r < 0.05) return '';
  return streamer ? `you upload ${r.toFixed(1)}× the stream` : `you have passed on ${r.toFixed(1)}× what you watched`;
}

// integrity is what can be said of the blocks so far.
export function integrity(status) {
  const b = status?.blocks ?? {}, bad = [];
  if (b.missed) bad.push(`${plural(b.missed, 'block', 'blocks')} missed`);
  if (b.rejected) bad.push(`${b.rejected} refused and not shown`);
  if (status?.role === 'streamer') return bad.length ? bad.join(', ') : 'every block signed';
  if (!b.verified) return '';
  return bad.length ? `${bad.join(', ')}, all others verified` : 'every block verified';
}

// watched is the rendition of that name, or the one that the node has chosen.
export function watched(status, name = null) {
  const list = status?.renditions ?? [];
  return list.find(r => r.name === name) ?? list.find(r => r.chosen) ?? list[0];
}

export const peers = status => status?.peers ?? [];
export const viewers = status => peers(status).filter(p => !p.inner); // without the one inside a streamer
const total = t => t ? (t.media ?? 0) + (t.proofs ?? 0) + (t.control ?? 0) + (t.repair ?? 0) : 0;
const media = t => t ? (t.media ?? 0) + (t.repair ?? 0) : 0;
export const sent = status => total(status?.bytes?.sent);
export const received = status => total(status?.bytes?.received);

// ratio is media given per media taken, repairs included; a streamer takes what it appended.
export function ratio(status) {
  const taken = status?.role === 'streamer' ? status?.bytes?.appended : media(status?.bytes?.received);
  return taken > 0 ? media(status.bytes.sent) / taken : 0;
}

// saved is the part of what came here that the broadcaster did not have to send, 0 to 1; null if nothing has come.
export function saved(status) {
  const b = status?.blocks;
  return b?.verified > 0 ? (b.by_others ?? 0) / b.verified : null;
}

export const seconds = s => s < 10 ? s.toFixed(1) : String(Math.round(s));
export const plural = (n, one, many) => `${n === 0 ? 'no' : n.toLocaleString('en')} ${n === 1 ? one : many}`;

// span is a length of time for people: "40 s", "3 min", "2 h 5 min".
export function span(s) {
  s = Math.max(0, Math.round(s));
  if (s < 90) return `${s} s`;
  const min = Math.round(s / 60);
  if (min < 90) return `${min} min`;
  return `${Math.floor(min / 60)} h ${min % 60} min`;
}

export function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${i && n < 100 ? n.toFixed(1) : Math.round(n)}\u00a0${units[i]}`;
}

export function bitrate(n) {
  if (!n) return '–';
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)}\u00a0Mbit/s` : `${Math.round(n / 1e3)}\u00a0kbit/s`;
}

export const sentence = text => {
  text = (text ?? '').trim();
  return text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.') : '';
};

// reached is where an encoder can send to, in addresses by which this page has reached the node: it may be on another machine, and the node
// names itself by where it listens. RTSP stays where it listens, if that is not everywhere.
export function reached(push, base) {
  const here = new URL(base), { http, rtsp, whip } = push;
  const through = url => url?.replace(/^\w+:\/\/([^/@]*@)?[^/]+/, (_, user = '') => `${here.protocol}//${user}${here.host}`);
  return {
    http: through(http),
    whip: through(whip),
    rtsp: rtsp?.replace(/(\/\/|@)(\[::\]|0\.0\.0\.0)(?=[:/])/, (_, before) => before + here.hostname),
  };
}
