// What the truth panel must show of a status, label by label: told apart from truth.js and studio.js, which share only the units with it.
import assert from 'node:assert/strict';
import { bitrate, bytes, plural } from '../status.js';

const number = n => n.toLocaleString('en');
const media = t => t.media + t.repair;
const total = t => t.media + t.proofs + t.control + t.repair;
const plain = value => JSON.parse(JSON.stringify(value).replaceAll(/[\u00a0\u202f]/g, ' '));

// read takes what the page shows just after it has drawn a status, and that status; mark is what the status must say it is.
export async function read(page, mark) {
  const seen = await page.evaluate(async mark => {
    const { witness } = globalThis, details = document.getElementById('details'), wasOpen = details.open;
    details.open = true; // else they are not drawn
    const next = () => new Promise((done, fail) => { witness.drawn = done; setTimeout(fail, 60000, new Error('no status comes')); });
    do await next(); while (witness.statuses.at(-1).status.staged !== mark);
    const { statuses } = witness, last = statuses.at(-1);
    const text = id => document.getElementById(id).textContent;
    const texts = selector => [...document.querySelectorAll(selector)].map(e => e.textContent);
    const chip = g => ({ name: g.querySelector('title').textContent, count: g.querySelector('.count').textContent });
    const terms = id => Object.fromEntries([...document.querySelectorAll(`#${id} > div`)].map(d => [d.firstChild.textContent, d.lastChild.textContent]));
    const seen = {
      ...last, earlier: statuses.slice(-6, -1), language: navigator.language, mean: witness.mean,
      figures: Object.fromEntries(['lag', 'buffer', 'down', 'shared', 'verified', 'saved'].map(id => [id, `${text(id)} ${text(`${id}-unit`)}`])),
      notes: Object.fromEntries(['lag', 'buffer', 'down', 'shared', 'saved', 'sources'].map(id => [id, text(`${id}-note`)])),
      terms: Object.fromEntries(['blocks', 'traffic', 'audience', 'ingest', 'facts'].map(id => [id, terms(id)])),
      peers: [...document.querySelectorAll('#peer-rows tr')].map(tr => Object.fromEntries([...tr.children].map(td => [td.dataset.name, td.textContent]))),
      drawn: document.getElementById('sources-panel').hidden ? null : {
        title: text('sources-title'), heads: texts('#sources .head'), stripes: texts('#sources .cell title'), threads: document.querySelectorAll('#sources .thread.out').length,
        from: [...document.querySelectorAll('#sources .node:not(.out)')].map(chip), to: [...document.querySelectorAll('#sources .node.out')].map(chip),
      },
      parts: [...document.getElementById('stack').children].filter(i => !i.hidden).map(i => i.dataset.kind), refused: texts('#refused li'),
    };
    details.open = wasOpen;
    return seen;
  }, mark);
  return plain(seen);
}

// same wants every number on the page to be that of the status it drew.
export function same(seen) {
  const { status: s, language } = seen, streamer = s.role === 'streamer';
  const { blocks, traffic, facts, ...studio } = seen.terms;
  assert.deepEqual(traffic, plain(traffics(s)));
  assert.deepEqual(blocks, plain(streamer ? kept(s, language) : results(s.blocks)));
  assert.equal(seen.figures.verified, streamer ? `${number(s.renditions[0].head)} blocks signed in this run` : `${number(s.blocks.verified)} blocks verified`);
  assert.equal(seen.figures.saved, streamer ? `${Math.round(100 * Math.max(0, 1 - s.audience.sent / s.audience.delivered))} % of your upload` : `${Math.round(100 * s.blocks.by_others / s.blocks.verified)} % of the broadcaster’s upload to you`);
  assert.equal(seen.figures.shared, `${(media(s.bytes.sent) / (streamer ? s.bytes.appended : media(s.bytes.received))).toFixed(1)} ×`);
  assert.ok(seen.notes.shared.endsWith(plain(` now, ${bytes(total(s.bytes.sent))} in all`)), seen.notes.shared);
  if (streamer) assert.equal(seen.notes.down, plain(`${bytes(s.bytes.appended)} since the start`));
  assert.deepEqual(seen.peers, plain(s.peers.map(peer)));
  if (!streamer) assert.deepEqual(seen.parts, ['verified', 'repaired', 'missed', 'rejected'].filter(kind => s.blocks[kind] > 0), 'the bar of blocks has other parts');
  assert.deepEqual(seen.drawn, drawing(s));
  if (seen.drawn) assert.equal(seen.notes.sources, ways(s));
  assert.equal(seen.notes.saved, plain(streamer ? `A server would have sent ${bytes(s.audience.delivered)} to so many; you sent ${bytes(s.audience.sent)}.` : 'So much of what you watched came from other viewers and relays, and cost the broadcaster nothing.'));
  for (const [label, value] of Object.entries(plain(details(s, language)))) assert.equal(facts[label], value, label);
  assert.deepEqual(seen.refused, plain(s.refused.slice(-5).reverse().map(r => `${new Date(r.at).toLocaleTimeString(language)}: ${r.role} ${r.id} (${r.addr}) ${r.why}`)));
  if (streamer) studios(seen, studio);
}

const results = b => ({
  'Repaired (asked for one by one)': number(b.repaired), 'Missed (came from nobody in time)': number(b.missed), 'Refused (did not verify)': number(b.rejected), 'Came twice': number(b.duplicate),
});

const kept = (s, language) => ({
  'Runs of this channel condemned': String(s.faults.length),
  'Kept on disk': s.history ? `${bytes(s.history.bytes)}, since ${new Date(s.history.from).toLocaleString(language)}` : 'nothing',
  'Channel note ends': s.note_expires ? new Date(s.note_expires).toLocaleDateString(language) : '–',
});

function traffics({ bytes: { received, sent } }) {
  const both = kind => `${bytes(received[kind])}, ${bytes(sent[kind])}`;
  return { 'Pictures and sound, in, out': both('media'), 'Repairs, in, out': both('repair'), 'Proofs and signatures, in, out': both('proofs'), 'Control, in, out': both('control') };
}

const PATHS = { 'this machine': 'This machine', lan: 'LAN', direct: 'Direct', relay: 'Relay' };
const peer = p => ({
  'Node': p.id, 'Role': p.role, 'Path': `${PATHS[p.path]} ${p.addr}`, 'Round trip': `${p.rtt_ms < 10 ? p.rtt_ms.toFixed(1) : Math.round(p.rtt_ms)} ms`, 'From it': bitrate(p.down_bps), 'To it': bitrate(p.up_bps),
  'Behind': p.lag_s === null ? '–' : `${p.lag_s.toFixed(2)} s`, 'Stripes': String(p.stripes),
});

// details are those that come from the status.
function details({ lag_s, renditions: [r] }, language) {
  return {
    'On the way, p50, p99': `${lag_s.p50.toFixed(2)}, ${lag_s.p99.toFixed(2)} s`, 'Rendition': `${r.name}, ${bitrate(r.bitrate_bps)}`, 'Run (epoch)': r.epoch,
    'Newest block': number(r.head), 'Kept here from': r.kept ? new Date(r.kept.from).toLocaleString(language) : '–',
  };
}

// senders are those of whom stripes come, in the order of their first one; takers are those to whom some go.
const senders = s => [...new Set((s.stripes ?? []).filter(x => x.from).map(x => x.from))];
const takers = s => s.peers.filter(p => p.fed > 0);

// drawing is what the picture of the stripes has, on a wide screen; null if there is nothing to draw.
function drawing(s) {
  const stripes = s.stripes ?? [], to = takers(s), streamer = s.role === 'streamer';
  if (!stripes.length && !to.length) return null;
  const name = id => { const p = s.peers.find(p => p.id === id); return p ? `${p.role} ${p.id}, ${p.addr}` : 'a node that has gone'; };
  return {
    title: streamer ? 'Where it goes' : 'Where it comes from', heads: [...streamer ? ['You'] : ['You, in stripes', 'From'], ...to.length ? ['To'] : []],
    stripes: stripes.map(x => stripe(x, s.peers)), threads: to.reduce((sum, p) => sum + Math.min(16, p.fed), 0),
    from: senders(s).map(id => ({ name: name(id), count: `${stripes.filter(x => x.from === id).length} of ${stripes.length}` })),
    to: to.map(p => ({ name: name(p.id), count: plural(p.fed, 'stripe', 'stripes') })),
  };
}

// ways is what is said above it.
function ways(s) {
  const to = takers(s).length, from = senders(s).length, dry = (s.stripes ?? []).filter(x => !x.from || !x.flows).length;
  if (s.role === 'streamer') return to ? `You send each stripe to about two nodes, and they pass it on. ${plural(to, 'node gets', 'nodes get')} some directly.` : 'Nobody takes it yet.';
  return `${[
    `The stream comes in ${plural(s.stripes.length, 'stripe', 'stripes')} from ${plural(from, 'node', 'nodes')}${from > 1 ? ', so nobody can hold it up alone' : ''}`,
    dry ? `${plural(dry, 'stripe is', 'stripes are')} asked for elsewhere just now` : '', to ? `you pass it on to ${plural(to, 'node', 'nodes')}` : '',
  ].filter(Boolean).join('; ')}.`;
}

function stripe(s, peers) {
  const role = peers.find(p => p.id === s.from)?.role ?? 'node';
  return `Stripe ${s.number + 1}: ${s.from ? `from ${role} ${s.from}, ${plural(s.hops, 'hop', 'hops')} from the broadcaster` : 'from nobody just now'}`;
}

// studios is what the streamer's own part says: its audience, what that costs and saves, and what is lost on the way in.
function studios({ status: s }, { audience, ingest }) {
  const a = s.audience, nodes = a.connected + a.heard_of, spared = Math.max(0, a.delivered - a.sent);
  const lags = s.peers.map(p => p.lag_s).filter(l => l !== null).toSorted((x, y) => x - y);
  assert.deepEqual(audience, plain({
    'Watching, about': plural(nodes, 'node', 'nodes'), 'Connected to you': plural(a.connected, 'node', 'nodes'),
    'They have it after': lags.length ? `${lags[Math.floor(lags.length / 2)].toFixed(2)} s, the slowest ${Math.max(...lags).toFixed(2)} s` : '–',
    'You send now': bitrate(s.upload.rate_bps), 'A server would send': bitrate(nodes * s.renditions.reduce((sum, r) => sum + r.bitrate_bps, 0)),
    'Not sent by you so far': bytes(spared), 'Saved so far': `$${(0.05 * spared / 1e9).toFixed(2)}`,
  }));
  const i = s.ingest, losses = {
    'Bit rate': bitrate(i.bitrate_bps), 'Lost packets, damaged pictures': `${i.lost_packets}, ${i.damaged_samples}`, 'Refused, without the stream key': String(i.refused),
    'Of SRT: came again, came too late': i.retransmitted || i.lost_datagrams ? `${i.retransmitted}, ${i.lost_datagrams}` : '–',
    'Jumps of its clock, reconnections': `${i.discontinuities}, ${i.reconnects}`, 'Received': bytes(i.bytes),
  };
  for (const [label, value] of Object.entries(plain(losses))) assert.equal(ingest[label], value, label);
}

// flows wants the rates to be what the counters grew by since one of the statuses just before, by the node's clock.
export function flows({ status, earlier, figures, notes }) {
  const streamer = status.role === 'streamer', kbit = text => (/^[\d.]+ Mbit/.test(text) ? 1000 : 1) * (parseFloat(text) || 0);
  const grew = (what, slack, shown, count) => {
    const rates = earlier.map(e => (count(status) - count(e.status)) / (status.uptime_s - e.status.uptime_s));
    assert.ok(rates.some(r => Math.abs(r - shown) <= slack + (r > 1000 ? 50 : 0)), `${what}: ${shown} is shown, the counters say ${rates}`);
  };
  grew('coming in', 1, kbit(figures.down), s => 8e-3 * (streamer ? s.bytes.appended : total(s.bytes.received)));
  grew('going out', 1, kbit(notes.shared), s => 8e-3 * total(s.bytes.sent));
  if (!streamer) grew('blocks a second', 1, parseFloat(notes.down), s => s.blocks.verified);
}

// between wants every counter that the page has drawn to lie between what the node says before and after.
export function between(before, shown, after, name = 'status') {
  for (const [key, value] of Object.entries(shown)) {
    if (typeof value === 'object' && value !== null) between(before[key], value, after[key], `${name}.${key}`);
    else assert.ok(before[key] <= value && value <= after[key], `${name}.${key}: the page was told ${value}, the node says ${before[key]} and then ${after[key]}`);
  }
}
