import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onAir } from '../guide.js';

const at = minutes => new Date(2026, 0, 2, 20, minutes).toISOString();
const now = Date.parse(at(5));

test('what is on, and what comes next', () => {
  const news = { start: at(0), end: at(15), title: 'News' }, film = { start: at(15), title: 'Film' };
  assert.match(onAir([news, film], now), /^Now until (08:15.PM|20:15): News · then: Film$/);
  assert.equal(onAir([film], Date.parse(at(20))), 'Now: Film');
  assert.match(onAir([film], now), /^At (08:15.PM|20:15): Film$/);
  assert.equal(onAir([news], Date.parse(at(15))), '', 'it has ended');
  assert.equal(onAir([{ start: at(60 * 24), title: 'Tomorrow' }], now), '');
  assert.equal(onAir([{ start: at(0), end: at(15), title: '' }], now), '');
  assert.equal(onAir(undefined, now), '');
});
