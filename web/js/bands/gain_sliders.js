/** A slider for each gain, with the layer's name as a button that shows it alone. */

import { app } from "../../../../scripts/app.js";
import { button, element, say } from "../node_pane.js";
import { nameOf } from "./gains.js";

const STEP = 0.01;
const USUAL = [0, 2];

export const SLIDER_STYLE = `
.tilework-gains { flex: 0 0 auto; display: grid; grid-template-columns: auto 1fr 44px; gap: 2px 8px; align-items: center; }
.tilework-gains button { font: inherit; padding: 1px 8px; border-radius: 4px; border: 1px solid var(--border-color, #555); cursor: pointer; text-align: left;
  background: var(--comfy-input-bg, #333); color: inherit; white-space: nowrap; }
.tilework-gains button:hover, .tilework-gains button[aria-pressed="true"] { border-color: #ffaa3c; }
.tilework-gains button[aria-pressed="true"] { background: #ffaa3c; color: #201400; }
.tilework-gains button:focus-visible, .tilework-gains input:focus-visible { outline: 2px solid #ffaa3c; }
.tilework-gains button:disabled, .tilework-gains input:disabled { opacity: 0.5; cursor: default; }
.tilework-gains input { width: 100%; min-width: 0; height: 16px; margin: 0; accent-color: #ffaa3c; touch-action: none; cursor: pointer; }
.tilework-gains-value { text-align: right; font-family: monospace; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
`;

export class GainSliders {
  /** @param {object} options onGain(index, gain) while a slider moves, onCommit() when it is let go, onAlone(index or null) */
  constructor({ onGain, onCommit, onAlone }) {
    Object.assign(this, { onGain, onCommit, onAlone, rows: [] });
    this.root = element("div", "tilework-gains");
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  /**
   * @param {string[]} words the gains as they are written
   * @param {object} how {alone: the layer that is shown alone, or null, enabled: whether sliders can be moved, visible: whether
   *   there are layers that could be shown}
   */
  show(words, { alone, enabled, visible }) {
    if (this.rows.length !== words.length) this.build(words.length);
    this.rows.forEach(({ name, slider, output }, index) => {
      name.setAttribute("aria-pressed", String(alone === index));
      name.disabled = !visible;
      slider.disabled = !enabled;
      if (slider.typed !== words[index]) this.put(slider, +words[index], words[index]);
      say(output, words[index]);
    });
  }

  put(slider, gain, word) {
    slider.typed = word;
    slider.setAttribute("aria-valuetext", word);
    // While it is dragged it has its value, and its ends stay where they are.
    if (slider === this.held) return;
    slider.min = Math.min(USUAL[0], Math.floor(gain));
    slider.max = Math.max(USUAL[1], Math.ceil(gain));
    slider.value = gain;
  }

  build(count) {
    this.rows = Array.from({ length: count }, (_, index) => {
      const [short, long] = nameOf(index, count);
      const name = button(short, () => this.onAlone(name.getAttribute("aria-pressed") === "true" ? null : index));
      name.setAttribute("aria-label", `Show ${long}, alone`);
      name.title = index === count - 1 ? "Show it alone" : "Show it alone, twice as strong, on mid grey";
      const slider = element("input");
      Object.assign(slider, { type: "range", step: STEP });
      slider.setAttribute("aria-label", `Gain of ${long}`);
      slider.title = "Double-click: 1";
      slider.addEventListener("input", () => this.onGain(index, +slider.value));
      slider.addEventListener("change", () => this.onCommit());
      slider.addEventListener("pointerdown", (event) => {
        event.stopPropagation();
        this.held = slider;
      });
      for (const end of ["pointerup", "pointercancel", "blur"]) slider.addEventListener(end, () => (this.held = null));
      slider.addEventListener("dblclick", (event) => {
        event.stopPropagation();
        this.held = null;
        this.onGain(index, 1);
        this.onCommit();
      });
      const output = element("span", "tilework-gains-value");
      output.setAttribute("aria-hidden", "true"); // the slider says it
      return { name, slider, output };
    });
    this.root.replaceChildren(...this.rows.flatMap(({ name, slider, output }) => [name, slider, output]));
  }

  /** The host leaves undo to what is typed in, and a slider has none of its own. */
  key(event) {
    const key = event.key.toLowerCase();
    if (event.target.type !== "range" || event.altKey || !(event.ctrlKey || event.metaKey) || !"zy".includes(key)) return;
    const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
    event.preventDefault();
    event.stopPropagation();
    if (key === "y" || event.shiftKey) tracker?.redo?.();
    else tracker?.undo?.();
  }
}
