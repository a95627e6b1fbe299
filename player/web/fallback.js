// HLS, where fragments cannot be fed to the browser one by one: with hls.js where there is a MediaSource, by the element itself where there is
// none, as on older iPhones. It is seconds further behind, and plays.

import { Source } from './codecs.js';

const PATIENT = 3000; // ms that what is shown goes on until another rendition has begun
const LIBRARY = 'vendor/hls.js-1.7.4/hls.min.js';

export class Gone extends Error {} // the moment asked for is not kept

// fallBack plays HLS in stream's element, from stream.asked (wall, ms; null: live) on, until signal aborts or it fails.
export async function fallBack(stream, signal) {
  const list = new URL('hls/index.m3u8', stream.base).href;
  stream.onReplace?.();
  Object.assign(stream, { placed: true, anchor: null });
  if (!Source) return native(stream, list, signal);
  const Hls = await library(stream.base);
  const hls = new Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.25, enableWorker: false, enableCEA708Captions: false }); // what is in the pictures comes as text, too
  stream.captions.fallBack();
  stream.hls = { wall: () => hls.playingDate?.getTime() ?? null, edge: () => hls.liveSyncPosition ?? end(stream.video), ready: name => listed(stream.base, name) };
  try {
    await new Promise((done, fail) => {
      hls.on(Hls.Events.ERROR, (_, e) => { if (e.fatal) fail(new Error('')); });
      hls.on(Hls.Events.FRAG_BUFFERED, () => { stream.received++; });
      hls.on(Hls.Events.MANIFEST_PARSED, () => { // by itself hls.js takes what the line carries
        const level = stream.chosen ? hls.levels.findIndex(l => l.uri.includes(`/hls/r/${stream.rendition}/`)) : -1;
        if (level < 0) return;
        hls.loadLevel = level;
        hls.on(Hls.Events.LEVEL_SWITCHING, (_, to) => { if (to.level !== level) fail(new Error('')); }); // after an error it takes another, and stays there
      });
      if (stream.asked !== null) {
        hls.once(Hls.Events.LEVEL_LOADED, (_, { details }) => {
          const place = placeOf(details.fragments, stream.asked);
          if (place === null) return fail(new Gone('the playlist does not list it'));
          hls.once(Hls.Events.FRAG_BUFFERED, () => { stream.video.currentTime = place; }); // before, hls.js goes to the live edge
        });
      }
      signal.addEventListener('abort', done, { once: true });
      hls.loadSource(list);
      hls.attachMedia(stream.video);
      if (!stream.paused) stream.start();
    });
  } finally {
    hls.destroy();
  }
}

// listed returns when another rendition has a list of two segments (of one alone hls.js loads the first again and again), or after a while. Who waits for it before he begins anew shows the one before meanwhile; hls.js, if it
// were told to change, would look in the new list for the times of the old one, which it does not have if nobody has followed it until now.
async function listed(base, name) {
  try {
    await fetch(new URL(`hls/r/${name}/main.m3u8?_HLS_msn=1`, base), { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(PATIENT) });
  } catch { /* the stream will say why */ }
}

function native(stream, list, signal) {
  const { video } = stream;
  stream.captions.fallBack();
  stream.hls = { wall: () => dated(video), edge: () => Math.max(0, end(video) - 1) };
  return new Promise((done, fail) => {
    video.addEventListener('error', () => fail(new Error('')), { once: true, signal });
    signal.addEventListener('abort', done, { once: true });
    if (stream.asked !== null) {
      video.addEventListener('loadedmetadata', () => {
        const place = (stream.asked - video.getStartDate?.().getTime()) / 1000, list = video.seekable;
        if (!list.length || !(place >= list.start(0) && place <= end(video))) return fail(new Gone('the playlist does not list it'));
        video.currentTime = place;
      }, { once: true, signal });
    }
    video.src = list;
    if (!stream.paused) stream.start();
  });
}

// placeOf is where in a playlist something was aired, in seconds; where nothing was, what came next. null if it is not listed.
export function placeOf(fragments, wall) {
  if (!fragments.length || !(wall >= fragments[0].programDateTime)) return null;
  for (const { start, duration, programDateTime } of fragments) {
    const into = (wall - programDateTime) / 1000;
    if (into < duration) return start + Math.max(0, into);
  }
  return null;
}

const end = video => video.seekable.length ? video.seekable.end(video.seekable.length - 1) : 0;

// dated is when what an element shows was aired, where the browser reads EXT-X-PROGRAM-DATE-TIME by itself.
function dated(video) {
  const start = video.getStartDate?.().getTime();
  return Number.isFinite(start) ? start + 1000 * video.currentTime : null;
}

// library loads hls.js, once.
function library(base) {
  if (globalThis.Hls) return Promise.resolve(globalThis.Hls);
  return new Promise((done, fail) => {
    const script = Object.assign(document.createElement('script'), { src: new URL(LIBRARY, base).href });
    script.onload = () => done(globalThis.Hls);
    script.onerror = () => fail(new Error('A part of this page did not load; trying again.'));
    document.head.append(script);
  });
}
