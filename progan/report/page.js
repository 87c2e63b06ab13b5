
"use strict";
const numbers = JSON.parse(document.getElementById("numbers").textContent);
const HEIGHT = 190, LEFT = 48, RIGHT = 8, TOP = 16, BOTTOM = 20; // px
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const words = value => value === null || value === undefined ? "–" : String(Number(value.toPrecision(4)));

/* Axes. */

function linearTicks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(each => each * power >= rough * .999);
  const found = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high * (1 + 1e-9); number++)
    found.push(Number((number * step).toPrecision(12)));
  return found;
}

function logTicks(low, high, count) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    found.push(...[1, 2, 5].map(each => Number((each * 10 ** power).toPrecision(3))));
  const inside = found.filter(each => each >= low * .999 && each <= high * 1.001);
  if (inside.length < 2) return linearTicks(low, high, count);
  const tens = inside.filter(each => Number.isInteger(Math.log10(each)));
  if (inside.length <= count + 1) return inside;
  return tens.length > 1 ? tens.filter((each, place) => place % Math.ceil(tens.length / count) === 0) : inside.filter((each, place) => place % 2 === 0);
}

/* The range of the values: a few far ones are cut, so that the others can be seen. */
function rangeOf(chart) {
  const log = chart.log;
  const values = chart.curves.flatMap(curve => [...curve.y, curve.level])
    .filter(each => each !== null && (!log || each > 0)).sort((a, b) => a - b);
  if (!values.length) return null;
  let low = values[0], high = values[values.length - 1];
  if (chart.mark !== null) [low, high] = [Math.min(low, chart.mark), Math.max(high, chart.mark)];
  if (log) return low === high ? [low / 2, high * 2] : [low / 1.15, high * 1.15];
  const at = share => values[Math.round(share * (values.length - 1))];
  const most = 3 * (at(.95) - at(.05));
  if (most > 0) [low, high] = [Math.max(low, at(.05) - most), Math.min(high, at(.95) + most)];
  const room = (high - low) * .06 || Math.abs(high) * .1 || 1;
  return [low - room, high + room];
}

class Chart {
  constructor(figure, chart) {
    this.chart = chart;
    this.range = rangeOf(chart);
    this.plot = figure.querySelector(".plot");
    this.svg = figure.querySelector("svg");
    this.output = figure.querySelector("output");
    this.values = [...figure.querySelectorAll("li b")];
    this.last = this.values.map(value => value.textContent);
    this.moments = [...new Set(chart.curves.flatMap(curve => curve.x))].sort((a, b) => a - b);
    this.place = null;
    new ResizeObserver(() => this.draw()).observe(this.plot);
    this.plot.addEventListener("pointermove", event => this.point(event));
    this.plot.addEventListener("pointerdown", event => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.show(null));
    this.plot.addEventListener("focus", () => { this.output.ariaLive = "polite"; });
    this.plot.addEventListener("blur", () => {
      this.output.ariaLive = "off";
      this.show(null);
    });
    this.plot.addEventListener("keydown", event => this.key(event));
    this.draw();
  }

  x(kimg) { return LEFT + (this.width - LEFT - RIGHT) * kimg / (numbers.kimg || 1); }

  y(value) {
    const scale = this.chart.log ? Math.log10 : each => each;
    const [low, high] = this.range.map(scale);
    const share = (scale(Math.max(value, this.chart.log ? this.range[0] : value)) - low) / (high - low);
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share);
  }

  draw() {
    const width = Math.round(this.plot.clientWidth);
    if (!this.range || width === this.width || width < LEFT + RIGHT + 40) return;
    this.width = width;
    const number = this.plot.parentElement.dataset.chart;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.innerHTML = `<clipPath id="inside-${number}"><rect x="${LEFT}" y="${TOP}"
      width="${width - LEFT - RIGHT}" height="${HEIGHT - TOP - BOTTOM}"/></clipPath>
      ${this.phases()}${this.axes()}<g clip-path="url(#inside-${number})">
      ${this.chart.curves.map((curve, place) => this.curve(curve, place)).join("")}</g>
      <line class="cursor" y1="${TOP}" y2="${HEIGHT - BOTTOM}" visibility="hidden"/>`;
    this.cursor = this.svg.querySelector(".cursor");
  }

  phases() {
    const seen = [...new Set(numbers.phases.map(phase => phase[2]))];
    const shades = numbers.phases.map(([start, end, resolution, fading]) => {
      const kind = fading ? "fade" : seen.indexOf(resolution) % 2 ? "odd" : "even";
      return kind === "even" ? "" : `<rect class="${kind}" x="${this.x(start)}" y="${TOP}"
        width="${this.x(end) - this.x(start)}" height="${HEIGHT - TOP - BOTTOM}"/>`;
    });
    let free = 0;
    const names = seen.map(resolution => {
      const own = numbers.phases.filter(phase => phase[2] === resolution);
      const middle = (this.x(own[0][0]) + this.x(own[own.length - 1][1])) / 2;
      const half = 4 * String(resolution).length;
      if (middle - half < free) return "";
      free = middle + half + 3;
      return `<text x="${middle}" y="${TOP - 4}" text-anchor="middle">${resolution}</text>`;
    });
    return shades.join("") + (seen.length > 1 ? names.join("") : "");
  }

  axes() {
    const across = linearTicks(0, numbers.kimg || 1, this.width < 400 ? 4 : 7);
    const up = (this.chart.log ? logTicks : linearTicks)(...this.range, 4);
    const mark = this.chart.mark === null ? "" : this.level(this.chart.mark, "mark");
    return across.map(kimg => `<text x="${this.x(kimg)}" y="${HEIGHT - 5}"
        text-anchor="${kimg ? "middle" : "start"}">${kimg ? kimg : "0 kimg"}</text>`).join("")
      + up.map(value => `<line class="grid" x1="${LEFT}" x2="${this.width - RIGHT}"
        y1="${this.y(value)}" y2="${this.y(value)}"/><text x="${LEFT - 6}" y="${this.y(value) + 4}"
        text-anchor="end">${words(value)}</text>`).join("") + mark;
  }

  level(value, kind) {
    return `<line class="${kind}" x1="${LEFT}" x2="${this.width - RIGHT}" y1="${this.y(value)}"
      y2="${this.y(value)}"/>`;
  }

  curve(curve, place) {
    const known = curve.y.map(each => each !== null && (!this.chart.log || each > 0));
    const at = number => `${this.x(curve.x[number]).toFixed(1)} ${this.y(curve.y[number]).toFixed(1)}`;
    const path = known.map((yes, number) => yes ? (known[number - 1] ? "L" : "M") + at(number) : "").join("");
    const dots = known.map((yes, number) => yes && (curve.x.length < 40 || !known[number - 1] && !known[number + 1])
      ? `<circle class="dot" r="2.2" cx="${this.x(curve.x[number])}" cy="${this.y(curve.y[number])}"/>` : "").join("");
    const level = curve.level === null || this.chart.log && curve.level <= 0 ? "" : this.level(curve.level, "level");
    return `<g class="curve-${place % 8}"><path d="${path}"/>${dots}${level}</g>`;
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width * this.width - LEFT) / (this.width - LEFT - RIGHT);
    this.show(share * numbers.kimg);
  }

  key(event) {
    const last = this.moments.length - 1, now = this.place ?? last;
    const next = {ArrowLeft: now - 1, ArrowRight: now + (this.place !== null), Home: 0, End: last}[event.key];
    if (event.key === "Escape") this.show(null);
    if (next === undefined || last < 0) return;
    event.preventDefault();
    this.show(this.moments[clamp(next, 0, last)]);
  }

  /* Read all curves at a moment; null: as they end. */
  show(kimg) {
    if (!this.cursor || !this.moments.length) return;
    this.cursor.setAttribute("visibility", kimg === null ? "hidden" : "visible");
    if (kimg === null) {
      this.place = null;
      this.output.textContent = "";
      this.values.forEach((value, place) => { value.textContent = this.last[place]; });
      return;
    }
    this.place = this.moments.reduce((best, moment, place) =>
      Math.abs(moment - kimg) < Math.abs(this.moments[best] - kimg) ? place : best, 0);
    const moment = this.moments[this.place];
    for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.x(moment));
    const phase = numbers.phases.find(([start, end]) => start < moment && moment <= end);
    this.output.textContent = `kimg ${words(moment)}`
      + (phase ? `, ${phase[2]}${phase[3] ? " fading in" : ""}` : "");
    this.chart.curves.forEach((curve, place) => {
      this.values[place].textContent = words(curve.y[curve.x.indexOf(moment)]);
    });
  }
}

const charts = [...document.querySelectorAll(".chart")]
  .map(figure => new Chart(figure, numbers.charts[figure.dataset.chart]));

/* The samples over time. */

function play(player) {
  const frames = [...player.querySelectorAll(".frames img")];
  const slider = player.querySelector("input"), button = player.querySelector("button");
  const output = player.querySelector("output"), grid = player.querySelector(".frames");
  const pause = clamp(12000 / frames.length, 150, 700); // ms
  let timer = null;

  const show = () => {
    frames.forEach((frame, place) => { frame.hidden = place !== Number(slider.value); });
    output.textContent = frames[slider.value].dataset.words;
    slider.setAttribute("aria-valuetext", output.textContent);
    charts.forEach(chart => chart.show(Number(frames[slider.value].dataset.kimg)));
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  const start = () => {
    if (slider.value === slider.max) slider.value = 0;
    show();
    button.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (slider.value === slider.max) stop();
    }, pause);
  };
  slider.addEventListener("input", () => { stop(); show(); });
  button.addEventListener("click", () => timer === null ? start() : stop());
  grid.addEventListener("pointermove", event => {
    if (!grid.dataset.columns) return;
    const box = grid.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * grid.dataset.columns);
    const row = Math.floor((event.clientY - box.top) / box.height * grid.dataset.rows);
    output.textContent = `${frames[slider.value].dataset.words}, seed ${row * grid.dataset.step + column}`;
  });
  grid.addEventListener("pointerleave", () => { output.textContent = frames[slider.value].dataset.words; });
}

document.querySelectorAll(".player").forEach(play);
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach(each => { each.open = true; });
});
