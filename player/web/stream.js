// From /live.mp4 to the screen: the fragments go, as they come, from fetch into a MediaSource. Live, the element is kept near the edge by
// Latency; in the past it plays as it is. Whatever goes wrong, the stream is opened again.
//
//	        seek, pause                 play
//	live ◀──────────────▶ past      any ◀────▶ paused
//	        live()

import { Latency } from './latency.js';
import { Source, unplayable, sounds, isSound } from './codecs.js';
import { sentence } from './status.js';
import { fallBack, Gone } from './fallback.js';
import { Captions } from './captions.js';

const KEEP = 30;          // seconds of what has been shown stay buffered
const AHEAD = 20;         // seconds of the past that are fetched before they are shown
const SILENT = 8000;      // ms without a byte before the connection is taken for dead
const RETRY = [250, 500, 1000, 2000];
const RETRY_CODEC = 15000; // a codec changes seldom
const NEAR_LIVE = 3000;    // ms: who seeks so close to live means live
const BRIEF_PAUSE = 600;   // ms: who pauses for less has not left live
const WARM = 2;            // seconds after the start in which a stall is the decoder's, and teaches nothing
const BROKEN = 3;          // decodings in a row that fail before another way is tried

export class CannotPlay extends Error {
  constructor(message, codes = []) {
    super(message);
    this.codes = codes;
  }
}
class Undecodable extends Error {}

const clock = () => performance.now() / 1000;
const pause = ms => new Promise(done => setTimeout(done, ms));

export class Stream {
  // changed is called with this when anything that can be seen has changed. edge says where live is; base is the folder of the page.
  constructor(video, base, edge, changed) {
    Object.assign(this, { video, base, edge, changed });
    this.latency = new Latency();
    this.captions = new Captions(video, () => changed(this));
    this.state = 'connecting'; // connecting, buffering, playing, refused
    this.since = clock();      // when the state began
    this.paused = false;
    this.pausedAt = null;      // wall, ms
    this.live = true;
    this.trouble = '';         // why it is not playing, if that is known
    this.type = '';            // with codecs
    this.sounds = [];
    this.sound = null;         // the number of the one that is heard; 'none'; null: whatever comes
    this.omitted = '';
    this.rendition = null;     // its name; null: there is one alone, or whichever the node has chosen
    this.stalled = [];         // stalls: {at (s), excused}
    this.excused = -Infinity;  // until when they are
    this.received = 0;
    this.broken = 0;
    this.way = new URLSearchParams(location.search).get('way') === 'hls' ? 'hls' : 'frames'; // ?way=hls is for who looks for a fault
    this.hls = null;           // while it is hls: {wall, edge}
    this.stop = null;          // AbortController while open
    this.anchor = null;        // of the past: {media (s), wall (ms)}
    video.addEventListener('playing', () => { this.broken = 0; this.enter('playing'); });
    video.addEventListener('waiting', () => this.waited());
    setInterval(() => this.steer(), 100);
  }

  get phase() { return this.state !== 'refused' && this.paused ? 'paused' : this.state; }
  get stalls() { return this.stalled.length; }
  stallsLately(s = 60) { return this.stalled.filter(t => clock() - t.at < s && !t.excused).length; }

  // excuse takes the stalls of the last seconds, and of one before, for what they were: nothing was there to show. What came last may have come late, by
  // itself; and what comes again finds its way first.
  excuse(s) {
    this.excused = clock() + WARM;
    for (const t of this.stalled) t.excused ||= clock() - t.at < s + 1;
  }

  enter(state, trouble = '') {
    if (this.state === state && this.trouble === trouble) return;
    if (this.state !== state) this.since = clock();
    Object.assign(this, { state, trouble });
    this.changed(this);
  }

  waited() {
    if (this.state !== 'playing' || this.paused) return;
    if (!this.video.seeking) {
      this.stalled.push({ at: clock(), excused: clock() < this.excused });
      if (this.live && clock() - this.placedAt > WARM) this.latency.stalled(clock());
    }
    this.enter('buffering');
  }

  // open plays on from at (wall, ms), or live, until close; it never gives up.
  async open(at = null) {
    if (this.way === 'hls') this.onReplace?.(); // hls.js takes its picture with it
    this.stop?.abort();
    const stop = this.stop = new AbortController();
    Object.assign(this, { live: at === null && !this.paused, asked: at, placed: false }); // what is still in sight is not where we are any more
    this.enter('connecting');
    for (let tries = 0; !stop.signal.aborted; tries++) {
      let wait = RETRY[Math.min(tries, RETRY.length - 1)];
      const before = this.received;
      try {
        await this.unpaused(tries > 0, stop.signal);
        await (this.way === 'hls' ? fallBack(this, stop.signal) : this.session(stop.signal));
        this.asked = this.live ? null : this.wall() ?? this.asked;
      } catch (e) {
        if (stop.signal.aborted) return;
        wait = this.failed(e, wait);
      }
      if (this.received > before) tries = -1;
      if (stop.signal.aborted) return;
      if (this.state === 'playing' || this.state === 'buffering') this.enter('connecting');
      await pause(wait);
    }
  }

  // failed takes in why a session ended, and returns how long to wait.
  failed(e, wait) {
    if (e instanceof Gone) {
      const again = this.asked === null; // live itself is not there
      Object.assign(this, { live: true, asked: null });
      return again ? wait : 0;
    }
    this.asked = this.live ? null : this.wall() ?? this.asked;
    if (e instanceof Undecodable && ++this.broken >= BROKEN) this.way = 'hls';
    const refused = e instanceof CannotPlay;
    if (refused) this.codes = e.codes;
    this.enter(refused ? 'refused' : 'connecting', e.message);
    return refused ? RETRY_CODEC : wait;
  }

  // unpaused waits while nobody looks; the first opening does not, so that there is a picture.
  async unpaused(again, signal) {
    while (again && this.paused && !signal.aborted) await pause(100);
    signal.throwIfAborted();
  }

  // session is one response of /live.mp4, from its first byte to its last.
  async session(signal) {
    if (!Source) {
      this.way = 'hls';
      return fallBack(this, signal);
    }
    const guard = new AbortController(), live = this.asked === null;
    const either = first(signal, guard.signal);
    try {
      const response = await this.request(either);
      this.anchor = null;
      const from = Date.parse(response.headers.get('x-tailcast-from') ?? '');
      const buffer = await this.attach(either);
      this.captions.begin(response.headers.get('x-tailcast-captions'));
      await this.pump(response.body.getReader(), buffer, guard, live ? null : from);
    } finally {
      guard.abort();
    }
  }

  // request asks until there is something that this browser can play: one sound track of several, the first that it knows.
  async request(signal) {
    for (let tries = 0; ; tries++) {
      const response = await this.ask(signal);
      this.type = response.headers.get('content-type') ?? '';
      this.omitted = response.headers.get('x-tailcast-omitted') ?? '';
      this.sounds = sounds(response.headers.get('x-tailcast-audio'));
      if (tries === 0 && this.sound === null && this.sounds.length > 1) {
        await response.body?.cancel();
        this.sound = (this.sounds.find(s => s.known) ?? this.sounds[0]).number;
        continue;
      }
      const bad = unplayable(this.type);
      if (!bad.length && Source.isTypeSupported(this.type)) return response;
      await response.body?.cancel();
      throw new CannotPlay(`This browser cannot decode ${bad.map(([name]) => name).join(' and ') || this.type}.`, bad.map(([, code]) => code));
    }
  }

  async ask(signal) {
    const url = new URL('live.mp4', this.base);
    if (this.asked === null) url.searchParams.set('join', 'last');
    else url.searchParams.set('at', new Date(this.asked).toISOString());
    if (this.rendition !== null) url.searchParams.set('rendition', this.rendition);
    if (this.sound !== null) url.searchParams.set('audio', this.sound);
    const response = await fetch(url, { signal, cache: 'no-store' });
    if (response.ok) return response;
    const why = (await response.text()).trim();
    if (response.status === 406) throw new CannotPlay(sentence(why));
    if (response.status === 404) throw new Gone(why);
    throw new Error('');
  }

  // attach gives the element an empty MediaSource. The last picture stays in sight meanwhile: onReplace draws it.
  async attach(signal) {
    const source = new Source();
    this.onReplace?.();
    this.latency = this.latency.next(clock());
    this.placed = false;
    const address = URL.createObjectURL(source);
    const opened = once(source, 'sourceopen', signal);
    this.video.src = address;
    await opened;
    URL.revokeObjectURL(address);
    return source.addSourceBuffer(this.type);
  }

  // pump takes what comes; from is when the first of it was aired, null if it is live.
  async pump(reader, buffer, guard, from) {
    const video = this.video;
    for (;;) {
      if (from !== null || !this.live) await this.hungry(guard.signal, from);
      const timer = setTimeout(() => guard.abort(new Error('')), SILENT);
      const { value, done } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      this.received += value.length;
      this.captions.take(value);
      await append(buffer, value, video);
      if (video.error) throw new Undecodable('The browser could not decode what came; trying again.');
      this.arrived(buffer.buffered, from);
      await trim(buffer, video.currentTime - KEEP);
    }
  }

  // hungry waits until more can be shown. What is made for all must not be kept waiting: who pauses live for long comes back to it as the past.
  async hungry(signal, from) {
    if (from === null) {
      if (this.ahead() > AHEAD) throw new Error('');
      return;
    }
    while (this.ahead() > AHEAD && !signal.aborted) await pause(100);
    signal.throwIfAborted();
  }

  arrived(ranges, from) {
    if (!ranges.length) return;
    const start = ranges.start(ranges.length - 1), end = ranges.end(ranges.length - 1);
    if (from === null) this.latency.arrived(clock(), end);
    if (this.placed) return;
    if (from !== null) this.anchor ??= { media: start, wall: from };
    const place = from === null ? Math.max(start, end - 0.25) : Math.max(start, start + (this.asked - from) / 1000);
    if (place > end) return;
    Object.assign(this, { placed: true, placedAt: clock() });
    this.video.currentTime = place;
    this.video.playbackRate = 1;
    if (!this.paused) this.start();
  }

  start() { this.video.play().catch(e => { if (e.name === 'NotAllowedError') this.onBlocked?.(); }); }

  // steer keeps the element near the live edge, and over holes.
  steer() {
    const { video, latency } = this;
    if (this.paused || !this.placed || this.way !== 'frames') return;
    if (video.seeking || video.readyState < 3) return this.overHole();
    if (!this.live) return;
    const { rate, jump } = latency.decide(clock(), video.currentTime);
    if (jump !== null) video.currentTime = jump;
    if (video.playbackRate !== rate) video.playbackRate = rate;
  }

  // overHole goes on where media goes on, if there is none where we are: who seeks into a hole, as latency does that counts from the newest, would
  // wait there for what never comes.
  overHole() {
    const { buffered, currentTime, seeking } = this.video;
    if (seeking && within(buffered, currentTime)) return;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) > currentTime && buffered.end(i) - buffered.start(i) > 0.1) {
        this.video.currentTime = buffered.start(i) + 0.01;
        return;
      }
    }
  }

  // wall is when what is shown was aired, in ms on the broadcaster's clock; null if that is not known.
  wall() {
    if (this.paused && this.pausedAt !== null) return this.pausedAt;
    if (!this.placed) return this.live ? null : this.asked;
    if (this.way === 'hls') return this.hls?.wall() ?? null;
    if (this.anchor) return this.anchor.wall + 1000 * (this.video.currentTime - this.anchor.media);
    return this.edge.known ? this.edge.wall(clock()) - 1000 * this.ahead() : null;
  }

  // seek shows what was aired at a time.
  seek(wall) {
    if (!this.edge.known || this.state === 'refused') return;
    if (wall > this.edge.wall(clock()) - NEAR_LIVE) return this.goLive();
    if (this.paused) this.pausedAt = wall;
    const here = this.wallHere();
    const target = here === null ? NaN : this.video.currentTime + (wall - here) / 1000;
    if (within(this.way === 'hls' ? this.video.seekable : this.video.buffered, target)) {
      this.live = false;
      this.video.currentTime = target;
      this.video.playbackRate = 1;
      this.changed(this);
      return;
    }
    this.open(wall);
  }

  // wallHere is wall of the element, paused or not.
  wallHere() {
    const at = this.pausedAt;
    this.pausedAt = null;
    const wall = this.placed ? this.wall() : null;
    this.pausedAt = at;
    return wall;
  }

  goLive() {
    Object.assign(this, { paused: false, pausedAt: null });
    if (this.placed && !this.anchor && this.stop && this.state !== 'refused') { // it is still coming
      this.live = true;
      this.video.currentTime = this.way === 'hls' ? this.hls.edge() : this.latency.place(clock());
      this.start();
      return this.changed(this);
    }
    this.open();
  }

  // pause leaves live: who plays again sees what came next.
  pause() {
    if (this.paused) return;
    Object.assign(this, { pausedAt: this.wall(), wasLive: this.live, pausedSince: performance.now(), paused: true, live: false });
    this.video.pause();
    this.changed(this);
  }

  // play goes on where it was paused.
  play() {
    if (!this.paused) return;
    const at = this.pausedAt;
    Object.assign(this, { paused: false, pausedAt: null });
    if (at === null || this.wasLive && performance.now() - this.pausedSince < BRIEF_PAUSE) return this.goLive();
    if (this.placed && this.stop && this.ahead() > 0.1) this.start();
    else this.open(at);
    this.changed(this);
  }

  // choose takes another sound track.
  choose(number) {
    this.sound = number;
    this.open(this.live ? null : this.wall());
  }

  // show takes another rendition, at the same place. It returns when the one before is not needed any more.
  async show(rendition) {
    if (rendition === this.rendition) return;
    Object.assign(this, { rendition, sound: null });
    if (this.way === 'hls' && this.hls?.ready) await this.hls.ready(rendition);
    if (this.rendition === rendition) this.open(this.live ? null : this.wall());
  }

  // lasts is for how long the state has been what it is, in seconds.
  lasts() { return clock() - this.since; }

  // ahead is how much media is there that has not been shown, in seconds.
  ahead() {
    const { buffered, currentTime } = this.video;
    return buffered.length ? Math.max(0, buffered.end(buffered.length - 1) - currentTime) : 0;
  }

  get hasSound() { return this.way === 'hls' || /^audio\//.test(this.type) || codes(this.type).some(isSound); }
}

const codes = type => (/codecs="([^"]*)"/.exec(type)?.[1] ?? '').split(',');

function within(ranges, t) {
  for (let i = 0; i < ranges.length; i++) {
    if (t >= ranges.start(i) && t < ranges.end(i) - 0.1) return true;
  }
  return false;
}

// first aborts when one of two does; AbortSignal.any is younger than some televisions.
function first(...signals) {
  if (AbortSignal.any) return AbortSignal.any(signals);
  const both = new AbortController();
  for (const s of signals) {
    if (s.aborted) both.abort(s.reason);
    s.addEventListener('abort', () => both.abort(s.reason), { once: true });
  }
  return both.signal;
}

function once(target, event, signal) {
  return new Promise((done, fail) => {
    target.addEventListener(event, done, { once: true, signal });
    signal.addEventListener('abort', () => fail(signal.reason), { once: true });
  });
}

async function append(buffer, bytes, video) {
  try {
    await settles(buffer, () => buffer.appendBuffer(bytes));
  } catch (e) {
    if (e.name !== 'QuotaExceededError') throw new Undecodable('The browser could not take what came; trying again.');
    await trim(buffer, video.currentTime - 1, 0);
    await settles(buffer, () => buffer.appendBuffer(bytes));
  }
}

// trim lets go of what lies before a time, now and then.
async function trim(buffer, before, slack = 10) {
  if (!buffer.buffered.length || buffer.buffered.start(0) > before - slack || before <= 0) return;
  await settles(buffer, () => buffer.remove(0, before));
}

// settles does something to a buffer and waits until it is done.
async function settles(buffer, act) {
  const done = new Promise(resolve => buffer.addEventListener('updateend', resolve, { once: true }));
  act();
  await done;
}
