/** Which tile size near the typed one computes the fewest pixels. */

import { isConnected } from "../sources.js";
import { MAX_LENGTH, MAX_TILES } from "./layout.js";

// How far from the typed side it may lie: a larger tile takes more memory, a smaller one shows the model less.
export const SMALLEST = 0.75;
export const LARGEST = 1.25;
// A saving of less than this is not worth a word.
const LEAST_SAVING = 0.03;

/** What a node makes of a tile that is larger than it need be. */
const TRIMS = {
  // Tile Split: nothing, every tile has the size that was typed.
  equal: (size, tile) => tile,
  // Sampling: a tile that is larger than the canvas is the canvas.
  canvas: (size, tile) => Math.min(size, tile),
  // Tiled Upscale: tiles are no larger than their number needs.
  snug: (size, tile, count, overlap) => Math.min(tile, Math.max(Math.ceil((size + (count - 1) * overlap) / count), overlap + 1)),
};

/** {count, tile} of the tiles along an axis, as `planAxis` lays them; null where they cannot be planned. */
function along(size, tile, { overlap, lattice, trim }) {
  if (overlap >= tile) return null;
  const stride = Math.floor((tile - overlap) / lattice);
  if (size > tile && stride < 1) return null;
  const count = size > tile ? Math.ceil(Math.ceil((size - tile) / lattice) / stride) + 1 : 1;
  return { count, tile: TRIMS[trim](size, tile, count, overlap) };
}

/** Pixels that tiles of one side compute along an axis; Infinity where they cannot be planned. */
function work(size, tile, rules) {
  const found = along(size, tile, rules);
  return found ? found.count * found.tile : Infinity;
}

/** Sides on the lattice that may be offered: near the typed one, and the one that holds the whole picture where that is no larger. */
export function sides(size, typed, lattice) {
  const most = Math.floor((LARGEST * typed) / lattice);
  const least = Math.ceil((SMALLEST * typed) / lattice);
  const whole = Math.ceil(size / lattice);
  const steps = Array.from({ length: Math.max(0, most - least + 1) }, (_, i) => least + i);
  return [...(whole < least ? [whole] : []), ...steps].map((step) => step * lattice);
}

/** The side with the least work, the nearest to the typed one of several. */
function bestSide(size, typed, rules) {
  let best = { tile: typed, cost: work(size, typed, rules) };
  for (const tile of sides(size, typed, rules.offered)) {
    const cost = work(size, tile, rules);
    const nearer = cost === best.cost && Math.abs(tile - typed) < Math.abs(best.tile - typed);
    if (cost < best.cost || nearer) best = { tile, cost };
  }
  return best;
}

/** How tiles are laid along an axis; null where picture and latent cells have no common lattice. */
function rulesOf({ height, width, tileHeight, tileWidth, overlap, multipleOf, unit = 1, trim = "equal", offered }) {
  const sound = (side) => Number.isInteger(side) && side >= 1 && side <= MAX_LENGTH;
  if (![height, width, tileHeight, tileWidth].every(sound) || !(overlap >= 0)) return null;
  const lattice = Math.max(multipleOf, unit);
  return lattice % multipleOf || lattice % unit ? null : { overlap, lattice, trim, offered: offered ?? lattice };
}

/**
 * The tiles that the typed sizes make: {count, tileHeight, tileWidth, share}, `share` the pixels computed for each pixel of the
 * picture; null where there is no such plan.
 *
 * @param plan {height, width, tileHeight, tileWidth, overlap, multipleOf, unit}, whole numbers as for `planGrid`; `trim`: what
 *   the node makes of tiles that are larger than need be, see TRIMS; `offered`: the step in which sizes are offered
 */
export function tilesOf(plan) {
  const rules = rulesOf(plan);
  const [tall, wide] = rules ? [along(plan.height, plan.tileHeight, rules), along(plan.width, plan.tileWidth, rules)] : [];
  if (!tall || !wide) return null;
  const count = tall.count * wide.count;
  if (count > MAX_TILES) return null;
  return { count, tileHeight: tall.tile, tileWidth: wide.tile, share: (count * tall.tile * wide.tile) / (plan.height * plan.width) };
}

/**
 * A tile size to type that computes fewer pixels, as `tilesOf` gives it, or null. Both sides may be had apart: what is computed
 * is the product of what both directions take.
 */
export function cheaperTile(plan) {
  const { height, width, tileHeight, tileWidth } = plan;
  const rules = rulesOf(plan);
  if (!rules) return null;
  const now = work(height, tileHeight, rules) * work(width, tileWidth, rules);
  const [tall, wide] = [bestSide(height, tileHeight, rules), bestSide(width, tileWidth, rules)];
  const cost = tall.cost * wide.cost;
  if (!Number.isFinite(now) || cost > now * (1 - LEAST_SAVING)) return null;
  const count = tilesOf({ ...plan, tileHeight: tall.tile, tileWidth: wide.tile })?.count;
  return count && { tileHeight: tall.tile, tileWidth: wide.tile, count, share: cost / (height * width) };
}

/** {text, values} for an AdviceRow: what to type instead; `values` only where both sides are typed in this node. */
export function adviceFor(node, plan) {
  const cheaper = cheaperTile(plan);
  if (!cheaper) return null;
  const { tileWidth, tileHeight, count, share } = cheaper;
  const tiles = count === 1 ? "1 tile, no need to split" : `${count} tiles`;
  const typed = ["tile_width", "tile_height"].every((name) => !isConnected(node, name));
  return {
    text: `${tileWidth} x ${tileHeight} would need ${tiles}, ${share.toFixed(2)} x the pixels`,
    values: typed ? { tile_width: tileWidth, tile_height: tileHeight } : null,
  };
}
