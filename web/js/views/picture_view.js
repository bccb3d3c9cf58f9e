/**
 * A picture in a node: zoom, pan, before/after wipe, and the place under the pointer. What it looks like, a subclass says:
 * `paint(context, picture, view, means)` draws it and is true where WebGL did, `point(full)` is told the pixel under the
 * pointer, or null. `means` is "auto", "webgl" (also where it is computed by the processor), or "hand".
 */

import { OwnPixels } from "./own_pixels.js";

const LARGEST_SIDE = 2048;
const GRIP = 14; // CSS pixels around the wipe within which it is taken hold of
const MOST_ZOOM = 32;

export class PictureView {
  /**
   * @param {string} what it shows, for a screen reader
   * @param read makes a picture of a piece that the server sends, see OwnPixels
   */
  constructor(what, read) {
    this.own = new OwnPixels(() => (this.dirty = true), read);
    this.piece = null;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "tilework-view";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute(
      "aria-label",
      `${what} Plus and minus zoom, 0 fits, 1 is 100 %, 4 is 400 %, arrows pan, brackets move the before and after wipe.`,
    );
    this.canvas.dataset.captureWheel = "true";
    this.context = this.canvas.getContext("2d");
    this.picture = null;
    // Places and lengths are the full picture's, also where only a smaller copy of it is there.
    this.zoom = 0; // screen pixels per pixel of the full picture; 0 = fit
    this.centre = null;
    this.wipe = 0.3;
    this.pointers = new Map();
    this.means = "auto";
    this.byGpu = false;
    this.dirty = true;
    this.listen();
  }

  /**
   * @param picture {width, height, fullSize, scale}: the full one, or a copy of it of `scale` times its size; null for none
   * @param query what names the full one for the server, see OwnPixels
   */
  show(picture, query = null) {
    if (this.picture && picture && String(this.picture.fullSize) !== String(picture.fullSize)) [this.zoom, this.centre] = [0, null];
    if (picture) this.centre ??= picture.fullSize.map((side) => side / 2);
    this.picture = picture;
    this.own.follow(picture ? query : null, picture?.fullSize ?? [0, 0]);
    this.dirty = true;
  }

  /** What is kept where the node is made anew. */
  get look() {
    return { zoom: this.zoom, centre: this.centre, wipe: this.wipe };
  }

  /** Screen pixels: how large the canvas is on the screen, whatever the graph's zoom. */
  measure() {
    const box = this.canvas.getBoundingClientRect();
    const ratio = Math.min(window.devicePixelRatio || 1, LARGEST_SIDE / Math.max(box.width, box.height, 1));
    const [width, height] = [Math.max(1, Math.round(box.width * ratio)), Math.max(1, Math.round(box.height * ratio))];
    if (width !== this.canvas.width || height !== this.canvas.height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.dirty = true;
    }
    this.ratio = width / Math.max(1, this.canvas.clientWidth); // screen pixels per pixel of the unzoomed node
  }

  scale() {
    const [width, height] = this.picture.fullSize;
    const fit = Math.min(this.canvas.width / width, this.canvas.height / height);
    return this.zoom || fit;
  }

  corner(scale = this.scale()) {
    const { width, height } = this.canvas;
    const place = (centre, length, shown) => {
      const half = shown / scale / 2;
      return length <= 2 * half ? length / 2 - half : Math.min(Math.max(centre, half), length - half) - half;
    };
    const [fullWidth, fullHeight] = this.picture.fullSize;
    return [place(this.centre[0], fullWidth, width), place(this.centre[1], fullHeight, height)];
  }

  /** Where `wipe` is on the canvas: between the picture's edges as they are seen. */
  wipeColumn() {
    const scale = this.scale();
    const left = Math.max(0, -this.corner(scale)[0] * scale);
    return left + this.wipe * (this.canvas.width - 2 * left);
  }

  /** Draw it if something has changed, or else if `force`; whether it was drawn. */
  draw(force = false) {
    this.measure();
    if (!this.dirty && !force) return false;
    this.dirty = false;
    const { width, height } = this.canvas;
    if (!this.picture) {
      this.context.fillStyle = "#181818";
      this.context.fillRect(0, 0, width, height);
      return true;
    }
    const scale = this.scale();
    const [left, top] = this.corner(scale);
    const column = this.wipe > 0 ? this.wipeColumn() : 0;
    const from = this.pixelsFor(left, top, scale);
    const { scale: share } = from.picture;
    const view = { width, height, left: (left - from.left) * share, top: (top - from.top) * share, step: share / scale, wipe: column };
    this.byGpu = this.paint(this.context, from.picture, view, this.means);
    this.drawWipe(column);
    return true;
  }

  /** Whether more could be seen than the copy has. */
  get beyondCopy() {
    return this.picture !== null && this.picture.scale < 1 && this.scale() > this.picture.scale;
  }

  /** What to draw from: the copy, or where it has too few pixels a piece of the full picture. */
  pixelsFor(left, top, scale) {
    const { width, height } = this.canvas;
    this.piece = this.beyondCopy ? this.own.at([left, top, left + width / scale, top + height / scale]) : null;
    if (!this.beyondCopy) this.own.cancel();
    return this.piece ?? { picture: this.picture, left: 0, top: 0 };
  }

  /** What is drawn from there, and a pixel of the full picture in it: {picture, x, y}. */
  placeOf(full) {
    const { picture, left, top } = this.piece ?? { picture: this.picture, left: 0, top: 0 };
    const at = [full[0] - left, full[1] - top].map((place) => Math.floor(place * picture.scale));
    return { picture, x: Math.min(at[0], picture.width - 1), y: Math.min(at[1], picture.height - 1) };
  }

  drawWipe(column) {
    const c = this.context;
    const r = this.ratio;
    const { width, height } = this.canvas;
    const x = Math.min(Math.max(column, 1), width - 1);
    c.fillStyle = "rgba(0,0,0,0.55)";
    c.fillRect(x - 1.5 * r, 0, 3 * r, height);
    c.fillStyle = "#fff";
    c.fillRect(x - 0.5 * r, 0, r, height);
    c.beginPath();
    c.arc(x, height / 2, 8 * r, 0, 7);
    c.fill();
    c.strokeStyle = "rgba(0,0,0,0.6)";
    c.lineWidth = r;
    c.stroke();
    c.beginPath();
    for (const side of [-1, 1]) {
      c.moveTo(x + side * 2 * r, height / 2 - 3 * r);
      c.lineTo(x + side * 5 * r, height / 2);
      c.lineTo(x + side * 2 * r, height / 2 + 3 * r);
    }
    c.fillStyle = "#222";
    c.fill();
    c.font = `${10 * r}px sans-serif`;
    c.textBaseline = "top";
    for (const [text, at, room] of [["before", x - 48 * r, x > 56 * r], ["after", x + 14 * r, width - x > 52 * r]]) {
      if (!room) continue;
      c.fillStyle = "rgba(0,0,0,0.55)";
      c.fillRect(at - 4 * r, 4 * r, c.measureText(text).width + 8 * r, 15 * r);
      c.fillStyle = "#fff";
      c.fillText(text, at, 6 * r);
    }
  }

  /** The whole picture as it is drawn, at its own size, as bytes RGBA: what the node shows at 100 %. */
  pixels(means) {
    const canvas = document.createElement("canvas");
    canvas.width = this.picture.width;
    canvas.height = this.picture.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const view = { width: canvas.width, height: canvas.height, left: 0, top: 0, step: 1, wipe: 0 };
    const byGpu = this.paint(context, this.picture, view, means);
    return { byGpu, width: canvas.width, height: canvas.height, data: context.getImageData(0, 0, canvas.width, canvas.height).data };
  }

  /** Zoom so that what is at canvas place [x, y] stays there; 0 = fit. */
  zoomTo(zoom, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    if (!this.picture) return;
    const [left, top] = this.corner();
    const before = this.scale();
    const at = [left + x / before, top + y / before];
    this.zoom = zoom && Math.min(MOST_ZOOM, Math.max(0.02, zoom));
    const after = this.scale();
    this.centre = [at[0] + (this.canvas.width / 2 - x) / after, at[1] + (this.canvas.height / 2 - y) / after];
    this.settle();
  }

  panBy(dx, dy) {
    if (!this.picture) return;
    const scale = this.scale();
    this.centre = [this.centre[0] - dx / scale, this.centre[1] - dy / scale];
    this.settle();
  }

  settle() {
    const scale = this.scale();
    const [left, top] = this.corner(scale);
    this.centre = [left + this.canvas.width / scale / 2, top + this.canvas.height / scale / 2];
    this.dirty = true;
  }

  setWipe(share) {
    this.wipe = Math.min(1, Math.max(0, share));
    this.dirty = true;
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.canvas.width, ((event.clientY - box.top) / box.height) * this.canvas.height];
  }

  listen() {
    const on = (name, handler) => this.canvas.addEventListener(name, handler);
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.release(event));
    on("pointerleave", () => this.readout(null));
    on("dblclick", (event) => {
      event.stopPropagation();
      if (this.picture) this.zoomTo(this.zoom ? 0 : 4, ...this.place(event));
    });
    on("wheel", (event) => this.wheel(event));
    on("keydown", (event) => this.key(event));
  }

  press(event) {
    if (event.button > 0 || !this.picture) return;
    event.stopPropagation();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.place(event);
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size === 1) {
      const near = Math.abs(at[0] - this.wipeColumn()) < GRIP * this.ratio;
      this.action = near || !this.zoom ? "wipe" : "pan";
      if (this.action === "wipe") this.wipeTo(at[0]);
    } else {
      this.action = "pinch";
    }
  }

  wipeTo(x) {
    const scale = this.scale();
    const left = Math.max(0, -this.corner(scale)[0] * scale);
    this.setWipe((x - left) / (this.canvas.width - 2 * left));
  }

  move(event) {
    if (!this.picture) return;
    const at = this.place(event);
    const before = this.pointers.get(event.pointerId);
    this.readout(at);
    if (!before) {
      this.canvas.style.cursor = Math.abs(at[0] - this.wipeColumn()) < GRIP * this.ratio ? "ew-resize" : this.zoom ? "grab" : "crosshair";
      return;
    }
    event.stopPropagation();
    if (this.action === "wipe") this.wipeTo(at[0]);
    else if (this.action === "pan") this.panBy(at[0] - before[0], at[1] - before[1]);
    else if (this.pointers.size === 2) this.pinch(event.pointerId, before, at);
    this.pointers.set(event.pointerId, at);
  }

  pinch(id, before, at) {
    const [[, other]] = [...this.pointers].filter(([key]) => key !== id);
    const apart = (p) => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
    this.zoomTo((this.scale() * apart(at)) / apart(before), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2);
    this.panBy((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
  }

  release(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    event.stopPropagation();
    this.action = this.pointers.size ? "pan" : null;
  }

  wheel(event) {
    // Only once the picture was clicked: until then the wheel is the graph's, as over any other node.
    if (document.activeElement !== this.canvas || !this.picture) return;
    event.preventDefault();
    event.stopPropagation();
    this.zoomTo(this.scale() * Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...this.place(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.picture) return;
    const pan = 40 * this.ratio;
    const actions = {
      "+": () => this.zoomTo(this.scale() * 1.25),
      "=": () => this.zoomTo(this.scale() * 1.25),
      "-": () => this.zoomTo(this.scale() / 1.25),
      0: () => this.zoomTo(0),
      1: () => this.zoomTo(1),
      4: () => this.zoomTo(4),
      ArrowLeft: () => this.panBy(pan, 0),
      ArrowRight: () => this.panBy(-pan, 0),
      ArrowUp: () => this.panBy(0, pan),
      ArrowDown: () => this.panBy(0, -pan),
      "[": () => this.setWipe(this.wipe - 0.05),
      "]": () => this.setWipe(this.wipe + 0.05),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }

  readout(at) {
    this.point(this.picture && at && this.under(at));
  }

  /** The pixel [x, y] of the full picture under a place of the canvas, or null. */
  under(at) {
    const scale = this.scale();
    const [left, top] = this.corner(scale);
    const full = [left + at[0] / scale, top + at[1] / scale].map(Math.floor);
    return full.some((place, i) => place < 0 || place >= this.picture.fullSize[i]) ? null : full;
  }
}
