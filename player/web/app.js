// The page: what it shows over and under the picture, and what holds its parts together.

import { Stream } from './stream.js';
import { Edge } from './edge.js';
import { list } from './codecs.js';
import { listen, verdict, summary, bitrate, watched } from './status.js';
import { Quality, tell } from './renditions.js';
import { troubles } from './trouble.js';
import { controls } from './controls.js';
import { Truth } from './truth.js';
import { studio } from './studio.js';
import { channels } from './channels.js';
import { onAir } from './guide.js';
import { $, set, rows, copies } from './dom.js';

const base = new URL('.', document.baseURI).href; // several channels and the home network have the page in folders
const video = $('video');

let status; // undefined before the first answer, null without contact
const edge = new Edge();
const stream = new Stream(video, base, edge, () => show());
const quality = new Quality();
const panel = controls($, video, stream, edge, quality, name => take(name));
const truth = new Truth(stream);
stream.onReplace = () => still(true);
stream.onBlocked = () => { // the browser wants a click before there is sound
  if (video.muted) return stream.pause();
  video.muted = true;
  stream.start();
};
for (const event of ['playing', 'seeked']) video.addEventListener(event, () => { if (video.readyState >= 2) still(false); });
video.addEventListener('loadedmetadata', radio);

// take watches another rendition, and lets the node follow that one.
function take(name) {
  quality.choose(name, performance.now() / 1000);
  change();
}

function change() {
  const name = quality.now;
  stream.chosen = true;
  const shown = stream.show(name);
  if (status?.role !== 'streamer') shown.then(() => tell(base, name)); // also while there is no contact: it may be back
  elsewhere();
  show();
}

// look goes down to a lower rendition if the line does not carry the one that is watched. hls.js does that by itself.
function look() {
  const lacking = stream.live && !stream.paused && stream.placed && stream.state === 'buffering' && status?.state === 'live';
  if (stream.way === 'frames' && !document.hidden && quality.look(performance.now() / 1000, lacking, status?.silent_s ?? 0)) change();
}

// radio is the look of what has no picture.
function radio() {
  const on = video.videoWidth === 0 && video.readyState > 0;
  $('radio').hidden = !on;
  $('stage').classList.toggle('wave', on);
}

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

// behind is how old what is shown is when it is live: the way here, by the node's measure, and what waits in the buffer; a mean of the last
// second or two, so that the page says one number everywhere. null if it is not known.
let mean = null;
function behind() {
  return stream.phase !== 'playing' || !stream.live || status?.state !== 'live' ? null : mean;
}

function measure() {
  const now = stream.phase === 'playing' && stream.live ? (status?.lag_s?.p50 ?? 0) + stream.ahead() : null;
  mean = now === null || mean === null || Math.abs(now - mean) > 1 ? now : mean + (now - mean) * 0.2;
}

// ago is how long ago what is shown was aired, if it is the past; null if it is live.
function ago() {
  const at = stream.live ? null : stream.wall();
  return at === null || !edge.known ? null : Math.max(0, (edge.wall(performance.now() / 1000) - at) / 1000);
}

function show() {
  const v = verdict(status);
  $('pill').dataset.tone = v.tone;
  set('pill-label', v.label);
  set('sentence', summary(status, behind(), ago()));
  set('title', status?.title || 'Live channel');
  set('radio-title', status?.title || 'Live channel');
  document.title = `${v.tone === 'live' ? '' : `${v.label} · `}${status?.title || 'Tailcast'}`;
  programme();
  veil(v);
  trouble();
  $('stage').classList.toggle('running', stream.phase === 'playing');
  panel.redraw();
}

const BRIEF = 0.6; // seconds that a picture may stand still before we say so

// veil says over the picture why there is none.
function veil(v) {
  const [title, text, busy] = words(v);
  $('veil').dataset.shown = String(title !== '');
  if (title) {
    set('veil-title', title);
    set('veil-text', text.replaceAll(/-(?=\d)/g, '\u2011')); // no line ends within AC-3
  }
  $('ring').hidden = !busy;
  const refused = stream.state === 'refused';
  $('veil-elsewhere').hidden = !refused;
  $('mute-it').hidden = !(refused && stream.codes?.length && stream.codes.every(c => /^(mp4a|ac-3|ec-3|opus)/i.test(c)) && /^video/.test(stream.type));
}

function words(v) {
  if (stream.state === 'refused') return ['Not in this browser', `${stream.trouble} The channel itself is well: mpv and VLC play it.`, false];
  if (stream.paused && stream.placed) return ['', '', false];
  const past = !stream.live;
  if (stream.state === 'playing') return v.tone === 'bad' && !past && stream.ahead() < 0.05 ? [v.label, v.reason, false] : ['', '', false];
  if (stream.state === 'buffering' && stream.lasts() < BRIEF) return ['', '', false];
  if (stream.state === 'connecting' && stream.lasts() < BRIEF && !$('still').hidden) return ['', '', false];
  if (past) return ['One moment', stream.trouble || 'Fetching what was aired then.', true];
  if (v.tone !== 'live') return [v.label, v.reason, v.tone === 'wait'];
  return stream.state === 'buffering' ? ['One moment', 'Waiting for the next pictures.', true] : ['Connecting', stream.trouble, true];
}

// programme says what is on, as the broadcaster's guide has it.
function programme() {
  const text = stream.live ? onAir(status?.guide, Date.now()) : '';
  $('programme').hidden = !text;
  set('programme', text);
}

// What the page itself sees, for troubles.
let waiting = null; // since when the node waits, ms
let frames = { at: 0, total: 0, dropped: 0, part: 0 };
function seen() {
  const q = video.getVideoPlaybackQuality?.() ?? { totalVideoFrames: 0, droppedVideoFrames: 0 }, now = performance.now();
  if (now - frames.at > 5000) {
    const total = q.totalVideoFrames - frames.total, dropped = q.droppedVideoFrames - frames.dropped;
    frames = { at: now, total: q.totalVideoFrames, dropped: q.droppedVideoFrames, part: total > 30 ? dropped / total : 0 };
  }
  waiting = status?.state === 'waiting' ? waiting ?? now : null;
  const starving = stream.live && !stream.paused && stream.state === 'buffering' ? stream.lasts() : 0;
  return { phase: stream.phase, trouble: stream.trouble, stalls: stream.stallsLately(), dropped: frames.part, starving, lower: quality.trouble(), waited: waiting === null ? undefined : (now - waiting) / 1000 };
}

let told = '';
function trouble() {
  const found = troubles(status, seen()), text = JSON.stringify(found);
  if (text === told) return; // a screen reader hears a list again whenever it is made anew
  told = text;
  $('troubles').hidden = found.length === 0;
  $('troubles').replaceChildren(...found.map(t => {
    const li = document.createElement('li');
    Object.assign(li.dataset, { tone: t.tone, trouble: t.id });
    li.append(Object.assign(document.createElement('strong'), { textContent: t.what }), Object.assign(document.createElement('span'), { textContent: t.todo }));
    if (t.action) li.append(button(t.action));
    return li;
  }));
}

// button is what can be done about a trouble here.
function button({ id, label }) {
  const b = Object.assign(document.createElement('button'), { type: 'button', className: 'button', textContent: label });
  b.dataset.action = id;
  b.addEventListener('click', () => { quality.back(performance.now() / 1000); change(); });
  return b;
}

function details() {
  if ($('details').open) rows('facts', facts());
}

function facts() {
  const q = video.getVideoPlaybackQuality?.() ?? {}, r = watched(status, quality.now);
  return {
    'Picture': video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : '–',
    'Coding': list(stream.type).map(([name]) => name).join(', ') || '–',
    'Left out here': stream.omitted || 'nothing',
    'Way': stream.way === 'frames' ? 'frame by frame' : 'HLS',
    'Frames, dropped': `${q.totalVideoFrames ?? 0}, ${q.droppedVideoFrames ?? 0}`,
    'Buffer, target': `${stream.ahead().toFixed(2)}, ${stream.latency.buffer(performance.now() / 1000).toFixed(2)} s`,
    'Jitter': `${Math.round(1000 * stream.latency.jitter())} ms`,
    'Speed': `${video.playbackRate.toFixed(2)}×`,
    'Stalls': String(stream.stalls),
    'On the way, p50, p99': `${(status?.lag_s?.p50 ?? 0).toFixed(2)}, ${(status?.lag_s?.p99 ?? 0).toFixed(2)} s`,
    'Rendition': r ? `${r.name}, ${bitrate(r.bitrate_bps)}` : '–',
    'Run (epoch)': r?.epoch || '–',
    'Newest block': r ? r.head.toLocaleString('en') : '–',
    'Kept here from': r?.kept ? new Date(r.kept.from).toLocaleString() : '–',
  };
}

// report is what helps somebody who helps; the QR code and the link are in the status already.
function report() {
  const said = [...$('troubles').querySelectorAll('li')].map(li => li.innerText);
  const page = {
    ...facts(), phase: stream.phase, live: stream.live, behind: behind(), trouble: stream.trouble, type: stream.type, agent: navigator.userAgent,
  };
  const shared = status && { ...status, lan: undefined }; // the address for the home network is a secret
  return JSON.stringify({ sentence: $('sentence').textContent, troubles: said, at: new Date().toISOString(), page, status: shared }, null, 2);
}

$('details').addEventListener('toggle', details);
$('mute-it').addEventListener('click', () => stream.choose('none'));
for (const a of document.querySelectorAll('[data-href]')) a.href = new URL(a.dataset.href, base).href;
copies({ report });

// elsewhere names the container that carries the channel to other players: TS, unless a codec has no place there.
function elsewhere() {
  const mp4 = watched(status, quality.now)?.codecs?.some(c => /^(vp9|vp09|av1|av01)/.test(c));
  const which = quality.now === null ? '' : `&rendition=${quality.now}`;
  const url = new URL(`${mp4 ? 'live.mp4' : 'live.ts'}?join=next${which}`, base).href;
  set('mpv', `mpv --profile=low-latency "${url}"`);
  set('vlc', `vlc --network-caching=300 "${url}"`);
  set('veil-command', $('mpv').textContent);
}

// home is for the other devices of the house: the address that the node has for them, or how to get one.
let house;
function home() {
  const url = status?.lan?.[0] ?? '';
  if (!status || url === house) return;
  house = url;
  $('home').hidden = $('home-code').hidden = !url;
  $('home-note').hidden = Boolean(url) || status.role !== 'viewer' || base.endsWith('/c/viewer/'); // a streamer has no --lan
  if (!url) return;
  set('home-link', url);
  $('home-qr').src = new URL(`api/v1/lan.svg?v=${url.length}`, base).href;
}

let link = '';
listen(base, answer => {
  status = answer;
  quality.seen(status?.renditions);
  const kept = watched(status, quality.now)?.kept;
  if (kept) edge.saw(performance.now() / 1000, Date.parse(kept.to));
  panel.keep(kept ? { from: Date.parse(kept.from), to: Date.parse(kept.to) } : null);
  if (status?.link && status.link !== link) {
    link = status.link;
    set('link', link);
    $('share').hidden = status.role === 'streamer';
  }
  elsewhere();
  home();
  if (status?.role === 'streamer' && status.silent_s > 1) stream.excuse(status.silent_s); // no line lies between: it is the encoder that sends nothing
  truth.show(status, behind());
  studio(status, base);
  details();
  show();
});
setInterval(() => { measure(); look(); show(); }, 250);
elsewhere();
channels(base);
stream.open();
