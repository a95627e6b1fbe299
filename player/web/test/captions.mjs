// Looks at captions in a headless Chromium: node captions.mjs URL [folder for screenshots]. The channel says "Zwölf & N" by teletext, for 1.5 s
// every two seconds, and "Line N" in its pictures. Exits 0 if all is well.
import assert from 'node:assert/strict';
import { browse, SOON } from './browser.mjs';

const [url, folder = ''] = process.argv.slice(2);

// shown is what stands over the picture now, and by which track.
const shown = page => page.evaluate(() => {
  const { textTracks, currentTime } = document.getElementById('video');
  const on = [...textTracks].filter(t => t.mode === 'showing');
  return { tracks: on.length, label: on[0]?.label, texts: on.flatMap(t => [...t.activeCues ?? []].map(c => c.text)), time: currentTime };
});

const until = async (page, what, test, ms = SOON) => {
  const begun = Date.now();
  for (let s; ; await page.waitForTimeout(40)) {
    if (test(s = await shown(page))) return console.log(`ok: ${what} (${Date.now() - begun} ms)`), s;
    assert.ok(Date.now() - begun < ms, `${what}: not after ${ms} ms; saw ${JSON.stringify(s)}`);
  }
};

const bar = page => page.evaluate(() => ({
  label: document.getElementById('captions').getAttribute('aria-label'), hidden: document.getElementById('captions').hidden,
  choices: [...document.getElementById('texts').options].map(o => [o.value, o.textContent, o.disabled]), choice: document.getElementById('texts').value,
}));

await browse(url, folder, async w => {
  const { page } = w;
  for (const way of ['', '?way=hls']) {
    await page.goto(url + '/' + way);
    await page.evaluate(() => localStorage.clear());
    await page.reload();
    await w.until('the picture moves', s => s.frames > 10 && s.veil === '');
    await page.waitForFunction(() => document.getElementById('texts').options.length >= 3, null, { timeout: SOON });
    assert.equal((await shown(page)).tracks, 0, 'captions are off until they are asked for');
    const { label, choices } = await bar(page);
    assert.equal(label, 'Turn captions on');
    const pictures = way ? [] : [['English · pictures, in mpv and VLC only', true]]; // HLS does not name them
    assert.deepEqual(choices.map(c => c.slice(1)), [['No captions', false], ['German · Teletext 150', false], ...pictures, ['CC1', false]]);

    await page.keyboard.press('c');
    const one = await until(page, 'c turns teletext on', s => /^Zwölf &(amp;)? \d$/.test(s.texts.join()));
    await until(page, 'and it goes', s => s.texts.length === 0);
    await until(page, 'and another comes', s => s.texts.length === 1 && s.texts[0] !== one.texts[0]);
    assert.equal((await bar(page)).label, 'Turn captions off');
    await page.mouse.move(640, 300);
    await w.shot(`captions${way ? '-hls' : ''}`);

    await page.selectOption('#texts', choices.find(c => /CC1/.test(c[1]))[0]);
    const two = await until(page, 'the other track', s => s.tracks === 1 && /^Line \d$/.test(s.texts.join()));
    await until(page, 'it goes on', s => s.texts.length === 1 && /^Line \d$/.test(s.texts[0]) && s.texts[0] !== two.texts[0]);
    if (!way) {
      await page.setViewportSize({ width: 390, height: 844 });
      await w.shot('captions-phone');
      await page.setViewportSize({ width: 1280, height: 800 });
      await past(w);
    }
    await page.reload();
    await until(page, 'the choice is remembered', s => s.tracks === 1 && /^Line \d$/.test(s.texts.join()));
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press('c');
    await until(page, 'c turns them off', s => s.tracks === 0);
  }
  w.quiet();
  console.log('all is well');
});

// past: captions of what was aired a while ago, from another request.
async function past(w) {
  const { page } = w;
  await page.waitForFunction(() => Number(document.getElementById('seek').min) <= -12); // as much has been aired
  await page.evaluate(() => { const seek = document.getElementById('seek'); seek.value = String(Number(seek.min) + 1); seek.dispatchEvent(new Event('input')); seek.dispatchEvent(new Event('change')); });
  await w.until('in the past', s => /^Watching/.test(s.sentence) && s.veil === '' && s.ready >= 3);
  const one = await until(page, 'captions of the past', s => s.tracks === 1 && /^Line \d$/.test(s.texts.join()));
  await until(page, 'which go on', s => s.texts.length === 1 && s.texts[0] !== one.texts[0]);
  await page.keyboard.press('End');
  await w.until('live again', s => s.live === 'Live' && s.veil === '');
}
