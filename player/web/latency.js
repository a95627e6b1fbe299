// How late to play. Nothing here knows of the page: times come in, a rate or a jump goes out, all in seconds.
//
// "Delay" is the clock minus the media time that is shown (the two clocks begin anywhere, only differences count). To never wait for
// media, the delay must be at least as large as the largest distance between the clock and the end of what had arrived, just
// before more arrived. That distance is measured over the last seconds; a small margin on top of it is the target.

const WINDOW = 10;      // seconds of arrivals that count
const QUANTILE = 0.97;  // of them, how many must have been in time
const CEILING = 3;      // no target is further from the live edge: better a stall now and then
const MARGIN = 0.12;    // what decoders and the sound output hold
const OUTAGE = 2;       // seconds without an arrival are no jitter, and say nothing of what comes next
const TOO_LATE = 2;     // beyond the target: jump
const CALM = 5;         // seconds between jumps: each costs the decoder a start
const NEAR = 0.04;      // as good as on target
const FASTEST = 1.25, SLOWEST = 0.95;
const BURST = 0.2;      // seconds without being brought nearer to live, after which a start is over
const GUESS = 0.2, GUESSED = 3; // jitter that is assumed at first, and the seconds in which measuring takes its place
const STALL = 0.2;      // what a stall adds to the target
const STALLS = 2;       // and at most
const DECAY = 0.01;     // of that, what goes away each second

export class Latency {
  #arrivals = [];     // {at, before, after}: the distance just before and just after each arrival
  #end = null;        // of what has arrived
  #begun = null;      // when the first arrived
  #boost = 0;
  #boostAt = 0;
  #nearest = Infinity; // the least distance at the start, and since when
  #nearestAt = 0;
  #settled = false;   // the start is over, with the jump after it
  #jumped = -Infinity; // when last

  // arrived: at the time now, media up to end is there.
  arrived(now, end) {
    if (this.#end !== null && end <= this.#end) return;
    this.#begun ??= now;
    const after = now - end;
    if (this.#catchingUp(now, after) || after < this.#best() - 0.25) {
      this.#arrivals = []; // we were being brought up to date: what came before tells nothing
    }
    const last = this.#arrivals.at(-1);
    const before = last && now - last.at < OUTAGE ? now - this.#end : after;
    this.#arrivals.push({ at: now, before, after });
    this.#end = end;
    while (this.#arrivals[0].at < now - WINDOW) this.#arrivals.shift();
  }

  // catchingUp tells whether an arrival belongs to what a stream begins with, of before it was asked for: that comes faster than time goes by. The picture
  // may run by then.
  #catchingUp(now, after) {
    if (this.#settled || after > this.#nearest - 0.005) return false;
    [this.#nearest, this.#nearestAt] = [after, now];
    return true;
  }

  #starting(now) { return !this.#settled && now - this.#nearestAt < BURST && now - this.#begun < GUESSED; }

  stalled(now) {
    this.#boost = Math.min(STALLS, this.boost(now) + STALL);
    this.#boostAt = now;
  }

  boost(now) { return Math.max(0, this.#boost - DECAY * (now - this.#boostAt)); }

  #best() { return Math.min(...this.#arrivals.map(a => a.after)); } // Infinity while nothing has come

  #late() {
    const sorted = this.#arrivals.map(a => a.before).sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * QUANTILE))];
  }

  // jitter is how much more than the best case must be waited: the time between arrivals, and what the network adds.
  jitter() { return this.#arrivals.length ? Math.max(0, this.#late() - this.#best()) : 0; }

  // buffer is how much media should be there when the best case has just arrived.
  buffer(now) { return Math.min(CEILING, Math.max(this.jitter(), this.#guess(now)) + MARGIN + this.boost(now)); }

  #guess(now) { return this.#begun === null ? GUESS : Math.max(0, GUESS * (1 - (now - this.#begun) / GUESSED)); }

  // place is where to be at the time now.
  place(now) {
    return this.#end === null ? 0 : Math.min(now - this.#best() - this.buffer(now), this.#end - 0.02);
  }

  // next is for another stream of the same channel: what stalls have taught stays.
  next(now) {
    const l = new Latency();
    [l.#boost, l.#boostAt] = [this.boost(now), now];
    return l;
  }

  // decide says how fast to play, and where to jump to, if at all (null: nowhere). It is asked from when the picture runs.
  decide(now, position) {
    if (this.#end === null || this.#starting(now)) return { rate: 1, jump: null };
    const target = this.#best() + this.buffer(now);
    const excess = now - position - target;
    const late = this.#settled ? TOO_LATE : 0.1;
    this.#settled = true;
    if (excess > late && now - this.#jumped > CALM) {
      this.#jumped = now;
      return { rate: 1, jump: Math.min(now - target, this.#end - 0.02) };
    }
    if (excess > NEAR) return { rate: Math.min(FASTEST, 1 + excess / 2), jump: null };
    if (excess < -NEAR) return { rate: Math.max(SLOWEST, 1 + excess / 4), jump: null };
    return { rate: 1, jump: null };
  }
}
