// The page: what it shows, and what its buttons do.

import { Stream, codecs } from './stream.js';
import { poll, verdict, summary, peers, sent, received, ratio, seconds, plural, bytes, bitrate } from './status.js';
import { Spark } from './spark.js';
import { controls } from './controls.js';

const $ = id => document.getElementById(id);
const video = $('video');
const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };

const address = new URL('/live.ts', location.href).href;
set('mpv', `mpv --profile=low-latency "${address}?join=next"`);
set('vlc', `${address}?join=next`);
set('veil-address', address);

let status; // undefined before the first answer, null without contact
const stream = new Stream(video, show);
stream.onReplace = () => still(true);
stream.onBlocked = () => stream.close(); // the browser wants a click first
video.addEventListener('playing', () => still(false));
video.addEventListener('loadedmetadata', () => { $('radio').hidden = video.videoWidth > 0; });
const redraw = controls($, video, stream);

// still keeps the last picture in sight while the element is given another source.
function still(on) {
  const canvas = $('still');
  if (on && video.videoWidth && video.readyState >= 2) {
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d').drawImage(video, 0, 0);
    canvas.hidden = false;
  }
  if (!on) canvas.hidden = true;
}

// behind is how old what is shown is: the way here, by the node's measure, and what waits in the buffer.
function behind() {
  if (stream.phase !== 'playing' || status?.state !== 'live') return null;
  return (status.lag_s?.p50 ?? 0) + stream.ahead();
}

function show() {
  const v = verdict(status);
  $('pill').dataset.tone = v.tone;
  set('pill-label', v.label);
  set('sentence', stream.phase === 'refused' ? `${v.reason} ${stream.trouble}`.trim() : summary(status, behind()));
  set('title', status?.title || 'Live channel');
  document.title = `${v.tone === 'live' ? '' : v.label + ' · '}${status?.title || 'Tailcast'}`;
  veil(v);
  $('stage').classList.toggle('running', stream.phase === 'playing');
  redraw();
}

const BRIEF = 0.6; // seconds that a picture may stand still before we say so

// veil says over the picture why there is none.
function veil(v) {
  const [title, text, busy] = words(v);
  $('veil').dataset.shown = String(title !== '');
  if (title) {
    set('veil-title', title);
    set('veil-text', text);
  }
  $('ring').hidden = !busy;
  $('veil-elsewhere').hidden = stream.phase !== 'refused';
}

function words(v) {
  switch (stream.phase) {
    case 'playing': return v.tone === 'bad' && stream.ahead() < 0.05 ? [v.label, v.reason, false] : ['', '', false];
    case 'buffering': if (stream.lasts() < BRIEF) return ['', '', false]; break;
    case 'paused': return ['Paused', 'Playing goes on at the live edge.', false];
    case 'refused': return ['Not in this browser', `${stream.trouble} It plays in mpv or VLC at this address:`, false];
  }
  if (v.tone !== 'live') return [v.label, v.reason, v.tone === 'wait'];
  return stream.phase === 'buffering' ? ['One moment', 'Waiting for the next pictures.', true] : ['Connecting', stream.trouble, true];
}

const sparks = Object.fromEntries(['lag', 'verified', 'peers', 'shared'].map(name => [name, new Spark($(`${name}-spark`))]));
let before = { at: 0 };

// numbers fills the cards; it runs once for each status.
function numbers() {
  const at = performance.now() / 1000, b = status?.blocks ?? {}, list = peers(status);
  const now = { at, verified: b.verified ?? 0, sent: sent(status), received: received(status), appended: status?.bytes?.appended ?? 0 };
  const rate = key => before.at ? Math.max(0, now[key] - before[key]) / (at - before.at) : null;
  lag();
  set('verified', (b.verified ?? 0).toLocaleString('en'));
  const bad = [b.rejected && `${b.rejected} rejected`, b.missed && `${b.missed} missed`].filter(Boolean).join(', ');
  set('verified-note', bad || `none rejected, ${Math.round(rate('verified') ?? 0)} a second`);
  $('verified-note').classList.toggle('alarm', b.rejected > 0);
  sparks.verified.push(rate('verified'));
  set('peers', String(list.length));
  set('peers-note', list.length ? `${bitrate(rate('received') * 8)} in, ${bitrate(rate('sent') * 8)} out` : 'nobody yet');
  sparks.peers.push(list.length);
  const r = ratio(status);
  set('shared-title', status?.role === 'streamer' ? 'Uploaded' : 'Passed on');
  set('shared', now.sent || r ? r.toFixed(1) : '0');
  set('shared-unit', '×');
  set('shared-note', now.sent ? `${bytes(now.sent)} sent, ${bytes(now.received || now.appended)} ${now.received ? 'received' : 'made'}` : 'nothing yet');
  sparks.shared.push(rate('sent'));
  before = now;
}

function lag() {
  const b = behind();
  set('lag', b === null ? '–' : seconds(b));
  set('lag-unit', b === null ? '' : 's');
  set('lag-note', b !== null ? `${(status.lag_s?.p50 ?? 0).toFixed(1)} s on the way, ${stream.ahead().toFixed(1)} s here` : status?.state === 'live' ? 'not playing' : 'not live');
  $('bar-behind').hidden = b === null;
  if (b !== null) set('bar-behind', `${seconds(b)} s behind live`);
  sparks.lag.push(b);
}

function row(cells) {
  const tr = document.createElement('tr');
  tr.append(...cells.map(text => Object.assign(document.createElement('td'), { textContent: text })));
  return tr;
}

function details() {
  if (!$('details').open) return;
  const list = peers(status);
  $('peer-rows').replaceChildren(...list.map(p => row([String(p.id).slice(0, 10), p.role, p.addr, `${Math.round(p.rtt_ms)} ms`, bitrate(p.down_bps), bitrate(p.up_bps), p.lag_s ? `${p.lag_s.toFixed(2)} s` : '–', String(p.stripes)])));
  if (!list.length) {
    const tr = row(['Nobody is connected.']);
    tr.firstChild.colSpan = 8;
    tr.firstChild.className = 'none';
    $('peer-rows').append(tr);
  }
  $('facts').replaceChildren(...Object.entries(facts()).map(([name, value]) => {
    const div = document.createElement('div');
    div.append(Object.assign(document.createElement('dt'), { textContent: name }), Object.assign(document.createElement('dd'), { textContent: value }));
    return div;
  }));
}

function facts() {
  const q = video.getVideoPlaybackQuality(), b = status?.blocks ?? {}, r = status?.renditions?.[0];
  return {
    'Picture': video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : '–',
    'Coding': codecs(stream.type).map(([name]) => name).join(', ') || '–',
    'Left out here': stream.omitted || 'nothing',
    'Frames, dropped': `${q.totalVideoFrames}, ${q.droppedVideoFrames}`,
    'Buffer, target': `${stream.ahead().toFixed(2)}, ${stream.latency.buffer(performance.now() / 1000).toFixed(2)} s`,
    'Jitter': `${Math.round(1000 * stream.latency.jitter())} ms`,
    'Speed': `${video.playbackRate.toFixed(2)}×`,
    'Stalls': String(stream.stalls),
    'On the way, p50, p99': `${(status?.lag_s?.p50 ?? 0).toFixed(2)}, ${(status?.lag_s?.p99 ?? 0).toFixed(2)} s`,
    'Rendition': r ? `${r.name}, ${bitrate(r.bitrate_bps)}` : '–',
    'Epoch': r?.epoch || '–',
    'Newest block': r ? String(r.head) : '–',
    'Missed, repaired': `${b.missed ?? 0}, ${b.repaired ?? 0}`,
    'Rejected, duplicate': `${b.rejected ?? 0}, ${b.duplicate ?? 0}`,
  };
}

function link() {
  $('share').hidden = !status?.link;
  set('link', status?.link ?? '');
}

$('details').addEventListener('toggle', details);
$('report').addEventListener('click', () => copy($('report'), JSON.stringify({ page: { ...facts(), phase: stream.phase, trouble: stream.trouble, agent: navigator.userAgent }, status }, null, 2)));
for (const button of document.querySelectorAll('[data-copy]')) {
  button.addEventListener('click', () => copy(button, $(button.dataset.copy).textContent));
}

async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    getSelection().selectAllChildren($(button.dataset.copy) ?? $('facts'));
    button.textContent = 'Press Ctrl C';
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

poll(answer => {
  status = answer;
  numbers();
  link();
  details();
  show();
});
setInterval(show, 500);
stream.open();
