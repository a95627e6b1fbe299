// Buttons, keys and the pointer.

const QUIET = 2500; // ms without the pointer before the bar goes

// controls wires them up and returns what redraws them.
export function controls($, video, stream) {
  const stage = $('stage');
  const paused = () => stream.phase === 'paused';
  const toggle = () => paused() ? stream.open() : stream.close();
  const mute = on => {
    video.muted = on;
    if (!on && video.volume === 0) video.volume = 1;
  };
  const full = () => document.fullscreenElement ? document.exitFullscreen() : (stage.requestFullscreen?.() ?? video.webkitEnterFullscreen?.());

  $('play').addEventListener('click', toggle);
  $('mute').addEventListener('click', () => mute(!video.muted));
  $('sound').addEventListener('click', () => mute(false));
  $('full').addEventListener('click', full);
  $('volume').addEventListener('input', e => {
    video.volume = Number(e.target.value);
    video.muted = video.volume === 0;
  });
  $('veil').addEventListener('click', e => { if (paused() && e.target.closest('button') === null) toggle(); });
  video.addEventListener('dblclick', full);
  document.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input, summary, [contenteditable]')) return;
    const action = { k: toggle, m: () => mute(!video.muted), f: full, ' ': e.target.closest('button') ? null : toggle }[e.key];
    if (!action) return;
    e.preventDefault();
    action();
  });

  let timer;
  const wake = () => {
    stage.classList.remove('quiet');
    clearTimeout(timer);
    timer = setTimeout(() => { if (!paused() && !$('bar').matches(':focus-within')) stage.classList.add('quiet'); }, QUIET);
  };
  for (const event of ['pointermove', 'pointerdown', 'focusin']) stage.addEventListener(event, wake);
  stage.addEventListener('pointerleave', () => { clearTimeout(timer); timer = setTimeout(wake, 0); });

  const name = (id, on, yes, no) => {
    $(id).dataset.on = String(on);
    $(id).setAttribute('aria-label', on ? yes : no);
  };
  const redraw = () => {
    name('play', !paused(), 'Pause', 'Play');
    name('mute', !video.muted, 'Turn sound off', 'Turn sound on');
    name('full', document.fullscreenElement !== null, 'Leave full screen', 'Full screen');
    $('sound').hidden = !video.muted || stream.phase !== 'playing' || !stream.type.includes('mp4a') && !/opus|c-3/i.test(stream.type);
    $('volume').value = String(video.muted ? 0 : video.volume);
  };
  video.addEventListener('volumechange', redraw);
  document.addEventListener('fullscreenchange', redraw);
  return redraw;
}
