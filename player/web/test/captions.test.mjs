// Captions between the boxes of a file, without a browser: node --test.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Boxes, entry } from '../captions.js';

const box = (name, body) => {
  const b = Buffer.alloc(8 + body.length);
  b.writeUInt32BE(b.length);
  b.write(name, 4);
  b.set(body, 8);
  return b;
};

function emsg(at, track, text, scheme = 'urn:tailcast:captions') {
  const head = Buffer.alloc(24);
  head[0] = 1;
  head.writeUInt32BE(90000, 4);
  head.writeBigUInt64BE(BigInt(at), 8);
  return box('emsg', Buffer.concat([head, Buffer.from(`${scheme}\0${track}\0${text}`)]));
}

test('messages are found however the bytes come', () => {
  const file = Buffer.concat([
    box('ftyp', Buffer.alloc(12)), box('moov', Buffer.from('emsg emsg emsg')), emsg(90000, 'cc-1;;', 'Grüße\nzwei'), box('moof', Buffer.alloc(100)), box('mdat', emsg(1, 'x', 'not a box')),
    emsg(2, 'y', 'of another', 'urn:scte'), emsg(135000, 'teletext-150-9;deu;', ''), box('mdat', Buffer.alloc(0)), emsg(180000, 'cc-1;;', 'last'),
  ]);
  for (const size of [1, 2, 7, 33, file.length]) {
    const boxes = new Boxes(), got = [];
    for (let i = 0; i < file.length; i += size) boxes.take(new Uint8Array(file.subarray(i, i + size)), m => got.push([m.at, m.track, m.text]));
    assert.deepEqual(got, [[1, 'cc-1;;', 'Grüße\nzwei'], [1.5, 'teletext-150-9;deu;', ''], [2, 'cc-1;;', 'last']], `pieces of ${size}`);
  }
});

test('nonsense is passed over', () => {
  const boxes = new Boxes();
  boxes.take(box('emsg', Buffer.alloc(70000)), () => assert.fail('too large'));
  boxes.take(box('emsg', Buffer.alloc(3)), () => assert.fail('too small'));
  let n = 0;
  boxes.take(emsg(0, 'cc-1;;', ''), () => n++);
  assert.equal(n, 1);
  boxes.take(Buffer.alloc(8), () => {}); // a box without an end
  boxes.take(emsg(0, 'cc-1;;', ''), () => n++);
  assert.equal(n, 1);
});

test('tracks have names for people', () => {
  assert.deepEqual(entry(' teletext-888-3;deu;impaired'), { id: 'teletext-888-3', language: 'deu', shown: true, name: 'German · hard of hearing · Teletext 888' });
  assert.deepEqual(entry('cc-1;;'), { id: 'cc-1', language: '', shown: true, name: 'CC1' });
  assert.equal(entry('bitmap-1-4;eng;').shown, false);
});
