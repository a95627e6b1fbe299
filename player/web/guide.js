// What is on, from the broadcaster's guide, which the node passes on in its status.

const LEAD = 12 * 3600e3; // ms: what comes later than that is not next

const clock = ms => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

// onAir is one line: "Now until 20:15: News · then: Film". Empty if the guide says nothing of now.
export function onAir(guide, now) {
  const list = (guide ?? []).map(p => ({ ...p, from: Date.parse(p.start), to: p.end ? Date.parse(p.end) : Infinity })).filter(p => p.title && p.to > now);
  const here = list.find(p => p.from <= now), next = list.find(p => p.from > now && p.from - now < LEAD);
  const parts = [];
  if (here) parts.push(`Now${here.to < Infinity ? ` until ${clock(here.to)}` : ''}: ${here.title}`);
  if (next) parts.push(here ? `then: ${next.title}` : `At ${clock(next.from)}: ${next.title}`);
  return parts.join(' · ');
}
