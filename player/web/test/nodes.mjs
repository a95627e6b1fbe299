// Drives the page of a real viewer: node nodes.mjs URL "what [kind of clip]" [folder for screenshots]. What the test around it must do is asked for with a line
// "want: …" on standard output, and answered with a line on standard input.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { browse, SOON } from './browser.mjs';
import { between, flows, read, same } from './panel.mjs';
import { inTime, since, testimony } from './witness.mjs';

const [url, how, folder = ''] = process.argv.slice(2);
const [what, kind = what] = how.split(' ');
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const want = async deed => {
  console.log(`want: ${deed}`);
  await answers.next();
};
const status = async (of = url) => (await fetch(`${of}/api/v1/status`)).json();
const advance = async (w, name) => {
  const s = await w.look();
  return w.until(name, n => n.frames > s.frames + 20 && n.time > s.time + 0.5 && n.veil === '');
};

// known tells of a status that there is a fault, as docs/page.md has it.
const known = {
  peers: s => s.state === 'waiting' && s.peers.length === 0,
  uplink: s => s.peers.length > 0 && s.upload.limit_bps < 2.25 * s.renditions[0].bitrate_bps,
  disk: s => s.disk_error,
  clock: s => Math.abs(s.clock_error_s) > 5,
  'input-gop': s => s.ingest.warnings.some(w => w.id === 'gop'),
};

const acts = { picture, radio, sounds, refused, truth, restart, past, fallback, encoder, barcode, channels, fault, ladder };
await browse(url, folder, async w => {
  await w.page.goto(url);
  await acts[what](w);
  w.quiet();
});
process.exit(); // standard input is open still

async function picture(w) {
  await w.until('the picture moves', s => s.frames > 5 && s.width > 0 && s.veil === '');
  await advance(w, 'frames advance');
  await w.until('live', s => /^Live, \d+(\.\d)? s behind/.test(s.sentence));
  await w.page.mouse.move(640, 300); // the bar comes with the pointer
  await w.shot(`picture-${kind}`);
  await w.page.evaluate(() => { document.getElementById('video').currentTime = 0.1; }); // nothing is there
  await advance(w, 'it gets out of a hole');
  await w.until('there is something to go back to', s => s.oldest <= -13);
  await w.page.keyboard.press('j');
  await w.until('10 seconds back', s => s.seek <= -5 && s.veil === '' && !s.paused && s.ready >= 3 && /^Watching/.test(s.sentence));
  await advance(w, 'frames advance there');
  await w.page.keyboard.press('End');
  await w.until('back to live', s => s.live === 'Live' && s.veil === '' && /^Live/.test(s.sentence));
  await advance(w, 'frames advance again');
  const made = (await status()).renditions[0].codecs, mpv = await w.page.locator('#mpv').textContent();
  assert.equal(/live\.mp4/.test(mpv), made.some(c => /^(vp9|vp09)/.test(c)), `${made}: ${mpv}`);
}

// ladder changes between renditions: by the menu, by a line that does not carry one, and back.
async function ladder(w) {
  const { page } = w, [wide, narrow] = [640, 320];
  const followed = async () => (await status()).renditions.filter(r => r.followed).map(r => r.name).join();
  await page.evaluate(() => { window.sameDocument = true; });
  await w.until('the best one plays', s => s.frames > 5 && s.width === wide && s.veil === '' && /^Live/.test(s.sentence));
  assert.equal(await followed(), 'high', 'only the best one is followed');
  const options = await page.locator('#qualities option').evaluateAll(list => list.map(o => [o.textContent.replace(/, [^,]*bit.s$/, ''), o.selected]));
  assert.deepEqual(options, [['high, 360p', true], ['low, 180p', false]]);
  assert.equal(await page.locator('#qualities').evaluate(e => e.labels[0].textContent.trim().startsWith('Quality')), true, 'the menu has no name');
  await page.mouse.move(640, 300);
  for (const [name, width, height] of [['ladder', 1280, 800], ['ladder-phone', 390, 844]]) {
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(300);
    await w.shot(name);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= width, `too wide for a screen of ${width}`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.focus('#qualities');
  await page.keyboard.press('ArrowDown');
  const low = await w.until('by the keyboard the lower one plays', s => s.width === narrow && s.veil === '' && s.ready >= 3 && s.time > 0, SOON);
  assert.match(await page.locator('#mpv').textContent(), /rendition=low/);
  await advance(w, 'frames advance');
  await until('the node follows the lower one alone', async () => await followed() === 'low');
  await page.selectOption('#qualities', 'high');
  const high = await w.until('and the best one again', s => s.width === wide && s.veil === '' && s.ready >= 3, SOON);
  console.log(`changed in ${low.took} and ${high.took} ms`);
  await advance(w, 'frames advance');
  await page.selectOption('#qualities', 'low');
  await w.until('the lower one', s => s.width === narrow && s.veil === '', SOON);
  const line = await w.context.newCDPSession(page);
  await line.send('Network.enable');
  await line.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: 60e3, uploadThroughput: -1 }); // of what is asked for from now on
  await page.selectOption('#qualities', 'high');
  const down = await w.until('a line that does not carry it leads to the lower one', s => s.troubles.lower && /did not carry high/.test(s.troubles.lower), 60000);
  await w.until('which plays', s => s.width === narrow && s.ready >= 3, SOON);
  console.log(`went down after ${down.took} ms`);
  await w.shot('ladder-down');
  await line.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await page.click('[data-action=back]');
  await w.until('and back at a click', s => s.width === wide && s.veil === '' && !s.troubles.lower, SOON);
  await page.goto(`${url}/?way=hls`);
  await w.until('HLS plays', s => s.frames > 5 && s.width > 0 && s.veil === '');
  await page.selectOption('#qualities', 'low');
  const less = await w.until('and changes too', s => s.width === narrow && s.veil === '' && s.ready >= 3, SOON);
  await advance(w, 'frames advance');
  await until('the node follows the lower one alone', async () => await followed() === 'low');
  await page.selectOption('#qualities', 'high');
  const more = await w.until('and back', s => s.width === wide && s.veil === '' && s.ready >= 3, SOON);
  await advance(w, 'frames advance');
  console.log(`with HLS changed in ${less.took} and ${more.took} ms`);
}

// until waits for something of the node.
async function until(what, test) {
  for (const begun = Date.now(); ; await new Promise(done => setTimeout(done, 200))) {
    if (await test()) return console.log(`ok: ${what} (${Date.now() - begun} ms)`);
    assert.ok(Date.now() - begun < SOON, `${what}: not after ${SOON} ms`);
  }
}

async function radio(w) {
  await w.until('sound without a picture has its look', s => s.radio && s.time > 0.5 && s.width === 0 && s.veil === '');
  const goesOn = async what => {
    const s = await w.look();
    await w.until(what, n => n.time > s.time + 1 && n.src === s.src && n.veil === '' && n.radio);
  };
  await goesOn('it plays');
  await w.until('live', s => /^Live, \d+(\.\d)? s behind/.test(s.sentence));
  await w.page.mouse.move(640, 300); // the bar comes with the pointer
  for (const [name, width, height] of [['-phone', 390, 844], ['-tv', 1920, 1080], ['', 1280, 800]]) {
    await w.page.setViewportSize({ width, height });
    await w.page.waitForTimeout(400);
    await w.shot(`radio-${kind}${name}`);
    assert.ok(await w.page.evaluate(() => document.documentElement.scrollWidth) <= width, `too wide for a screen of ${width}`);
  }
  await w.until('there is something to go back to', s => s.oldest <= -13);
  await w.page.keyboard.press('j');
  await w.until('10 seconds back', s => s.seek <= -5 && s.veil === '' && !s.paused && s.ready >= 3 && /^Watching/.test(s.sentence));
  await goesOn('it plays there');
  await w.shot(`radio-${kind}-back`);
  await w.page.keyboard.press('End');
  await w.until('back to live', s => s.live === 'Live' && s.veil === '' && /^Live/.test(s.sentence));
  await goesOn('it plays again');
}

async function sounds(w) {
  await w.until('the picture moves', s => s.frames > 5 && s.width > 0 && s.veil === '');
  const options = await w.page.locator('#sounds option').evaluateAll(list => list.map(o => [o.textContent, o.disabled, o.selected]));
  assert.deepEqual(options, [['German · AC-3 (not here)', true, false], ['English · AAC', false, true], ['French · AAC', false, false]]);
  await w.page.selectOption('#sounds', '2');
  await advance(w, 'frames advance with another sound');
  await w.shot('sounds');
}

async function refused(w) {
  const s = await w.until('what cannot be decoded is said', s => /^Not in this browser/.test(s.veil) && s.troubles.codec, SOON);
  await inTime(w.page, 'codec', (await testimony(w.page)).answered);
  console.log(`says: ${s.veil}`);
  assert.ok(await w.page.locator('#veil button:visible, #veil a:visible').count() >= 3, 'buttons for mpv, VLC and a playlist');
  const list = await w.page.locator('#veil a').getAttribute('href');
  const m3u = await (await fetch(list)).text();
  assert.match(m3u, /^#EXTM3U\n#EXTINF:-1,.+\nhttp:\/\/127\.0\.0\.1:\d+\/live\.ts\?join=next\n$/);
  await w.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await w.page.click('#veil [data-copy=mpv]');
  await w.page.waitForFunction(() => document.querySelector('#veil [data-copy=mpv]').textContent === 'Copied');
  const command = await w.page.evaluate(() => navigator.clipboard.readText());
  assert.match(command, /^mpv .*http:\/\/127\.0\.0\.1:\d+\/live\.ts/);
  assert.deepEqual([await w.page.locator('#veil-command').textContent(), await w.page.locator('#mpv').textContent()], [command, command], 'the page shows what it copies');
  await w.shot(`refused-${kind}`);
  await want(`play ${command}`);
  const soundOnly = kind === 'ac3';
  assert.equal(await w.page.locator('#mute-it').isVisible(), soundOnly, 'to watch without sound is offered where that helps');
  if (!soundOnly) return;
  await w.page.click('#mute-it');
  await w.until('without sound it plays', s => s.frames > 5 && s.veil === '');
  await advance(w, 'frames advance');
  await w.shot(`refused-${kind}-muted`);
}

// truth compares what is shown with what the page was told, and that with what the node counts before and after: of a viewer, then of its streamer.
async function truth(w) {
  await w.page.route('**/api/v1/status', route => route.abort()); // events alone must do
  await w.until('live', s => /^Live, \d+(\.\d)? s behind/.test(s.sentence) && s.frames > 50);
  await w.page.evaluate(listens);
  const apart = [];
  for (let round = 0; round < 5; round++) {
    await w.page.waitForTimeout(1000);
    const seen = await compared(w, url);
    apart.push(late(seen));
    console.log(`ok: ${seen.notes.lag}, buffer ${seen.figures.buffer}, ${apart.at(-1).toFixed(3)} s apart; ${seen.notes.down}, ${seen.notes.shared}`);
  }
  const middle = apart.toSorted((x, y) => x - y)[2];
  assert.ok(Math.abs(middle) < 0.15, `the page is ${middle} s further behind than it says`);
  await w.shot('truth', true);
  await w.page.goto(w.url = process.env.STREAMER);
  for (let round = 0; round < 2; round++) {
    await w.until('somebody watches', s => /Connected to you\s*2 nodes/.test(s.all) && /% of your upload/.test(s.all));
    await w.page.waitForTimeout(1000);
    const { terms, figures } = await compared(w, w.url);
    console.log(`ok: ${JSON.stringify(terms.audience)} ${figures.saved}`);
  }
  await w.shot('truth-streamer', true);
}

// compared holds each number on the page of a node against the counters it came from.
async function compared(w, node) {
  const before = await status(node);
  await w.page.waitForFunction(uptime => globalThis.witness.statuses.at(-1)?.status.uptime_s >= uptime, before.uptime_s);
  let seen;
  await until('the page knows as much, and plays', async () => /on the way/.test((seen = await read(w.page)).notes.lag)); // a dash for a moment, as in a stall
  const after = await status(node);
  assert.equal(seen.by, 'events');
  same(seen);
  flows(seen);
  const counters = ({ blocks, bytes, audience: { delivered, sent } = { delivered: 0, sent: 0 } }) => ({ blocks, bytes, delivered, sent });
  between(...[before, seen.status, after].map(counters));
  return seen;
}

// listens keeps, in the page, how far behind the node and the element say it is: a mean over about a second, as the page makes one.
function listens() {
  const { witness } = globalThis, video = document.getElementById('video');
  setInterval(() => {
    if (video.readyState < 3 || video.seeking) return void (witness.mean = undefined);
    const now = witness.statuses.at(-1).status.lag_s.p50 + video.buffered.end(video.buffered.length - 1) - video.currentTime, mean = witness.mean ?? now;
    witness.mean = Math.abs(now - mean) > 1 ? now : mean + 0.044 * (now - mean);
  }, 50);
}

// late is by how much the page is further behind than it says. What it says is parted exactly as the node has it, and its buffer is the element's.
function late({ status, figures, notes, ahead, mean }) {
  const [, way, here] = /^([\d.]+) s on the way, ([\d.]+) s here$/.exec(notes.lag);
  assert.equal(way, status.lag_s.p50.toFixed(2));
  assert.ok(Math.abs(parseFloat(figures.lag) - way - here) < 0.07, `${figures.lag} behind, and ${notes.lag}`);
  assert.ok(Math.abs(parseFloat(figures.buffer) - ahead) < 0.07, `${figures.buffer} in the buffer, the element has ${ahead}`);
  assert.match(notes.buffer, /^(no stall|1 stall|\d+ stalls) in a minute, target [0-3]\.\d\d s$/);
  return mean - way - here;
}

// restart: the streamer is killed, which is told within 3 s, and comes back, which needs no hand. Then the peer dies that sends the most.
async function restart(w) {
  await w.until('the picture moves', s => s.frames > 30 && s.veil === '' && s.tone === 'live');
  await want('kill');
  const s = await w.until('it is told that the source is gone', s => s.troubles.source || s.troubles.peers, SOON);
  console.log(`says: ${s.troubles.source ?? s.troubles.peers}`);
  await inTime(w.page, s.troubles.source ? 'source' : 'peers', since((await testimony(w.page)).statuses, s => s.silent_s > 0.5)); // a block comes each 50 ms
  await w.shot('source-gone');
  await want('start');
  await w.until('and it goes on by itself', s => s.veil === '' && s.tone === 'live' && !s.paused && Object.keys(s.troubles).length === 0);
  await advance(w, 'frames advance');
  let peer;
  await until('stripes come from the other viewer', async () => {
    const { peers, stripes } = await status();
    peer = peers.find(p => p.role === 'viewer')?.id;
    return peer && stripes.some(s => s.from === peer && s.flows);
  });
  await w.page.waitForFunction(peer => [...document.querySelectorAll('#sources .cell title')].some(t => t.textContent.includes(`from viewer ${peer}`)), peer);
  const { src } = await w.look();
  await want('leave');
  await until('all stripes have another sender', async () => (await status()).stripes.every(s => s.from && s.from !== peer && s.flows));
  await advance(w, 'frames advance without that peer');
  assert.equal((await w.look()).src, src, 'the stream had to be opened again');
  await w.page.waitForFunction(peer => !document.getElementById('sources').textContent.includes(peer), peer);
}

// past goes BACK seconds back in what is kept, and measures.
async function past(w) {
  const back = Number(process.env.BACK);
  await w.until('the picture moves', s => s.frames > 30 && s.veil === '' && s.tone === 'live');
  await w.until(`${back} s are kept`, s => s.oldest <= -back - 2, 180000);
  const go = seconds => w.page.evaluate(s => {
    const seek = document.getElementById('seek');
    seek.value = String(-s);
    seek.dispatchEvent(new Event('input'));
    seek.dispatchEvent(new Event('change'));
  }, seconds);
  await go(back);
  const then = await w.until(`${back} s back`, s => s.seek <= 3 - back && s.seek >= -15 - back && s.veil === '' && !s.paused && s.ready >= 3);
  await advance(w, 'frames advance there');
  await w.shot('back');
  await w.page.mouse.move(300, 200);
  await w.page.mouse.move(310, 210); // the bar comes with the pointer
  await w.page.click('#live');
  const live = await w.until('back to live', s => s.src !== then.src && s.frames > 0 && s.live === 'Live' && s.veil === '' && s.ready >= 3 && s.buffer < 2);
  await w.until('and the page says so', s => /^Live, /.test(s.sentence)); // when the node has told its status the next time
  await want(`took ${then.took} ${live.took}`);
}

// fallback plays HLS where fragments cannot be fed.
async function fallback(w) {
  await w.page.addInitScript(() => {
    const add = MediaSource.prototype.addSourceBuffer;
    MediaSource.prototype.addSourceBuffer = function (type) {
      const buffer = add.call(this, type);
      if (!globalThis.Hls) buffer.appendBuffer = () => { throw new Error('as a browser that cannot'); };
      return buffer;
    };
  });
  await w.page.goto(url);
  await w.until('HLS plays', s => s.frames > 20 && s.width > 0 && s.veil === '');
  await advance(w, 'frames advance');
  await w.until('there is something to go back to', s => s.oldest <= -14);
  await w.page.keyboard.press('j');
  await w.until('10 seconds back', s => s.seek <= -8 && s.veil === '' && !s.paused && s.ready >= 3 && /^Watching/.test(s.sentence));
  await advance(w, 'frames advance there');
  await w.page.keyboard.press('End');
  await w.until('back to live', s => s.live === 'Live' && s.veil === '' && /^Live/.test(s.sentence));
  await advance(w, 'frames advance again');
  assert.equal(await w.page.evaluate(() => typeof globalThis.Hls), 'function', 'hls.js was loaded');
  const back = await asked(w, 8000), never = await asked(w, 86400_000);
  assert.ok(!back.live, `HLS that begins 8 s ago shows what is ${back.off} ms off, live: ${back.live}`);
  assert.ok(never.live && never.off > 80000_000, `HLS that begins before all that is kept shows what is ${never.off} ms off, live: ${never.live}`);
}

// asked opens a stream some ms ago, as one does that falls back while it shows the past, and waits until it shows that, or live.
function asked(w, ago) {
  return w.page.evaluate(async ago => {
    const { Stream } = await import(new URL('web/stream.js', document.baseURI));
    const video = Object.assign(document.createElement('video'), { muted: true });
    document.body.append(video);
    const stream = new Stream(video, new URL('.', document.baseURI).href, { known: false }, () => {});
    Object.assign(stream, { way: 'hls' });
    const moment = Date.now() - ago;
    stream.open(moment);
    for (let tries = 0; !(stream.hls?.wall() && video.readyState >= 3 && !video.seeking && (stream.live || Math.abs(stream.hls.wall() - moment) < 2000)); tries++) { // no frames are reported of what is out of sight
      if (tries > 600) throw new Error(`${ago} ms ago, it does not play: ${stream.state}, live ${stream.live}, ${stream.hls?.wall()}, ${stream.trouble}, ${video.readyState}, at ${video.currentTime}`);
      await new Promise(done => setTimeout(done, 20));
    }
    const wall = stream.hls.wall();
    stream.stop.abort();
    video.remove();
    return { off: wall - moment, live: stream.live };
  }, ago);
}

// encoder is a streamer that waits for one: each command that its page says to paste is run as it stands, by a shell, and goes on air.
async function encoder(w) {
  await w.until('it is told that nothing comes', s => s.troubles.encoder, SOON);
  await w.shot('studio-waiting', true);
  const commands = await w.page.locator('#recipes code[id^=ff-]').evaluateAll(list => list.map(c => [c.id, c.textContent]));
  assert.deepEqual(commands.map(([id]) => id), ['ff-rtmp', 'ff-srt', 'ff-file', 'ff-test', 'ff-rtsp']);
  const stalls = async () => Number(/\d+(?= stall)/.exec(await w.page.locator('#buffer-note').textContent())?.[0] ?? 0);
  const run = async ([id, command]) => {
    await want(`run ${command}`);
    await w.until(`on air by ${id}`, s => s.frames > 30 && s.veil === '' && s.tone === 'live' && Object.keys(s.troubles).every(id => ['frames', 'stalls'].includes(id))); // a busy computer's
    await advance(w, 'frames advance');
  };
  for (const one of commands.filter(([id]) => id !== 'ff-test')) {
    await run(one);
    await w.until('the page says what comes', s => /H\.264 640×360, AAC 48 kHz/.test(s.all) && /Keyframe every\s*1\.0 s/.test(s.all));
    const before = await stalls();
    await want('stop');
    await w.until('it is told that nothing comes any more', s => s.troubles.encoder && s.tone !== 'live', SOON);
    assert.ok(await stalls() <= before, 'that the encoder has stopped counts as a stall');
  }
  await run(commands.find(([id]) => id === 'ff-test'));
  await w.until('the page says what comes', s => /H\.264 1280×720, AAC 48 kHz/.test(s.all) && /Pictures a second\s*30/.test(s.all) && /Keyframe every\s*1\.0 s/.test(s.all));
  await w.shot('studio-on-air', true);
  await w.page.click('#as-viewer');
  await w.page.waitForURL('**/c/viewer/');
  await w.until('a viewer sees it too', s => s.frames > 30 && s.veil === '' && s.tone === 'live' && s.verified > 0 && /every block verified/.test(s.sentence));
  await advance(w, 'frames advance there');
  const { audience } = await status(); // of the streamer
  assert.equal(audience.connected + audience.heard_of, 0, 'its own viewer is audience');
  await w.shot('studio-as-viewer', true);
}

// barcode reads from the pictures when they were made, as they are shown, and compares with what the page claims.
async function barcode(w) {
  const { BARCODE, WAY, WATCH } = process.env;
  await w.page.addInitScript(epoch => {
    const seen = globalThis.seen = { ages: [], first: null, stalls: 0 };
    const canvas = Object.assign(document.createElement('canvas'), { width: 400, height: 16 });
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    addEventListener('DOMContentLoaded', () => {
      const video = document.getElementById('video');
      const frame = () => {
        seen.first ??= performance.now();
        pen.drawImage(video, 0, 0, 400, 16, 0, 0, 400, 16);
        const row = pen.getImageData(0, 8, 400, 1).data, white = i => row[(i * 16 + 8) * 4 + 1] > 128;
        if (white(0) && !white(1)) {
          let ms = 0;
          for (let k = 0; k < 22; k++) if (white(k + 2)) ms += 2 ** k;
          seen.ages.push([performance.now(), Date.now() - epoch - ms, Number(document.getElementById('lag').textContent) * 1000]);
        }
        video.requestVideoFrameCallback(frame);
      };
      // As ages do, stalls count from three seconds after the first picture: hls.js shows what it has at once, and waits for the next.
      video.addEventListener('waiting', () => { if (seen.first !== null && performance.now() > seen.first + 3000 && !video.seeking) seen.stalls++; });
      video.requestVideoFrameCallback(frame);
    });
  }, Number(BARCODE));
  await w.page.goto(WAY === 'hls' ? `${url}?way=hls` : url);
  await w.until('the picture moves', s => s.frames > 5 && s.veil === '');
  await w.page.waitForTimeout(1000 * Number(WATCH));
  await w.page.click('#details > summary');
  await w.page.waitForTimeout(700);
  console.log((await w.page.locator('#facts').innerText()).replaceAll('\n', ' '));
  const seen = await w.page.evaluate(() => globalThis.seen);
  const late = seen.ages.filter(([at]) => at > seen.first + 3000);
  const quantile = (list, q) => list.toSorted((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
  const ages = late.map(([, age]) => age), told = late.map(([, , lag]) => lag).filter(Number.isFinite);
  assert.ok(ages.length > 10, `only ${ages.length} pictures with a barcode`);
  const p50 = quantile(ages, 0.5), claimed = quantile(told, 0.5);
  const said = WAY === 'frames' ? `, the page says ${Math.round(claimed)} ms behind` : '';
  await want(`saw ${WAY} p50 ${Math.round(p50)} ms, p95 ${Math.round(quantile(ages, 0.95))} ms of ${ages.length} pictures, first after ${Math.round(seen.first)} ms, ${seen.stalls} stalls${said}`);
  if (WAY === 'frames') {
    // The page counts from the signature; before that are the encoder and the cutting into blocks. Each picture is compared with what the page said then.
    const off = late.filter(([, , lag]) => Number.isFinite(lag)).map(([, age, lag]) => age - lag), middle = quantile(off, 0.5);
    await want(`saw claim pictures are ${Math.round(middle)} ms older than the page says (p5 ${Math.round(quantile(off, 0.05))}, p95 ${Math.round(quantile(off, 0.95))})`);
    await want(`saw apart ${Math.round(middle)}`);
    assert.ok(claimed > 50 && off.length > 50 && middle > -50, `pictures are ${p50} ms old, the page says ${claimed} ms; ${middle} ms apart`);
  }
  // What a busy machine does in some seconds proves nothing; in five minutes there is to be none.
  if (Number(WATCH) >= 300) assert.equal(seen.stalls, 0, `${seen.stalls} stalls in ${WATCH} s`);
}

// channels changes between two channels of one node, by the page of each.
async function channels(w) {
  await w.until('the first channel plays', s => s.frames > 5 && s.veil === '');
  const titles = await w.page.locator('#channels option').evaluateAll(list => list.map(o => o.textContent));
  assert.deepEqual(titles, ['Big Buck Bunny', 'Test pictures']);
  await w.shot('channels');
  await w.page.selectOption('#channels', { label: 'Test pictures' });
  await w.page.waitForURL('**/c/*/');
  await w.until('the other one plays, by its own status', s => s.frames > 5 && s.veil === '' && s.tone === 'live' && /^Test pictures$/.test(s.label));
  assert.equal(await w.page.evaluate(() => document.getElementById('channels').selectedOptions[0].textContent), 'Test pictures');
  await w.page.selectOption('#channels', { label: 'Big Buck Bunny' });
  await w.until('and back', s => s.frames > 5 && s.veil === '' && s.label === 'Big Buck Bunny');
}

// fault waits until the node knows that something is wrong, and wants it told within 3 s.
async function fault(w) {
  const { FAULT, SAYS = '' } = process.env;
  const s = await w.until(`fault ${FAULT} is told`, s => s.troubles[FAULT]);
  console.log(`says: ${s.troubles[FAULT].replaceAll('\n', ' ')}`);
  await inTime(w.page, FAULT, since((await testimony(w.page)).statuses, known[FAULT]));
  assert.ok(s.troubles[FAULT].includes(SAYS), `want ${SAYS}`);
  await w.shot(`real-${FAULT}`);
}
