// Where each stripe comes from, drawn: senders on the left, the stripes of the stream in the middle, who gets them from here on the right.

import { peers, plural } from './status.js';
import { $, set, draw } from './dom.js';

const ROW = 30, CELL = 11, GAP = 3, TOP = 26;
const HUES = 8;
let shown = '';

export function sources(status) {
  const stripes = status?.stripes ?? [], streamer = status?.role === 'streamer';
  const from = [...new Set(stripes.map(s => s.from).filter(Boolean))];
  const to = peers(status).filter(feeds);
  $('sources-panel').hidden = !stripes.length && !to.length;
  const scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16; // a television's letters are larger
  const width = Math.round($('sources').clientWidth / scale);
  const text = JSON.stringify([width, stripes, to.map(p => [p.id, p.fed]), peers(status).map(p => [p.id, p.role, p.addr])]);
  if (text === shown || !width) return;
  shown = text;
  set('sources-title', streamer ? 'Where it goes' : 'Where it comes from');
  set('sources-note', streamer ? goes(to) : comes(status, stripes, from, to));
  $('sources').replaceChildren(picture(width, status, stripes, from, to, streamer));
}

// feeds tells whether a peer takes stripes from us.
const feeds = p => p.fed > 0;

function comes(status, stripes, from, to) {
  const dry = stripes.filter(s => !s.from || !s.flows).length;
  const parts = [`The stream comes in ${plural(stripes.length, 'stripe', 'stripes')} from ${plural(from.length, 'node', 'nodes')}${from.length > 1 ? ', so nobody can hold it up alone' : ''}`];
  if (dry) parts.push(`${plural(dry, 'stripe is', 'stripes are')} asked for elsewhere just now`);
  if (to.length) parts.push(`you pass it on to ${plural(to.length, 'node', 'nodes')}`);
  return `${parts.join('; ')}.`;
}

function goes(to) {
  if (!to.length) return 'Nobody takes it yet.';
  return `You send each stripe to about two nodes, and they pass it on. ${plural(to.length, 'node gets', 'nodes get')} some directly.`;
}

function picture(width, status, stripes, from, to, streamer) {
  const n = Math.max(1, stripes.length), column = n * (CELL + GAP) - GAP;
  const rows = Math.max(from.length, to.length, 1);
  const height = TOP + Math.max(rows * ROW, column) + 6;
  const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': $('sources-note').textContent });
  const who = Object.fromEntries(peers(status).map(p => [p.id, p]));
  const narrow = width < 520, label = Math.min(168, width * 0.34), half = narrow ? 20 : 44;
  const middle = streamer ? half : to.length ? Math.round(width / 2) : width - half;
  const y = (i, count) => TOP + (height - TOP - 6) * (i + 0.5) / count;
  const cell = i => TOP + (height - TOP - 6 - column) / 2 + i * (CELL + GAP);
  if (streamer) head(svg, 0, 'You', 'start');
  else head(svg, to.length ? middle : width, narrow ? 'You' : 'You, in stripes', to.length ? 'middle' : 'end');
  if (!streamer) head(svg, 0, 'From', 'start');
  if (to.length) head(svg, width, 'To', 'end');
  stripes.forEach((s, i) => {
    const at = from.indexOf(s.from), y2 = cell(i) + CELL / 2;
    const hue = s.from && s.flows ? `hue${at % HUES}` : 'dry';
    svg.append(draw('rect', { x: middle - half, y: cell(i), width: 2 * half, height: CELL, rx: 3, class: `cell ${hue}` }, title(told(s, who))));
    if (at < 0) return;
    svg.append(curve(label, y(at, from.length) + spread(i, n), middle - half, y2, `hue${at % HUES}${s.flows ? '' : ' weak'}`));
  });
  const whole = { x: middle - half, y: TOP + 4, width: 2 * half, height: height - TOP - 14, rx: 6, class: 'cell hue0' };
  if (!stripes.length) svg.append(draw('rect', whole));
  from.forEach((id, i) => {
    const count = stripes.filter(s => s.from === id).length;
    chip(svg, 0, y(i, from.length), label, who[id], `${count}${narrow ? '/' : ' of '}${stripes.length}`, `hue${i % HUES}`);
  });
  to.forEach((p, i) => {
    const count = p.fed;
    const lines = Math.min(count, 16), top = streamer ? TOP + 4 : cell(0), tall = streamer ? height - TOP - 14 : column;
    for (let k = 0; k < lines; k++) { // which stripes they are is not told; evenly spread they are
      const part = (k + (i + 0.5) / to.length) / lines;
      svg.append(curve(middle + half, top + tall * part, width - label, y(i, to.length) + spread(k, count), 'out'));
    }
    chip(svg, width - label, y(i, to.length), label, p, narrow ? String(count) : plural(count, 'stripe', 'stripes'), 'out');
  });
  return svg;
}

// told is what the pointer is told of a stripe.
function told(s, who) {
  const from = s.from ? `from ${who[s.from]?.role ?? 'node'} ${s.from}, ${plural(s.hops, 'hop', 'hops')} from the broadcaster` : 'from nobody just now';
  return `Stripe ${s.number + 1}: ${from}`;
}

const spread = (i, n) => (n > 1 ? (i / (n - 1) - 0.5) * 14 : 0);

function head(svg, x, text, anchor = 'middle') {
  svg.append(draw('text', { x, y: 12, class: 'head', 'text-anchor': anchor }, text));
}

const title = text => draw('title', {}, text);

function curve(x1, y1, x2, y2, name) {
  const bend = (x2 - x1) * 0.5;
  const at = (x, y) => `${x.toFixed(1)},${y.toFixed(1)}`;
  return draw('path', { d: `M${at(x1, y1)}C${at(x1 + bend, y1)} ${at(x2 - bend, y2)} ${at(x2, y2)}`, class: `thread ${name}` });
}

function chip(svg, x, y, width, peer, count, name) {
  const g = draw('g', { class: `node ${name}`, transform: `translate(${x.toFixed(1)},${(y - 12).toFixed(1)})` });
  g.append(draw('rect', { width: width.toFixed(1), height: 24, rx: 7 }), draw('text', { x: 10, y: 16 }, peer?.role ?? 'gone'));
  g.append(draw('text', { x: (width - 8).toFixed(1), y: 16, 'text-anchor': 'end', class: 'count' }, count));
  g.append(title(peer ? `${peer.role} ${peer.id}, ${peer.addr}` : 'a node that has gone'));
  svg.append(g);
}
