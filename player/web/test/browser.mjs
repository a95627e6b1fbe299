// What the tests of the page share: a headless Chromium, and what can be seen in it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { witness } from './witness.mjs';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];

// SOON is how long what should take three seconds may take here. A busy machine is no fault of the page; TAILCAST_SOON=3000 wants it all the same.
export const SOON = Number(process.env.TAILCAST_SOON ?? 30000);

// browse opens a page and hands it to act, with what helps to look at it; whatever happens, the browser is gone at the end. What failed is said last, in
// one line: of a long log people see the end.
export async function browse(url, folder, act) {
  const profile = mkdtempSync(join(tmpdir(), 'tailcast-page-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true, args: FLAGS, viewport: { width: 1280, height: 800 }, colorScheme: 'dark',
  });
  try {
    await context.addInitScript(witness);
    await act(new Watcher(context, context.pages()[0] ?? await context.newPage(), url, folder));
  } catch (e) {
    console.error(e.stack);
    console.error(`failed: ${e.message.replaceAll(/\s+/g, ' ').slice(0, 300)}`);
    process.exitCode = 1;
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

export class Watcher {
  constructor(context, page, url, folder) {
    Object.assign(this, { context, page, url, folder, errors: [], lost: [] });
    page.on('response', r => { if (r.status() >= 400) this.lost.push(`${r.status()} ${r.url()}`); });
    page.on('requestfailed', r => { if (r.failure()?.errorText !== 'net::ERR_ABORTED') this.lost.push(`${r.failure()?.errorText} ${r.url()}`); }); // aborted: the page went
    page.on('pageerror', e => this.errors.push(`page: ${e.message}`));
    page.on('console', m => { if (m.type() === 'error') this.errors.push(`console: ${m.text()}`); });
    page.on('request', r => { if (!r.url().startsWith(this.url) && !r.url().startsWith('blob:')) this.errors.push(`foreign request: ${r.url()}`); });
  }

  look() {
    return this.page.evaluate(() => {
      const v = document.getElementById('video');
      const text = id => document.getElementById(id).textContent;
      const q = v.getVideoPlaybackQuality();
      return {
        time: v.currentTime, ready: v.readyState, rate: v.playbackRate, paused: v.paused, frames: q.totalVideoFrames, dropped: q.droppedVideoFrames, width: v.videoWidth,
        buffer: v.buffered.length ? v.buffered.end(v.buffered.length - 1) - v.currentTime : null, src: v.src,
        pill: text('pill-label'), tone: document.getElementById('pill').dataset.tone, verified: Number(text('verified').replaceAll(',', '')), sentence: text('sentence'), lag: text('lag'), live: text('live-label'),
        veil: document.getElementById('veil').dataset.shown === 'true' ? `${text('veil-title')}: ${text('veil-text')}` : '',
        resume: !document.getElementById('resume').hidden, radio: !document.getElementById('radio').hidden, seek: Number(document.getElementById('seek').value), oldest: Number(document.getElementById('seek').min),
        troubles: Object.fromEntries([...document.querySelectorAll('#troubles li')].map(li => [li.dataset.trouble, li.innerText])),
        all: document.body.innerText, label: document.title,
      };
    });
  }

  // until waits for something to be seen, and says how long it took.
  async until(what, test, ms = 60000) {
    const begun = Date.now();
    for (;;) {
      const seen = await this.look().catch(() => null); // between two pages there is none
      if (seen && test(seen)) return console.log(`ok: ${what} (${Date.now() - begun} ms)`), { ...seen, took: Date.now() - begun };
      if (Date.now() - begun >= ms) {
        console.log(`saw ${JSON.stringify({ ...seen, all: undefined })}; errors ${JSON.stringify(this.errors)}`);
        assert.fail(`${what}: not after ${ms} ms`);
      }
      await this.page.waitForTimeout(50);
    }
  }

  async shot(name, full = false) {
    if (!this.folder) return;
    await this.page.evaluate(() => scrollTo(0, 0)); // a click further down has led away from the picture
    await this.page.screenshot({ path: join(this.folder, `${name}.png`), fullPage: full });
  }

  // quiet says that nothing went wrong. Streams and the status may be lost: they end, are not there yet, or a test takes them away; the console says so
  // of each. A part of the page that is missing is none of these.
  quiet() {
    assert.deepEqual(this.errors.filter(e => !/Failed to load resource|ERR_/.test(e)), []);
    assert.deepEqual(this.lost.filter(e => !/\/(live\.mp4|live\.ts|hls\/|api\/v1\/)/.test(e)), [], 'parts of the page are missing');
  }
}
