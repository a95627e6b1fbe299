// When the page goes down to a lower rendition, and when not: node --test renditions.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Quality, label } from '../renditions.js';
import { rungs } from '../studio.js';

const list = [
  { name: '1080p', bitrate_bps: 4e6, width: 1920, height: 1080, chosen: true }, { name: '720p', bitrate_bps: 3.6e6, height: 720 },
  { name: 'low', bitrate_bps: 9e5, width: 854, height: 480 }, { name: 'radio', bitrate_bps: 96e3 },
];

// play looks four times a second for so many seconds; lacking says in which.
function play(q, from, seconds, lacking, silent = 0) {
  for (let t = from; t < from + seconds; t += 0.25) {
    const to = q.look(t, lacking(t - from), silent);
    if (to) return { to, after: t - from };
  }
  return null;
}
const quality = () => {
  const q = new Quality();
  q.seen(list);
  q.choose('1080p', 0);
  return q;
};

test('who sees pictures stays', () => {
  const q = quality();
  assert.equal(play(q, 0, 300, () => false), null);
  assert.equal(play(q, 300, 300, t => t % 12 < 3), null, 'a short stall now and then is no reason');
  assert.equal(q.now, '1080p');
});

test('a line that does not carry it for some seconds', () => {
  const q = quality();
  play(q, 0, 20, () => false);
  const down = play(q, 20, 60, () => true);
  assert.equal(down?.to, 'low', '720p has nearly as many bits');
  assert.ok(down.after >= 3.5 && down.after <= 6, `after ${down.after} s`);
  assert.equal(q.now, 'low');
  assert.match(q.trouble().what, /did not carry 1080p, 4\.0\sMbit\/s: this is low now/);
  assert.equal(q.trouble().action.label, 'Back to 1080p');
  assert.equal(play(q, 20 + down.after, 5.5, () => true), null, 'the new one gets time to begin');
  const again = play(q, 40, 60, () => true);
  assert.equal(again.to, 'radio');
  assert.match(q.trouble().what, /carry 1080p.*this is radio/);
  assert.equal(play(q, 120, 60, () => true), null, 'there is nothing below');
  q.back(200);
  assert.equal(q.now, '1080p');
  assert.equal(q.trouble(), null);
});

test('every other second is too many', () => {
  const q = quality();
  assert.equal(play(q, 20, 60, t => t % 2 < 1)?.to, 'low');
});

test('a source that is gone is not the line', () => {
  assert.equal(play(quality(), 20, 60, () => true, 5), null);
});

test('what there is to choose', () => {
  const q = new Quality();
  assert.equal(q.now, null);
  q.seen(list.slice(0, 1));
  assert.equal(q.now, null, 'of one there is no choice');
  assert.equal(play(q, 20, 60, () => true), null);
  q.seen(list);
  assert.equal(q.now, '1080p', 'the node’s choice');
  q.choose('gone', 0);
  assert.equal(q.now, '1080p', 'what is not there any more');
  assert.deepEqual(list.map(label), ['1080p, 4.0\u00a0Mbit/s', '720p, 3.6\u00a0Mbit/s', 'low, 480p, 900\u00a0kbit/s', 'radio, 96\u00a0kbit/s']);
});

test('what a streamer is told of each', () => {
  assert.deepEqual(rungs(undefined, 'http://127.0.0.1/'), {});
  assert.deepEqual(rungs([
    { rendition: 'high', bitrate_bps: 4e6, tracks: ['H.264 1920×1080', 'AAC'] }, { rendition: 'low', bitrate_bps: 0, tracks: [], push: { rtsp: 'rtsp://127.0.0.1:8554/low' } },
  ], 'http://127.0.0.1/'), { high: '4.0\u00a0Mbit/s, H.264 1920×1080, AAC', low: 'nothing comes; an encoder can send to rtsp://127.0.0.1:8554/low' });
});
