/**
 * Frequency Join: a slider for each gain, and the picture as it becomes by them.
 *
 * A DOM widget without a value, in the classic canvas and in Nodes 2.0 alike: the value is the text in the node's own widget, which
 * the sliders write and follow. The bands are those of the last run. It looks at the node once a frame while it is on the screen.
 */

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { AdviceRow, putValue } from "./advice_row.js";
import { BandView } from "./bands/band_view.js";
import { GainSliders, SLIDER_STYLE } from "./bands/gain_sliders.js";
import { MOST_LAYERS, readGains, resized, withGain } from "./bands/gains.js";
import { isSound, loadLayers } from "./bands/layers.js";
import { addStyle, attach, button, commit, element, keyOf, NodePane, say } from "./node_pane.js";
import { errorOf } from "./run_errors.js";
import { originKey, originOf, UNKNOWN, valueOf } from "./sources.js";
import { wrongWires } from "./tiles/wiring.js";

const NODE = "TileworkBandJoin";
const SEPARATION = "TileworkBandSplit";
const UI_KEY = "tilework_bands";
const GAINS = "gains";
const LEAST_HEIGHT = 400;
const MADE_ANEW = 3000; // ms
const TEXT_EVERY = 150; // ms
const NAME_HINT = "A click on a name shows that band alone.";
const BEFORE_A_RUN = ["1", "1", "1", "1", "1"];
const STYLE = `
.tilework-bands { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; min-height: 0; box-sizing: border-box;
  color: var(--input-text, #ddd); font: 11px/1.35 sans-serif; }
.tilework-bands-picture { position: relative; flex: 1 1 200px; min-height: 80px; }
.tilework-bands-picture canvas { position: absolute; inset: 0; display: block; width: 100%; height: 100%; border-radius: 6px; background: #181818;
  touch-action: none; outline: none; }
.tilework-bands-picture canvas:focus-visible { box-shadow: 0 0 0 2px #ffaa3c; }
.tilework-bands-hint { position: absolute; inset: 0; display: flex; align-items: center; justify-content: center; padding: 16px; text-align: center;
  color: #aaa; pointer-events: none; }
.tilework-bands-hint:empty { display: none; }
.tilework-bands-bar { display: flex; gap: 4px; align-items: center; flex: 0 0 auto; }
.tilework-bands-bar button { font: inherit; padding: 2px 8px; border-radius: 4px; border: 1px solid var(--border-color, #555); cursor: pointer;
  background: var(--comfy-input-bg, #333); color: inherit; white-space: nowrap; }
.tilework-bands-bar button:hover, .tilework-bands-bar button[aria-pressed="true"] { border-color: #ffaa3c; }
.tilework-bands-bar button[aria-pressed="true"] { background: #ffaa3c; color: #201400; }
.tilework-bands-bar button:focus-visible { outline: 2px solid #ffaa3c; }
.tilework-bands-bar button:disabled { opacity: 0.5; cursor: default; }
.tilework-bands-about { flex: 1; min-width: 0; text-align: right; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; opacity: 0.8; }
.tilework-bands-readout { flex: 0 0 15px; white-space: pre; overflow: hidden; font-family: monospace; font-size: 10.5px; opacity: 0.9; }
.tilework-bands-error { flex: 0 0 auto; color: #d93025; } .tilework-bands-error:empty { display: none; }
.dark-theme .tilework-bands-error { color: #ff7b72; }
${SLIDER_STYLE}`;

/** What runs sent last, and how the picture is looked at, by graph and node: a node is made anew at every undo. */
const results = new Map();
const looks = new Map();

class BandPane extends NodePane {
  constructor(node) {
    super(node, "tilework-bands");
    Object.assign(this, { state: null, pointed: "", told: -Infinity, words: BEFORE_A_RUN, alone: null });
    this.build();
    this.widget = node.addDOMWidget("tilework_bands", "TILEWORK_BANDS", this.root, {
      serialize: false,
      hideInPanel: true,
      getValue: () => "",
      setValue: () => {},
      getMinHeight: () => LEAST_HEIGHT,
      hideOnZoom: false,
    });
    // Out of the saved file too: what is saved is the text of the gains alone.
    this.widget.serialize = false;
    this.widget.bandPane = this;
    this.watch();
  }

  build() {
    this.view = new BandView((text) => {
      this.pointed = text;
    });
    this.hint = element("div", "tilework-bands-hint");
    const picture = element("div", "tilework-bands-picture");
    picture.append(this.view.canvas, this.hint);
    this.zooms = [["Fit", 0], ["100 %", 1], ["400 %", 4]].map(([text, zoom]) => {
      const one = button(text, () => this.view.zoomTo(zoom));
      one.zoom = zoom;
      return one;
    });
    this.about = element("span", "tilework-bands-about");
    this.reset = button("All 1", () => this.write(this.words.map(() => "1").join(", "), true));
    this.reset.setAttribute("aria-label", "Set all gains to 1: the picture as it is");
    const bar = element("div", "tilework-bands-bar");
    bar.append(...this.zooms, this.about, this.reset);
    this.readout = element("div", "tilework-bands-readout");
    this.sliders = new GainSliders({
      onGain: (index, gain) => this.write(withGain(this.words, index, gain)),
      onCommit: () => commit(this.node),
      onAlone: (index) => (this.alone = index),
    });
    this.advice = new AdviceRow(this.node);
    this.error = element("div", "tilework-bands-error");
    this.error.setAttribute("role", "alert");
    this.root.append(picture, bar, this.readout, this.sliders.root, this.advice.root, this.error);
    // The graph behind must not move or select while one works in here; keys that are not used go on to it.
    for (const name of ["pointerdown", "mousedown", "dblclick"]) this.root.addEventListener(name, (event) => event.button || event.stopPropagation());
  }

  // ---- the text

  /** Put a text where the gains are kept: in this node, or in the subgraph that hands them in. */
  write(text, isDone = false) {
    const origin = originOf(this.node, GAINS);
    putValue(origin?.widget ? origin.node : this.node, origin?.widget ?? GAINS, text);
    // The classic canvas draws the text when it is told to; in every frame that would take longer than the picture.
    const now = performance.now();
    if (now - this.told > TEXT_EVERY) {
      this.told = now;
      app.canvas?.setDirty(true, false);
    }
    if (isDone) commit(this.node);
  }

  /** The gains: {words, known, refused}; where only a run can tell them, those of the last run. */
  gains() {
    const text = valueOf(this.node, GAINS);
    if (text === UNKNOWN) return { words: this.result()?.gains?.map(String) ?? this.words, known: false };
    const words = readGains(text);
    return { words: words ?? this.words, known: true, refused: !words };
  }

  /** How many gains are wanted: by the Frequency Separation that is connected, or else by the last run; null where nobody knows. */
  wanted() {
    const origin = originOf(this.node, "bands");
    if (origin?.node.comfyClass !== SEPARATION || origin.slot !== 0) return this.result()?.layers ?? null;
    const [bands, mode] = [valueOf(origin.node, "bands"), valueOf(origin.node, "mode")];
    if (mode === "gaussian") return 2;
    return mode === "spline" && Number.isInteger(bands) && bands >= 1 && bands < MOST_LAYERS ? bands + 1 : null;
  }

  // ---- the picture

  /** What the last run sent; null where other bands are connected since. */
  result() {
    const kept = results.get(keyOf(this.node));
    return kept && kept.from === originKey(this.node, "bands") ? kept : null;
  }

  take(message) {
    const shown = message?.[UI_KEY];
    if (!Array.isArray(shown)) return;
    // None where the run could not write its bands: those of the run before are not its result.
    if (shown.length && isSound(shown[0])) results.set(keyOf(this.node), { ...shown[0], from: originKey(this.node, "bands") });
    else results.delete(keyOf(this.node));
  }

  /** Load the layers, if others are due. */
  follow() {
    const result = this.result();
    const { filename, subfolder, type } = result ?? {};
    const url = result && api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
    if (url === this.url) return;
    Object.assign(this, { url, failed: null });
    if (!url) {
      this.view.show(null);
      return;
    }
    const mine = (then) => (value) => this.url === url && then(value);
    loadLayers(url, result).then(
      mine((layers) => {
        this.view.show(layers, result.run ? { run: result.run } : null);
        this.state = null;
      }),
      mine(() => {
        this.failed = "The bands of this run are not there any more. Move a slider and run again.";
        this.view.show(null);
      }),
    );
  }

  // ---- frame by frame

  frame() {
    this.recall();
    this.follow();
    const { words, known, refused } = this.gains();
    this.words = words;
    const layers = this.view.picture;
    const fits = layers?.count === words.length;
    if (this.alone !== null && this.alone >= words.length) this.alone = null;
    const state = JSON.stringify([words, this.alone, fits]);
    if (state !== this.state) {
      this.state = state;
      if (layers) this.view.mix(fits ? words.map(Number) : Array(layers.count).fill(1), fits ? this.alone : null);
    }
    this.sliders.show(words, { alone: fits ? this.alone : null, enabled: known && !refused, visible: fits });
    this.reset.disabled = !known;
    this.view.draw();
    say(this.error, wrongWires(this.node) || errorOf(this.node) || (refused ? "gains are no 2 to 7 numbers with commas between them." : ""));
    this.advise(words, known && !refused);
    for (const one of this.zooms) one.setAttribute("aria-pressed", String(this.view.zoom === one.zoom));
    this.tell(known, fits);
  }

  /** As many gains as there are bands, and the residual's. */
  advise(words, isOurs) {
    const count = this.wanted();
    const differs = isOurs && count !== null && count !== words.length;
    const text = differs ? `${count - 1} ${count === 2 ? "band" : "bands"} and the residual: ${count} gains are wanted.` : "";
    this.advice.show(differs ? { text, act: () => this.write(resized(words, count)), label: `Write ${count}` } : null);
  }

  /** As it was looked at before the node was made anew; and kept for the next time. */
  recall() {
    const [key, now, before] = [keyOf(this.node), performance.now(), looks.get(keyOf(this.node))];
    // Undo makes a node anew at once; what has the same number later is another one.
    if (key !== this.key && now - before?.at < MADE_ANEW) {
      Object.assign(this.view, before.look);
      this.alone = before.alone;
    }
    this.key = key;
    looks.set(key, { look: this.view.look, alone: this.alone, at: now });
  }

  tell(known, fits) {
    const layers = this.view.picture;
    const hint = this.failed ?? (this.url ? "Loading the bands …" : "Run once to see the picture here. The sliders set the gains.");
    say(this.hint, layers ? "" : hint);
    const parts = [];
    if (layers) {
      parts.push(layers.fullSize.join(" × "));
      if (layers.scale < 1 && !this.view.piece) parts.push(`from a ${Math.round(100 * layers.scale)} % copy`);
      if (this.view.beyondCopy && this.view.own.refused) parts.push(this.view.own.refused);
      if (this.result()?.count > 1) parts.push(`1 of ${this.result().count}`);
      if (fits && this.alone !== null) parts.push(this.alone < layers.count - 1 ? "on grey, × 2" : "alone");
    }
    say(this.readout, this.pointed || (layers && fits ? NAME_HINT : ""));
    if (!known) parts.push("gains come from another node");
    const about = parts.join(", ");
    if (about !== this.about.title) this.about.title = about;
    say(this.about, about);
  }
}

app.registerExtension({
  name: "tilework.bandJoin",
  init: () => addStyle(STYLE),
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const pane = new BandPane(node);
    attach(node, pane, (message) => pane.take(message));
    const [width, height] = node.computeSize();
    node.setSize([Math.max(width, 340), Math.max(height, node.size[1])]);
  },
  loadedGraphNode(node) {
    node.widgets?.find((widget) => widget.bandPane)?.bandPane.takeOver();
  },
});
