/**
 * Solar Curve Preview: the widget TILEWORK_CURVE.
 *
 * One DOM widget, in the classic canvas and in Nodes 2.0 alike. Its value is the list of points; the picture,
 * the plot and the buttons only show. It follows the node's other widgets by looking at them once a frame
 * while it is on the screen, because the two renderers tell of changes in different ways; a frame without a
 * change costs nothing but that look. Nothing from a workflow is ever put into the page as HTML.
 */

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { putValue } from "./advice_row.js";
import { addStyle, attach, button, commit, element, keyOf, NodePane, say } from "./node_pane.js";
import { errorOf } from "./run_errors.js";
import { CHANNELS, checkPoints, makeCurve, MOST_GAIN, MOST_INVERSIONS, pointsOf, PRESETS, SHAPES } from "./solar/curve_math.js";
import { CurvePlot } from "./solar/curve_plot.js";
import { loadPicture } from "./solar/picture.js";
import { CurveView } from "./solar/curve_view.js";
import { fileOf } from "./sources.js";
import { wrongWires } from "./tiles/wiring.js";

const NODE = "TileworkSolarCurvePreview";
const UI_KEY = "tilework_solar";
const FALLBACK_POINTS = [[0, 0], [0.25, 1], [0.75, 0], [1, 1]];
const LEAST_HEIGHT = 460;
const STYLE = `
.tilework-solar { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; min-height: 0; box-sizing: border-box;
  color: var(--input-text, #ddd); font: 11px/1.35 sans-serif; }
.tilework-solar canvas { display: block; width: 100%; min-height: 0; border-radius: 6px; background: #181818; touch-action: none; outline: none; }
.tilework-solar canvas:focus-visible { box-shadow: 0 0 0 2px #ffaa3c; }
.tilework-solar-picture { position: relative; flex: 1 1 200px; min-height: 120px; }
.tilework-solar-picture canvas { position: absolute; inset: 0; height: 100%; }
.tilework-solar-hint { position: absolute; inset: 0; display: flex; align-items: center; justify-content: center; padding: 16px; text-align: center;
  color: #aaa; pointer-events: none; }
.tilework-solar-hint:empty { display: none; }
.tilework-solar .tilework-solar-plot { flex: 0 0 120px; height: 120px; }
.tilework-solar-bar { display: flex; gap: 4px; align-items: center; flex: 0 0 auto; }
.tilework-solar-bar button { font: inherit; padding: 2px 8px; border-radius: 4px; border: 1px solid var(--border-color, #555); cursor: pointer;
  background: var(--comfy-input-bg, #333); color: inherit; white-space: nowrap; }
.tilework-solar-bar button:hover, .tilework-solar-bar button[aria-pressed="true"] { border-color: #ffaa3c; }
.tilework-solar-bar button[aria-pressed="true"] { background: #ffaa3c; color: #201400; }
.tilework-solar-bar button:focus-visible { outline: 2px solid #ffaa3c; }
.tilework-solar-about { flex: 1; min-width: 0; text-align: right; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; opacity: 0.8; }
.tilework-solar-readout { flex: 0 0 15px; white-space: pre; overflow: hidden; font-family: monospace; font-size: 10.5px; opacity: 0.9; }
.tilework-solar-error { flex: 0 0 auto; color: #ff7b72; } .tilework-solar-error:empty { display: none; }
`;

/** What runs sent last, and how the picture is looked at, by graph and node: a node is made anew at every undo. */
const results = new Map();
const looks = new Map();
const MADE_ANEW = 3000; // ms
const EDIT_HINT = "Drag a point. Double-click adds one, Delete takes it away.";

class SolarWidget extends NodePane {
  constructor(node, name, initial) {
    super(node, "tilework-solar");
    this.value = initial;
    this.state = null;
    this.pointed = "";
    this.build();
    this.widget = node.addDOMWidget(name, "TILEWORK_CURVE", this.root, {
      getValue: () => this.value,
      setValue: (value) => this.setValue(value),
      getMinHeight: () => LEAST_HEIGHT,
      hideOnZoom: false,
    });
    this.widget.tilework = this;
    this.setValue(initial);
    this.watch();
  }

  build() {
    this.view = new CurveView({
      onReadout: (text) => {
        this.pointed = text;
        this.tellPointed();
      },
      onHover: (values) => {
        this.plot.hover = values;
        this.plot.dirty = true;
      },
    });
    this.plot = new CurvePlot({ onChange: (points) => this.setPoints(points), onCommit: () => this.commit() });
    this.hint = element("div", "tilework-solar-hint");
    const picture = element("div", "tilework-solar-picture");
    picture.append(this.view.canvas, this.hint);
    this.zooms = [["Fit", 0], ["100 %", 1], ["400 %", 4]].map(([text, zoom]) => {
      const one = button(text, () => this.view.zoomTo(zoom));
      one.zoom = zoom;
      return one;
    });
    this.about = element("span", "tilework-solar-about");
    this.edit = button("Edit", () => this.editOrReset());
    const bar = element("div", "tilework-solar-bar");
    bar.append(...this.zooms, this.about, this.edit);
    this.readout = element("div", "tilework-solar-readout");
    this.error = element("div", "tilework-solar-error");
    this.error.setAttribute("role", "alert");
    this.root.append(picture, bar, this.readout, this.plot.canvas, this.error);
    this.root.addEventListener("pointerenter", () => this.view.picture?.scale < 1 && this.view.own.warm());
    // The graph behind must not move or select while one works in here; keys that are not used go on to it.
    for (const name of ["pointerdown", "mousedown", "dblclick"]) this.root.addEventListener(name, (event) => event.button || event.stopPropagation());
  }

  // ---- the value

  setValue(value) {
    this.value = value;
    const { points, error } = checkPoints(value);
    this.pointsError = error;
    this.points = points ?? FALLBACK_POINTS;
    this.plot.points = this.points;
    this.plot.dirty = true;
  }

  setPoints(points) {
    this.value = points;
    this.points = points;
    this.pointsError = undefined;
    this.widget.callback?.(points);
  }

  /** A change is done. */
  commit() {
    commit(this.node);
  }

  editOrReset() {
    const settings = this.settings();
    if (settings.preset === "curve") this.setPoints(FALLBACK_POINTS.map((point) => [...point]));
    else {
      this.setPoints(pointsOf(settings.preset, settings.inversions));
      putValue(this.node, "preset", "curve");
    }
    this.plot.points = this.points;
    this.plot.dirty = true;
    this.commit();
  }

  // ---- what is around the widget

  read(name) {
    return this.node.widgets?.find((widget) => widget.name === name)?.value;
  }

  input(name) {
    return this.node.inputs?.findIndex((input) => input.name === name) ?? -1;
  }

  /** The node's settings; what makes no sense is replaced, and named in `errors`. */
  settings() {
    const errors = [];
    const choice = (name, known) => {
      const value = this.read(name);
      if (known.includes(value)) return value;
      errors.push(`${name} has a value that this node does not know.`);
      return known[0];
    };
    const number = (name, low, high, otherwise) => {
      const value = this.read(name);
      if (typeof value === "number" && value >= low && value <= high) return value;
      errors.push(`${name} must be a number from ${low} to ${high}.`);
      return otherwise;
    };
    const settings = {
      preset: choice("preset", PRESETS),
      shape: choice("shape", SHAPES),
      inversions: Math.round(number("inversions", 1, MOST_INVERSIONS, 4)),
      phase: number("phase", 0, 1, 0),
      gain: number("gain", 0, MOST_GAIN, 1),
      expand: this.read("expand") === true,
      channel: choice("channel", CHANNELS),
      points: this.points,
      samples: null,
    };
    if (this.pointsError) errors.push(this.pointsError);
    const connected = this.input("curve") >= 0 && this.node.inputs[this.input("curve")].link != null;
    if (connected) {
      const samples = this.result()?.curve;
      if (Array.isArray(samples) && samples.length > 1 && samples.every(Number.isFinite)) settings.samples = samples;
    }
    return { ...settings, connected, errors };
  }

  result() {
    return results.get(keyOf(this.node));
  }

  /** Where the picture comes from: {url, fullSize, ranges, query}, from the last run, or from a Load Image before any. */
  source() {
    const result = this.result();
    const loaded = this.loadImage();
    if (result && (loaded === undefined || result.loaded === loaded)) {
      const { filename, subfolder, type, run } = result;
      const fullSize = [result.full_width, result.full_height];
      return { url: viewUrl({ filename, subfolder, type }), fullSize, ranges: result.ranges, query: run ? { run, ...fileOf(loaded) } : null };
    }
    if (!loaded) return null;
    const file = fileOf(loaded);
    return file && { url: viewUrl(file), ranges: null, query: file };
  }

  /** The file that a directly connected Load Image has; undefined where it is something else. */
  loadImage() {
    const slot = this.input("image");
    const from = slot >= 0 ? this.node.getInputNode?.(slot) : null;
    if (from?.type !== "LoadImage") return undefined;
    const value = from.widgets?.find((widget) => widget.name === "image")?.value;
    return typeof value === "string" ? value : undefined;
  }

  take(message) {
    const shown = message?.[UI_KEY];
    if (!Array.isArray(shown)) return;
    // None where the run could not write its picture: the one of the run before is not its result.
    if (shown.length) results.set(keyOf(this.node), { ...shown[0], loaded: this.loadImage() });
    else results.delete(keyOf(this.node));
  }

  // ---- frame by frame

  frame() {
    this.recall();
    this.follow();
    const settings = this.settings();
    const picture = this.view.picture;
    const range = settings.expand && picture ? this.rangeOf(settings.channel) : [0, 1];
    const state = JSON.stringify([{ ...settings, samples: settings.samples && this.result()?.filename, errors: null }, range]);
    const changed = state !== this.state;
    if (changed) {
      this.state = state;
      this.curve = makeCurve({ ...settings, low: range[0], high: range[1] });
      this.plot.editable = settings.preset === "curve" && !settings.connected;
      const label = settings.preset === "curve" ? "Reset points" : "Edit points";
      say(this.edit, label);
      this.edit.hidden = settings.connected && settings.preset === "curve";
      this.switchOff("inversions", settings.preset !== "inversions");
      this.switchOff("shape", settings.connected && settings.preset === "curve");
    }
    say(this.error, wrongWires(this.node) || errorOf(this.node) || settings.errors.join(" "));
    this.view.draw(this.curve, settings.channel, changed);
    this.plot.draw(settings, this.curve, picture, changed);
    this.tellPointed();
    for (const one of this.zooms) one.setAttribute("aria-pressed", String(this.view.zoom === one.zoom));
    this.tell(settings);
  }

  /** As it was looked at before the node was made anew; and kept for the next time. */
  recall() {
    const [key, now, before] = [keyOf(this.node), performance.now(), looks.get(keyOf(this.node))];
    // Undo makes a node anew at once; what has the same number later is another one.
    if (key !== this.key && now - before?.at < MADE_ANEW) Object.assign(this.view, before.look);
    this.key = key;
    looks.set(key, { look: this.view.look, at: now });
  }

  /** What is under the pointer; else how an own curve is edited. */
  tellPointed() {
    say(this.readout, this.pointed || (this.plot.editable ? EDIT_HINT : ""));
  }

  /** A setting without effect looks like one. */
  switchOff(name, off) {
    const widget = this.node.widgets?.find((one) => one.name === name);
    if (widget) widget.disabled = off;
  }

  rangeOf(channel) {
    const given = this.ranges?.[channel];
    const sound = Array.isArray(given) && given.length === 2 && given.every(Number.isFinite) && given[1] > given[0];
    return sound ? given : this.view.picture.range(channel);
  }

  /** Load the picture, if another one is due. */
  follow() {
    const source = this.source();
    const url = source?.url ?? null;
    if (url === this.url) return;
    this.url = url;
    if (!source) {
      this.ranges = null;
      this.view.show(null);
      return;
    }
    const mine = (then) => (value) => this.url === url && then(value);
    loadPicture(url, source.fullSize).then(
      mine((picture) => {
        this.failed = null;
        this.ranges = source.ranges;
        this.view.show(picture, source.query);
        this.plot.dirty = true;
        this.state = null;
      }),
      mine(() => {
        this.failed = "The picture is not there any more. Run the workflow to see it here.";
        this.view.show(null);
      }),
    );
  }

  tell(settings) {
    const picture = this.view.picture;
    let hint = "";
    if (!picture) hint = this.url && !this.failed ? "Loading the picture …" : (this.failed ?? "Connect a Load Image, or run once, to see the picture here.");
    say(this.hint, hint);
    const parts = [];
    if (picture) {
      const result = this.result();
      parts.push(picture.fullSize.join(" × "));
      if (picture.scale < 1 && !this.view.piece) parts.push(`from a ${Math.round(100 * picture.scale)} % copy`);
      if (this.view.beyondCopy && this.view.own.refused) parts.push(this.view.own.refused);
      if (this.ranges && result?.count > 1) parts.push(`1 of ${result.count}`);
    }
    if (settings.connected && settings.preset === "curve" && !settings.samples) parts.push("run once to see the connected curve");
    const about = parts.join(", ");
    if (about !== this.about.title) this.about.title = about;
    say(this.about, about);
  }
}

const viewUrl = (file) => api.apiURL(`/view?${new URLSearchParams(file)}`);

app.registerExtension({
  name: "tilework.solarCurve",
  init: () => addStyle(STYLE),
  getCustomWidgets() {
    return {
      TILEWORK_CURVE(node, name, data) {
        const solar = new SolarWidget(node, name, data?.[1]?.default ?? FALLBACK_POINTS);
        return { widget: solar.widget, minWidth: 320, minHeight: LEAST_HEIGHT };
      },
    };
  },
  loadedGraphNode(node) {
    node.widgets?.find((widget) => widget.tilework)?.tilework.takeOver();
  },
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const solar = node.widgets?.find((widget) => widget.tilework)?.tilework;
    if (!solar) return;
    attach(node, solar, (message) => solar.take(message));
    const [width, height] = node.computeSize();
    node.setSize([Math.max(width, 380), Math.max(height, node.size[1])]);
  },
});
