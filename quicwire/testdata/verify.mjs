// Reads vectors.json with what docs/wire.md says and nothing else: node verify.mjs [--all]
// It checks both link proofs, the peer record, every message down to its last byte, and every stream: all signatures hold, and with a
// bit of any byte flipped (every bit with --all) a block does not verify.
import { createHash, createHmac, createPublicKey, createPrivateKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { deepStrictEqual as same, ok } from 'node:assert'

const vectors = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url)))
const hex = (s) => Buffer.from(s, 'hex')
const sha = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()

// Ed25519 keys from raw bytes (RFC 8410).
const publicKey = (raw) => createPublicKey({ key: Buffer.concat([hex('302a300506032b6570032100'), raw]), format: 'der', type: 'spki' })
const publicOf = (seed) => {
  const key = createPrivateKey({ key: Buffer.concat([hex('302e020100300506032b657004220420'), seed]), format: 'der', type: 'pkcs8' })
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(12)
}

// Section "Numbers and other parts".
class Reader {
  constructor(b) { this.b = b; this.at = 0 }
  get left() { return this.b.length - this.at }
  bytes(n) { ok(n <= this.left, 'ends too early'); this.at += n; return this.b.subarray(this.at - n, this.at) }
  u8() { return this.bytes(1)[0] }
  i64() { return this.bytes(8).readBigInt64BE() }
  varint() {
    const first = this.u8()
    let v = BigInt(first & 0x3f)
    for (const b of this.bytes((1 << (first >> 6)) - 1)) v = (v << 8n) | BigInt(b)
    return v
  }
  index() { const v = this.varint(); ok(v < 2n ** 40n); return v }
  ms() { const v = this.varint(); ok(v < 2n ** 32n); return v }
  mask() { return this.ms() }
  flags() { return this.varint() }
  wall() { return this.i64() }
  text() { return this.bytes(Number(this.varint())) }
  key() { return this.bytes(32) }
  signature() { return this.bytes(64) }
  log() { ok(this.u8() < vectors.Logs.length, 'log number not bound') }
  list(max, each) { const n = this.u8(); ok(n <= max); return Array.from({ length: n }, () => each()) }
  address() {
    const n = this.u8()
    ok(n === 0 || n === 4 || n === 16)
    if (n > 0) this.bytes(n + 2)
  }
  path() { return this.list(24, () => this.bytes(4)) }
  referrals() { this.list(8, () => { this.key(); this.address() }) }
  blocks() {
    const first = this.index(), n = Number(this.varint())
    ok(n <= 4096)
    const bits = this.bytes(Math.ceil(n / 8))
    const bit = (i) => (bits[i >> 3] >> (i & 7)) & 1
    ok(n === 0 || (bit(0) && bit(n - 1)), 'bitmap untrimmed')
    return Array.from({ length: n }, (_, i) => i).filter(bit).map((i) => first + BigInt(i))
  }
  head() { const size = this.index(); this.bytes(32); this.signature(); return size }
}

const ones = (n) => n.toString(2).replaceAll('0', '').length

// cover(a, b) in docs/feed.md: the fewest perfect subtrees of [a, b).
function coverLength(a, b) {
  let n = 0
  while (a < b) {
    let width = 1n
    while (a % (2n * width) === 0n && a + 2n * width <= b) width *= 2n
    a += width
    n++
  }
  return n
}

// Section "Fields", by type.
const messages = {
  0x01: (r) => { r.u8(); r.flags(); r.varint(); r.wall(); r.address(); r.varint(); r.varint(); r.u8(); r.text(); r.text() },
  0x02: (r) => { r.text(); r.text(); r.list(32, () => { r.u8(); r.bytes(10); r.text() }) },
  0x03: (r) => {
    r.log(); r.index()
    if (r.u8() === 0) r.bytes(8); else r.bytes(32 + 64)
    r.index(); r.list(32, () => r.u8()); r.mask(); r.varint(); r.ms(); r.varint()
  },
  0x04: (r) => { r.log(); ok(r.u8() < r.u8()); ok(r.u8() <= 2); r.index(); r.flags(); r.ms() },
  0x05: (r) => { r.log(); r.u8(); r.index(); r.ms(); r.path() },
  0x06: (r) => { r.log(); r.u8(); r.u8(); r.ms(); r.referrals() },
  0x07: (r) => { r.log(); r.u8(); r.u8(); r.index(); r.ms(); r.referrals() },
  0x08: (r) => { r.log(); r.u8(); r.u8() },
  0x09: (r) => { r.log(); r.u8(); r.path() },
  0x0a: (r) => { r.varint(); r.log(); r.flags(); r.ms(); return r.blocks() },
  0x0b: (r) => { r.varint(); r.log(); r.u8(); r.ms(); r.index(); return r.blocks() },
  0x0c: (r) => { r.log(); return r.blocks() },
  0x0d: (r) => { r.varint(); r.log(); r.u8(); r.index() },
  0x0e: (r) => { r.varint(); r.log(); r.u8(); r.flags(); r.index(); r.ms(); r.ms(); r.wall() },
  0x0f: (r) => r.list(16, () => { r.key(); r.address(); r.u8(); r.flags(); r.i64(); r.signature() }),
  0x10: (r) => {
    r.log()
    const a = r.head()
    if (r.u8() === 0) return
    const b = r.head()
    if (a < b) r.bytes(32 * (ones(a) + coverLength(a, b)))
  },
  0x11: (r) => { r.text(); r.ms(); r.referrals() },
  0x12: (r) => { ok(r.text().length <= 12000) },
}

for (const v of vectors.Link) {
  const mac = createHmac('sha256', hex(vectors.Root)).update(v.Label).update(hex(v.Exporter)).update(hex(v.Dialer)).update(hex(v.Acceptor)).digest()
  same(v.Proof, '01' + mac.toString('hex'))
}

const peer = vectors.Peer
ok(hex(peer.Text).subarray(0, 16).equals(Buffer.from('tailcast/1 peer\0')) && hex(peer.Text).subarray(16, 48).equals(hex(vectors.Root)))
ok(verify(null, hex(peer.Text), publicKey(hex(peer.Node)), hex(peer.Signature)), 'peer record')

for (const v of vectors.Messages) {
  const r = new Reader(hex(v.Hex))
  const type = Number(r.varint()), length = Number(r.varint())
  same(r.left, length, v.Name)
  const blocks = messages[type](r)
  same(r.left, 0, `${v.Name} has bytes left`)
  if (v.Name === 'REQ') same(blocks, [5000n, 5001n, 5009n, 5064n])
}

// Section "Stripe and repair streams", with the tree of docs/feed.md.
const leaf = (record) => sha(Buffer.from([0]), record)
const node = (l, r) => sha(Buffer.from([1]), l, r)

// append adds a leaf to the peaks of n.
function append(n, peaks, h) {
  peaks = [...peaks]
  for (; n & 1n; n >>= 1n) h = node(peaks.pop(), h)
  return [...peaks, h]
}
const rootOf = (peaks) => peaks.slice(0, -1).reduceRight((right, left) => node(left, right), peaks.at(-1))

const epochKey = publicKey(publicOf(sha(Buffer.from('epoch'))))
const base32 = (b) => {
  let bits = '', s = ''
  for (const x of b) bits += x.toString(2).padStart(8, '0')
  for (let i = 0; i < bits.length; i += 5) s += 'abcdefghijklmnopqrstuvwxyz234567'[parseInt(bits.slice(i, i + 5).padEnd(5, '0'), 2)]
  return s
}
const origin = `tailcast/1/${base32(hex(vectors.Root))}/${vectors.Logs[1].slice(3)}`

function verifyBlock(r, index, before) {
  const record = r.bytes(80), signature = r.signature()
  const peaks = before(r)
  const payload = r.bytes(record.readUInt32BE(4))
  ok(sha(payload).equals(record.subarray(48)), 'payload')
  same(peaks.length, ones(index))
  const after = append(index, peaks, leaf(record))
  const text = `${origin}\n${index + 1n}\n${rootOf(after).toString('base64')}\n`
  ok(verify(null, Buffer.from(text), epochKey, signature), `signature of block ${index}`)
  return after
}

// newPeaks says how many peaks of size i who holds the frontier of size have lacks.
function newPeaks(have, i) {
  const differ = have === i ? 0 : (have ^ i).toString(2).length
  return ones(i & ((1n << BigInt(differ)) - 1n))
}

// readStream returns where the fields of each block begin that are covered by its signature.
function readStream(b) {
  const r = new Reader(b), signed = []
  const type = r.u8()
  let stripes = 1n, peaks = [], last
  if (type === 3) {
    r.bytes(10); r.text()
    ok(r.index() < r.index()); r.ms(); r.flags()
    same(r.left, 0)
    return signed
  }
  if (type === 0) {
    let i = r.index()
    const to = r.index()
    peaks = Array.from({ length: ones(i) }, () => r.bytes(32))
    for (; i < to; i++) {
      signed.push([r.at, 0])
      peaks = verifyBlock(r, i, () => peaks)
      signed.at(-1)[1] = r.at
    }
    same(r.left, 0)
    return signed
  }
  r.log()
  let stripe
  if (type === 1) { stripe = BigInt(r.u8()); stripes = BigInt(r.u8()); r.mask() } else r.varint()
  const first = r.index()
  if (type === 1) same(first % stripes, stripe)
  while (r.left > 0) {
    const steps = r.varint()
    r.ms()
    if (r.flags() & 1n) r.path()
    ok((steps === 0n) === (last === undefined))
    const i = last === undefined ? first : last + steps * stripes
    signed.push([r.at, 0])
    const held = last === undefined ? 0n : last + 1n
    peaks = verifyBlock(r, i, (r) => {
      const fresh = newPeaks(held, i)
      return [...peaks.slice(0, ones(i) - fresh), ...Array.from({ length: fresh }, () => r.bytes(32))]
    })
    last = i
    signed.at(-1)[1] = r.at
  }
  return signed
}

const step = process.argv.includes('--all') ? 1 : 9
let flips = 0
for (const v of vectors.Streams) {
  const b = hex(v.Hex)
  if (v.Name === 'range refusal') {
    const r = new Reader(b)
    same([r.u8(), r.index(), r.index(), r.ms(), r.left], [2, 100n, 200n, 1000n, 0])
    continue
  }
  for (const [from, to] of readStream(b)) {
    for (let bit = from * 8; bit < to * 8; bit += step, flips++) {
      const bad = Buffer.from(b)
      bad[bit >> 3] ^= 1 << (bit & 7)
      let refused = false
      try { readStream(bad) } catch { refused = true }
      ok(refused, `${v.Name} verifies with bit ${bit} flipped`)
    }
  }
}
console.log(`${vectors.Link.length} link proofs, 1 peer record, ${vectors.Messages.length} messages, ${vectors.Streams.length} streams; ${flips} flipped bits refused`)
