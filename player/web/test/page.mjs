// Drives the page in a headless Chromium: node page.mjs URL [folder for screenshots]. Exits 0 if all is well; says each check it makes.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, folder = ''] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'tailcast-page-'));
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true, args: flags,
  viewport: { width: 1280, height: 900 }, colorScheme: 'dark',
});
const page = context.pages()[0] ?? await context.newPage();
const errors = [];
page.on('pageerror', e => errors.push(`page: ${e.message}`));
page.on('console', m => { if (m.type() === 'error') errors.push(`console: ${m.text()}`); });
page.on('request', r => { if (!r.url().startsWith(url) && !r.url().startsWith('blob:')) errors.push(`foreign request: ${r.url()}`); });

const look = () => page.evaluate(() => {
  const v = document.getElementById('video');
  const text = id => document.getElementById(id).textContent;
  return {
    time: v.currentTime, ready: v.readyState, rate: v.playbackRate, frames: v.getVideoPlaybackQuality().totalVideoFrames,
    dropped: v.getVideoPlaybackQuality().droppedVideoFrames, width: v.videoWidth,
    buffer: v.buffered.length ? v.buffered.end(v.buffered.length - 1) - v.currentTime : null,
    pill: text('pill-label'), tone: document.getElementById('pill').dataset.tone, sentence: text('sentence'), lag: text('lag'),
    veil: document.getElementById('veil').dataset.shown === 'true' ? text('veil-title') : '', stalls: document.body.innerText.match(/Stalls\s*(\d+)/)?.[1],
    all: document.body.innerText, label: document.title,
  };
});
const until = async (what, test, ms = 15000) => {
  const end = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (test(seen)) return console.log(`ok: ${what}`), seen;
    assert.ok(Date.now() < end, `${what}: not after ${ms} ms; saw ${JSON.stringify(seen)}; errors ${JSON.stringify(errors)}`);
    await page.waitForTimeout(100);
  }
};
const shot = async name => { if (folder) await page.screenshot({ path: join(folder, `${name}.png`) }); };
const status = change => page.route('**/api/v1/status', async route => {
  const json = { ...await (await route.fetch()).json(), ...change };
  await route.fulfill({ json });
});

try {
  const begun = Date.now();
  await page.goto(url);
  const first = await until('the picture moves', s => s.frames > 0 && s.width > 0);
  console.log(`first picture after ${Date.now() - begun} ms`);
  await page.waitForTimeout(3000);
  const later = await until('frames advance', s => s.frames > first.frames + 45 && s.time > first.time + 2);
  await until('the page says Live, as the node does', s => s.tone === 'live' && s.pill === 'Live' && /^Live, \d+(\.\d)? s behind, \d+ peers/.test(s.sentence));
  await until('the lag is shown', s => /^\d+(\.\d)?$/.test(s.lag));
  await until('no veil over the picture', s => s.veil === '');
  console.log(`buffer ${later.buffer.toFixed(3)} s, rate ${later.rate}, dropped ${later.dropped} of ${later.frames}`);
  await shot('desktop-dark');

  await page.emulateMedia({ colorScheme: 'light' });
  await page.waitForTimeout(300);
  await shot('desktop-light');
  await page.click('#details > summary');
  await page.waitForTimeout(1200);
  await page.locator('#details').scrollIntoViewIfNeeded();
  await shot('details');
  await page.click('#details > summary');
  await page.setViewportSize({ width: 390, height: 844 });
  await page.evaluate(() => scrollTo(0, 0));
  await page.waitForTimeout(300);
  await shot('phone-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForTimeout(300);
  await shot('phone-dark');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `the page is ${wide} pixels wide on a phone of 390`);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.evaluate(() => scrollTo(0, 0));

  for (const [state, label] of [['waiting', 'Waiting'], ['starting', 'Starting'], ['stalled', 'Stalled'], ['ended', 'Ended'], ['', 'Not live'], ['LIVE', 'Not live']]) {
    await status({ state, reason: 'the reason, as the node puts it' });
    const s = await until(`state ${JSON.stringify(state)} is shown as ${label}`, s => s.pill === label);
    assert.ok(/The reason, as the node puts it/.test(s.sentence), `state ${state}: the sentence is ${s.sentence}`);
    assert.ok(s.tone !== 'live' && !/\bLive,/.test(s.all), `state ${state}: the page says Live: ${s.all}`);
    if (state === 'stalled') await shot('stalled');
    await page.unroute('**/api/v1/status');
  }
  await page.route('**/api/v1/status', route => route.abort());
  await until('a node that does not answer is not live', s => s.pill === 'No contact' && s.tone === 'bad', 10000);
  await page.unroute('**/api/v1/status');
  await until('and is live again', s => s.pill === 'Live');

  const source = () => page.evaluate(() => document.getElementById('video').src);
  const old = await source();
  await fetch(`${url}/test/drop`).catch(() => {}); // the server closes all connections, this one too
  const end = Date.now() + 10000;
  while (await source() === old) assert.ok(Date.now() < end, 'the page does not open the stream again');
  const back = await until('after a lost connection it connects by itself', s => s.veil === '' && s.pill === 'Live' && s.time > 0);
  await until('and plays on', s => s.time > back.time + 1);

  await page.click('#play', { force: true });
  await until('pausing', s => s.veil === 'Paused');
  await page.waitForTimeout(1000);
  await page.keyboard.press('k');
  await until('going on at the live edge', s => s.veil === '' && s.buffer < 3);
  await page.click('#mute', { force: true });
  assert.equal(await page.evaluate(() => document.getElementById('video').muted), false);
  console.log('ok: sound');

  const seen = errors.filter(e => !/Failed to load resource/.test(e)); // the aborted ones above
  assert.deepEqual(seen, []);
  await page.route('**/live.mp4*', route => route.fulfill({ status: 200, contentType: 'video/mp4; codecs="hvc1.1.6.L93.B0,ac-3"', body: '' }));
  await page.goto(url);
  const refused = await until('what the browser cannot decode', s => s.veil === 'Not in this browser');
  assert.match(refused.all, /cannot decode H\.265 and Dolby Digital \(AC-3\)\. It plays in mpv or VLC/);
  await shot('codec');
  await page.unroute('**/live.mp4*');
  console.log('all is well');
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
