// What the node knows, and what may be said of it. The word "Live" comes from here alone, and only from the node's own verdict,
// which looks at signatures and clocks; that pictures move proves nothing.

const EVERY = 1000; // ms
const LOST = 3500;  // ms without an answer before contact is lost

// poll calls seen(status or null) about once a second; null means that the node does not answer.
export function poll(seen) {
  let heard = performance.now();
  const ask = async () => {
    try {
      const response = await fetch('/api/v1/status', { cache: 'no-store', signal: AbortSignal.timeout(LOST) });
      if (!response.ok) throw new Error(response.statusText);
      const status = await response.json();
      heard = performance.now();
      seen(status);
    } catch {
      if (performance.now() - heard > LOST) seen(null);
    }
    setTimeout(ask, EVERY);
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
    case 'live': return { tone: 'live', label: 'Live', reason };
    case 'waiting': return { tone: 'wait', label: 'Waiting', reason: reason || 'Nobody who has this channel has been found yet.' };
    case 'starting': return { tone: 'wait', label: 'Starting', reason: reason || 'The first pictures are on their way.' };
    case 'stalled': return { tone: 'bad', label: 'Stalled', reason: reason || 'No new blocks arrive.' };
    case 'ended': return { tone: 'end', label: 'Ended', reason: reason || 'The broadcaster has ended this broadcast.' };
  }
  return { tone: 'bad', label: 'Not live', reason };
}

// summary is the plain sentence under the title. behind is in seconds, null if unknown.
export function summary(status, behind) {
  const v = verdict(status);
  if (v.tone !== 'live') return v.reason;
  const parts = ['Live'];
  if (behind !== null) parts.push(`${seconds(behind)} s behind`);
  parts.push(plural(peers(status).length, status.role === 'streamer' ? 'viewer connected' : 'peer', status.role === 'streamer' ? 'viewers connected' : 'peers'));
  const r = ratio(status);
  if (r >= 0.05) parts.push(status.role === 'streamer' ? `uploading ${r.toFixed(1)}×` : `you passed on ${r.toFixed(1)}×`);
  return parts.join(', ') + '.';
}

export const peers = status => status?.peers ?? [];
const total = t => t ? (t.media ?? 0) + (t.proofs ?? 0) + (t.control ?? 0) + (t.repair ?? 0) : 0;
export const sent = status => total(status?.bytes?.sent);
export const received = status => total(status?.bytes?.received);

// ratio is media given per media taken; a streamer takes what it appended.
export function ratio(status) {
  const taken = status?.role === 'streamer' ? status?.bytes?.appended : status?.bytes?.received?.media;
  return taken > 0 ? (status.bytes.sent?.media ?? 0) / taken : 0;
}

export const seconds = s => s < 10 ? s.toFixed(1) : String(Math.round(s));
export const plural = (n, one, many) => `${n === 0 ? 'no' : n} ${n === 1 ? one : many}`;

export function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

export function bitrate(n) {
  if (!n) return '–';
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)} Mbit/s` : `${Math.round(n / 1e3)} kbit/s`;
}

const sentence = text => {
  text = (text ?? '').trim();
  return text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.') : '';
};
