// The latency controller against a simulated network and player: node --test latency.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Latency } from '../latency.js';

const FRAME = 0.04, STEP = 0.02;

// numbers between 0 and 1 that are the same each time.
function dice(seed) {
  return () => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
}

// watch plays for some seconds. late(t) is how long after its time the frame of time t arrives; backlog is the media there at once.
function watch({ seconds, late, backlog = 1, offset = 1000 }) {
  const l = new Latency();
  const arrivals = [];
  for (let t = -backlog, before = 0; t < seconds; t += FRAME) {
    before = Math.max(before, Math.max(0, t + FRAME) + late(t)); // in order
    arrivals.push({ at: before, end: t + FRAME + offset });
  }
  const log = { stalls: 0, jumps: [], rates: [], delays: [] };
  let position = null, end = 0, stalled = false, i = 0;
  for (let now = 0; now < seconds; now += STEP) {
    for (; i < arrivals.length && arrivals[i].at <= now; i++) l.arrived(now, end = arrivals[i].end);
    if (!end) continue;
    position ??= end - 0.25;
    const { rate, jump } = l.decide(now, position);
    if (jump !== null) { log.jumps.push(now); position = jump; }
    const next = position + rate * STEP;
    if (next <= end) { position = next; stalled = false; }
    else if (!stalled) { stalled = true; log.stalls++; l.stalled(now); }
    log.rates.push(rate);
    log.delays.push({ now, delay: now + offset - position });
  }
  log.last = log.delays.at(-1).delay;
  log.latency = l;
  return log;
}

test('a steady stream settles close to its edge', () => {
  const log = watch({ seconds: 20, late: () => 0.05 });
  assert.ok(log.last < 0.05 + 0.3, `is ${log.last} s behind`);
  assert.ok(log.stalls <= 1, `${log.stalls} stalls`);
});

test('whatever is there at the start, it jumps once at most, within a second, and is live', () => {
  for (const backlog of [0.2, 1, 3, 10]) {
    for (const seed of [1, 2, 3]) {
      const d = dice(seed), { jumps, delays } = watch({ seconds: 30, backlog, late: () => 0.05 + 0.2 * d() });
      assert.ok(jumps.length <= 1 && jumps.every(at => at < 1), `${backlog} s there: jumps after ${jumps} s`);
      const worst = Math.max(...delays.filter(x => x.now > 1).map(x => x.delay));
      assert.ok(worst < 0.6, `${backlog} s there: ${worst} s behind after the first second`);
    }
  }
});

test('the target follows the jitter', () => {
  const calm = dice(1), wild = dice(1);
  const small = watch({ seconds: 30, late: () => 0.05 + 0.05 * calm() });
  const large = watch({ seconds: 30, late: () => 0.05 + 0.6 * wild() });
  assert.ok(small.last < 0.5, `small jitter: ${small.last} s behind`);
  assert.ok(large.last > 0.5 && large.last < 1.3, `large jitter: ${large.last} s behind`);
  assert.ok(large.stalls <= 3, `large jitter: ${large.stalls} stalls`);
});

test('the start is careful: what is not measured yet is guessed', () => {
  const l = new Latency();
  for (let i = 0; i < 10; i++) l.arrived(i * FRAME, i * FRAME);
  assert.ok(l.buffer(0.4) > 0.25, `${l.buffer(0.4)} s after the start`);
  for (let i = 10; i < 100; i++) l.arrived(i * FRAME, i * FRAME);
  assert.ok(l.buffer(4) < 0.2, `${l.buffer(4)} s when it is known`);
});

test('rates stay where nobody hears them', () => {
  const d = dice(7);
  const log = watch({ seconds: 60, late: () => 0.05 + 0.4 * d() });
  assert.ok(Math.max(...log.rates) <= 1.25 && Math.min(...log.rates) >= 0.95, `from ${Math.min(...log.rates)} to ${Math.max(...log.rates)}`);
});

test('after an outage it comes back to the edge', () => {
  const log = watch({ seconds: 60, late: t => t > 10 && t < 14 ? 14 - t + 0.05 : 0.05 });
  assert.ok(log.stalls >= 1 && log.stalls <= 3, `${log.stalls} stalls`);
  assert.ok(log.last < 0.8, `is ${log.last} s behind at the end`);
});

test('stalls raise the target, time lowers it', () => {
  const l = new Latency();
  for (let i = 0; i < 100; i++) l.arrived(i * FRAME, i * FRAME + 5);
  const before = l.buffer(4);
  l.stalled(4);
  assert.ok(l.buffer(4) > before + 0.15);
  assert.ok(l.buffer(30) < before + 0.05);
  for (let i = 0; i < 100; i++) l.stalled(30);
  assert.ok(l.buffer(30) <= 3, `the target is ${l.buffer(30)} s`);
});

test('a burst at the start is no jitter', () => {
  const l = new Latency();
  for (let i = 0; i < 50; i++) l.arrived(0.001 * i, i * FRAME); // two seconds of backlog at once
  for (let i = 50; i < 100; i++) l.arrived(0.05 + (i - 50) * FRAME, i * FRAME);
  assert.ok(l.jitter() < 0.1, `jitter ${l.jitter()} s`);
});

test('far behind it jumps, and only then', () => {
  const l = new Latency();
  for (let i = 0; i < 100; i++) l.arrived(i * FRAME, i * FRAME);
  assert.equal(l.decide(3.96, 3.8).jump, null);
  assert.equal(l.decide(3.96, 2.5).jump, null);
  assert.notEqual(l.decide(3.96, 1.2).jump, null);
});

test('what a stall taught outlives the stream', () => {
  const l = new Latency();
  for (let i = 0; i < 100; i++) l.arrived(i * FRAME, i * FRAME);
  for (let i = 0; i < 5; i++) l.stalled(4);
  const next = l.next(5);
  assert.ok(Math.abs(next.boost(5) - l.boost(5)) < 1e-9 && next.boost(5) > 0.9, `${next.boost(5)}`);
  assert.equal(next.decide(5, 0).jump, null, 'a stream of which nothing has come needs no jump');
});

test('the place of live is on target', () => {
  const l = new Latency();
  for (let i = 0; i < 250; i++) l.arrived(i * FRAME, i * FRAME + 7);
  const now = 250 * FRAME;
  assert.equal(l.decide(now, l.place(now)).rate, 1);
  assert.ok(l.place(now) <= now + 7 && l.place(now) > now + 6.5, `${l.place(now) - 7} at ${now}`);
});
