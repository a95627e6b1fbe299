// A line of the last minute, one value a second.

const VALUES = 60, WIDTH = 120, HEIGHT = 28, TOP = 4;

export class Spark {
  #values = [];

  constructor(svg) {
    [this.area, this.curve] = [svg.querySelector('.area'), svg.querySelector('.curve')];
  }

  // push adds a value; null leaves a hole that the line passes over.
  push(value) {
    this.#values.push(value);
    if (this.#values.length > VALUES) this.#values.shift();
    const highest = Math.max(...this.#values.map(v => v ?? 0)) * 1.1 || 1;
    const shift = VALUES - this.#values.length;
    const points = this.#values.map((v, i) => [((shift + i) / (VALUES - 1)) * WIDTH, HEIGHT - ((v ?? 0) / highest) * (HEIGHT - TOP), v])
      .filter(([, , v]) => v !== null).map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`);
    if (points.length < 2) return;
    const x = point => point.split(',')[0];
    const line = `M${points.join('L')}`;
    this.curve.setAttribute('d', line);
    this.area.setAttribute('d', `${line}L${x(points.at(-1))},${HEIGHT}L${x(points[0])},${HEIGHT}Z`);
  }
}
