// Where live is on the broadcaster's clock. The node says now and then up to when it has the channel; between, time goes on as ours does.

const WINDOW = 10; // seconds of statuses that count

export class Edge {
  #seen = [];  // {at, offset}: our clock, and the newest moment minus it

  // saw takes in that at the time now (seconds of any clock) everything up to wall (ms) was there.
  saw(now, wall) {
    this.#seen.push({ at: now, offset: wall - 1000 * now });
    while (this.#seen[0].at < now - WINDOW) this.#seen.shift();
  }

  get known() { return this.#seen.length > 0; }

  // wall is the newest moment, in ms; what came late in between does not hold it up.
  wall(now) { return 1000 * now + Math.max(...this.#seen.map(s => s.offset)); }
}
