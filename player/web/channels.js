// The other channels of this node, to change to.

import { $, make } from './dom.js';

// channels fills the list, if there is more than one. base is the folder of the page: that of the node, or c/ID/ in it.
export async function channels(base) {
  const here = /c\/[^/]+\/$/.exec(base)?.[0] ?? '';
  const root = base.slice(0, base.length - here.length);
  let list = [];
  try {
    const response = await fetch(new URL('api/v1/channels', root), { cache: 'no-store' });
    if (response.ok) list = await response.json();
  } catch { /* a node of one channel, or none: then nobody changes */ }
  if (list.length < 2) return;
  const current = here || list[0].path;
  $('channels').replaceChildren(...list.map(c => make('option', { value: c.path, textContent: `${c.radio ? '♪ ' : ''}${c.title}`, selected: c.path === current })));
  $('channels-label').hidden = false;
  $('channels').addEventListener('change', e => location.assign(new URL(e.target.value, root)));
}
