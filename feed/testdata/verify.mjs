// A verifier of a channel's folder, or of a clip, written only from docs/feed.md, on Node's own crypto (version 20 or later):
//
//     node verify.mjs DIR LINK
//     node verify.mjs CLIP LINK [--witness KEY]...
//
// It says what it proved and exits with 0, or says what is wrong and exits with 1. § means a section of docs/feed.md.

import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import * as fs from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';

/** A Flaw is a reason to refuse. */
export class Flaw extends Error {}

const fail = (...words) => { throw new Flaw(words.join(' ')); };
const need = (ok, ...words) => { if (!ok) fail(...words); };

// ---- §1 Notation: every value has one spelling, so write again what was read, and compare.

const sha256 = (...parts) => {
  const h = createHash('sha256');
  for (const p of parts) h.update(p);
  return h.digest();
};

const letters = 'abcdefghijklmnopqrstuvwxyz234567';

export function base32(bytes) {
  let s = '', buffer = 0, bits = 0;
  for (const b of bytes) {
    buffer = (buffer << 8 | b) & 0xffff;
    for (bits += 8; bits >= 5; bits -= 5) s += letters[buffer >> (bits - 5) & 31];
  }
  return bits ? s + letters[buffer << (5 - bits) & 31] : s;
}

export function unbase32(s, size, what) {
  const out = [];
  let buffer = 0, bits = 0;
  for (const c of s) {
    const i = letters.indexOf(c);
    need(i >= 0, `${what}: character ${JSON.stringify(c)} is not base32`);
    buffer = (buffer << 5 | i) & 0xffff;
    if ((bits += 5) >= 8) out.push(buffer >> (bits -= 8) & 255);
  }
  const bytes = Buffer.from(out);
  need(bytes.length === size && base32(bytes) === s, `${what}: not the base32 of ${size} bytes`);
  return bytes;
}

function unbase64(s, size, what) {
  const bytes = Buffer.from(s, 'base64');
  need(bytes.length === size && bytes.toString('base64') === s, `${what}: not the base64 of ${size} bytes`);
  return bytes;
}

function decimal(s, max, what) {
  need(/^(0|[1-9][0-9]{0,15})$/.test(s) && Number(s) <= max, `${what}: ${JSON.stringify(s)} is not a number up to ${max}`);
  return Number(s);
}

const maxNumber = 2 ** 53 - 1;
const maxSize = 2 ** 40 - 1;

function text(bytes, what) {
  const s = bytes.toString('utf8');
  need(Buffer.from(s, 'utf8').equals(bytes), `${what}: not UTF-8`);
  return s;
}

// ---- §2 Keys

const p = 2n ** 255n - 19n;
const small = new Set([
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
]);

function power(base, exponent) {
  let r = 1n;
  for (base %= p; exponent; exponent >>= 1n, base = base * base % p) if (exponent & 1n) r = r * base % p;
  return r;
}
const d = (p - 121665n) * power(121666n, p - 2n) % p;

/** The 32 bytes of a key, refused unless canonical, a point, and not of small order. */
export function key(bytes, what) {
  need(bytes.length === 32, `${what}: a key has 32 bytes`);
  need(!small.has(bytes.toString('hex')), `${what}: a key of small order`);
  const number = BigInt('0x' + Buffer.from(bytes).reverse().toString('hex'));
  const y = number & (1n << 255n) - 1n;
  need(y < p, `${what}: a key that is not canonical`);
  // RFC 8032, 5.1.3: x^2 = u/v with u = y^2 - 1, v = d y^2 + 1. There is an x if and only if u v is 0 or a square.
  const u = y * y + p - 1n, uv = u * (d * y * y + 1n) % p;
  need(uv === 0n || power(uv, (p - 1n) / 2n) === 1n, `${what}: a key that is not a point`);
  need(u % p !== 0n || number >> 255n === 0n, `${what}: a key that is not canonical`);
  return bytes;
}

const keyTexts = new Map(); // computing with points takes a millisecond

export function keyText(s, what) {
  if (!keyTexts.has(s)) keyTexts.set(s, key(unbase32(s, 32, what), what));
  return keyTexts.get(s);
}

const spki = Buffer.from('302a300506032b6570032100', 'hex'); // RFC 8410: what stands before the 32 bytes in DER
const keyObjects = new Map();

/** Whether sig is key's signature of message. */
export function signed(key, message, sig) {
  const name = key.toString('latin1');
  if (!keyObjects.has(name)) keyObjects.set(name, createPublicKey({ key: Buffer.concat([spki, key]), format: 'der', type: 'spki' }));
  return verifySignature(null, message, keyObjects.get(name), sig);
}

// ---- §3 Link

export function parseLink(link) {
  const trimmed = link.replace(/^[ \t\r\n]+/, '').replace(/[ \t\r\n]+$/, '');
  const [, scheme, name, query] = /^([^:]*:)([^?]*)(?:\?(.*))?$/s.exec(trimmed) ?? fail('a link begins with "tailcast:"');
  need(scheme.toLowerCase() === 'tailcast:', 'a link begins with "tailcast:"');
  need(trimmed.length <= 4096, 'the link is too long');
  need(/^[a-zA-Z2-7]{56}$/.test(name), 'the link was mistyped: it needs 56 characters of a-z and 2-7');
  const bytes = unbase32(name.toLowerCase(), 35, 'link');
  const sum = sha256('tailcast link checksum', bytes.subarray(0, 32), bytes.subarray(34));
  need(sum.subarray(0, 2).equals(bytes.subarray(32, 34)), 'the link was mistyped: its checksum is wrong');
  need(bytes[34] === 1, `the link is of version ${bytes[34]}, this program of version 1`);
  const root = keyText(base32(bytes.subarray(0, 32)), 'link');
  const anchors = (query ?? '').split('&').filter((s) => s.startsWith('a=')).map((s) => anchor(s.slice(2)));
  need(anchors.length <= 16, 'the link has too many addresses');
  return { root, anchors };
}

function anchor(value) {
  let s;
  try { s = decodeURIComponent(value); } catch { fail('link: wrong escape in', value); }
  const [, host, port, node] = /^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]{1,253}):([1-9][0-9]{0,4})(?:~(.*))?$/s.exec(s) ?? fail('link: want host:port, not', s);
  need(Number(port) < 65536, 'link: port', port);
  need(!host.startsWith('[') || isIPv6(host.slice(1, -1)), 'link: want an IPv6 address in brackets, not', host);
  return { host, port: Number(port), node: node === undefined ? undefined : keyText(node.replace(/[A-Z]/g, (c) => c.toLowerCase()), 'link') };
}

// ---- §4 Names

export const epochID = (key) => base32(sha256(key).subarray(0, 10));
const logName = (s, what) => need(/^[a-z0-9][a-z0-9-]{0,31}$/.test(s), `${what}: ${JSON.stringify(s)} cannot name a log`);
const origin = (root, id, log) => `tailcast/1/${base32(root)}/${id}/${log}`;

export function parseOrigin(s) {
  const [version, one, root, id, log, ...rest] = s.split('/');
  need(`${version}/${one}` === 'tailcast/1' && log !== undefined && rest.length === 0 && s.length <= 128, 'not an origin');
  logName(log, 'origin');
  unbase32(id, 10, 'origin');
  return { root: keyText(root, 'origin'), id, log };
}

// ---- §5 Tree. A frontier is {size, peaks}; nothing here changes one.

export const leaf = (record) => sha256(Buffer.of(0), record);
const node = (left, right) => sha256(Buffer.of(1), left, right);
const empty = { size: 0, peaks: [] };
const bit = (n, h) => Math.floor(n / 2 ** h) % 2;
const popcount = (n) => n.toString(2).replaceAll('0', '').length;

/** The frontier with the subtree of the given height and hash appended. */
export function append(f, hash, height = 0) {
  const peaks = [...f.peaks];
  for (let h = height; bit(f.size, h); h++) hash = node(peaks.pop(), hash);
  return { size: f.size + 2 ** height, peaks: [...peaks, hash] };
}

export const root = (f) => (f.peaks.length ? f.peaks.reduceRight((r, peak) => node(peak, r)) : sha256());

/** The heights of cover(a, b). */
export function cover(a, b) {
  const heights = [];
  while (a < b) {
    let h = 0;
    while (a % 2 ** (h + 1) === 0 && a + 2 ** (h + 1) <= b) h++;
    heights.push(h);
    a += 2 ** h;
  }
  return heights;
}

export function newPeaks(have, want) {
  let top = -1;
  for (let h = 0; h < 53; h++) if (bit(have, h) !== bit(want, h)) top = h;
  return popcount(want % 2 ** (top + 1));
}

/** The one proof: from frontier(a), the leaves [a, b) and cover(b, n) follow frontier(b) and the root of size n. */
export function prove(a, left, leaves, n, right) {
  const heights = cover(a + leaves.length, n);
  need(left.length === popcount(a), 'proof: wrong number of peaks');
  need(a + leaves.length <= n && n <= maxSize && right.length === heights.length, 'proof: wrong number of hashes');
  const f = leaves.reduce((f, h) => append(f, h), { size: a, peaks: left });
  return { frontier: f, root: root(right.reduce((f, h, i) => append(f, h, heights[i]), f)) };
}

// ---- §6 Notes

const keyID = (name, key) => sha256(name, Buffer.of(10, 1), key).subarray(0, 4);

/** Splits a note into the lines of its text and its signature lines. */
function splitNote(bytes, what) {
  need(bytes.length <= 4096, `${what}: too long`);
  const s = text(bytes, what), i = s.lastIndexOf('\n\n');
  need(i >= 0 && s.endsWith('\n'), `${what}: no signature`);
  return { body: s.slice(0, i + 1), lines: s.slice(0, i).split('\n'), signatures: s.slice(i + 2, -1).split('\n') };
}

function checkSignatures(note, signers, what, check) {
  need(note.signatures.length === signers.length, `${what}: ${note.signatures.length} signatures, want ${signers.length}`);
  signers.forEach(([name, key], i) => {
    const line = `— ${name} `;
    need(note.signatures[i].startsWith(line), `${what}: signature ${i + 1} is not by ${name}`);
    const b = unbase64(note.signatures[i].slice(line.length), 68, what);
    need(b.subarray(0, 4).equals(keyID(name, key)), `${what}: signature ${i + 1} has another key id`);
    need(check(key, Buffer.from(note.body), b.subarray(4)), `${what}: signature ${i + 1} is wrong`);
  });
}

/** Takes the next line, which begins with word, and returns the n words after it. */
function take(note, word, n, what) {
  const words = (note.lines.shift() ?? '').split(' ');
  need(words[0] === word && words.length === n + 1, `${what}: want a line "${word}" with ${n} value(s)`);
  return words.slice(1);
}

const positive = (s, what) => { const n = decimal(s, maxNumber, what); need(n > 0, `${what}: number 0`); return n; };

function time(s, what) {
  const t = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(s) ? new Date(s) : new Date(NaN);
  need(!isNaN(t) && t.toISOString() === s.replace('Z', '.000Z'), `${what}: ${JSON.stringify(s)} is not a time`);
  return t;
}

export function openChannelNote(bytes, rootKey, check = signed) {
  const what = 'channel note', note = splitNote(bytes, what), name = `tailcast/1/${base32(rootKey)}`;
  need(note.lines.shift() === `${name}/channel-note`, `${what}: wrong first line, perhaps that of another channel`);
  const [generation] = take(note, 'generation', 1, what);
  const [notAfter] = take(note, 'not-after', 1, what);
  const stations = [];
  while (note.lines.length) stations.push(...take(note, 'station', 1, what));
  for (const s of stations) need(!keyText(s, what).equals(rootKey), `${what}: the root key as station`);
  need(stations.length >= 1 && stations.length <= 4 && new Set(stations).size === stations.length, `${what}: want 1 to 4 different stations`);
  const result = { generation: positive(generation, what), notAfter: time(notAfter, what), stations };
  checkSignatures(note, [[name, rootKey]], what, check);
  return result;
}

export function openEpochNote(bytes, rootKey, channel, check = signed) {
  const what = 'epoch note', note = splitNote(bytes, what), name = `tailcast/1/${base32(rootKey)}`;
  need(note.lines.shift() === `${name}/epoch-note`, `${what}: wrong first line, perhaps that of another channel`);
  const generation = positive(take(note, 'generation', 1, what)[0], what);
  const number = positive(take(note, 'epoch', 1, what)[0], what);
  const key = keyText(take(note, 'key', 1, what)[0], what);
  const [stationText] = take(note, 'station', 1, what), station = keyText(stationText, what);
  const last = note.lines.length ? takeLast(note, what) : undefined;
  need(!key.equals(station) && !key.equals(rootKey) && !station.equals(rootKey), `${what}: root, station and epoch key must differ`);
  need(generation === channel.generation, `${what}: generation ${generation}, the channel note has ${channel.generation}`);
  need(channel.stations.includes(stationText), `${what}: by a station that the channel note does not name`);
  need(!last || compare(last, { generation, number }) < 0, `${what}: the last epoch is not before this one`);
  const id = epochID(key);
  checkSignatures(note, [[`${name}/station`, station], [`${name}/${id}`, key]], what, check);
  return { generation, number, key, id, station: stationText, last };
}

function takeLast(note, what) {
  const [generation, number, id] = take(note, 'last', 3, what);
  unbase32(id, 10, what);
  const heads = [];
  while (note.lines.length) {
    const [log, size, root] = take(note, 'head', 3, what);
    heads.push({ log, size: decimal(size, maxNumber, what), root: unbase64(root, 32, what) });
  }
  checkHeads(heads, what);
  return { generation: positive(generation, what), number: positive(number, what), id, heads };
}

/** A list of heads has at most 16, each log once, in order of name. */
function checkHeads(heads, what) {
  need(heads.length <= 16, `${what}: too many heads`);
  heads.forEach((h, i) => {
    logName(h.log, what);
    need(h.size >= 1 && h.size <= maxSize, `${what}: size ${h.size} of ${h.log}`);
    need(i === 0 || heads[i - 1].log < h.log, `${what}: heads are not in order of name`);
  });
}

const compare = (a, b) => a.generation - b.generation || a.number - b.number;

// ---- §7 Records

export function parseRecord(b) {
  need(b.length === 80, 'record: not 80 bytes');
  const r = {
    version: b[0], kind: b[1], flags: b.readUInt16BE(2), length: b.readUInt32BE(4), wall: b.readBigInt64BE(8), dts: b.readBigInt64BE(16),
    duration: b.readUInt32BE(24), segment: b.readUInt32BE(28), back: b.readUInt32BE(32), contentKey: b.readUInt32BE(36),
    offset: b.readBigUInt64BE(40), hash: b.subarray(48),
  };
  need(r.version === 1, 'record: version', r.version);
  need(r.kind !== 0, 'record: kind 0');
  need(r.length <= 65536 && (r.length === 0 || r.kind !== 3 && r.kind !== 4), 'record: length', r.length, 'of kind', r.kind);
  need(r.wall >= 0n, 'record: wall clock below 0');
  need((r.flags & 2) !== 0 === (r.back === 0), 'record: segment first, but back is', r.back);
  need(r.contentKey === 0 || (r.flags & 0x100) !== 0, 'record: content key without encryption');
  need(r.offset <= BigInt(maxSize) * 65536n, 'record: offset', r.offset);
  return r;
}

/** Checks that r may come after p, with records between them that are not here. */
export function comesAfter(r, p) {
  need(p.kind !== 4 && r.offset >= p.offset + BigInt(p.length) && r.wall >= p.wall && r.segment >= p.segment, 'it goes back behind a record before it');
}

/** Checks that r may follow prev, or be record 0 if prev is undefined. */
export function follows(r, prev) {
  if (!prev) return need(r.offset === 0n && r.segment === 0 && r.back === 0, 'record 0: offset, segment and back must be 0');
  need(prev.kind !== 4, 'a record after the end');
  need(r.offset === prev.offset + BigInt(prev.length), 'offset', r.offset, 'does not continue', prev.offset, '+', prev.length);
  need(r.wall >= prev.wall, 'wall clock goes back');
  const first = (r.flags & 2) !== 0;
  need(r.segment === prev.segment + (first ? 1 : 0), 'segment', r.segment, 'after', prev.segment);
  need(r.back === (first ? 0 : prev.back + 1), 'back', r.back, 'after', prev.back);
}

// ---- §8 Heads

export const headText = (origin, size, root) => Buffer.from(`${origin}\n${size}\n${root.toString('base64')}\n`);

// ---- §9 Catalog. JSON.parse takes a name twice, and numbers as 1.0 or 1e3: hence a reader of our own.

/** Parses JSON. Numbers come as {number: text}, objects as Map, in which no name is twice. */
export function parseJSON(s) {
  let i = 0;
  const token = /[ \t\n\r]*([{}[\]:,]|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)/y;
  const next = () => {
    token.lastIndex = i;
    const m = token.exec(s) ?? fail('not JSON');
    i = token.lastIndex;
    return m[1];
  };
  const peek = () => { const at = i, t = next(); i = at; return t; };
  const list = (end, element) => {
    if (peek() === end) return next();
    for (let t = ','; t === ','; ) {
      element();
      t = next();
      need(t === ',' || t === end, 'not JSON');
      if (t === end) return t;
    }
  };
  const value = (depth) => {
    need(depth < 1000, 'JSON is too deep');
    const t = next();
    if (t === '{') {
      const o = new Map();
      list('}', () => {
        const name = next();
        need(name[0] === '"' && next() === ':', 'not JSON');
        const n = JSON.parse(name);
        need(!o.has(n), 'JSON: a name twice:', n);
        o.set(n, value(depth + 1));
      });
      return o;
    }
    if (t === '[') {
      const a = [];
      list(']', () => a.push(value(depth + 1)));
      return a;
    }
    need(!'}]:,'.includes(t), 'not JSON');
    return /^[-0-9]/.test(t) ? { number: t } : JSON.parse(t);
  };
  const v = value(0);
  need(/^[ \t\n\r]*$/.test(s.slice(i)), 'something after the JSON');
  return v;
}

const types = {
  string: (v) => typeof v === 'string', array: Array.isArray, object: (v) => v instanceof Map,
  number: (v) => /^(0|[1-9][0-9]{0,15})$/.test(v?.number) && Number(v.number) <= maxNumber,
};

function member(o, name, type, what) {
  const v = o.get(name);
  need(v !== undefined && types[type](v), `${what}: member ${name} is not a ${type}`);
  return type === 'number' ? Number(v.number) : v;
}

const bytesOf = (s) => Buffer.byteLength(s);

/** Reads a catalog entry; undefined if its type is unknown. */
export function parseEntry(payload) {
  const what = 'catalog entry';
  need(payload.length <= 16384, `${what}: too long`);
  const o = parseJSON(text(payload, what));
  need(o instanceof Map, `${what}: not an object`);
  const type = member(o, 'type', 'string', what);
  if (type === 'state') return { type, ...state(o, what) };
  if (type === 'anchor') return { type, logs: headList(o, 'logs', what) };
  if (type === 'takedown') return { type, ...takedown(o, what) };
  return undefined;
}

function state(o, what) {
  const title = member(o, 'title', 'string', what);
  need(bytesOf(title) <= 256, `${what}: long title`);
  const names = new Set(['catalog']);
  const renditions = member(o, 'renditions', 'array', what).map((r) => {
    need(types.object(r), `${what}: a rendition that is no object`);
    const name = member(r, 'name', 'string', what);
    logName(name, what);
    need(!names.has(name), `${what}: rendition ${name} twice, or named catalog`);
    names.add(name);
    const codecs = member(r, 'codecs', 'array', what), stripes = member(r, 'stripes', 'number', what);
    need(codecs.length <= 32 && codecs.every((c) => types.string(c) && bytesOf(c) <= 64), `${what}: codecs`);
    need(stripes >= 1 && stripes <= 32, `${what}: ${stripes} stripes`);
    return { name, codecs, stripes, bitrate: member(r, 'bitrate', 'number', what) };
  });
  need(renditions.length >= 1 && renditions.length <= 15, `${what}: ${renditions.length} renditions`);
  return { title, renditions, guide: o.has('guide') ? guide(o, what) : [] };
}

function guide(o, what) {
  const list = member(o, 'guide', 'array', what).map((e) => {
    need(types.object(e), `${what}: a programme that is no object`);
    const [start, duration] = ['start', 'duration'].map((name) => member(e, name, 'number', what));
    const [title, about, language] = ['title', 'text', 'language'].map((name) => member(e, name, 'string', what));
    need(start < 2 ** 32 && duration < 2 ** 32, `${what}: a programme out of time`);
    need(bytesOf(title) <= 256 && bytesOf(about) <= 1024 && bytesOf(language) <= 3, `${what}: long texts of a programme`);
    return { start, duration, title, text: about, language };
  });
  need(list.length <= 8, `${what}: a guide of ${list.length}`);
  return list;
}

function headList(o, name, what) {
  const heads = member(o, name, 'array', what).map((h) => {
    need(types.object(h), `${what}: a head that is no object`);
    return { log: member(h, 'log', 'string', what), size: member(h, 'size', 'number', what), root: unbase64(member(h, 'root', 'string', what), 32, what), object: h };
  });
  checkHeads(heads, what);
  return heads;
}

function takedown(o, what) {
  const [from, to] = ['from', 'to'].map((name) => member(o, name, 'number', what));
  unbase32(member(o, 'epoch', 'string', what), 10, what);
  logName(member(o, 'log', 'string', what), what);
  need(from < to && to <= maxSize, `${what}: no records`);
  need(bytesOf(member(o, 'reason', 'string', what)) <= 1024, `${what}: long reason`);
  return { from, to };
}

// ---- §11 Forks

/** Checks a fork proof {origin, a, b, frontier, cover} against the epoch key; a and b are {size, root, signature}. */
export function verifyFork(f, epochKey) {
  need(parseOrigin(f.origin).id === epochID(epochKey), 'fork: another epoch');
  for (const h of [f.a, f.b]) need(signed(epochKey, headText(f.origin, h.size, h.root), h.signature), 'fork: a head is not signed');
  if (f.a.size === f.b.size) {
    need(f.frontier.length + f.cover.length === 0, 'fork: hashes that nobody needs');
    return need(!f.a.root.equals(f.b.root), 'no fork: one head');
  }
  const proof = prove(f.a.size, f.frontier, [], f.b.size, f.cover);
  need(proof.root.equals(f.b.root), 'fork: the hashes do not give the root');
  need(!root(proof.frontier).equals(f.a.root), 'no fork: the second continues the first');
}

/** Checks the encoded proof of a fault against the epoch key. Returns its kind; undefined for a version or kind that is not known. */
export function verifyFault(bytes, epochKey) {
  let at = 0;
  const take = (n) => { need(bytes.length - at >= n, 'fault: ends too early'); at += n; return bytes.subarray(at - n, at); };
  const number = (least, most) => { const n = Number(take(8).readBigUInt64BE()); need(n >= least && n <= most, 'fault: a number out of range'); return n; };
  const hashes = (n) => Array.from({ length: n }, () => take(32));
  const head = () => ({ size: number(1, maxSize), root: take(32), signature: take(64) });
  const good = (what, f) => { try { f(); return true; } catch (e) { if (e instanceof Flaw) return false; throw e; } };
  need(bytes.length <= 12000, 'fault: too long');
  const version = take(1)[0], kind = take(1)[0];
  if (version !== 1 || kind < 1 || kind > 3) return undefined;
  const name = text(take(take(1)[0]), 'origin'), o = parseOrigin(name);
  need(o.id === epochID(epochKey), 'fault: another epoch');
  const signedAt = (where, index, peaks, records, signature) => {
    const f = prove(index + 1 - records.length, peaks, records.map(leaf), index + 1, []);
    need(signed(epochKey, headText(where, index + 1, f.root), signature), 'fault: the records are not signed');
  };
  if (kind === 1) {
    const a = head(), b = head(), same = a.size === b.size;
    need(a.size < b.size || same && a.root.compare(b.root) < 0, 'fault: heads in the wrong order');
    const frontier = same ? [] : hashes(popcount(a.size)), over = same ? [] : hashes(cover(a.size, b.size).length);
    verifyFork({ origin: name, a, b, frontier, cover: over }, epochKey);
  } else if (kind === 2) {
    const n = take(1)[0];
    need(n === 1 || n === 2, 'fault: one or two records');
    const index = number(n - 1, maxSize - 1), peaks = hashes(popcount(index + 1 - n));
    const records = Array.from({ length: n }, () => take(80)), signature = take(64);
    signedAt(name, index, peaks, records, signature);
    const single = records.map((r) => good('record', () => parseRecord(r)));
    if (n === 2) need(single[0] && single[1] && !good('pair', () => follows(parseRecord(records[1]), parseRecord(records[0]))), 'fault: no rule is broken');
    else need(!single[0] || index === 0 && !good('first', () => follows(parseRecord(records[0]))), 'fault: no rule is broken');
  } else {
    const h = head(), index = number(0, maxSize - 1), peaks = hashes(popcount(index)), raw = take(80), signature = take(64);
    const payload = take(bytes.length - at), r = parseRecord(raw);
    need(r.length === payload.length && sha256(payload).equals(r.hash), 'fault: another payload');
    need(signed(epochKey, headText(name, h.size, h.root), h.signature), 'fault: the head is not signed');
    signedAt(origin(o.root, o.id, 'catalog'), index, peaks, [raw], signature);
    need(r.kind === 2, 'fault: no event');
    const entry = parseEntry(payload);
    need(entry?.type === 'anchor' && entry.logs.some((l) => l.log === o.log && l.size === h.size && !l.root.equals(h.root)), 'fault: it anchors no other root');
  }
  need(at === bytes.length, 'fault: bytes after its end');
  return ['fork', 'rule', 'anchor'][kind - 1];
}

// ---- §13 Files. A folder is {list(), size(name), read(name, at, length)}; names have slashes.

/** The folder dir on disk. */
export function folderOnDisk(dir) {
  const files = fs.readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => !e.isDirectory())
    .map((e) => join(e.parentPath ?? e.path, e.name).slice(join(dir, '/').length).replaceAll('\\', '/'));
  const open = new Map();
  const handle = (name) => open.get(name) ?? open.set(name, fs.openSync(join(dir, name))).get(name);
  return {
    list: () => files,
    size: (name) => fs.statSync(join(dir, name)).size,
    read(name, at, length) {
      const b = Buffer.alloc(length);
      need(fs.readSync(handle(name), b, 0, length, at) === length, `${name}: ends too early`);
      return b;
    },
  };
}

const rowSize = 144, chunkRows = 4096, slotSize = 1024, areaSize = 131072, payloadFile = 2 ** 26;
const isZero = (b) => b.every((x) => x === 0);

/** A Log verifies the folder of one log. */
class Log {
  constructor(folder, dir, epoch, name, rootKey, check) {
    Object.assign(this, { folder, dir, epoch, name, check });
    this.origin = origin(rootKey, epoch.id, name);
    this.names = folder.list().filter((f) => f.startsWith(dir + '/')).map((f) => f.slice(dir.length + 1));
    this.roots = new Map(); // size -> root, for each size that is proved
    this.held = 0;
    this.entries = [];
    this.end = 0; // one more than the last record held
    this.pruned = 0; // payloads that are not here, of records that are
    this.left = 0; // bytes after the payload of the last record
    this.covered = []; // [from, to) of payload bytes that records speak of, in order
  }

  has(name) { return this.names.includes(name); }
  whole(name) { return this.folder.read(`${this.dir}/${name}`, 0, this.folder.size(`${this.dir}/${name}`)); }
  flaw(...words) { fail(`${this.dir}:`, ...words); }

  verify() {
    for (const n of this.names) need(/^(base|records|peaks|nodes|payload\/[0-9]{20})$/.test(n), `${this.dir}/${n}: not a file of the format`);
    this.base = this.has('base') ? this.readBase() : 0;
    const size = this.has('records') ? this.folder.size(`${this.dir}/records`) : 0;
    need(size % rowSize === 0, `${this.dir}/records: ends within a row`);
    this.rows = size / rowSize;
    need(this.base + this.rows <= maxSize, `${this.dir}/records: more rows than a log can have`);
    let before = this.base === 0 ? empty : undefined; // the frontier at the start of the chunk, if the chunk before gave it
    let prev;
    for (let start = this.base; start < this.base + this.rows; start += chunkRows) ({ before, prev } = this.verifyChunk(start, before, prev));
    this.checkLength('peaks', slotSize);
    this.checkLength('nodes', areaSize);
    this.verifyPayloadFiles();
  }

  readBase() {
    const base = decimal(text(this.whole('base'), `${this.dir}/base`), maxSize, `${this.dir}/base`);
    need(base % chunkRows === 0, `${this.dir}/base: not a multiple of 4096`);
    return base;
  }

  /** No file may go on after the part for the last chunk of rows. */
  checkLength(name, size) {
    if (this.has(name)) need(this.folder.size(`${this.dir}/${name}`) <= Math.ceil(this.rows / chunkRows) * size, `${this.dir}/${name}: longer than the rows`);
  }

  /** Part k of a file of fixed parts, as far as the file goes. */
  part(name, k, size) {
    if (!this.has(name)) return Buffer.alloc(0);
    const path = `${this.dir}/${name}`, length = Math.max(0, Math.min(size, this.folder.size(path) - k * size));
    need(length % 32 === 0, `${path}: ends within a hash`);
    return this.folder.read(path, k * size, length);
  }

  /** The frontier before a chunk as file peaks has it; undefined if it has none. */
  slot(start) {
    const b = this.part('peaks', (start - this.base) / chunkRows, slotSize), n = popcount(start);
    need(isZero(b.subarray(32 * n)), `${this.dir}/peaks: more than the peaks of ${start}`);
    if (start === 0 || isZero(b)) return undefined;
    need(b.length >= 32 * n, `${this.dir}/peaks: ends within the peaks of ${start}`);
    return { size: start, peaks: Array.from({ length: n }, (_, k) => b.subarray(32 * k, 32 * k + 32)) };
  }

  verifyChunk(start, before, prev) {
    const count = Math.min(chunkRows, this.base + this.rows - start);
    const bytes = this.folder.read(`${this.dir}/records`, (start - this.base) * rowSize, count * rowSize);
    const row = (r) => { const b = r < count ? bytes.subarray(r * rowSize, (r + 1) * rowSize) : undefined; return b && !isZero(b) ? b : undefined; };
    const slot = this.slot(start);
    if (slot && before) need(slot.peaks.every((h, k) => h.equals(before.peaks[k])), `${this.dir}/peaks: others than the records give before ${start}`);
    const nodes = new Nodes(this.part('nodes', (start - this.base) / chunkRows, areaSize), row);
    const left = before ?? slot;
    let f = before, any = false; // f is frontier(i) if row i-1 is held
    for (let r = 0; r < count; r++) {
      const b = row(r);
      if (!b) { f = prev = undefined; continue; }
      any = true;
      need(left, `${this.dir}/peaks: none before ${start}`);
      if (!f || f.size !== start + r) f = nodes.frontier(left, r) ?? this.flaw('record', start + r, 'cannot be proved: hashes before it are missing');
      ({ f, prev } = this.verifyRow(start + r, b, f, prev));
      nodes.accept();
    }
    need(any || !slot, `${this.dir}/peaks: peaks before ${start}, but no records after them`);
    nodes.checkAll(`${this.dir}/nodes`);
    return { before: count === chunkRows && f ? f : undefined, prev };
  }

  /** Verifies row i, given the frontier before it, and its predecessor if that is held (§10). */
  verifyRow(i, b, before, prev) {
    const bytes = b.subarray(0, 80), f = append(before, leaf(bytes)), r = root(f);
    let record;
    try {
      record = parseRecord(bytes);
      if (i === 0 || prev) follows(record, prev);
      else if (this.last) comesAfter(record, this.last);
    } catch (e) { this.flaw('record', i + ':', e.message); }
    need(this.check(this.epoch.key, headText(this.origin, i + 1, r), b.subarray(80)), `${this.dir}: the signature with record ${i} is wrong`);
    this.verifyPayload(i, record);
    this.roots.set(i, root(before)).set(i + 1, r);
    this.held++;
    this.last = record;
    this.end = i + 1;
    return { f, prev: record };
  }

  verifyPayload(i, r) {
    const payload = this.readPayload(r);
    this.cover(r.offset, r.offset + BigInt(r.length)); // also of one whose other half went with the file before
    if (!payload) return this.pruned++;
    need(sha256(payload).equals(r.hash), `${this.dir}: the payload of record ${i} is not the one that was signed`);
    if (this.name === 'catalog' && r.kind === 2) {
      try { this.entries.push({ i, entry: parseEntry(payload) }); } catch (e) { this.flaw('record', i + ':', e.message); }
    }
  }

  cover(from, to) {
    const last = this.covered.at(-1);
    if (last?.[1] === from) last[1] = to;
    else this.covered.push([from, to]);
  }

  /** The payload of a record, undefined if a file of it was removed. */
  readPayload(r) {
    const parts = [];
    let at = r.offset, rest = r.length;
    while (rest > 0) {
      const start = at - at % BigInt(payloadFile), name = 'payload/' + start.toString().padStart(20, '0');
      const n = Math.min(rest, Number(start + BigInt(payloadFile) - at));
      if (!this.has(name)) return undefined;
      parts.push(this.folder.read(`${this.dir}/${name}`, Number(at - start), n));
      at += BigInt(n);
      rest -= n;
    }
    return Buffer.concat(parts);
  }

  /** Whatever no record speaks of must be zero: holes. What is after the last record, a power cut may have left. */
  verifyPayloadFiles() {
    for (const n of this.names.filter((n) => n.startsWith('payload/'))) {
      const path = `${this.dir}/${n}`, start = BigInt(n.slice(8)), size = this.folder.size(path);
      need(start % BigInt(payloadFile) === 0n && size <= payloadFile, `${path}: wrong name or size`);
      let at = 0;
      for (const [from, to] of this.covered.map((range) => range.map((x) => Number(x - start)))) {
        this.needZero(path, at, Math.min(from, size));
        at = Math.max(at, to);
      }
      if (at < size) this.left += size - at;
    }
  }

  needZero(path, at, to) {
    for (; at < to; at += 65536) need(isZero(this.folder.read(path, at, Math.min(65536, to - at))), `${path}: bytes that no record speaks of`);
  }
}

/** The height of the smallest peak before row e of a chunk. */
function heightAt(e) {
  let h = 0;
  while (h < 12 && !bit(e, h)) h++;
  return h;
}

/** Nodes are the hashes over the rows of one chunk: those that rows give, and those that file nodes has where rows are missing. */
class Nodes {
  constructor(area, row) {
    this.row = row;
    this.stored = new Map(); // 'height,row' -> hash
    this.used = []; // stored hashes that led to the last frontier
    this.proved = new Set();
    for (let at = 0; at < area.length; at += 32) {
      const h = area.subarray(at, at + 32);
      if (!isZero(h)) this.stored.set(at / 32, h);
    }
  }

  // The hash of the subtree that ends before row e is at e, if it is a peak there: its height is the number of trailing zeros of e.
  static place(h, r) { return heightAt(r + 2 ** h) === h ? r + 2 ** h : undefined; }

  /** The hash of a subtree: from its rows if they are there, else the stored one. */
  value(h, r) {
    const mark = this.used.length, computed = this.computed(h, r);
    if (computed) return computed;
    this.used.length = mark; // what leads nowhere is not proved by what follows
    const at = Nodes.place(h, r);
    if (this.stored.has(at)) this.used.push(at);
    return this.stored.get(at);
  }

  computed(h, r) {
    if (h === 0) return this.row(r) && leaf(this.row(r).subarray(0, 80));
    if (this.stored.size === 0 && !this.row(r)) return undefined;
    const left = this.value(h - 1, r);
    if (!left) return undefined;
    const right = this.value(h - 1, r + 2 ** (h - 1));
    return right && node(left, right);
  }

  frontier(left, r) {
    this.used = [];
    let f = left;
    for (let h = 12, at = 0; h >= 0; h--) {
      if (!bit(r, h)) continue;
      const hash = this.value(h, at);
      if (!hash) return undefined;
      f = append(f, hash, h);
      at += 2 ** h;
    }
    return f;
  }

  /** The signature over the last frontier was good: what led to it is proved. */
  accept() {
    for (const at of this.used) this.proved.add(at);
    this.used = [];
  }

  /** Every stored hash must be proved, or be what those below it give. */
  checkAll(what) {
    for (const [at, hash] of this.stored) {
      if (this.proved.has(at)) continue;
      const h = heightAt(at);
      this.used = [];
      const computed = at > 0 ? this.computed(h, at - 2 ** h) : undefined;
      need(computed?.equals(hash) && this.used.every((u) => this.proved.has(u)), `${what}: a hash that nothing proves`);
    }
  }
}

/** Verifies a folder under a link. Returns what is proved, line by line; throws a Flaw. */
export function verifyFolder(folder, link, { check = signed, now = new Date() } = {}) {
  const { root: rootKey } = parseLink(link), report = [`link: the channel of root key ${base32(rootKey)}`];
  folder = withoutTemporary(folder);
  const files = folder.list();
  for (const f of files) need(/^(lock|newest|epochs\/[^/]+\/(channel\.note|epoch\.note|fault\.proof|fault\.damaged|[a-z0-9-]+\/.+))$/.test(f), `${f}: not a file of the format`);
  if (files.includes('lock')) need(folder.size('lock') === 0, 'lock: not empty');
  const epochs = [...new Set(files.filter((f) => f.startsWith('epochs/')).map((f) => f.split('/')[1]))].filter((d) => begun(files, `epochs/${d}`)).map((d) => openEpoch(folder, `epochs/${d}`, rootKey, check)).sort(compare);
  for (const e of epochs) verifyEpoch(folder, e, epochs, rootKey, check, now, report);
  if (files.includes('newest')) verifyNewest(folder, epochs, rootKey, check, report);
  need(epochs.length > 0, 'no epoch');
  return report;
}

/** The folder without what a writer that was killed left: files that were to become others. */
function withoutTemporary(folder) {
  const files = folder.list().filter((f) => !/^(\.newest|epochs\/[^/]+\/\.(channel\.note|epoch\.note|fault\.proof|fault\.damaged)|epochs\/[^/]+\/[^/]+\/\.base)\.[0-9]+$/.test(f));
  return { list: () => files, size: (f) => folder.size(f), read: (f, at, length) => folder.read(f, at, length) };
}

/** Whether an epoch got further than to its notes: a writer that was killed before both were there left nothing else. */
function begun(files, dir) {
  const has = (name) => files.includes(`${dir}/${name}`);
  return has('channel.note') && has('epoch.note') || files.some((f) => f.startsWith(`${dir}/`) && f.split('/').length > 3);
}

function openEpoch(folder, dir, rootKey, check) {
  const read = (name) => {
    need(folder.list().includes(`${dir}/${name}`), `${dir}: no ${name}`);
    return folder.read(`${dir}/${name}`, 0, Math.min(5000, folder.size(`${dir}/${name}`)));
  };
  try {
    const channel = openChannelNote(read('channel.note'), rootKey, check);
    const epoch = openEpochNote(read('epoch.note'), rootKey, channel, check);
    need(dir === `epochs/${epoch.generation}-${epoch.number}-${epoch.id}`, 'the folder has another name than its notes say');
    return { dir, channel, ...epoch, logs: new Map() };
  } catch (e) {
    if (e instanceof Flaw) fail(`${dir}: ${e.message}`);
    throw e;
  }
}

function verifyEpoch(folder, e, epochs, rootKey, check, now, report) {
  report.push(`epoch (${e.generation}, ${e.number}) ${e.id}: named by the station ${e.station.slice(0, 8)}..., which the root key names until ${e.channel.notAfter.toISOString()}` +
    (now > e.channel.notAfter ? ', expired' : ''));
  const names = new Set(folder.list().filter((f) => f.startsWith(e.dir + '/') && f.split('/').length > 3).map((f) => f.split('/')[2]));
  need(names.size <= 16, `${e.dir}: more than 16 logs`);
  for (const name of [...names].sort()) {
    logName(name, e.dir);
    const log = new Log(folder, `${e.dir}/${name}`, e, name, rootKey, check);
    log.verify();
    e.logs.set(name, log);
    report.push(`  ${name}: ${log.held} records in [${log.base}, ${log.end}), each with its signature` +
      (log.held === log.end ? ', from the first on' : '') + (log.pruned ? `, ${log.pruned} of them without payload` : ', all with their payloads') +
      (log.left ? `; ${log.left} bytes after the last of them are not covered` : ''));
  }
  const fault = `${e.dir}/fault.proof`;
  if (folder.list().includes(fault)) {
    const bytes = folder.read(fault, 0, Math.min(12001, folder.size(fault))), kind = verifyFault(bytes, e.key), o = kind && parseOrigin(text(bytes.subarray(3, 3 + bytes[2]), fault));
    if (o) need(o.root.equals(rootKey), `${fault}: of another channel`);
    if (o && kind !== 'rule') e.disputed = o.log; // that its signer said two things of it is proved already
    report.push(`  the signer broke the rules, as file fault.proof proves: ${kind ?? 'in a way that this version does not know'}`);
  }
  verifyAnchors(e, report);
  verifyLast(e, epochs, report);
}

/** Heads that somebody named must be those that the records give, as far as the records are here, and the log is not disputed. */
function checkRoots(heads, epoch, what) {
  let proved = 0;
  for (const h of heads) {
    const is = epoch.logs.get(h.log)?.roots.get(h.size);
    if (!is || h.log === epoch.disputed) continue;
    need(is.equals(h.root), `${what} has another root of size ${h.size} of ${h.log}: a fork`);
    proved++;
  }
  return `${proved} of ${heads.length} heads are those of the records here`;
}

function verifyAnchors(e, report) {
  for (const { i, entry } of e.logs.get('catalog')?.entries ?? []) {
    if (entry?.type === 'anchor') report.push(`  anchor in record ${i}: ${checkRoots(entry.logs, e, `${e.dir}: the anchor in record ${i}`)}`);
    if (entry?.type === 'state') report.push(`  state in record ${i}: ${JSON.stringify(entry.title)}, ${entry.renditions.map((r) => r.name).join(', ')}`);
  }
}

function verifyLast(e, epochs, report) {
  const last = e.last && epochs.find((x) => x.id === e.last.id);
  if (!last) return;
  need(compare(last, e.last) === 0, `${e.dir}: names epoch ${last.id} with another number`);
  report.push(`  it follows epoch ${last.id}: ${checkRoots(e.last.heads, last, `${e.dir}: the epoch note`)}`);
}

/** File newest is no evidence, but what it says must be true. */
function verifyNewest(folder, epochs, rootKey, check, report) {
  const bytes = folder.read('newest', 0, Math.min(65537, folder.size('newest'))), s = text(bytes, 'newest'), o = parseJSON(s);
  need(types.object(o), 'newest: not an object');
  const n = { generation: member(o, 'generation', 'number', 'newest'), number: member(o, 'number', 'number', 'newest'), id: member(o, 'epoch', 'string', 'newest') };
  const heads = headList(o, 'heads', 'newest').map((h) => ({ ...h, signature: unbase64(member(h.object, 'signature', 'string', 'newest'), 64, 'newest') }));
  const again = JSON.stringify({
    generation: n.generation, number: n.number, epoch: n.id,
    heads: heads.map((h) => ({ log: h.log, size: h.size, root: h.root.toString('base64'), signature: h.signature.toString('base64') })),
  });
  need(s === again + '\n', 'newest: not as it must be written');
  const e = epochs.find((x) => x.id === n.id || compare(x, n) === 0);
  if (!e) return report.push(`newest: names epoch ${n.id}, which is not here: not proved`);
  need(e.id === n.id && compare(e, n) === 0, 'newest: names an epoch with another number');
  for (const h of heads) need(check(e.key, headText(origin(rootKey, e.id, h.log), h.size, h.root), h.signature), `newest: the head of ${h.log} is not signed`);
  report.push(`newest: ${heads.length} signed heads; ${checkRoots(heads, e, 'newest')}`);
}

// ---- §15 Clips

/** The key of a witness as it publishes it: {name, id, key}. */
export function parseWitness(vkey) {
  const what = `witness ${vkey}`, [, name, id, encoded] = /^([^+]*)\+([^+]*)\+(.*)$/s.exec(vkey) ?? fail(`${what}: want name+id+base64`);
  const bytes = unbase64(encoded, 33, what);
  need(/^[!-*,-~]+$/.test(name) && bytes[0] === 4, `${what}: not of cosignature/v1`);
  const computed = sha256(name, '\n', bytes).subarray(0, 4).toString('hex');
  need(id === computed, `${what}: the key id is not that of name and key`);
  return { name, id, key: key(bytes.subarray(1), what) };
}

/** Checks signature lines of witnesses over the text of a head. */
function cosignatures(bytes, headText, witnesses, check) {
  const what = 'cosignature', seen = new Set();
  if (bytes.length === 0) return [];
  const s = text(bytes, what);
  need(s.endsWith('\n'), `${what}: a line without end`);
  const list = s.slice(0, -1).split('\n').map((line) => {
    const [, name, encoded] = /^— ([!-*,-~]+) (\S+)$/.exec(line) ?? fail(`${what}: not a signature line`);
    const b = unbase64(encoded, 76, what), id = b.subarray(0, 4).toString('hex'), seconds = b.readBigUInt64BE(4);
    need(seconds <= 253402300799n, `${what}: a time beyond the year 9999`);
    need(!seen.has(name + ' ' + id), `${what}: two of one key`);
    seen.add(name + ' ' + id);
    const witness = witnesses.find((w) => w.name === name && w.id === id);
    const message = Buffer.concat([Buffer.from(`cosignature/v1\ntime ${seconds}\n`), headText]);
    need(!witness || check(witness.key, message, b.subarray(12)), `${what}: that of ${name} is wrong`);
    return { name, time: new Date(Number(seconds) * 1000), checked: witness !== undefined };
  });
  need(list.length <= 16, `${what}: more than 16`);
  return list;
}

/** Reads a clip from front to back. source is {size, read(at, length)}. */
class ClipReader {
  constructor(source) { Object.assign(this, { source, at: 0, sum: createHash('sha256') }); }

  take(n) {
    need(this.at + n <= this.source.size, 'clip: it ends too early');
    const b = this.source.read(this.at, n);
    this.at += n;
    this.sum.update(b);
    return b;
  }
  u8() { return this.take(1)[0]; }
  sized(max) {
    const n = this.take(2).readUInt16BE();
    need(n <= max, 'clip: a length over its limit');
    return this.take(n);
  }
  number() {
    const n = this.take(8).readBigUInt64BE();
    need(n <= BigInt(maxSize), 'clip: a size that no log has');
    return Number(n);
  }
  hashes(n) { return Array.from({ length: n }, () => this.take(32)); }
}

/** Verifies a clip under a link. Returns {root, parts}; throws a Flaw. */
export function verifyClip(source, link, { check = signed, witnesses = [] } = {}) {
  const { root: rootKey } = parseLink(link), r = new ClipReader(source), parts = [];
  need(r.take(16).toString('latin1') === 'tailcast clip 1\n', 'not a clip of version 1');
  const line = r.take(66).toString('latin1'), own = parseLink(line);
  need(/^tailcast:[a-z2-7]{56}\n$/.test(line), 'clip: its link is not in its one spelling');
  need(own.root.equals(rootKey), 'clip: of another channel than the link');
  for (let tag = r.u8(); tag !== 0 || parts.length === 0; tag = r.u8()) {
    need(tag === 1 && parts.length < 4096, 'clip: want a part, at least one, at most 4096');
    parts.push(clipPart(r, rootKey, parts.at(-1), witnesses, check));
  }
  const sum = r.sum.digest();
  r.sum = createHash('sha256');
  need(r.take(32).equals(sum), 'clip: the checksum is wrong: it was damaged');
  need(r.at === source.size, 'clip: something follows the checksum');
  return { root: rootKey, parts, sum };
}

function clipPart(r, rootKey, before, witnesses, check) {
  const channelBytes = r.sized(4096), epochBytes = r.sized(4096);
  const channel = openChannelNote(channelBytes, rootKey, check), epoch = openEpochNote(epochBytes, rootKey, channel, check);
  const log = text(r.take(r.u8()), 'log name');
  logName(log, 'clip');
  const from = r.number(), part = { channel, channelBytes, epoch, epochBytes, log, from, to: from, bytes: 0, continues: false };
  part.edge = { size: from, peaks: r.hashes(popcount(from)) };
  if (before) clipFollows(part, before);
  if (before?.epoch.id === epoch.id) part.hole = before.last;
  const name = origin(rootKey, epoch.id, log);
  let tag = r.u8();
  for (; tag === 2; tag = r.u8()) clipBlock(r, part, name, check);
  need(part.to > part.from, 'clip: a part without records');
  need(tag === 0 || tag === 1, 'clip: a part ends with neither 0 nor 1');
  if (tag === 1) part.anchor = clipAnchor(r, part, rootKey, witnesses, check);
  return part;
}

function clipFollows(part, before) {
  need(part.log === before.log, 'clip: parts of different logs');
  if (part.epoch.id === before.epoch.id) {
    return need(part.from > before.to && part.channelBytes.equals(before.channelBytes) && part.epochBytes.equals(before.epochBytes),
      'clip: parts of one epoch that are not apart, or with other notes');
  }
  need(compare(part.epoch, before.epoch) > 0, 'clip: epochs are not in order');
  const named = part.epoch.last?.id === before.epoch.id && part.epoch.last.heads.find((h) => h.log === part.log && h.size === before.to);
  if (!named) return;
  need(named.root.equals(root(before.edge)), 'clip: the epoch note names another root of the epoch before: a fork');
  part.continues = true;
}

function clipBlock(r, part, name, check) {
  const what = `${name}: record ${part.to}`;
  try {
    need(part.to < maxSize, 'more records than a log can have');
    const bytes = r.take(80), signature = r.take(64), record = parseRecord(bytes), payload = r.take(record.length);
    need(sha256(payload).equals(record.hash), 'the payload is not the one that was signed');
    if (part.to === 0 || part.last) follows(record, part.last);
    else if (part.hole) comesAfter(record, part.hole);
    part.edge = append(part.edge, leaf(bytes));
    need(check(part.epoch.key, headText(name, part.to + 1, root(part.edge)), signature), 'the signature is wrong');
    part.first ??= record;
    part.last = record;
    part.to++;
    part.bytes += record.length;
  } catch (e) {
    if (e instanceof Flaw) fail(`${what}: ${e.message}`);
    throw e;
  }
}

/** Reads the proof that an anchor of the catalog covers the part. */
function clipAnchor(r, part, rootKey, witnesses, check) {
  const size = r.number();
  need(size >= part.to, 'anchor: its size is before the end of the part');
  const { peaks } = part.edge, anchored = prove(part.to, peaks, [], size, r.hashes(cover(part.to, size).length)).root;
  need(check(part.epoch.key, headText(origin(rootKey, part.epoch.id, part.log), size, anchored), r.take(64)), 'anchor: the head of the log is not signed');
  const index = r.number(), catalog = r.number();
  need(index < catalog, 'anchor: it is not in the catalog');
  const left = r.hashes(popcount(index)), bytes = r.take(80), record = parseRecord(bytes), payload = r.take(record.length);
  need(sha256(payload).equals(record.hash) && record.kind === 2, 'anchor: not the payload that was signed, or no event');
  if (index === 0) follows(record);
  const entry = parseEntry(payload);
  need(entry?.type === 'anchor' && entry.logs.some((h) => h.log === part.log && h.size === size && h.root.equals(anchored)), 'anchor: it does not name the log with that size and root');
  const whole = prove(index, left, [leaf(bytes)], catalog, r.hashes(cover(index + 1, catalog).length)).root;
  const head = headText(origin(rootKey, part.epoch.id, 'catalog'), catalog, whole);
  need(check(part.epoch.key, head, r.take(64)), 'anchor: the head of the catalog is not signed');
  return { size, catalog, cosignatures: cosignatures(r.sized(4096), head, witnesses, check) };
}

/** What a clip proves, line by line. */
function clipLines({ root: rootKey, parts, sum }) {
  const lines = [`link: the channel of root key ${base32(rootKey)}`, `SHA-256 ${sum.toString('hex')}`];
  const wall = (r) => new Date(Number(r.wall / 1000n)).toISOString();
  for (const p of parts) {
    lines.push(`${p.log} of epoch (${p.epoch.generation}, ${p.epoch.number}) ${p.epoch.id}: records [${p.from}, ${p.to}), ${p.bytes} bytes, ${wall(p.first)} to ${wall(p.last)}` +
      (p.continues ? '; it continues the part before' : ''));
    if (p.anchor) lines.push(`  anchored at size ${p.anchor.size}, in a catalog of ${p.anchor.catalog}`);
    for (const c of p.anchor?.cosignatures ?? []) lines.push(`  ${c.name} says that it was there at ${c.time.toISOString()}` + (c.checked ? '' : ': not checked, its key was not given'));
  }
  return lines;
}

// ---- The command

function main(args) {
  const witnesses = args.flatMap((a, i) => (args[i - 1] === '--witness' ? [a] : []));
  const [path, link] = args.filter((a, i) => a !== '--witness' && args[i - 1] !== '--witness');
  if (!path || !link) {
    console.error('usage: node verify.mjs DIR|CLIP LINK [--witness KEY]...');
    return 2;
  }
  try {
    const known = witnesses.map(parseWitness);
    const lines = fs.statSync(path).isDirectory() ? verifyFolder(folderOnDisk(path), link) : clipLines(verifyClip(fileOnDisk(path), link, { witnesses: known }));
    for (const line of lines) console.log(line);
    console.log('ok: the holder of the root key named who signed these bytes in this order; when, is the signer\'s word, but for what a witness dated');
    return 0;
  } catch (e) {
    console.error(`refused: ${e.message}`);
    return 1;
  }
}

function fileOnDisk(path) {
  const f = fs.openSync(path), size = fs.fstatSync(f).size;
  return {
    size,
    read(at, length) {
      const b = Buffer.alloc(length);
      need(fs.readSync(f, b, 0, length, at) === length, `${path}: it ends too early`);
      return b;
    },
  };
}

if (argv[1] && import.meta.url === pathToFileURL(fs.realpathSync(argv[1])).href) process.exitCode = main(argv.slice(2));
