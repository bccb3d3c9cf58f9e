/**
 * What an overlay shows: one function per family of nodes, from the node's inputs and from its last run.
 *
 * A scene is {size: [height, width], picture, layout, seams, text, more, hint, error, pages}: `text` the line under the
 * picture, `more` what is said beside it, `hint` what stands in the picture's place, `pages` how many results there are.
 */

import { adviceFor } from "./advice.js";
import { costOf, memoryOf } from "./cost.js";
import { countOf, describe, PlanError, planGrid, readLayout, sameLayout } from "./layout.js";
import { cureOf } from "../cures.js";
import { sizeAt } from "../sizes.js";
import { isConnected, originKey, originOf, pictureOf, takersOf, valueOf, UNKNOWN } from "../sources.js";
import { kept } from "./kept.js";
import { selectionOf, toggleTile } from "./selection.js";
import { thumbnail } from "./thumbnail.js";

const SPLITS = { TileworkTileSplit: "image", TileworkLatentTileSplit: "samples" };
const SETTINGS = { tile_width: "tileWidth", tile_height: "tileHeight", overlap: "overlap", multiple_of: "multipleOf" };
// Widgets that Tile Split alone has.
const COUNTS = ["columns", "rows"];
const WRAPS = { none: [false, false], horizontal: [false, true], both: [true, true] };
const DOWNSCALE = 8;

const read = new WeakMap();

/** What `make` makes of a record that a run sent, once. */
function keptOf(record, make) {
  if (record === null || typeof record !== "object") return null;
  if (!read.has(record)) read.set(record, make(record));
  return read.get(record);
}

/** What the node's inputs say; what makes no sense is named. */
function settingsOf(node) {
  const settings = {};
  for (const [name, key] of Object.entries(SETTINGS)) {
    const value = valueOf(node, name);
    if (value === UNKNOWN) return { unknown: name };
    if (typeof value !== "number" || !Number.isFinite(value)) return { error: `${name} must be a whole number.` };
    settings[key] = Math.trunc(value);
  }
  for (const name of COUNTS) {
    const value = valueOf(node, name) ?? 0;
    if (value === UNKNOWN) return { unknown: name };
    if (typeof value !== "number" || !Number.isFinite(value)) return { error: `${name} must be a whole number.` };
    settings[name] = Math.trunc(value);
  }
  const wrap = valueOf(node, "wrap") ?? "none";
  if (wrap === UNKNOWN) return { unknown: "wrap" };
  if (!Object.hasOwn(WRAPS, wrap)) return { error: "wrap must be none, horizontal or both." };
  return { settings: { ...settings, wrap: WRAPS[wrap] } };
}

/** Pixels per latent cell where no run has told it. */
function unitOf(node, carried) {
  const asked = valueOf(node, "downscale");
  return carried ?? (Number.isInteger(asked) && asked > 0 ? asked : DOWNSCALE);
}

/** The canvas to cut: {size, picture, unit, batch, ran}, or {hint}. `run` is what a run of this very input has sent. */
function canvasOf(node, run) {
  const latent = node.comfyClass === "TileworkLatentTileSplit";
  const source = pictureOf(node, SPLITS[node.comfyClass]);
  if (source?.file && !latent) {
    const { canvas, height, width, failed } = thumbnail(source.file);
    if (height) return { size: [height, width], picture: canvas, unit: 1, batch: 1 };
    if (!failed) return { hint: "Loading the picture …" };
    if (!run) return { hint: "The picture cannot be read here: choose it again, or run once." };
  }
  if (source?.size && latent === Boolean(source.unit)) {
    const picture = run?.record && thumbnail(run.record.picture).canvas;
    return { size: source.size, picture, unit: latent ? unitOf(node, source.unit) : 1, batch: 1 };
  }
  const known = !latent && source === UNKNOWN ? sizeAt(node, SPLITS[node.comfyClass]) : null;
  if (known && (!run || String(run.layout.canvas) !== String(known))) return { size: known, unit: 1, batch: 1 };
  if (run) {
    const { canvas, unit, batch } = run.layout;
    return { size: canvas, picture: thumbnail(run.record.picture).canvas, unit, batch, ran: true };
  }
  const size = latent ? "latent" : "picture";
  if (!source) return { hint: latent ? "Connect a latent to see the grid here." : "Connect Load Image to see the grid here." };
  return { hint: `The size of the ${size} is not known yet: run once.` };
}

/** {record, layout} of page `page` of the last run; null where none was of this input. */
function runOf(results, page) {
  const record = results?.records[Math.min(page, results.records.length - 1)] ?? null;
  const layout = keptOf(record, readLayout);
  return layout ? { record, layout } : null;
}

const shownRun = ({ record, layout }, pages) => ({
  size: layout.canvas,
  picture: thumbnail(record.picture).canvas,
  layout,
  ...wordsOf(record),
  pages,
});

const strings = (value) => (Array.isArray(value) ? value.filter((one) => typeof one === "string") : []);

function wordsOf(record) {
  const lines = strings(record.lines);
  return { text: lines.slice(0, 2).join(", "), more: [...lines.slice(2), ...strings(record.details)].join("\n") };
}

/** Tile Split and its latent twin: the plan of the widgets as they are now. */
export function splitScene(node, results, page = 0) {
  const fresh = results?.from === originKey(node, SPLITS[node.comfyClass]) ? results : null;
  const run = runOf(fresh, page);
  const pages = fresh?.records.length ?? 1;
  const canvas = canvasOf(node, run);
  const otherwise = (hint) => (run ? shownRun(run, pages) : { hint });
  if (isConnected(node, "layout")) {
    const { plan: other } = splitAbove(node);
    const same = canvas.size && other && String(other.layout.canvas) === String(canvas.size) && other.layout.unit % canvas.unit === 0;
    if (!same) return otherwise("The connected layout decides: run once to see its grid here.");
    const layout = kept([other.layout, canvas.unit, canvas.batch], () => ({ ...other.layout, unit: canvas.unit, batch: canvas.batch }));
    return planned(layout, null, canvas, pages, ["the sizes come from the connected layout"]);
  }
  const { settings, unknown, error } = settingsOf(node);
  if (error) return { ...canvas, error, pages };
  if (unknown) return otherwise(`${unknown} comes from another node: run once to see the grid here.`);
  if (!canvas.size) return canvas;
  const plan = { ...settings, height: canvas.size[0], width: canvas.size[1], unit: canvas.unit, batch: canvas.batch };
  const { layout, refused } = kept(plan, () => tryPlan(plan));
  if (refused) return { ...canvas, error: refused, pages };
  const fits = countOf(layout) === 1 ? { text: "It fits in one tile: no need to split." } : null;
  const typed = ["tile_width", "tile_height"].map((name) => isConnected(node, name));
  // Other sizes are advised where sizes are typed, and for a picture that ends at its borders.
  const chosenFrom = takersOf(node, 1).some((one) => one.comfyClass === "TileworkSelectTiles"); // other tiles would have other numbers
  const advised = !plan.wrap.some(Boolean) && !plan.columns && !plan.rows && !chosenFrom;
  const advice = (advised ? kept([plan, typed, "advice"], () => adviceFor(node, plan)) : null) ?? fits;
  return { ...planned(layout, settings.multipleOf, canvas, pages), advice };
}

function tryPlan(plan) {
  try {
    return { layout: planGrid(plan) };
  } catch (problem) {
    if (problem instanceof PlanError) return { refused: problem.message };
    throw problem;
  }
}

/** How many of a layout's tiles are here. */
function tilesHere(layout) {
  const [all, here] = [countOf(layout), layout.present?.length];
  return here === undefined || here === all ? `${all} tile${all === 1 ? "" : "s"}` : `${here} of ${all} tiles`;
}

function planned(layout, multipleOf, canvas, pages, more = []) {
  const lines = layout.present || layout.regions ? [tilesHere(layout)] : describe(layout, multipleOf);
  lines.push(...more);
  if (layout.unit === 1) lines.push(`tiles of ${memoryOf(layout.tile, countOf(layout) * layout.batch)} in memory`);
  if (canvas.ran) lines.push("size as in the last run");
  return {
    size: canvas.size,
    picture: canvas.picture,
    layout,
    text: lines.slice(0, 2).join(", "),
    more: lines.slice(2).join(", "),
    pages: canvas.ran ? pages : 1,
  };
}

/**
 * The Tile Split whose layout comes to this node, through Select Tiles too: {plan} is its scene where it has a grid, {refused} what
 * to show where it refuses.
 */
function splitAbove(node) {
  const origin = originOf(node, "layout");
  if (origin && origin.node !== node && origin.node.comfyClass === "TileworkSelectTiles" && origin.slot === 0) return chosenAbove(origin.node);
  if (!origin || origin.node === node || !(origin.node.comfyClass in SPLITS) || origin.slot !== 1) return {};
  const scene = sceneOfSplit(origin.node);
  if (scene?.error) return { refused: { hint: "Tile Split cannot cut like this: it says why.", pages: 1 } };
  // What it advises is for its own widgets.
  return { plan: scene?.layout ? { ...scene, advice: null } : null };
}

/** The same for what a Select Tiles takes: as its widgets say, or as in its last run where a mask or another node decides. */
function chosenAbove(some) {
  if (depth > 8) return {};
  depth += 1;
  try {
    const other = layoutAbove(some);
    if (!other?.layout) return other ? { refused: other } : {};
    const run = runOf(resultsOf(some), 0);
    const { chosen } = selectionOf(some, other.layout);
    if (!chosen) return run ? { plan: { ...shownRun(run, 1), advice: null } } : {};
    const numbers = [...chosen].sort((a, b) => a - b);
    const layout = kept(["chosen", other.layout, numbers], () => (numbers.length < countOf(other.layout) ? { ...other.layout, present: numbers } : other.layout));
    return { plan: { ...other, layout, text: tilesHere(layout), more: "", advice: null } };
  } finally {
    depth -= 1;
  }
}

const ANEW = "planned anew since the last run";

// A layout may come from a Tile Split that has it from another one, and a broken workflow may go round in a circle.
let depth = 0;
function sceneOfSplit(node) {
  if (depth > 8) return null;
  depth += 1;
  try {
    return splitScene(node, resultsOf(node));
  } finally {
    depth -= 1;
  }
}

/** Set by tile_overlay.js, which keeps the results. */
let resultsOf = () => null;
export const setResults = (find) => (resultsOf = find);

/** Seam Blend and its latent twin: the last result, or what is planned where that is another grid. */
export function blendScene(node, results, page = 0) {
  const { plan: other, refused } = splitAbove(node);
  const run = runOf(results, page);
  const pages = results?.records.length ?? 1;
  if (refused) return refused;
  if (run && (pages > 1 || !other || sameLayout(run.layout, other.layout))) return shownRun(run, pages);
  if (!other) {
    const text = isConnected(node, "layout") ? "run once to see the grid here" : "connect the layout of a Tile Split";
    return { hint: `The layout is not known yet: ${text}.` };
  }
  return { ...other, more: run ? ANEW : "as Tile Split plans it; run to see the result", pages: 1 };
}

/** Nodes that plan their tiles when they run: the last result, or the grid of a connected Tile Split; and what their sizes cost. */
export function ownScene(node, results, page = 0) {
  if (isConnected(node, "layout")) return blendScene(node, results, page);
  const run = runOf(results, page);
  const { text, advice } = costOf(node) ?? {};
  return run ? { ...shownRun(run, results.records.length), advice } : { hint: "Run once to see here which tiles it chose.", text, advice };
}

/** Nodes that plan tiles for what is in the picture: the last result. */
export function planScene(node, results, page = 0) {
  const run = runOf(results, page);
  return run ? shownRun(run, results.records.length) : { hint: "Run once to see the tiles here." };
}

/** The scene that shows the layout that comes to this node: of a Tile Split as it is planned, of others as their last run had it. */
function layoutAbove(node) {
  const { plan, refused } = splitAbove(node);
  if (plan || refused) return plan ?? refused;
  const origin = originOf(node, "layout")?.node;
  const run = origin && origin !== node ? runOf(resultsOf(origin), 0) : null;
  return run ? shownRun(run, 1) : null;
}

const sameGrid = (a, b) => sameLayout({ ...a, present: null }, { ...b, present: null });

/** Select Tiles: the layout that comes, the chosen tiles lit; a click writes their numbers. */
export function selectScene(node, results, page = 0) {
  const other = layoutAbove(node);
  const run = runOf(results, page);
  if (!other?.layout) return other ?? (run ? shownRun(run, results.records.length) : { hint: "Run once to see the tiles here." });
  const { layout } = other;
  const { chosen, named, refused } = selectionOf(node, layout);
  const decided = !chosen && !refused && run && sameGrid(run.layout, layout) ? run.layout : null;
  const all = countOf(layout);
  const words = refused
    ? "The text names no tiles of this layout: type numbers such as 0, 3-5, or click them."
    : decided
      ? `${tilesHere(decided)}, as of the last run`
      : !chosen
        ? "A mask, or another node, decides: run to see which tiles are taken."
        : !chosen.size
          ? "No tile: nothing will be redone."
          : chosen.size === all && !named.size
            ? `All ${all} tiles: nothing is chosen yet.`
            : `${chosen.size} of ${all} tiles`;
  return {
    ...other,
    advice: null,
    chosen: chosen ?? (decided ? kept([decided, "taken"], () => new Set(decided.present ?? Array(all).keys())) : (named ?? undefined)),
    pick: (number) => toggleTile(node, layout, number),
    text: words,
    more: "Click a tile, or point at it with the arrow keys and press Enter, to take it or leave it.",
    pages: 1,
  };
}

/** Seam Check: the seams by verdict after a run, the planned grid before. */
export function checkScene(node, results, page = 0) {
  const pages = results?.records.length ?? 1;
  const record = results?.records[Math.min(page, pages - 1)] ?? null;
  const seams = keptOf(record, readSeams);
  const { plan: other, refused } = splitAbove(node);
  if (refused) return refused;
  const ran = keptOf(record?.layout, readLayout);
  if (seams && other && ran && pages === 1 && !sameLayout(ran, other.layout)) return { ...other, more: `${ANEW}; run to check it`, pages };
  if (seams) {
    const left = record.left_out > 0 ? `\n${record.left_out} more boundaries are only in the report` : "";
    return {
      size: record.size,
      picture: thumbnail(record.image).canvas,
      seams,
      columns: strings(record.columns),
      pictures: record.pictures,
      text: sentence(record.plain) || sentence(record.summary),
      advice: sentence(record.cure) ? { text: sentence(record.cure), of: record, calm: record.passed === true, ...cureOf(node, record.action) } : null,
      more: seams.length ? `Point at a seam, or use the arrow keys, for its row of the table.${left}\n${sentence(record.summary)}` : "",
      pages,
    };
  }
  return other ? { ...other, more: "run to see which boundaries show", pages: 1 } : { hint: "Run once to see the seams here." };
}

const sentence = (value) => (typeof value === "string" ? value : "");

function readSeams(record) {
  const pair = (value) => Array.isArray(value) && value.length === 2 && value.every(Number.isFinite);
  if (!pair(record.size) || !Array.isArray(record.rows)) return null;
  return record.rows.filter((row) => Number.isFinite(row?.line) && pair(row.along) && Array.isArray(row.cells));
}

/** A seam's row of the table, in words. */
export function rowOf({ columns, pictures }, { cells, note, picture }) {
  const parts = strings(cells).map((cell, i) => (i < 3 ? cell : `${columns[i]} ${cell}`));
  if (pictures > 1) parts.unshift(`picture ${picture}`);
  return parts.join(" · ") + (typeof note === "string" && note ? `\n${note}` : "");
}
