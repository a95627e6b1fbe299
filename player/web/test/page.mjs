// Drives the page in a headless Chromium, over a channel with a status that it changes: node page.mjs URL [folder for screenshots]. Exits 0 if
// all is well; says each check it makes.
import assert from 'node:assert/strict';
import { browse, SOON } from './browser.mjs';
import { flows, read, same } from './panel.mjs';
import { inTime, since, testimony } from './witness.mjs';

const [url, folder = ''] = process.argv.slice(2);
let staged = 0; // statuses are numbered, so that the page can be asked for what it shows of one
const status = async change => { await fetch(`${url}/test/status`, { method: 'POST', body: JSON.stringify({ ...change, staged: ++staged }) }); };
const LIVE = /^Live, \d+(\.\d)? s behind, 4 peers; you have passed on 2\.3× what you watched; every block verified\.$/;

await browse(url, folder, async w => {
  const { page } = w;
  const begun = Date.now();
  await page.goto(url);
  const first = await w.until('the picture moves', s => s.frames > 0 && s.width > 0);
  console.log(`first picture after ${Date.now() - begun} ms`);
  await w.until('frames advance', s => s.frames > first.frames + 45 && s.time > first.time + 1.5);
  await w.until('the page says Live, as the node does', s => s.tone === 'live' && s.pill === 'Live' && LIVE.test(s.sentence));
  await w.until('the lag is shown', s => /^\d+(\.\d)?$/.test(s.lag));
  const well = await w.until('no veil over the picture, and no trouble', s => s.veil === '' && Object.keys(s.troubles).length === 0);
  console.log(`buffer ${well.buffer.toFixed(3)} s, rate ${well.rate}, dropped ${well.dropped} of ${well.frames}`);

  assert.match(await page.locator('#programme').innerText(), /^Now until \d\d:\d\d( [AP]M)?: Ein Hase <wacht> auf · then: Nachrichten$/);
  console.log('ok: what is on is said');
  await looks(w);
  await numbers(w);
  await states(w);
  await faults(w);
  await past(w);
  await days(w);
  await keys(w);
  await many(w);
  await studio(w);
  w.quiet();
  await refused(w);
  console.log('all is well');
});

// looks takes the pictures that people look at.
async function looks(w) {
  const { page } = w;
  await page.mouse.move(640, 300);
  for (const [name, width, height] of [['desktop', 1280, 800], ['phone', 390, 844], ['tv', 1920, 1080]]) {
    await page.setViewportSize({ width, height });
    await page.evaluate(() => scrollTo(0, 0));
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(600);
      await w.shot(`${name}-${colorScheme}`);
      await w.shot(`${name}-${colorScheme}-whole`, true);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `the page is ${wide} pixels wide on a screen of ${width}`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'dark' });
  const bare = await page.evaluate(() => [...document.querySelectorAll('button, input, select, a, img, [role=img]')].filter(e => e.offsetParent !== null &&
    !(e.getAttribute('aria-label') || e.textContent.trim() || e.hasAttribute('alt') || e.labels?.length)).map(e => e.outerHTML.slice(0, 80)));
  assert.deepEqual(bare, [], 'controls without a name');
  console.log('ok: everything that can be pressed has a name');
}

// numbers gives each label a number that no other has, so that none can stand in the place of another.
async function numbers(w) {
  flows(await read(w.page));
  const peers = Array.from({ length: 9 }, (_, i) => ({
    id: `peer${i}`, addr: `198.51.100.${i}:4433`, role: ['streamer', 'relay', 'viewer'][i % 3], path: ['direct', 'relay', 'lan', 'this machine'][i % 4], parent: i > 6, rtt_ms: 3.14 * (i + 1), up_bps: 1.1e5 * (i + 1), down_bps: 1.3e5 * (i + 1),
    lag_s: i === 4 ? null : 0.17 * (i + 1), stripes: 20 + i, fed: i === 3 ? 0 : 10 + i,
  }));
  const r = (await (await fetch(`${url}/api/v1/status`)).json()).renditions[0];
  const of = n => ({ media: 123e6 * n, repair: 4.56e6 * n, proofs: 789e3 * n, control: 12e3 * n });
  const change = {
    lag_s: { p50: 0.37, p99: 1.29 }, renditions: [{ ...r, name: 'best', epoch: 'anotherrun', head: 8765432, bitrate_bps: 7.6e6 }],
    peers, blocks: { verified: 70123, repaired: 1211, missed: 0, rejected: 43, duplicate: 54, by_others: 40010 }, bytes: { received: of(1), sent: of(3.7), appended: 0 },
    stripes: peers.slice(0, 7).map((p, i) => ({ log: 'main', number: i, from: i === 2 ? '' : p.id, hops: i + 1, flows: i !== 5 })),
    refused: peers.slice(0, 6).map((p, i) => ({ id: `bad${i}`, role: p.role, addr: p.addr, why: `reason ${i}`, at: new Date(1.7e12 + 61e3 * i).toISOString() })),
  };
  await status(change);
  const few = await read(w.page, staged);
  assert.deepEqual(few.peers.map(p => p.Node), ['peer8', 'peer7', 'peer6', 'peer5', 'peer4', 'peer2', 'peer1', 'peer0'], 'who is used most is listed first');
  await w.page.click('#all-peers');
  same(await read(w.page, staged));
  await w.page.click('#all-peers');
  await status({});
  console.log('ok: each number stands at its label');
}

// states lets the node say each of its states.
async function states(w) {
  for (const [state, label] of [['waiting', 'Waiting'], ['starting', 'Starting'], ['stalled', 'Stalled'], ['ended', 'Ended'], ['', 'Not live'], ['LIVE', 'Not live']]) {
    await status({ state, reason: 'the reason, as the node puts it' });
    const s = await w.until(`state ${JSON.stringify(state)} is shown as ${label}`, s => s.pill === label && /^The reason, as the node puts it/.test(s.sentence), SOON);
    assert.ok(s.tone !== 'live' && !/\bLive,/.test(s.all), `state ${state}: the page says Live: ${s.all}`);
    if (state === 'stalled') await w.shot('stalled');
  }
  await status({});
  await w.until('and is live again', s => s.pill === 'Live');
}

// faults provokes what can go wrong, and wants the sentence within 3 s.
async function faults(w) {
  const list = [
    ['peers', { state: 'waiting', peers: [], reason: '203.0.113.5:4433 does not answer' }, /Nobody who has this channel.*203\.0\.113\.5:4433 does not answer/],
    ['source', { silent_s: 2, flow: 'connected to the relay 198.51.100.7:4433, which has sent nothing new for 2 s' }, /Nothing new has come.*relay/s],
    ['uplink', { upload: { uplink_bps: 300e3 } }, /300\skbit\/s up/],
    ['disk', { disk_error: 'no space left on device' }, /no space left on device/],
    ['clock', { clock_error_s: 301 }, /5 min slow/],
    ['refused', { blocks: { verified: 9, rejected: 1 }, refused: [{ id: 'x', role: 'viewer', addr: '192.0.2.9:1', why: 'misbehaved (payload)', at: new Date().toISOString() }] }, /1 block did not verify.*192\.0\.2\.9:1/s],
  ];
  for (const [id, change, sentence] of list) {
    await status(change);
    await w.until(`fault ${id} is told`, s => sentence.test(s.troubles[id] ?? ''), SOON);
    await inTime(w.page, id, since((await testimony(w.page)).statuses, s => s.staged === staged));
    if (id === 'peers' || id === 'refused') await w.shot(`fault-${id}`, true);
  }
  await status({});
  await w.until('and all is well again', s => Object.keys(s.troubles).length === 0, SOON);
  await w.page.route('**/api/v1/status', () => {}); // it takes questions and never answers
  await w.page.route('**/api/v1/events', route => route.abort());
  await fetch(`${url}/test/drop`).catch(() => {}); // the server closes all connections, this one too
  await w.until('a node that does not answer is not live', s => s.pill === 'No contact' && s.tone === 'bad' && s.troubles.contact, SOON);
  const last = (await testimony(w.page)).statuses.at(-1);
  await inTime(w.page, 'contact', last.at, SOON); // silence is measured by timers, which a busy machine holds up
  await w.page.unroute('**/api/v1/status');
  await w.until('and is live again, without events', s => s.pill === 'Live' && s.veil === '');
  assert.equal((await testimony(w.page)).statuses.at(-1).by, 'polling');
  await w.page.unroute('**/api/v1/events');
  const old = (await w.look()).src;
  await fetch(`${url}/test/drop`).catch(() => {});
  await w.until('a lost stream is opened again', s => s.src !== old && s.veil === '' && s.time > 0);
}

// past goes back, pauses, and comes back to live.
async function past(w) {
  const { page } = w;
  await w.until('there is a past', s => s.seek === 0 && s.live === 'Live');
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press('j');
  const back = await w.until('10 seconds back, within what is buffered or not', s => s.seek <= -9 && s.seek >= -20 && s.veil === '' && !s.paused && /^Watching \d+ s ago/.test(s.sentence), SOON);
  await w.until('it plays there', s => s.time > back.time + 1 || s.src !== back.src);
  await w.shot('past');
  await page.evaluate(() => { const seek = document.getElementById('seek'); seek.value = String(Number(seek.min) + 2); seek.dispatchEvent(new Event('input')); seek.dispatchEvent(new Event('change')); });
  const far = await w.until('almost as far back as there is', s => s.oldest < -15 && s.seek < s.oldest + 8 && s.veil === '' && s.ready >= 3 && !s.paused, SOON);
  await w.until('frames advance there', s => s.frames > 20 && s.time > far.time + 1 && s.rate === 1);
  await page.click('#live');
  await w.until('back to live', s => s.live === 'Live' && s.seek === 0 && s.veil === '' && s.buffer < 2 && LIVE.test(s.sentence), SOON);
  await page.click('#play');
  await w.until('pausing shows how to go on', s => s.resume && s.paused && s.veil === '');
  await w.shot('paused');
  await page.waitForTimeout(2500);
  await page.click('#resume');
  await w.until('going on where it was', s => !s.paused && s.seek <= -2 && s.seek >= -30 && /^Watching/.test(s.sentence), SOON);
  await page.keyboard.press('End');
  await w.until('and live', s => s.live === 'Live' && s.buffer < 2 && s.veil === '', SOON);
}

// days has more of the past than a timeline can show.
async function days(w) {
  const { page } = w;
  await w.until('no field for a time while there is little', s => s.live === 'Live');
  assert.equal(await page.locator('#moment-choice').isVisible(), false);
  const now = Date.now();
  const r = (await (await fetch(`${url}/api/v1/status`)).json()).renditions[0];
  await status({ renditions: [{ ...r, kept: { from: new Date(now - 3 * 86400e3).toISOString(), to: new Date(now).toISOString() } }] });
  await page.waitForFunction(() => !document.getElementById('moment-choice').hidden, null, { timeout: SOON });
  await page.mouse.move(640, 300);
  await page.mouse.move(650, 310);
  await w.shot('days');
  const asked = page.waitForRequest(/live\.mp4\?at=/);
  await page.evaluate(ms => {
    const field = document.getElementById('moment');
    field.value = new Date(ms - 60000 * new Date(ms).getTimezoneOffset()).toISOString().slice(0, 19);
    field.dispatchEvent(new Event('change'));
  }, now - 86400e3);
  const at = Date.parse(new URL((await asked).url()).searchParams.get('at'));
  assert.ok(Math.abs(at - (now - 86400e3)) < 1500, `asked for ${new Date(at).toISOString()}`);
  await w.until('what is not kept there after all leads back to live', s => s.live === 'Live' && s.veil === '' && s.frames > 5, SOON);
  await status({});
  await page.waitForFunction(() => document.getElementById('moment-choice').hidden, null, { timeout: SOON }); // the page has heard that there is less
}

// keys and buttons.
async function keys(w) {
  const { page } = w;
  const video = what => page.evaluate(what => document.getElementById('video')[what], what);
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press('m');
  assert.equal(await video('muted'), false, 'm turns the sound on');
  await page.locator('#stage').focus();
  await page.keyboard.press('ArrowDown');
  assert.equal(await video('volume'), 0.95, 'arrow down is quieter');
  await page.keyboard.press('ArrowUp');
  assert.equal(await video('volume'), 1, 'arrow up is louder');
  await page.locator('#volume').fill('0.4');
  assert.deepEqual([await video('volume'), await video('muted')], [0.4, false], 'the slider sets the volume');
  await page.locator('#volume').fill('0');
  assert.equal(await video('muted'), true, 'and no volume is no sound');
  await page.click('#mute');
  assert.deepEqual([await video('volume'), await video('muted')], [1, false], 'who turns the sound on hears it');
  await page.click('#mute');
  assert.equal(await video('muted'), true, 'a click turns the sound off');
  await page.waitForFunction(() => document.getElementById('mute').getAttribute('aria-label') === 'Turn sound on', null, { timeout: SOON });
  await page.locator('#stage').focus();
  await page.keyboard.press('k');
  await w.until('k pauses', s => s.paused);
  await page.keyboard.press('k');
  await w.until('k plays', s => !s.paused);
  await page.keyboard.press(' ');
  await w.until('Space pauses', s => s.paused);
  await page.keyboard.press(' ');
  await w.until('Space plays', s => !s.paused);
  await page.keyboard.press('Home');
  const oldest = await w.until('Home goes to the oldest', s => s.seek <= s.oldest + 8 && s.veil === '' && s.ready >= 3 && /^Watching/.test(s.sentence), SOON);
  await page.keyboard.press('l');
  await w.until('l goes on 10 seconds', s => s.seek >= oldest.seek + 5 && s.veil === '' && s.ready >= 3, SOON);
  await pictureInPicture(w);
  await page.keyboard.press('f');
  await page.waitForFunction(() => document.fullscreenElement?.id === 'stage');
  await page.keyboard.press('f');
  await page.waitForFunction(() => document.fullscreenElement === null);
  await page.keyboard.press('End');
  await w.until('live again', s => s.live === 'Live');
  await page.evaluate(() => document.activeElement?.blur());
  const focused = () => page.evaluate(() => document.activeElement.id);
  await page.keyboard.press('Enter');
  assert.equal(await focused(), 'play', 'Enter leads to the buttons');
  await page.keyboard.press('ArrowRight');
  assert.equal(await focused(), 'back', 'right leads to the next button');
  await page.keyboard.press('ArrowUp'); // while live is still opening, perhaps: what comes next counts from there
  assert.equal(await focused(), 'seek', 'up leads to the timeline');
  await w.shot('focus');
  await page.keyboard.press('ArrowLeft');
  await w.until('left goes back there', s => s.seek <= -8 && /^Watching/.test(s.sentence), SOON);
  await page.keyboard.press('ArrowDown');
  assert.equal(await focused(), 'play', 'down leads to the buttons again');
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('End');
  await w.until('live once more', s => s.live === 'Live');
  await w.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await status({ lan: ['http://192.0.2.2:8080/asecretword/'] });
  await page.waitForFunction(() => /asecretword/.test(document.getElementById('home-link').textContent), null, { timeout: SOON });
  await page.click('#report');
  await page.waitForFunction(() => document.getElementById('report').textContent === 'Copied');
  const text = await page.evaluate(() => navigator.clipboard.readText()), report = JSON.parse(text);
  assert.ok(report.status.blocks.verified > 0 && /^Live/.test(report.sentence) && report.page['Coding'] === 'H.264, AAC', text);
  assert.ok(!text.includes('asecretword'), 'the report gives the address of the home network away');
  await status({});
  console.log('ok: sound, full screen, report');
}

// pictureInPicture by its key and by its button. Headless Chromium has no window for it: what counts is that the page asks for one, and for none again.
async function pictureInPicture(w) {
  const { page } = w;
  await page.evaluate(() => {
    let shown = null;
    globalThis.asked = [];
    Object.defineProperty(document, 'pictureInPictureElement', { configurable: true, get: () => shown });
    HTMLVideoElement.prototype.requestPictureInPicture = async function () { asked.push('in'); shown = this; };
    document.exitPictureInPicture = async () => { asked.push('out'); shown = null; };
  });
  await page.keyboard.press('i');
  await page.keyboard.press('i');
  await page.mouse.move(640, 300);
  await page.mouse.move(650, 310); // the bar comes with the pointer
  await page.click('#pip');
  await page.click('#pip');
  assert.deepEqual(await page.evaluate(() => globalThis.asked), ['in', 'out', 'in', 'out'], 'i and the button open and close the small picture');
  await page.evaluate(() => document.activeElement?.blur());
}

// many has more peers than the panel shows at once.
async function many(w) {
  const { page } = w, one = (await (await fetch(`${url}/api/v1/status`)).json()).peers[0];
  await status({ peers: Array.from({ length: 30 }, (_, i) => ({ ...one, id: `peer${i}` })) });
  await page.waitForFunction(() => document.getElementById('all-peers').textContent === 'Show all 30', null, { timeout: SOON });
  const rows = () => page.locator('#peer-rows tr').count(), few = await rows();
  await page.click('#all-peers');
  assert.deepEqual([await rows(), await page.locator('#all-peers').textContent()], [30, 'Show fewer'], 'all are shown');
  await page.click('#all-peers');
  assert.ok(few < 30 && await rows() === few, `${few} of 30 are shown, then ${await rows()}`);
  await status({});
  await w.until('four peers again', s => LIVE.test(s.sentence), SOON);
}

// studio is the page of a streamer.
async function studio(w) {
  const { page } = w;
  await status({
    role: 'streamer', stripes: [], bytes: { sent: { media: 230e6, repair: 1.2e6, proofs: 3.4e6, control: 56e3 }, received: { media: 0, repair: 78e3, proofs: 9.1e3, control: 234e3 }, wire_sent: 240e6, appended: 100e6 },
    history: { from: new Date(1.7e12).toISOString(), bytes: 5.6e9 }, faults: [{ reason: 'two heads of size 7' }], note_expires: new Date(Date.now() + 80 * 86400e3).toISOString(), audience: { connected: 24, heard_of: 131, delivered: 15.5e9, sent: 240e6 },
    ingest: {
      input: 'rtsp://127.0.0.1:8554/live', bytes: 104e6, lost_packets: 3, damaged_samples: 17, retransmitted: 410, lost_datagrams: 6, refused: 5, discontinuities: 8, reconnects: 9, bitrate_bps: 4.1e6, fps: 29.97, keyframe_s: 10, tracks: ['H.264 1920×1080', 'AAC 48 kHz (eng)'], push: { http: `${url}/ingest`, rtsp: 'rtsp://127.0.0.1:8554/live', whip: `${url}/whip` },
      switches: 3,
      sources: [
        { name: 'primary', input: 'rtsp://camera.example/stream', state: 'down', on_air: false, reason: 'pictures have stopped 12s ago, though something still comes', bitrate_bps: 1.2e5, fps: 0, lost_packets: 3, clock_drift_ppm: null },
        { name: 'backup', input: 'udp://127.0.0.1:5000', state: 'on air', on_air: true, bitrate_bps: 4.1e6, fps: 29.97, keyframe_s: 10, clock_drift_ppm: -412.4, damaged_samples: 2 },
        { name: 'slate', input: 'the built-in slate', state: 'waiting', reason: 'shown when there is nothing else' },
      ],
      warnings: [{ id: 'gop', what: 'keyframes are up to 10.0 s apart: who joins waits for the next one, and seeking is coarse', todo: 'set the keyframe interval of the encoder to 1 s' }],
    },
  });
  const s = await w.until('the streamer’s page', s => /155 nodes/.test(s.all) && s.troubles['input-gop'], SOON);
  for (const want of [/98\s*% of your upload/, /\$0\.76/, /Custom Output \(FFmpeg\)/, /-method PUT/, /29\.97/, /10\.0 s, too seldom/, /Viewers see the backup input\. Switched 3 times/, /412 ppm slow/, /2 damaged/, /pictures have stopped 12s ago/, /the built-in slate/]) assert.match(s.all, want);
  same(await read(page, staged));
  await page.waitForFunction(() => document.getElementById('qr').naturalWidth > 0);
  const copies = await page.locator('.recipe [data-copy]').evaluateAll(list => list.map(b => b.getAttribute('aria-label')));
  assert.ok(copies.length > 1 && new Set(copies).size === copies.length && copies.every(c => /^Copy: ffmpeg/.test(c)), `each button says what it copies: ${copies}`);
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(300);
    await w.shot(`studio-${colorScheme}`, true);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await page.waitForTimeout(300);
  await w.shot('studio-phone', true);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 390, 'the streamer’s page is too wide for a phone');
  await page.setViewportSize({ width: 1280, height: 800 });
  await status({});
}

// refused is what the browser cannot decode.
async function refused(w) {
  const { page } = w;
  await page.route('**/live.mp4*', route => route.fulfill({ status: 200, contentType: 'video/mp4; codecs="hvc1.1.6.L93.B0,ac-3"', body: '' }));
  await page.goto(url);
  const s = await w.until('what the browser cannot decode is said', s => /^Not in this browser/.test(s.veil) && s.troubles.codec, SOON);
  await inTime(page, 'codec', (await testimony(page)).answered);
  assert.match(s.veil, /cannot decode H\.265 \(HEVC\) and Dolby Digital \(AC\u20113\)/, 'no line ends within a name');
  assert.equal(await page.locator('#veil button:visible, #veil a:visible').count(), 3, 'buttons for mpv, VLC and a playlist');
  for (const [name, width, height] of [['codec', 1280, 800], ['codec-phone', 390, 844]]) {
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(300);
    await w.shot(name);
  }
  await page.unroute('**/live.mp4*');
}
