// From /live.mp4 to the screen: the fragments go, as they come, from fetch into a MediaSource. The element is kept near the live
// edge by Latency; whatever goes wrong, the stream is opened again.

import { Latency } from './latency.js';

const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;
const KEEP = 20;          // seconds of what has been shown stay buffered
const SILENT = 8000;      // ms without a byte before the connection is taken for dead
const RETRY = [250, 500, 1000, 2000];
const RETRY_CODEC = 15000; // a codec changes seldom

export class CannotPlay extends Error {}

const clock = () => performance.now() / 1000;
const pause = ms => new Promise(done => setTimeout(done, ms));

export class Stream {
  // changed is called with this when anything that can be seen has changed.
  constructor(video, changed) {
    this.video = video;
    this.changed = changed;
    this.latency = new Latency();
    this.phase = 'connecting'; // connecting, buffering, playing, paused, refused
    this.since = clock();      // when the phase began
    this.trouble = '';         // why it is not playing, if that is known
    this.type = '';            // with codecs
    this.omitted = '';
    this.stalls = 0;
    this.received = 0;
    this.stop = null;          // AbortController while open
    video.addEventListener('playing', () => this.enter('playing'));
    video.addEventListener('waiting', () => this.waited());
    setInterval(() => this.steer(), 100);
  }

  enter(phase, trouble = '') {
    if (this.phase === 'paused' && phase !== 'connecting') return;
    if (this.phase === phase && this.trouble === trouble) return;
    if (this.phase !== phase) this.since = clock();
    this.phase = phase;
    this.trouble = trouble;
    this.changed(this);
  }

  waited() {
    if (this.phase !== 'playing') return;
    if (!this.video.seeking) {
      this.stalls++;
      this.latency.stalled(clock());
    }
    this.enter('buffering');
  }

  // open plays until close; it never gives up.
  async open() {
    this.close();
    const stop = this.stop = new AbortController();
    this.phase = 'paused';
    this.enter('connecting');
    for (let tries = 0; !stop.signal.aborted; tries++) {
      let wait = RETRY[Math.min(tries, RETRY.length - 1)];
      const before = this.received;
      try {
        await this.session(stop.signal);
      } catch (e) {
        if (stop.signal.aborted) return;
        const refused = e instanceof CannotPlay;
        if (refused) wait = RETRY_CODEC;
        this.enter(refused ? 'refused' : 'connecting', e.message);
      }
      if (this.received > before) tries = -1;
      if (this.phase === 'playing' || this.phase === 'buffering') this.enter('connecting');
      await pause(wait);
    }
  }

  close() {
    this.stop?.abort();
    this.stop = null;
    this.video.pause();
    this.enter('paused');
  }

  // session is one response of /live.mp4, from its first byte to its last.
  async session(signal) {
    const guard = new AbortController();
    const either = AbortSignal.any([signal, guard.signal]);
    try {
      const response = await ask(either);
      this.type = response.headers.get('content-type') ?? '';
      this.omitted = response.headers.get('x-tailcast-omitted') ?? '';
      if (!Source) throw new CannotPlay('This browser has no MediaSource, which the page needs.');
      if (!Source.isTypeSupported(this.type)) throw new CannotPlay(unplayable(this.type));
      const buffer = await this.attach(either);
      await this.pump(response.body.getReader(), buffer, guard);
    } finally {
      guard.abort();
    }
  }

  // attach gives the element an empty MediaSource. The last picture stays in sight meanwhile: onReplace draws it.
  async attach(signal) {
    const source = new Source();
    this.onReplace?.();
    this.latency = new Latency();
    this.placed = false;
    const address = URL.createObjectURL(source);
    const opened = once(source, 'sourceopen', signal);
    this.video.src = address;
    await opened;
    URL.revokeObjectURL(address);
    return source.addSourceBuffer(this.type);
  }

  async pump(reader, buffer, guard) {
    const video = this.video;
    for (;;) {
      const timer = setTimeout(() => guard.abort(), SILENT);
      const { value, done } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      this.received += value.length;
      await append(buffer, value, video);
      if (video.error) throw new Error('The browser could not decode what came; trying again.');
      this.arrived(buffer.buffered);
      await trim(buffer, video.currentTime - KEEP);
    }
  }

  arrived(ranges) {
    if (!ranges.length) return;
    const end = ranges.end(ranges.length - 1);
    this.latency.arrived(clock(), end);
    if (this.placed) return;
    this.placed = true;
    this.video.currentTime = Math.max(ranges.start(ranges.length - 1), end - 0.25);
    this.video.play().catch(() => this.onBlocked?.());
  }

  // steer keeps the element near the live edge, and over holes.
  steer() {
    const { video, latency } = this;
    if (this.phase === 'paused' || !this.placed || video.seeking) return;
    if (video.readyState < 3) return this.overHole();
    const { rate, jump } = latency.decide(clock(), video.currentTime);
    if (jump !== null) video.currentTime = jump;
    if (video.playbackRate !== rate) video.playbackRate = rate;
  }

  // overHole goes on where media goes on, if there is none where we are.
  overHole() {
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) > currentTime && buffered.end(i) - buffered.start(i) > 0.1) {
        this.video.currentTime = buffered.start(i) + 0.01;
        return;
      }
    }
  }

  // lasts is for how long the phase has been what it is, in seconds.
  lasts() { return clock() - this.since; }

  // ahead is how much media is there that has not been shown, in seconds.
  ahead() {
    const { buffered, currentTime } = this.video;
    return buffered.length ? Math.max(0, buffered.end(buffered.length - 1) - currentTime) : 0;
  }
}

// ask requests the stream; what the server says instead is the error's message.
async function ask(signal) {
  const response = await fetch('/live.mp4?join=last', { signal, cache: 'no-store' });
  if (response.ok) return response;
  const why = (await response.text()).trim();
  if (response.status === 406) throw new CannotPlay(sentence(why));
  throw new Error('');
}

function unplayable(type) {
  const names = codecs(type).filter(([, code]) => !Source.isTypeSupported(`${type.split(';')[0]}; codecs="${code}"`)).map(([name]) => name);
  return `This browser cannot decode ${names.join(' and ') || type}.`;
}

const NAMES = [
  [/^avc/, 'H.264'], [/^h[ev][cv]1/, 'H.265'], [/^av01/, 'AV1'], [/^vp09/, 'VP9'], [/^mp4v\.61/, 'MPEG-2 video'],
  [/^mp4a\.40\.33/, 'MPEG layer II sound'], [/^mp4a\.6b/i, 'MP3'], [/^mp4a\.40/, 'AAC'], [/^opus/i, 'Opus'],
  [/^ac-3/, 'Dolby Digital (AC-3)'], [/^ec-3/, 'Dolby Digital Plus (E-AC-3)'],
];

// codecs lists what a media type holds as [name for people, code].
export function codecs(type) {
  const list = /codecs="([^"]*)"/.exec(type)?.[1] ?? '';
  return list.split(',').filter(Boolean).map(code => [NAMES.find(([re]) => re.test(code))?.[1] ?? code, code]);
}

const sentence = text => text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.') : '';

function once(target, event, signal) {
  return new Promise((done, fail) => {
    target.addEventListener(event, done, { once: true, signal });
    signal.addEventListener('abort', () => fail(signal.reason), { once: true });
  });
}

async function append(buffer, bytes, video) {
  const done = settled(buffer);
  try {
    buffer.appendBuffer(bytes);
  } catch (e) {
    if (e.name !== 'QuotaExceededError') throw e;
    await trim(buffer, video.currentTime - 1, 0);
    buffer.appendBuffer(bytes);
  }
  await done;
}

// trim lets go of what lies before a time, now and then.
async function trim(buffer, before, slack = 10) {
  if (!buffer.buffered.length || buffer.buffered.start(0) > before - slack || before <= 0) return;
  const done = settled(buffer);
  buffer.remove(0, before);
  await done;
}

function settled(buffer) {
  return new Promise(done => buffer.addEventListener('updateend', done, { once: true }));
}
