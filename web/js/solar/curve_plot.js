/** The curve and the picture's histogram, drawn together; the points of an own curve are dragged here. */

import { evaluate, knotsOf, LEAST_DISTANCE, makeCurve, MOST_POINTS } from "./curve_math.js";

const COLOURS = { "each channel": ["#ff5a52", "#4fd06b", "#5a94ff"], other: ["#c8ccd4"] };
const REACH = 14; // CSS pixels around a point within which it is taken hold of
const MARGIN = 7; // so that points on the border are whole
const round = (value) => Math.round(value * 1e4) / 1e4;

export class CurvePlot {
  /**
   * @param {object} options onChange(points) while dragging, onCommit() when a change is done
   */
  constructor({ onChange, onCommit }) {
    this.onChange = onChange;
    this.onCommit = onCommit;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "tilework-solar-plot";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute(
      "aria-label",
      "Curve and histogram. With preset curve: comma and full stop choose a point, arrows move it (Shift: further), Insert adds one, Delete takes it away.",
    );
    this.context = this.canvas.getContext("2d");
    this.points = [];
    this.editable = false;
    this.selected = -1;
    this.hover = null;
    this.dirty = true;
    this.listen();
  }

  draw(settings, curve, picture, force = false) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.max(1, Math.round(box.width * ratio)), Math.max(1, Math.round(box.height * ratio))];
    if (width !== this.canvas.width || height !== this.canvas.height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.dirty = true;
    }
    if (!this.dirty && !force) return;
    this.dirty = false;
    this.ratio = width / Math.max(1, this.canvas.clientWidth);
    const c = this.context;
    c.fillStyle = "#181818";
    c.fillRect(0, 0, width, height);
    this.drawGrid();
    if (picture) this.drawHistogram(picture, settings.channel, curve);
    const drawn = settings.preset === "curve" && (settings.phase % 1 || settings.gain !== 1);
    if (drawn) this.drawCurve(makeCurve({ ...settings, phase: 0, gain: 1, low: 0, high: 1 }), "rgba(255,170,60,0.35)", 1);
    this.drawCurve({ ...curve, low: 0, high: 1 }, "#ffaa3c", 2);
    if (this.hover) this.drawHover(curve);
    if (settings.preset !== "curve") {
      const straight = { ...curve, low: 0, high: 1 };
      // The ends are no points of "four points".
      for (const x of knotsOf(settings.preset, settings.inversions).slice(1, -1)) this.dot(x, Math.min(1, Math.max(0, evaluate(straight, x))), 2.2, "#ffaa3c");
    } else if (this.editable) {
      this.points.forEach(([x, y], i) => this.dot(x, y, i === this.selected ? 6 : 4.5, i === this.selected ? "#ffaa3c" : "#fff", true));
    }
  }

  at(x, y) {
    const margin = MARGIN * this.ratio;
    return [margin + x * (this.canvas.width - 2 * margin), margin + (1 - y) * (this.canvas.height - 2 * margin)];
  }

  drawGrid() {
    const c = this.context;
    c.strokeStyle = "rgba(255,255,255,0.10)";
    c.lineWidth = Math.max(1, Math.round(this.ratio));
    c.beginPath();
    for (let i = 0; i <= 4; i++) {
      c.moveTo(...this.at(i / 4, 0));
      c.lineTo(...this.at(i / 4, 1));
      c.moveTo(...this.at(0, i / 4));
      c.lineTo(...this.at(1, i / 4));
    }
    c.stroke();
  }

  /** Square roots of the counts, so that rare levels are seen, up to all but the few highest peaks; only what lies in the curve's range. */
  drawHistogram(picture, channel, curve) {
    const c = this.context;
    const all = picture.histograms(channel);
    const colours = COLOURS[channel] ?? COLOURS.other;
    const heights = all.flatMap((counts) => [...counts]).filter(Boolean).sort((a, b) => a - b);
    const most = Math.sqrt(heights[Math.floor(0.97 * (heights.length - 1))] || 1) * 1.15;
    const place = (level) => (level / 255 - curve.low) / (curve.high - curve.low);
    c.save();
    c.globalCompositeOperation = "lighter";
    all.forEach((counts, k) => {
      c.fillStyle = colours[k];
      c.globalAlpha = all.length > 1 ? 0.4 : 0.34;
      for (let level = 0; level < 256; level++) {
        const [from, to] = [Math.max(0, place(level - 0.5)), Math.min(1, place(level + 0.5))];
        if (!counts[level] || to <= from) continue;
        const [x0, top] = this.at(from, Math.min(1, Math.sqrt(counts[level]) / most));
        const [x1, bottom] = this.at(to, 0);
        c.fillRect(x0, top, x1 - x0, bottom - top);
      }
    });
    c.restore();
  }

  drawCurve(curve, colour, width) {
    const c = this.context;
    const margin = MARGIN * this.ratio;
    const columns = Math.max(2, Math.round(this.canvas.width - 2 * margin)) * 2;
    c.beginPath();
    for (let i = 0; i <= columns; i++) c.lineTo(...this.at(i / columns, Math.min(1, Math.max(0, evaluate(curve, i / columns)))));
    c.strokeStyle = colour;
    c.lineWidth = width * this.ratio;
    c.lineJoin = "round";
    c.stroke();
  }

  drawHover(curve) {
    const c = this.context;
    this.hover.forEach((value, k) => {
      const x = (value - curve.low) / (curve.high - curve.low);
      if (x < 0 || x > 1) return;
      c.strokeStyle = this.hover.length > 1 ? COLOURS["each channel"][k] : "#fff";
      c.lineWidth = this.ratio;
      c.beginPath();
      c.moveTo(...this.at(x, 0));
      c.lineTo(...this.at(x, 1));
      c.stroke();
    });
  }

  dot(x, y, radius, colour, ring = false) {
    const c = this.context;
    c.beginPath();
    c.arc(...this.at(x, y), radius * this.ratio, 0, 7);
    c.fillStyle = colour;
    c.fill();
    if (!ring) return;
    c.strokeStyle = "#181818";
    c.lineWidth = 1.5 * this.ratio;
    c.stroke();
  }

  listen() {
    const on = (name, handler) => this.canvas.addEventListener(name, handler);
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.release(event));
    on("dblclick", (event) => {
      event.stopPropagation();
      if (!this.editable) return;
      const place = this.valueAt(event);
      if (this.nearest(event) < 0) this.add(place);
    });
    on("keydown", (event) => this.key(event));
    on("focus", () => (this.dirty = true));
    on("blur", () => {
      this.selected = -1;
      this.dirty = true;
    });
  }

  valueAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const margin = MARGIN * (this.ratio || 1);
    const part = (value, length) => (value * length - margin) / (length - 2 * margin);
    const x = part((event.clientX - box.left) / box.width, this.canvas.width);
    const y = 1 - part((event.clientY - box.top) / box.height, this.canvas.height);
    return [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
  }

  nearest(event) {
    const [x, y] = this.at(...this.valueAt(event));
    let best = -1;
    let least = REACH * this.ratio;
    this.points.forEach((point, i) => {
      const [px, py] = this.at(...point);
      const apart = Math.hypot(px - x, py - y);
      if (apart < least) [best, least] = [i, apart];
    });
    return best;
  }

  press(event) {
    if (event.button > 0) return;
    event.stopPropagation();
    this.canvas.focus({ preventScroll: true });
    if (!this.editable) return;
    this.selected = this.nearest(event);
    this.dirty = true;
    if (this.selected < 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.dragging = event.pointerId;
    this.moved = false;
  }

  move(event) {
    if (this.dragging !== event.pointerId) {
      if (this.editable) this.canvas.style.cursor = this.nearest(event) < 0 ? "crosshair" : "grab";
      else this.canvas.style.cursor = "default";
      return;
    }
    event.stopPropagation();
    this.moved = true;
    this.put(this.selected, this.valueAt(event));
  }

  release(event) {
    if (this.dragging !== event.pointerId) return;
    event.stopPropagation();
    this.dragging = undefined;
    if (this.moved) this.onCommit();
  }

  /** Move point `index`; it stays between its neighbours. Whether it moved: what does not change keeps every digit. */
  put(index, [x, y]) {
    const [x0, y0] = this.points[index];
    const low = index > 0 ? this.points[index - 1][0] + LEAST_DISTANCE + 1e-4 : 0;
    const high = index < this.points.length - 1 ? this.points[index + 1][0] - LEAST_DISTANCE - 1e-4 : 1;
    const next = this.points.map((point) => [...point]);
    const to = [x === x0 ? x0 : round(Math.min(high, Math.max(low, x))), y === y0 ? y0 : round(Math.min(1, Math.max(0, y)))];
    if (to[0] === x0 && to[1] === y0) return false;
    next[index] = to;
    this.change(next);
    return true;
  }

  add([x, y]) {
    const free = this.points.every((point) => Math.abs(point[0] - x) > LEAST_DISTANCE + 1e-4);
    if (!free || this.points.length >= MOST_POINTS) return;
    const next = [...this.points.map((point) => [...point]), [round(x), round(y)]].sort((a, b) => a[0] - b[0]);
    this.selected = next.findIndex((point) => point[0] === round(x));
    this.change(next);
    this.onCommit();
  }

  remove(index) {
    if (index < 0 || this.points.length <= 2) return;
    this.selected = Math.min(index, this.points.length - 2);
    this.change(this.points.filter((_, i) => i !== index).map((point) => [...point]));
    this.onCommit();
  }

  change(points) {
    this.points = points;
    this.dirty = true;
    this.onChange(points);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.editable) return;
    const step = event.shiftKey ? 10 / 255 : 1 / 255;
    const choose = (by) => {
      this.selected = this.selected < 0 ? (by > 0 ? 0 : this.points.length - 1) : (this.selected + by + this.points.length) % this.points.length;
      this.dirty = true;
    };
    const nudge = (dx, dy) => {
      if (this.selected < 0) return choose(1);
      const [x, y] = this.points[this.selected];
      if (this.put(this.selected, [x + dx, y + dy])) this.onCommit();
    };
    const actions = {
      ".": () => choose(1),
      ">": () => choose(1),
      ",": () => choose(-1),
      "<": () => choose(-1),
      ArrowLeft: () => nudge(-step, 0),
      ArrowRight: () => nudge(step, 0),
      ArrowUp: () => nudge(0, step),
      ArrowDown: () => nudge(0, -step),
      Delete: () => this.remove(this.selected),
      Backspace: () => this.remove(this.selected),
      Insert: () => this.split(),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }

  /** A new point half way to the next one. */
  split() {
    const from = Math.min(Math.max(this.selected, 0), this.points.length - 2);
    const [a, b] = [this.points[from], this.points[from + 1]];
    this.add([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
  }
}
