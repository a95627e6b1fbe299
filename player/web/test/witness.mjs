// What the page has been told by the node, and when what stood on it: kept inside the page, by the page's own clock.
import assert from 'node:assert/strict';

// witness runs in the page before its scripts: it keeps what the node said and when troubles came and went. Its listener is the first, so that
// each status it keeps is drawn before anybody can look.
export function witness() {
  const seen = globalThis.witness = { statuses: [], told: [], answered: null };
  const ahead = ({ buffered, currentTime }) => (buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0);
  const keep = (by, status) => {
    seen.statuses = [...seen.statuses.slice(-99), { by, status, at: performance.now(), ahead: ahead(document.getElementById('video')) }];
    setTimeout(() => seen.drawn?.()); // a task of its own: the page draws in this one
    return status;
  };
  globalThis.EventSource = class extends EventSource {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', e => keep('events', JSON.parse(e.data)));
    }
  };
  const json = Response.prototype.json;
  Response.prototype.json = async function () {
    const value = await json.call(this);
    return this.url.endsWith('/api/v1/status') ? keep('polling', value) : value;
  };
  const fetched = globalThis.fetch;
  globalThis.fetch = async (...args) => {
    const response = await fetched(...args);
    if (/live\.mp4/.test(response.url)) seen.answered ??= performance.now();
    return response;
  };
  new MutationObserver(() => {
    const now = performance.now(), ids = [...document.querySelectorAll('#troubles:not([hidden]) li')].map(li => li.dataset.trouble);
    for (const t of seen.told) if (t.until === null && !ids.includes(t.id)) t.until = now;
    for (const id of ids) if (!seen.told.some(t => t.id === id && t.until === null)) seen.told.push({ id, at: now, until: null });
  }).observe(document, { childList: true, subtree: true, attributeFilter: ['hidden'] });
}

export const testimony = page => page.evaluate(() => globalThis.witness);

// since is when the page was first told what holds until now; null if it does not hold.
export function since(statuses, knows) {
  return statuses[statuses.findLastIndex(s => !knows(s.status)) + 1]?.at ?? null;
}

// inTime wants that a trouble stands on the page at most 3 s after what happened at a time of the page's clock. How busy the machine is
// matters little: only the page's own work lies between.
export async function inTime(page, id, at, ms = 3000) {
  const told = (await testimony(page)).told.find(t => t.id === id && (t.until === null || t.until > at))?.at;
  console.log(`${id} is told after ${Math.round(told - at)} ms`);
  assert.ok(at !== null && told - at <= ms, `${id} was known at ${at} ms and told at ${told} ms`);
}
