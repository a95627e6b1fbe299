// Buttons, keys, the pointer, and the timeline.

import { span } from './status.js';
import { label as labelOf } from './renditions.js';

const QUIET = 2500; // ms without the pointer before the bar goes
const STEP = 10;    // seconds that a key goes back or on
const LONGEST = 7200; // seconds that the timeline covers: more would be too coarse, and there is a field for the time
const MEMORY = 'tailcast-volume';

// controls wires them up and returns what redraws them.
export function controls($, video, stream, edge, quality, pick) {
  const stage = $('stage'), now = () => performance.now() / 1000;
  let kept = null;       // {from, to} of what can be watched again, ms
  let dragging = null;   // seconds before live, while the thumb is held

  const toggle = () => stream.paused ? stream.play() : stream.pause();
  const mute = on => {
    video.muted = on;
    if (!on && video.volume === 0) video.volume = 1;
    remember();
  };
  const louder = by => {
    video.volume = Math.min(1, Math.max(0, Math.round(20 * (video.volume + by)) / 20));
    video.muted = video.volume === 0;
    remember();
    flash(`Sound ${Math.round(100 * video.volume)} %`);
  };
  const remember = () => { try { localStorage.setItem(MEMORY, JSON.stringify([video.volume, video.muted])); } catch { /* no storage, no memory */ } };
  const full = () => document.fullscreenElement ? document.exitFullscreen() : (stage.requestFullscreen?.() ?? video.webkitEnterFullscreen?.());
  const pip = async () => {
    try {
      await (document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture());
    } catch { /* the browser says no */ }
  };
  const captions = () => {
    if (!stream.captions.list.some(t => t.shown)) return;
    stream.captions.toggle();
    flash(stream.captions.chosen === null ? 'Captions off' : `Captions: ${stream.captions.list.find(t => t.id === stream.captions.chosen).name}`);
  };
  const live = () => stream.goLive();
  const by = seconds => {
    if (!kept || !edge.known) return;
    const at = stream.wall() ?? edge.wall(now()); // live is about to come
    const to = Math.max(kept.from, at + 1000 * seconds);
    stream.seek(to);
    flash(seconds < 0 ? `${-seconds} s back` : `${seconds} s on`);
  };
  const oldest = () => { if (kept) stream.seek(kept.from + 1000); };

  const clicks = { play: toggle, resume: toggle, mute: () => mute(!video.muted), unmute: () => mute(false), full, pip, captions, live, back: () => by(-STEP) };
  for (const [id, act] of Object.entries(clicks)) $(id).addEventListener('click', act);
  $('volume').addEventListener('input', e => {
    video.volume = Number(e.target.value);
    video.muted = video.volume === 0;
    remember();
  });
  $('qualities').addEventListener('change', e => {
    pick(e.target.value);
    flash(e.target.selectedOptions[0].textContent);
  });
  $('sounds').addEventListener('change', e => stream.choose(Number(e.target.value)));
  $('texts').addEventListener('change', e => stream.captions.choose(e.target.value));
  $('video').addEventListener('click', e => { if (e.pointerType !== 'touch') toggle(); });
  video.addEventListener('dblclick', full);

  const keys = {
    k: toggle, ' ': toggle, m: () => mute(!video.muted), f: full, i: pip, c: captions, j: () => by(-STEP), l: () => by(STEP),
    ArrowLeft: () => by(-STEP), ArrowRight: () => by(STEP), ArrowUp: () => louder(0.05), ArrowDown: () => louder(-0.05), Home: oldest, End: live,
  };
  document.addEventListener('keydown', e => {
    if (remote(e)) {
      e.preventDefault();
      return wake();
    }
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input, select, summary, [contenteditable]')) return;
    if (e.target.closest('button, a') && [' ', 'Enter'].includes(e.key)) return;
    if (/^Arrow(Up|Down)$/.test(e.key) && !stage.contains(document.activeElement) && !document.fullscreenElement) return; // the page scrolls
    const action = keys[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!action) return;
    e.preventDefault();
    wake();
    action();
  });

  // remote steers with the arrows of a television's remote control: Enter leads to the buttons, left and right from one to the next, up to the
  // timeline, where they go back and on. It tells whether the key was for it.
  const remote = e => {
    const at = document.activeElement, side = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (at === $('seek') && side) return by(side * STEP), true;
    if (at === $('seek') && e.key === 'ArrowDown') return $('play').focus(), true;
    if (at === document.body && e.key === 'Enter') return $('play').focus(), true;
    if (!at?.closest('.buttons') || at.matches('select, input')) return false;
    if (e.key === 'ArrowUp' && !$('seek').disabled) return $('seek').focus(), true;
    const list = [...$('bar').querySelectorAll('.buttons :is(button, select, input)')].filter(c => c.offsetParent !== null && !c.disabled);
    const next = side && list[list.indexOf(at) + side];
    if (!next) return false;
    next.focus();
    return true;
  };

  // The timeline counts seconds before live, since live moves and the past does not.
  const seek = $('seek');
  const label = s => s <= 1 ? 'Live' : `−${span(s)}`;
  const show = s => {
    $('tip').hidden = false;
    $('tip').textContent = s <= 1 ? 'Live' : `${new Date(edge.wall(now()) - 1000 * s).toLocaleTimeString()} (${label(s)})`;
    const range = Number(seek.max) - Number(seek.min) || 1;
    $('tip').style.left = `${100 * (1 - s / range)}%`;
  };
  seek.addEventListener('input', () => { dragging = -Number(seek.value); show(dragging); fill(); });
  seek.addEventListener('change', () => {
    const s = -Number(seek.value);
    dragging = null;
    $('tip').hidden = true;
    if (s <= 1) stream.goLive();
    else stream.seek(edge.wall(now()) - 1000 * s);
  });
  seek.addEventListener('pointermove', e => {
    const box = seek.getBoundingClientRect();
    if (!seek.disabled) show(Math.max(0, (1 - (e.clientX - box.left) / box.width) * -Number(seek.min)));
  });
  seek.addEventListener('pointerleave', () => { $('tip').hidden = dragging === null; });
  seek.addEventListener('blur', () => { dragging = null; $('tip').hidden = true; });
  const fill = () => seek.style.setProperty('--done', `${100 * (1 + Number(seek.value) / -Number(seek.min))}%`);

  // The field for a time is there when there is more than the timeline covers.
  const local = ms => new Date(ms - 60000 * new Date(ms).getTimezoneOffset()).toISOString().slice(0, 19);
  $('moment').addEventListener('change', e => {
    const at = new Date(e.target.value).getTime();
    if (kept && Number.isFinite(at)) stream.seek(Math.max(at, kept.from + 1000));
  });
  const moment = newest => {
    const field = $('moment');
    $('moment-choice').hidden = seek.disabled || newest - kept.from < 1000 * LONGEST;
    if ($('moment-choice').hidden || document.activeElement === field) return;
    Object.assign(field, { min: local(kept.from), max: local(newest), value: local(stream.wall() ?? newest) });
  };

  const timeline = () => {
    const at = stream.wall(), newest = edge.known ? edge.wall(now()) : null;
    seek.disabled = !kept || newest === null || stream.state === 'refused';
    const ago = at === null || newest === null ? null : Math.max(0, (newest - at) / 1000);
    if (!seek.disabled) {
      const length = Math.min(LONGEST, Math.max(10, Math.ceil((newest - kept.from) / 1000)));
      seek.min = String(-length);
      if (dragging === null) seek.value = String(stream.live || ago === null ? 0 : -Math.min(length, Math.round(ago)));
      seek.setAttribute('aria-valuetext', stream.live ? 'Live' : `${span(ago ?? 0)} before live`);
    }
    moment(newest);
    fill();
    const on = stream.live && !stream.paused;
    $('live').dataset.on = String(on && stream.state !== 'refused' && $('pill').dataset.tone === 'live');
    $('live-label').textContent = on ? 'Live' : ago === null || ago <= 1 ? 'To live' : `${label(ago)} · to live`;
    $('live').setAttribute('aria-label', on ? 'Watching live' : 'Back to live');
    $('back').disabled = seek.disabled;
  };

  let timer;
  const wake = () => {
    stage.classList.remove('quiet');
    clearTimeout(timer);
    timer = setTimeout(() => { if (!stream.paused && !$('bar').matches(':focus-within:has(:focus-visible)')) stage.classList.add('quiet'); }, QUIET);
  };
  for (const event of ['pointermove', 'pointerdown', 'focusin']) stage.addEventListener(event, wake);
  stage.addEventListener('pointerleave', () => { clearTimeout(timer); timer = setTimeout(wake, 0); });
  wake();
  setTimeout(() => stage.classList.add('known'), 12000); // by then it has been seen that there is sound to be had

  let flashing;
  const flash = text => {
    $('flash').textContent = text;
    $('flash').dataset.shown = 'true';
    clearTimeout(flashing);
    flashing = setTimeout(() => { $('flash').dataset.shown = 'false'; }, 900);
  };

  const name = (id, on, yes, no) => {
    $(id).dataset.on = String(on);
    $(id).setAttribute('aria-label', on ? yes : no);
  };
  const redraw = () => {
    name('play', !stream.paused, 'Pause', 'Play');
    name('mute', !video.muted, 'Turn sound off', 'Turn sound on');
    name('full', document.fullscreenElement !== null, 'Leave full screen', 'Full screen');
    $('resume').hidden = !stream.paused || stream.state === 'refused';
    $('unmute').hidden = !video.muted || stream.phase !== 'playing' || !stream.hasSound;
    $('volume').value = String(video.muted ? 0 : video.volume);
    $('volume').style.setProperty('--done', `${100 * Number($('volume').value)}%`);
    $('pip').hidden = !document.pictureInPictureEnabled || !video.videoWidth;
    tracks();
    qualities();
    texts();
    timeline();
  };
  let offered = '';
  const qualities = () => {
    const now = quality.now, text = JSON.stringify([quality.list.map(labelOf), now]);
    $('quality-choice').hidden = now === null;
    if (text === offered) return;
    offered = text;
    $('qualities').replaceChildren(...quality.list.map(r => Object.assign(document.createElement('option'), {
      value: r.name, textContent: labelOf(r), selected: r.name === now,
    })));
  };
  let written = '';
  const texts = () => {
    const { list, chosen } = stream.captions, some = list.some(t => t.shown);
    $('captions').hidden = list.length === 0;
    $('captions').disabled = !some;
    name('captions', chosen !== null, 'Turn captions off', some ? 'Turn captions on' : 'Subtitles here are pictures: only mpv and VLC show them');
    $('captions').title = some ? 'Captions (c)' : $('captions').getAttribute('aria-label');
    $('text-choice').hidden = list.length < 2;
    const text = JSON.stringify([list.map(t => [t.id, t.name]), chosen]);
    if (text === written) return;
    written = text;
    $('texts').replaceChildren(...[{ id: '', name: 'No captions', shown: true }, ...list].map(t => Object.assign(document.createElement('option'), {
      value: t.id, textContent: t.name, disabled: !t.shown, selected: t.id === (chosen ?? ''),
    })));
  };
  let listed = '';
  const tracks = () => {
    const text = JSON.stringify([stream.sounds, stream.sound]);
    $('sound-choice').hidden = stream.sounds.length < 2;
    if (text === listed) return;
    listed = text;
    $('sounds').replaceChildren(...stream.sounds.map(s => Object.assign(document.createElement('option'), {
      value: String(s.number), textContent: s.known ? s.name : `${s.name} (not here)`, disabled: !s.known, selected: s.number === stream.sound,
    })));
  };
  for (const event of ['volumechange', 'loadedmetadata', 'enterpictureinpicture', 'leavepictureinpicture']) video.addEventListener(event, () => redraw());
  document.addEventListener('fullscreenchange', () => redraw());
  media(stream, { play: () => stream.play(), pause: () => stream.pause(), seekbackward: () => by(-STEP), seekforward: () => by(STEP) });
  recall(video);
  return { redraw, keep: k => { kept = k; } };
}

// recall takes the loudness of the last time; without a gesture browsers play muted only, and onBlocked mutes again.
function recall(video) {
  try {
    const [volume, muted] = JSON.parse(localStorage.getItem(MEMORY));
    Object.assign(video, { volume, muted });
  } catch { /* the first time */ }
}

// media lets the keys of a headset and the lock screen of a phone work.
function media(stream, actions) {
  if (!navigator.mediaSession) return;
  for (const [name, act] of Object.entries(actions)) {
    try {
      navigator.mediaSession.setActionHandler(name, act);
    } catch { /* not known here */ }
  }
}
