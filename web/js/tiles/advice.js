/** Which tile size near the typed one computes the fewest pixels. */

import { PlanError, planAxis } from "./layout.js";

// How far from the typed side it may lie: a larger tile takes more memory, a smaller one shows the model less.
export const SMALLEST = 0.75;
export const LARGEST = 1.25;
// A saving of less than this is not worth a word.
const LEAST_SAVING = 0.03;

/** Pixels that tiles of one side compute along an axis; Infinity where they cannot be planned. */
function work(size, tile, overlap, lattice) {
  try {
    return overlap < tile ? tile * planAxis(size, tile, overlap, lattice).length : Infinity;
  } catch (problem) {
    if (problem instanceof PlanError) return Infinity;
    throw problem;
  }
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
function bestSide(size, typed, overlap, lattice) {
  let best = { tile: typed, cost: work(size, typed, overlap, lattice) };
  for (const tile of sides(size, typed, lattice)) {
    const cost = work(size, tile, overlap, lattice);
    const nearer = cost === best.cost && Math.abs(tile - typed) < Math.abs(best.tile - typed);
    if (cost < best.cost || nearer) best = { tile, cost };
  }
  return best;
}

/**
 * A tile size that computes fewer pixels than the typed one, or null. Both sides may be had apart: what is computed is the
 * product of what both directions take.
 *
 * @param plan {height, width, tileHeight, tileWidth, overlap, multipleOf, unit}, whole numbers as for `planGrid`
 * @returns {{tileHeight, tileWidth, count, share}} `share`: pixels computed for each pixel of the picture
 */
export function cheaperTile({ height, width, tileHeight, tileWidth, overlap, multipleOf, unit = 1 }) {
  const lattice = Math.max(multipleOf, unit);
  if (lattice % multipleOf || lattice % unit) return null;
  const now = work(height, tileHeight, overlap, lattice) * work(width, tileWidth, overlap, lattice);
  const [tall, wide] = [bestSide(height, tileHeight, overlap, lattice), bestSide(width, tileWidth, overlap, lattice)];
  const cost = tall.cost * wide.cost;
  if (!Number.isFinite(now) || cost > now * (1 - LEAST_SAVING)) return null;
  return { tileHeight: tall.tile, tileWidth: wide.tile, count: cost / (tall.tile * wide.tile), share: cost / (height * width) };
}

/** It in words. */
export function adviceText({ tileWidth, tileHeight, count, share }) {
  const tiles = count === 1 ? "1 tile, no need to split" : `${count} tiles`;
  return `${tileWidth} x ${tileHeight} would need ${tiles}, ${share.toFixed(2)} x the pixels`;
}
