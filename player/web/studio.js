// The streamer's page: how the input does, who watches, the link, and what to paste into an encoder.

import { bitrate, bytes, plural, peers, viewers, reached } from './status.js';
import { $, set, rows, make } from './dom.js';
import { OBS_HOW, forOBS, forFFmpeg } from './encoders.js';

const PER_GB = 0.05; // what a gigabyte out of a data centre costs at the large providers, dollars

let told = '';

export function studio(status, base) {
  const on = status?.role === 'streamer';
  $('studio').hidden = !on;
  if (!on) return;
  ingest(status.ingest ?? {}, rungs(status.inputs, base));
  inputs(status.ingest ?? {}, base);
  audience(status);
  link(status, base);
  const text = JSON.stringify([status.ingest?.push, status.ingest?.input]);
  if (text !== told) {
    told = text;
    $('recipes').replaceChildren(...recipes(status.ingest ?? {}, base));
  }
}

// rungs says of each of several renditions how its input does; what is said below it is of the best one.
export function rungs(inputs, base) {
  return Object.fromEntries((inputs ?? []).map(i => {
    const push = reached(i.push ?? {}, base), to = push.rtsp ?? push.http;
    return [i.rendition, i.bitrate_bps ? `${bitrate(i.bitrate_bps)}, ${i.tracks.join(', ')}` : `nothing comes${to ? `; an encoder can send to ${to}` : ''}`];
  }));
}

function ingest(i, renditions) {
  rows('ingest', {
    ...renditions,
    'Input': i.input || (i.bitrate_bps ? 'an encoder that sends here' : 'waiting for an encoder'),
    'Tracks': i.tracks?.join(', ') || '–',
    'Bit rate': bitrate(i.bitrate_bps),
    'Pictures a second': i.fps ? i.fps.toFixed(i.fps % 1 > 0.05 ? 2 : 0) : '–',
    'Keyframe every': i.keyframe_s ? `${i.keyframe_s.toFixed(1)} s${i.keyframe_s > 2 ? ', too seldom' : ''}` : '–',
    'Lost packets, damaged pictures': `${i.lost_packets ?? 0}, ${i.damaged_samples ?? 0}`,
    'Of SRT: came again, came too late': i.retransmitted || i.lost_datagrams ? `${i.retransmitted}, ${i.lost_datagrams}` : '–',
    'Refused, without the stream key': `${i.refused ?? 0}`,
    'Jumps of its clock, reconnections': `${i.discontinuities ?? 0}, ${i.reconnects ?? 0}`,
    'Its clock': clock(i.sources?.find(s => s.on_air)),
    'Received': bytes(i.bytes ?? 0),
  });
}

// clock says how an encoder's clock runs against this computer's.
function clock(source) {
  const ppm = source?.clock_drift_ppm;
  if (ppm === null || ppm === undefined) return '–';
  const off = Math.round(Math.abs(ppm));
  return off < 3 ? 'runs as ours' : `${off} ppm ${ppm > 0 ? 'fast' : 'slow'}`;
}

// inputs are shown where there is more than one: who stands by matters before it is needed.
let listed = '';
function inputs(i, base) {
  const sources = i.sources ?? [];
  $('inputs-panel').hidden = sources.length < 2;
  const on = sources.find(s => s.on_air);
  set('inputs-note', `${on ? `Viewers see the ${on.name} input.` : 'No input is on air yet.'} ${i.switches ? `Switched ${plural(i.switches, 'time', 'times')} so far. ` : ''}The first that delivers is on air; a better one returns by itself.`);
  const text = JSON.stringify(sources);
  if (text === listed) return;
  listed = text;
  $('input-rows').replaceChildren(...sources.map(s => row(s, base)));
}

function row(s, base) {
  const push = reached(s.push ?? {}, base);
  const name = make('div', {}, s.name[0].toUpperCase() + s.name.slice(1), make('small', { textContent: push.rtsp ?? push.http ?? s.input }));
  const state = make('div', {}, make('span', { 'data-state': s.state, textContent: s.on_air && s.state !== 'on air' ? `${s.state}, still on air` : s.state }));
  const why = s.reason || (s.state === 'down' ? s.last_error : '');
  if (why) state.append(make('small', { textContent: why }));
  const cells = {
    'Bit rate': bitrate(s.bitrate_bps), 'Pictures': s.fps ? s.fps.toFixed(s.fps % 1 > 0.05 ? 2 : 0) : '–', 'Keyframes': s.keyframe_s ? `${s.keyframe_s.toFixed(1)}\u00a0s` : '–',
    'Losses': [[s.lost_packets, 'lost'], [s.damaged_samples, 'damaged'], [s.dropped_samples, 'dropped']].filter(([n]) => n).map(([n, what]) => `${n} ${what}`).join(', ') || '–', 'Clock': clock(s),
  };
  return make('tr', {}, make('td', { 'data-name': 'Input' }, name), make('td', { 'data-name': 'State' }, state), ...Object.entries(cells).map(([name, textContent]) => make('td', { 'data-name': name, textContent })));
}

function audience(status) {
  const a = status.audience ?? {}, inner = peers(status).filter(p => p.inner), lags = viewers(status).map(p => p.lag_s).filter(l => l !== null && l !== undefined).sort((x, y) => x - y);
  const delivered = a.delivered ?? 0, saved = Math.max(0, delivered - (a.sent ?? 0)), rate = (status.renditions ?? []).reduce((sum, r) => sum + r.bitrate_bps, 0);
  rows('audience', {
    'Watching, about': plural((a.connected ?? 0) + (a.heard_of ?? 0), 'node', 'nodes'),
    'Connected to you': plural(a.connected ?? 0, 'node', 'nodes'),
    'They have it after': lags.length ? `${lags[lags.length >> 1].toFixed(2)} s, the slowest ${lags.at(-1).toFixed(2)} s` : '–',
    'You send now': bitrate((status.upload?.rate_bps ?? 0) - inner.reduce((sum, p) => sum + p.up_bps, 0)),
    'A server would send': bitrate(rate * ((a.connected ?? 0) + (a.heard_of ?? 0))),
    'Not sent by you so far': bytes(saved),
    'Saved so far': `$${(saved / 1e9 * PER_GB).toFixed(2)}`,
  });
  set('audience-note', `Nodes are counted as others name them; nobody is asked, and no names or addresses are kept. Money at $${PER_GB.toFixed(2)} a gigabyte.`);
}

let coded = '';
function link(status, base) {
  set('own-link', status.link ?? '');
  set('own-command', `viewer '${status.link ?? ''}'`);
  if (status.link && coded !== status.link) {
    coded = status.link;
    const address = new URL('api/v1/link.svg', base);
    address.searchParams.set('v', status.link.slice(-12)); // another link is another picture
    $('qr').src = $('qr-link').href = address.href;
  }
}

// recipes are for the way that is open: a push, or a UDP port.
function recipes(i, base) {
  const push = reached(i.push ?? {}, base), out = [];
  const { http, rtsp, whip } = push, keyed = /YOUR-KEY/.test(http + rtsp), udp = /^udp:/.test(i.input ?? '') ? i.input : '';
  const url = http ?? (udp ? `${udp}?pkt_size=1316` : '');
  out.push(...forOBS(i.push ?? {}, base).map(([name, fields]) => recipe(name, OBS_HOW, fields)));
  for (const [name, id, to] of forFFmpeg(i.push ?? {}, base)) out.push(command(name, `ffmpeg -re -stream_loop -1 -i film.mp4 ${CODED} ${to}`, id));
  const to = `-f mpegts ${http ? '-method PUT ' : ''}"${url}"`;
  if (whip) {
    out.push(recipe('OBS Studio, over WHIP', 'Settings → Stream; then “Start Streaming”.', [
      ['Service', 'WHIP'], ['Server', whip], ['Bearer Token', keyed ? 'YOUR-KEY' : '(leave it empty)'],
      ['Keyframe Interval (Output)', '1 s'], ['B-frames (Output)', '0'],
    ]));
  }
  if (url) {
    out.push(recipe('OBS Studio, over HTTP', 'Settings → Output → Output Mode “Advanced” → tab “Recording”, then “Start Recording”.', [
      ['Type', 'Custom Output (FFmpeg)'], ['FFmpeg Output Type', 'Output to URL'], ['File path or URL', url], ['Container Format', 'mpegts'],
      ['Video Bitrate', '4000 Kbps'], ['Keyframe interval (frames)', '30'], ['Video Encoder', 'libx264'],
      ['Video Encoder Settings', 'preset=veryfast tune=zerolatency'], ['Audio Bitrate', '128 Kbps'], ['Audio Encoder', 'aac'],
    ]));
    out.push(command('ffmpeg, from a file', `ffmpeg -re -stream_loop -1 -i film.mp4 ${CODED} ${to}`, 'ff-file'));
    out.push(command('ffmpeg, a test picture with a tone', `ffmpeg -re ${TEST} ${CODED} ${to}`, 'ff-test'));
  }
  if (rtsp) {
    out.push(command('ffmpeg, over RTSP', `ffmpeg -re -stream_loop -1 -i film.mp4 ${CODED} -f rtsp -rtsp_transport tcp "${rtsp}"`, 'ff-rtsp'));
  }
  if (!out.length) {
    const text = `This run airs ${i.input || 'its own input'}. Start “streamer” without an INPUT, and it waits for OBS or ffmpeg; this page then shows what to paste.`;
    out.push(make('p', { className: 'note', textContent: text }));
  }
  if (keyed) {
    out.push(make('p', { className: 'note', textContent: 'YOUR-KEY stands for the stream key: “streamer key stream” shows it on the machine of the streamer, this page does not.' }));
  }
  const why = 'A keyframe each second (here: every 30 frames) lets people join and seek within a second. H.264 with AAC plays in every browser.';
  out.push(make('p', { className: 'note', textContent: why }));
  return out;
}

const TEST = '-f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000';
const CODED = '-c:v libx264 -preset veryfast -tune zerolatency -b:v 4M -maxrate 4M -bufsize 4M -g 30 -pix_fmt yuv420p -c:a aac -b:a 128k';

function recipe(name, how, fields) {
  return make('div', { className: 'recipe' }, make('h3', { textContent: name }), make('p', { className: 'note', textContent: how }),
    make('dl', { className: 'facts' }, ...fields.map(([term, value]) => make('div', {}, make('dt', { textContent: term }), make('dd', {}, make('code', { textContent: value }))))));
}

function command(name, text, id) {
  return make('div', { className: 'recipe' }, make('h3', { textContent: name }),
    make('div', { className: 'way' }, make('code', { textContent: text, id }), make('button', { type: 'button', className: 'button', textContent: 'Copy', 'aria-label': `Copy: ${name}`, 'data-copy': id })));
}
