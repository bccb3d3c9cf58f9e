/** What the sizes cost that are typed, and what would cost less, for nodes that plan their tiles when they run. */

import { isConnected, UNKNOWN, valueOf } from "../sources.js";
import { sizeAt } from "../sizes.js";
import { adviceFor, tilesOf } from "./advice.js";
import { kept } from "./kept.js";

const BYTES = 12; // of a pixel: three channels in float32
const UNITS = ["bytes", "KB", "MB", "GB"];

const VAE = { lattice: 8, trim: "equal", at: "", apart: true, auto: { tile: "planned from the free memory", overlap: "taken from the VAE" } };
/**
 * By node: the input whose size counts; the lattice on which its tiles begin, and what it makes of tiles that are too large (see
 * advice.js); when they are computed; whether width and height are left to the node apart; whether the picture's own size is
 * what comes out; and what it means to leave a setting to the node.
 */
const NODES = {
  TileworkTiledUpscale: {
    input: "image", lattice: 1, trim: "snug", at: "", auto: { tile: "as large as the memory allows", overlap: "measured for this model" },
  },
  TileworkTiledVAEEncode: { input: "pixels", ...VAE },
  TileworkTiledVAEDecode: { input: "samples", result: true, ...VAE },
  TileworkLatentTileDenoise: { input: "latent_image", lattice: 8, trim: "canvas", at: " at every step", result: true, auto: {} },
};

/** Bytes as Python's `in_words` says them. */
export function inWords(size) {
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size >= 100 || !unit ? Math.round(size) : Number(size.toPrecision(3))} ${UNITS[unit]}`;
}

/** The memory that a picture of [height, width] takes, in words. */
export const memoryOf = ([height, width], pictures = 1) => inWords(height * width * pictures * BYTES);

/** {text, advice}: in words what the node's settings mean and cost before it runs; null where there is nothing to be said. */
export function costOf(node) {
  const kind = NODES[node.comfyClass];
  if (!kind || isConnected(node, "layout")) return null;
  const [tileWidth, tileHeight, overlap] = ["tile_width", "tile_height", "overlap"].map((name) => valueOf(node, name));
  if ([tileWidth, tileHeight, overlap].some((value) => value === UNKNOWN || !Number.isInteger(value))) return null;
  const size = sizeAt(node, kind.input);
  const lines = [];
  const result = size && kind.result ? `the picture will be ${size[1]} x ${size[0]}, ${memoryOf(size)} in memory` : "";
  if (!tileWidth && !tileHeight && kind.auto.tile) lines.push(`tile auto: ${kind.auto.tile}`);
  if (overlap < 0 && kind.auto.overlap) lines.push(`overlap auto: ${kind.auto.overlap}`);
  const typed = kind.apart ? tileWidth && tileHeight : tileWidth || tileHeight;
  const found = size && typed ? priced(node, kind, size, [tileHeight || tileWidth, tileWidth || tileHeight], overlap) : null;
  if (found?.text) lines.unshift(found.text);
  if (result) lines.push(result);
  return lines.length || found?.advice ? { text: lines.join("; "), advice: found?.advice ?? null } : null;
}

function priced(node, { lattice, trim, at }, [height, width], [tileHeight, tileWidth], overlap) {
  if (tileWidth >= width && tileHeight >= height) return { text: "", advice: { text: "It fits in one tile: no need to tile." } };
  if (overlap < 0) return null;
  // On the patches of 16 px that newer models have, and that change nothing for the others.
  const multipleOf = lattice === 8 && [tileWidth, tileHeight, overlap].every((value) => value % 16 === 0) ? 16 : lattice;
  const plan = { height, width, tileHeight, tileWidth, overlap, multipleOf, trim, offered: Math.max(multipleOf, 8) };
  const apart = ["tile_width", "tile_height"].map((name) => isConnected(node, name));
  return kept(["cost", node.comfyClass, apart, plan], () => inTiles(node, plan, at));
}

function inTiles(node, plan, at) {
  const tiles = tilesOf(plan);
  if (!tiles) return null;
  const text = `${tiles.count} tile${tiles.count > 1 ? "s" : ""} of ${tiles.tileWidth} x ${tiles.tileHeight}${at}, ${tiles.share.toFixed(2)} x the pixels`;
  return { text, advice: adviceFor(node, plan) };
}
