// Where live is, from what a node says now and then: node --test edge.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Edge } from '../edge.js';

test('live goes on between statuses, and a late block does not hold it up', () => {
  const e = new Edge();
  assert.equal(e.known, false);
  for (let t = 0; t <= 8; t += 0.5) e.saw(t, 1e12 + 1000 * t - (t === 4 ? 900 : 100));
  assert.equal(e.wall(8.2), 1e12 + 8200 - 100);
});

test('a source that stands still moves live back, in time', () => {
  const e = new Edge();
  for (let t = 0; t <= 60; t += 0.5) e.saw(t, 1e12 + 1000 * Math.min(t, 20));
  assert.ok(e.wall(60) <= 1e12 + 30000 && e.wall(60) >= 1e12 + 20000, `${e.wall(60) - 1e12}`);
});
