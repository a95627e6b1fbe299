// Checks verify.mjs against the vectors of version 1: node verify_test.mjs LINK
//
// It must say of every vector what the vector says, accept both folders and the good clips, and refuse them with any one bit of any file changed, any
// file shortened by a byte, lengthened by a byte, or gone.

import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { argv } from 'node:process';
import * as v from './verify.mjs';

Error.stackTraceLimit = 0; // 60,000 flaws, none of them read

const link = argv[2], dir = new URL('v1/', import.meta.url);
const read = new Set(); // of the vectors
const load = (name) => JSON.parse(readFileSync(new URL(used(name), dir), 'utf8'));
const hex = (s) => Buffer.from(s, 'hex');
let cases = 0;

/** Remembers that a file or folder of the vectors was read. */
function used(name) {
  read.add(name);
  return name;
}

function is(got, want, what) {
  cases++;
  if (got !== want) throw new Error(`${what}: got ${got}, want ${want}`);
}

/** Checks that f throws a Flaw exactly if it should. */
function verdict(valid, what, f) {
  cases++;
  let flaw;
  try { f(); } catch (e) {
    if (!(e instanceof v.Flaw)) throw e;
    flaw = e;
  }
  if (!flaw !== valid) throw new Error(`${what}: got ${flaw?.message ?? 'accepted'}, want valid ${valid}`);
}

function keys() {
  const t = load('keys.json');
  for (const k of t.Keys) {
    is(v.base32(hex(k.Public)), k.Text, 'key text');
    is(v.epochID(hex(k.Public)), k.EpochID, 'epoch id');
  }
  for (const k of t.Public) verdict(k.Valid, k.Why, () => v.key(hex(k.Text), 'key'));
  for (const k of t.Texts) verdict(k.Valid, k.Why, () => v.keyText(k.Text, 'key'));
}

function linksAndOrigins() {
  for (const l of load('links.json').Links) {
    verdict(l.Valid, l.Why, () => is(v.parseLink(l.Text).root.toString('hex'), l.Root, l.Why));
  }
  for (const o of load('origins.json').Origins) verdict(o.Valid, o.Why, () => v.parseOrigin(o.Text));
}

function tree() {
  const t = load('tree.json'), leaves = [];
  for (let i = 0; i < 1025; i++) {
    const b = Buffer.alloc(8);
    b.writeUInt32BE(i, 4);
    leaves.push(v.leaf(b));
  }
  const frontier = (n) => v.prove(0, [], leaves.slice(0, n), n, []).frontier;
  for (const { Size, Root, Peaks } of t.Trees) {
    is(v.root(frontier(Size)).toString('hex'), Root, `root of ${Size}`);
    is(frontier(Size).peaks.map((p) => p.toString('hex')).join(), Peaks.join(), `peaks of ${Size}`);
  }
  for (const n of t.NewPeaks) is(v.newPeaks(n.Have, n.Want), n.Count, `new peaks of ${n.Want} after ${n.Have}`);
  for (const p of t.Proofs) {
    verdict(p.Valid, `proof of [${p.A}, ${p.B}) of ${p.Size}`, () => {
      const { root } = v.prove(p.A, p.Left.map(hex), leaves.slice(p.A, p.B), p.Size, p.Right.map(hex));
      if (root.toString('hex') !== p.Root) throw new v.Flaw('another root');
    });
  }
}

function notes() {
  const t = load('notes.json'), root = v.keyText(t.Root, 'root'), channel = v.openChannelNote(Buffer.from(t.ChannelNote), root);
  for (const n of t.EpochNotes) verdict(true, 'epoch note', () => v.openEpochNote(Buffer.from(n), root, channel));
  for (const n of t.Wrong) {
    verdict(n.Valid, n.Why, () => v.openChannelNote(Buffer.from(n.Text), root));
    verdict(n.Valid, n.Why, () => v.openEpochNote(Buffer.from(n.Text), root, channel));
  }
}

function records() {
  const t = load('records.json');
  for (const r of t.Records) {
    is(v.leaf(hex(r.Hex)).toString('hex'), r.Leaf, 'leaf');
    verdict(r.Valid, r.Why, () => v.parseRecord(hex(r.Hex)));
  }
  for (const p of t.Pairs) {
    const prev = p.Prev ? v.parseRecord(hex(p.Prev)) : undefined, next = v.parseRecord(hex(p.Next));
    verdict(p.Valid, p.Why, () => v.follows(next, prev));
  }
}

function heads() {
  for (const h of load('heads.json').Heads) {
    const text = v.headText(h.Origin, h.Size, hex(h.Root));
    is(text.toString(), h.Text, 'head text');
    is(v.signed(v.keyText(h.Key, 'key'), text, hex(h.Signature)), true, 'head signature');
  }
}

function catalog() {
  for (const e of load('catalog.json').Entries) {
    verdict(e.Valid, e.Why, () => {
      if (v.parseEntry(Buffer.from(e.Text)) === undefined) throw new v.Flaw('unknown type');
    });
  }
}

function forks() {
  const head = (h) => ({ size: h.Size, root: hex(h.Root), signature: hex(h.Signature) });
  for (const f of load('forks.json').Forks) {
    const proof = { origin: f.Origin, a: head(f.A), b: head(f.B), frontier: f.Frontier.map(hex), cover: f.Cover.map(hex) };
    verdict(f.Valid, f.Why, () => v.verifyFork(proof, v.keyText(f.Key, 'key')));
  }
}

function faults() {
  for (const f of load('faults.json').Faults) {
    verdict(f.Valid, f.Why, () => {
      const kind = v.verifyFault(hex(f.Hex), v.keyText(f.Key, 'key'));
      if (kind === undefined) throw new v.Flaw('unknown kind');
      is(kind, f.Kind, f.Why);
    });
  }
}

/** The folder name in memory, as a Map of files. */
function readFolder(name) {
  const disk = v.folderOnDisk(new URL(used(name), dir).pathname);
  return new Map(disk.list().map((f) => [f, disk.read(f, 0, disk.size(f))]));
}

const folder = (files) => ({
  list: () => [...files.keys()],
  size: (f) => files.get(f).length,
  read(f, at, length) {
    const b = files.get(f).subarray(at, at + length);
    if (b.length !== length) throw new v.Flaw(`${f}: ends too early`);
    return b;
  },
});

/** signed, with a memory: a change of one bit leaves most signatures as they are. */
function remembering() {
  const known = new Map();
  return (key, message, sig) => {
    const name = Buffer.concat([key, sig, message]).toString('latin1');
    if (!known.has(name)) known.set(name, v.signed(key, message, sig));
    return known.get(name);
  };
}

/** The keys of a streamer, which no verifier needs: read here by Node's own PEM and PKCS #8. */
function station() {
  const file = (name) => readFileSync(new URL(`${used('station')}/${name}`, dir), 'utf8');
  const publicHalf = (pem) => Buffer.from(createPublicKey(createPrivateKey(pem)).export({ format: 'jwk' }).x, 'base64url');
  const [title, ...parts] = file('backup.txt').split(/^-- (.*) --\n/m);
  for (let i = 0; i < parts.length; i += 2) is(parts[i + 1], file(parts[i]), `${parts[i]} in the backup`);
  const root = publicHalf(file('root.key')), channel = v.openChannelNote(Buffer.from(file('channel.note')), root);
  is(title, `tailcast/1/${v.base32(root)}/backup\n`, 'title of the backup');
  const named = (name) => channel.stations.includes(v.base32(publicHalf(file(name))));
  is(named('station.key'), true, 'the note names the station');
  is(named('station.key.next'), false, 'the note names the next key');
  is(file('root.key.age').startsWith('-----BEGIN AGE ENCRYPTED FILE-----\n'), true, 'the sealed key is armoured');
}

/** Changes every bit of every file, and every length by one, and takes every file away. */
function everyBit(name) {
  const files = readFolder(name), check = remembering();
  const refuse = (what) => verdict(false, `${name}: ${what}`, () => v.verifyFolder(folder(files), link, { check }));
  verdict(true, name, () => v.verifyFolder(folder(files), link, { check }));
  let bits = 0;
  for (const [f, original] of [...files]) {
    const b = Buffer.from(original);
    files.set(f, b);
    for (let i = 0; i < 8 * b.length; i++, bits++) {
      b[i >> 3] ^= 1 << (i & 7);
      refuse(`bit ${i & 7} of byte ${i >> 3} of ${f} changed`);
      b[i >> 3] ^= 1 << (i & 7);
    }
    if (b.length) {
      files.set(f, original.subarray(0, -1));
      refuse(`${f} shortened`);
    }
    if (!optional(f)) {
      files.delete(f);
      refuse(`${f} gone`);
    }
    files.set(f, original);
  }
  verdict(true, name, () => v.verifyFolder(folder(files), link, { check }));
  console.log(`${name}: refused with any one of ${bits} bits changed`);
}

/** A writer that was killed before it had both notes on disk leaves a folder that says nothing; with a log it is damaged. */
function killedStart() {
  const files = readFolder('channel'), dir = 'epochs/1-1999999999999-aaaaaaaaaaaaaaaa';
  const judge = (valid, what) => verdict(valid, what, () => v.verifyFolder(folder(files), link));
  const note = [...files].find(([f]) => f.endsWith('/channel.note'))[1];
  files.set(`${dir}/channel.note`, note);
  judge(true, 'an epoch that has a channel note only');
  files.set(`${dir}/main/records`, Buffer.alloc(0));
  judge(false, 'an epoch that has a log and no epoch note');
}

/** Clips prove what clips.json says, or are refused. */
function clips() {
  used('clips');
  const read = (name) => readFileSync(new URL(`clips/${name}`, dir)), files = new Set(readdirSync(new URL('clips/', dir)));
  for (const c of load('clips.json').Clips) {
    files.delete(c.File);
    verdict(c.Valid, `${c.File}: ${c.Why}`, () => {
      const witnesses = (c.Witnesses ?? []).map(v.parseWitness);
      const { parts } = v.verifyClip(inMemory(read(c.File)), link, { witnesses });
      is(JSON.stringify(parts.map(describe)), JSON.stringify(c.Parts), c.File);
    });
  }
  is([...files].join(), '', 'clips that nobody speaks of');
  const another = v.keyText(load('keys.json').Keys[1].Text, 'key');
  verdict(false, 'a clip under another link', () => v.verifyClip(inMemory(read('bare.clip')), linkOf(another)));
  for (const name of ['cosigned.clip', 'epochs.clip']) everyBitOfClip(name, read(name));
}

/** The link of a root key (§3). */
function linkOf(key) {
  const sum = createHash('sha256').update('tailcast link checksum').update(key).update(Buffer.of(1)).digest();
  return 'tailcast:' + v.base32(Buffer.concat([key, sum.subarray(0, 2), Buffer.of(1)]));
}

const inMemory = (b) => ({ size: b.length, read: (at, length) => b.subarray(at, at + length) });

/** A part as clips.json has it. */
function describe(p) {
  const out = { Epoch: p.epoch.id, From: p.from, To: p.to, Continues: p.continues };
  if (p.anchor) {
    Object.assign(out, { Size: p.anchor.size, Catalog: p.anchor.catalog });
    const list = p.anchor.cosignatures.map((c) => `${c.name} ${c.time.toISOString().replace('.000', '')} ${c.checked}`);
    if (list.length) out.Cosigned = list;
  }
  return out;
}

/** Changes every bit of a clip, and its length by one to each side. Nobody gave the key of a witness. */
function everyBitOfClip(name, original) {
  const check = remembering(), b = Buffer.from(original);
  const refuse = (what, bytes) => verdict(false, `${name}: ${what}`, () => v.verifyClip(inMemory(bytes), link, { check }));
  for (let i = 0; i < 8 * b.length; i++) {
    b[i >> 3] ^= 1 << (i & 7);
    refuse(`bit ${i & 7} of byte ${i >> 3} changed`, b);
    b[i >> 3] ^= 1 << (i & 7);
  }
  for (let n = 0; n < b.length; n++) refuse(`cut at byte ${n}`, b.subarray(0, n));
  refuse('a byte longer', Buffer.concat([b, Buffer.of(0)]));
  verdict(true, name, () => v.verifyClip(inMemory(b), link, { check }));
  console.log(`${name}: refused with any one of ${8 * b.length} bits changed`);
}

/** Files that may be absent: what they say follows from others, or is no evidence, or may have been removed to save room. */
const optional = (f) => /\/(peaks|base)$|^newest$|\/payload\/|\/records$/.test(f);

for (const test of [keys, linksAndOrigins, tree, notes, records, heads, catalog, forks, faults, station]) test();
console.log(`vectors: ${cases} cases`);
everyBit('channel');
everyBit('sparse');
killedStart();
clips();
for (const name of readdirSync(dir)) is(read.has(name), true, `${name} was read`);
console.log(`ok: ${cases} cases`);
