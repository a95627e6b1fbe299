// What the page may claim, for every state a node can be in: node --test status.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verdict, summary, ratio, saved, span, bytes, bitrate, reached } from '../status.js';

test('only a node that says live is live', () => {
  for (const state of ['waiting', 'starting', 'stalled', 'ended', 'recorded', 'Live', 'LIVE', '', undefined, null, true, 1]) {
    const v = verdict({ state, reason: 'because' });
    assert.notEqual(v.tone, 'live', `state ${state}`);
    assert.doesNotMatch(v.label, /^live/i, `state ${state}`);
    assert.match(summary({ state, reason: 'because' }, 0.5), /^Because\.$/, `state ${state}`);
  }
  for (const nothing of [undefined, null]) {
    assert.notEqual(verdict(nothing).tone, 'live');
    assert.doesNotMatch(summary(nothing, 0.5), /\blive\b/i);
  }
  assert.deepEqual(verdict({ state: 'live', reason: '' }), { tone: 'live', label: 'Live', reason: '' });
});

test('nothing is live for long when nothing comes', () => {
  assert.equal(verdict({ state: 'live', silent_s: 1.9 }).tone, 'live');
  const v = verdict({ state: 'live', silent_s: 3.2, flow: 'the streamer 192.0.2.1:4433 has stopped' });
  assert.deepEqual(v, { tone: 'wait', label: 'Interrupted', reason: 'Nothing new has come for 3 s. The streamer 192.0.2.1:4433 has stopped.' });
});

test('every state has a reason, also without one from the node', () => {
  for (const state of ['waiting', 'starting', 'stalled', 'ended']) assert.match(verdict({ state }).reason, /^[A-Z].*\.$/);
});

test('the sentence', () => {
  const status = { role: 'viewer', state: 'live', peers: [1, 2], bytes: { sent: { media: 230 }, received: { media: 90, repair: 10 } }, blocks: { verified: 7 } };
  assert.equal(summary(status, 0.83), 'Live, 0.8 s behind, 2 peers; you have passed on 2.3× what you watched; every block verified.');
  assert.equal(summary({ ...status, peers: [1], bytes: {}, blocks: {} }, null), 'Live, 1 peer.');
  assert.equal(summary({ ...status, bytes: {}, blocks: { verified: 7, missed: 1, rejected: 2 } }, 0.5), 'Live, 0.5 s behind, 2 peers; 1 block missed, 2 refused and not shown, all others verified.');
  assert.equal(summary({ ...status, bytes: {} }, null, 200), 'Watching 3 min ago, 2 peers; every block verified.');
  assert.equal(summary({ ...status, role: 'streamer', bytes: { sent: { media: 50 }, appended: 100 } }, 12.2), 'Live, 12 s behind, 2 viewers connected; you upload 0.5× the stream; every block signed.');
  assert.match(summary({ ...status, role: 'streamer', peers: [{ inner: true }, { inner: false }] }, null), /^Live, 1 viewer connected;/);
  assert.equal(ratio({}), 0);
});

test('what others spared the broadcaster', () => {
  assert.equal(saved({}), null);
  assert.equal(saved({ blocks: { verified: 200, by_others: 150 } }), 0.75);
});

test('numbers for people', () => {
  assert.deepEqual([0, 999, 1000, 123456, 2.5e9].map(bytes), ['0 B', '999 B', '1.0 kB', '123 kB', '2.5 GB'].map(s => s.replace(' ', '\u00a0')));
  assert.deepEqual([0, 96e3, 4.02e6].map(bitrate), ['–', '96\u00a0kbit/s', '4.0\u00a0Mbit/s']);
  assert.deepEqual([0, 59.4, 89, 150, 7260].map(span), ['0 s', '59 s', '89 s', '3 min', '2 h 1 min']);
});

test('what an encoder is told to send to is where the page is', () => {
  const push = { http: 'http://key:YOUR-KEY@127.0.0.1:8080/ingest', rtsp: 'rtsp://key:YOUR-KEY@[::]:8554/live', whip: 'http://127.0.0.1:8080/whip' };
  assert.deepEqual(reached(push, 'http://192.168.1.5:8080/'), {
    http: 'http://key:YOUR-KEY@192.168.1.5:8080/ingest', rtsp: 'rtsp://key:YOUR-KEY@192.168.1.5:8554/live', whip: 'http://192.168.1.5:8080/whip',
  });
  assert.deepEqual(reached({ http: 'http://127.0.0.1:8080/ingest', rtsp: 'rtsp://127.0.0.1:8554/live' }, 'https://studio.example/'), {
    http: 'https://studio.example/ingest', rtsp: 'rtsp://127.0.0.1:8554/live', whip: undefined,
  });
  assert.deepEqual(reached({}, 'http://127.0.0.1:8080/'), { http: undefined, rtsp: undefined, whip: undefined });
});
