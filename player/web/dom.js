// Small helpers over the document.

export const $ = id => document.getElementById(id);
export const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };

export function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';
export function draw(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// rows fills a list of terms; what has not changed is left alone, so that text can be marked.
export function rows(id, facts) {
  const text = JSON.stringify(facts), list = $(id);
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(...Object.entries(facts).map(([name, value]) => make('div', {}, make('dt', { textContent: name }), make('dd', { textContent: value }))));
}

// copies lets buttons copy: those with data-copy the text of another element, those named in made what a function makes.
export function copies(made) {
  document.addEventListener('click', e => {
    const button = e.target.closest('button');
    if (button?.dataset.copy) copy(button, $(button.dataset.copy).textContent);
    else if (button && made[button.id]) copy(button, made[button.id]());
  });
}

async function copy(button, text) {
  if (!button.dataset.label) button.dataset.label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    button.textContent = byHand(text) ? 'Copied' : 'Press Ctrl C';
  }
  setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
}

// byHand copies where the clipboard is closed to pages, as it is to those of the home network that come without TLS.
function byHand(text) {
  const area = Object.assign(document.createElement('textarea'), { value: text, readOnly: true, className: 'hidden' });
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  if (done) area.remove();
  else setTimeout(() => area.remove(), 10000);
  return done;
}
