/**
 * The overlay in a node: a picture with the grid or the seams over it, a line of figures, and a place for what is pointed at.
 *
 * A DOM widget without a value, the same in the classic canvas and in Nodes 2.0. It looks at the node's widgets and links
 * a few times a second while it is on the screen, because the two renderers tell of changes in different ways; a look
 * without a change draws nothing. Text goes into the page as text alone.
 */

import { app } from "../../../../scripts/app.js";
import { ADVICE_STYLE, AdviceRow } from "../advice_row.js";
import { button, element, NodePane, say } from "../node_pane.js";
import { draw, seamAt, tileUnder } from "./drawing.js";
import { countOf, isHere, tileAt } from "./layout.js";
import { rowOf } from "./scenes.js";

const LEAST_HEIGHT = 270; // without the rows below
const LINE_HEIGHT = 15;
const LOOK_EVERY = 80; // ms
const MOST_SIDE = 2048;
const REACH = 9;

export const STYLE = `
.tilework-overlay { display: flex; flex-direction: column; gap: 3px; width: 100%; height: 100%; min-height: 0; box-sizing: border-box;
  color: var(--input-text, #ddd); font: 11px/1.35 sans-serif; }
/* The picture gives way before the words make the node grow: to grow and shrink with them would be steps of their own for undo. */
.tilework-overlay-view { position: relative; flex: 1 1 50px; min-height: 50px; }
.tilework-overlay-view canvas { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: 6px; background: #181818; outline: none; }
.tilework-overlay-view canvas:focus-visible { box-shadow: 0 0 0 2px #ffaa3c; }
.tilework-overlay-hint { position: absolute; inset: 0; display: flex; align-items: center; justify-content: center; padding: 16px;
  text-align: center; color: #bbb; pointer-events: none; }
.tilework-overlay-hint:empty, .tilework-overlay-bar[hidden] { display: none; }
.tilework-overlay-text { flex: 0 0 auto; } .tilework-overlay-text:empty { display: none; }
.tilework-overlay-text.tilework-overlay-error { color: #d93025; font-weight: 600; }
.dark-theme .tilework-overlay-text.tilework-overlay-error { color: #ff7b72; }
.tilework-overlay-more { flex: 0 0 auto; overflow: auto; white-space: pre-line; opacity: 0.8; }
.tilework-overlay-bar { display: flex; gap: 6px; align-items: center; flex: 0 0 auto; }
.tilework-overlay-bar button { font: inherit; padding: 1px 8px; border-radius: 4px; border: 1px solid var(--border-color, #555); cursor: pointer;
  background: var(--comfy-input-bg, #333); color: inherit; }
.tilework-overlay-bar button:focus-visible { outline: 2px solid #ffaa3c; }
${ADVICE_STYLE}`;

export class TileOverlay extends NodePane {
  /**
   * @param node the node it stands in
   * @param {string} what for a screen reader
   * @param {number} rows of text that what is pointed at may need
   * @param {(page: number) => object} look the scene as it is now, see scenes.js
   */
  constructor(node, what, rows, look) {
    super(node, "tilework-overlay", LOOK_EVERY);
    Object.assign(this, { look, page: 0, marked: null, scene: {}, state: null });
    this.build(what);
    this.more.style.height = `${rows * LINE_HEIGHT}px`;
    this.widget = node.addDOMWidget("tilework_overlay", "TILEWORK_OVERLAY", this.root, {
      serialize: false,
      hideInPanel: true,
      getValue: () => "",
      setValue: () => {},
      getMinHeight: () => LEAST_HEIGHT + rows * LINE_HEIGHT,
      hideOnZoom: false,
    });
    // Out of the saved file too: a value there would move those of widgets that come later.
    this.widget.serialize = false;
    this.widget.tileOverlay = this;
    this.watch();
  }

  build(what) {
    this.canvas = element("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", what);
    this.context = this.canvas.getContext("2d");
    this.hint = element("div", "tilework-overlay-hint");
    const view = element("div", "tilework-overlay-view");
    view.append(this.canvas, this.hint);
    this.text = element("div", "tilework-overlay-text");
    this.advice = new AdviceRow(this.node);
    this.more = element("div", "tilework-overlay-more");
    this.more.setAttribute("role", "status");
    this.bar = element("div", "tilework-overlay-bar");
    this.bar.hidden = true;
    this.where = element("span");
    this.bar.append(this.turner("‹", "previous picture", -1), this.where, this.turner("›", "next picture", 1));
    this.root.append(view, this.text, this.advice.root, this.more, this.bar);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.mark(null));
    this.canvas.addEventListener("blur", () => this.mark(null));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    this.canvas.addEventListener("click", (event) => {
      this.point(event);
      this.pick();
    });
    // In the classic canvas a widget lies over the graph and would keep what is meant for it.
    const classic = (pass) => (event) => !window.LiteGraph?.vueNodesMode && pass(event);
    view.addEventListener("wheel", classic((event) => app.canvas.processMouseWheel(event)), { passive: false });
    view.addEventListener("pointerdown", classic((event) => event.button && app.canvas.processMouseDown(event)));
    view.addEventListener("contextmenu", classic((event) => event.preventDefault()));
  }

  turner(text, label, step) {
    const one = button(text, () => {
      const pages = this.scene.pages ?? 1;
      this.page = (this.page + step + pages) % pages;
      this.marked = null;
      this.frame();
    });
    one.setAttribute("aria-label", label);
    return one;
  }

  // ---- pointing

  /** How many tiles or seams there are to point at. */
  get count() {
    if (this.scene.seams) return this.scene.seams.length;
    return this.scene.layout ? countOf(this.scene.layout) : 0;
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    if (!this.place || !box.width) return;
    const ratio = this.canvas.width / box.width;
    const at = [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
    const { seams, layout } = this.scene;
    if (seams) this.mark(seamAt(this.scene, this.place, at, REACH * ratio));
    else if (layout) this.mark(tileUnder(layout, this.place, at));
  }

  press(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const last = this.count - 1;
    if (last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = steps[event.key];
    if (step) this.mark(this.marked === null ? (step > 0 ? 0 : last) : Math.min(last, Math.max(0, this.marked + step)));
    else if (event.key === "Home") this.mark(0);
    else if (event.key === "End") this.mark(last);
    else if (event.key === "Escape") this.mark(null);
    else if ((event.key === "Enter" || event.key === " ") && this.scene.pick && this.marked !== null) this.pick();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Choose what is pointed at, where the scene has something to choose. */
  pick() {
    if (this.marked === null || !this.scene.pick) return;
    this.scene.pick(this.marked);
    this.frame();
  }

  mark(index) {
    if (index === this.marked) return;
    this.marked = index;
    this.paint();
  }

  // ---- showing

  /** Look at the node, and draw where something has changed. */
  frame() {
    const scene = this.look(this.page);
    const box = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const size = [box.width, box.height].map((side) => Math.max(1, Math.min(MOST_SIDE, Math.round(side * ratio))));
    const { picture, layout, seams, advice, chosen, ...rest } = scene;
    const state = JSON.stringify([rest, chosen && [...chosen], advice?.text, advice?.label, size, this.page]);
    const same = layout === this.scene.layout && seams === this.scene.seams;
    if (same && state === this.state && picture === this.scene.picture) return;
    if (!same) this.marked = null;
    Object.assign(this, { state, scene });
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    this.paint();
  }

  paint() {
    const { scene } = this;
    if (this.marked !== null && this.marked >= this.count) this.marked = null;
    const box = this.canvas.getBoundingClientRect();
    // Lines and numbers keep their size relative to the node's own text, also where the graph is zoomed.
    const ratio = this.canvas.width / (this.canvas.clientWidth || box.width || 1);
    this.place = draw(this.context, scene, ratio, this.marked);
    say(this.hint, scene.hint ?? "");
    say(this.text, scene.error ?? scene.text ?? "");
    this.text.classList.toggle("tilework-overlay-error", Boolean(scene.error));
    say(this.more, this.marked === null ? (scene.more ?? "") : this.described());
    this.advice.show(scene.error ? null : scene.advice);
    this.bar.hidden = !(scene.pages > 1);
    say(this.where, `${Math.min(this.page, (scene.pages ?? 1) - 1) + 1} of ${scene.pages}`);
  }

  /** What is pointed at, in words. */
  described() {
    const { seams, layout } = this.scene;
    if (seams) return rowOf(this.scene, seams[this.marked]);
    const tile = tileAt(layout, this.marked);
    const here = isHere(layout, this.marked) ? "" : " (not here)";
    return `tile ${this.marked}: x ${tile.x}, y ${tile.y}, ${tile.width} x ${tile.height}${here}`;
  }
}
