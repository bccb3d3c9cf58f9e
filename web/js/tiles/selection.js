/** The text of Select Tiles: the numbers that it names, and clicks that write it. The rules are those of blending/regions/tile_numbers.py. */

import { putValue } from "../advice_row.js";
import { commit } from "../node_pane.js";
import { originOf, UNKNOWN, valueOf } from "../sources.js";
import { countOf, isHere } from "./layout.js";

const PART = /^\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?$/;
const NONE = "none"; // all are meant where nothing is typed
const LONGEST_TEXT = 100_000;

/** The numbers that `text` names of `layout`: a Set; null where it is no list of its tiles. */
export function readNumbers(text, layout) {
  if (typeof text !== "string" || text.length > LONGEST_TEXT) return null;
  const found = new Set();
  if (text.trim() === NONE) return found;
  for (const part of text.split(/[,;\n]/)) {
    if (!part.trim()) continue;
    const [, first, end = first] = PART.exec(part) ?? [];
    if (first === undefined || +first > +end || +end >= countOf(layout)) return null;
    for (let number = +first; number <= +end; number++) {
      if (!isHere(layout, number)) return null;
      found.add(number);
    }
  }
  return found;
}

/** Numbers as such a text: three and more in a row as a range, nothing as "none". */
export function writeNumbers(numbers) {
  if (!numbers.size) return NONE;
  const rows = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    if (rows.length && number === rows.at(-1).at(-1) + 1) rows.at(-1).push(number);
    else rows.push([number]);
  }
  return rows.map((row) => (row.length > 2 ? `${row[0]}-${row.at(-1)}` : row.join(", "))).join(", ");
}

/** What Select Tiles chooses of `layout` as far as its widgets say: {chosen, refused}; `chosen` null where a mask or another node decides. */
export function selectionOf(node, layout) {
  const [text, invert] = [valueOf(node, "tiles"), valueOf(node, "invert")];
  if (text === UNKNOWN || invert === UNKNOWN) return { chosen: null };
  const named = readNumbers(text, layout);
  if (!named) return { chosen: null, refused: true };
  if (originOf(node, "mask")) return { chosen: null, named };
  const all = new Set(Array.from({ length: countOf(layout) }, (_, number) => number).filter((number) => isHere(layout, number)));
  const typed = String(text).trim() ? named : all;
  return { chosen: invert ? new Set([...all].filter((number) => !typed.has(number))) : typed, named };
}

/** Put tile `number` into the node's text, or take it out, as one step that can be undone. */
export function toggleTile(node, layout, number) {
  if (!isHere(layout, number) || valueOf(node, "tiles") === UNKNOWN) return;
  const named = readNumbers(valueOf(node, "tiles"), layout) ?? new Set();
  if (!named.delete(number)) named.add(number);
  putValue(node, "tiles", writeNumbers(named));
  commit(node);
}
