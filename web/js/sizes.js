/** How large the picture or latent is that comes to an input, as far as that can be told before a run. */

import { originOf, pictureOf, UNKNOWN, valueOf } from "./sources.js";
import { MAX_LENGTH } from "./tiles/layout.js";
import { thumbnail } from "./tiles/thumbnail.js";

const MOST_STEPS = 40;
const CELL = 8;

/** A whole number as Python rounds to one: of two that are as near, the even one. */
function rounded(value) {
  const below = Math.floor(value);
  const over = value - below;
  return below + (over > 0.5 || (over === 0.5 && below % 2) ? 1 : 0);
}

const same = (node, size) => size;
const wholeCells = (node, size) => size.map((side) => Math.floor(side / CELL) * CELL);

function scaledBy(node, size) {
  const scale = valueOf(node, "scale_by");
  return typeof scale === "number" && scale > 0 ? size.map((side) => rounded(side * scale)) : null;
}

/** Cells, and so pixels of a latent, by a factor. */
const cellsScaledBy = (node, size) => scaledBy(node, size.map((side) => side / CELL))?.map((cells) => cells * CELL) ?? null;

/** As the host's Upscale Image: a side of 0 follows the other one. */
function scaledTo(node, [height, width]) {
  const [wide, tall] = ["width", "height"].map((name) => valueOf(node, name));
  if (![wide, tall].every((side) => Number.isInteger(side) && side >= 0)) return null;
  if (!wide && !tall) return [height, width];
  return [tall || Math.max(1, rounded((height * wide) / width)), wide || Math.max(1, rounded((width * tall) / height))];
}

/** Nodes through which a size goes: by which input it comes, and what becomes of it. */
const THROUGH = {
  ImageScaleBy: ["image", scaledBy],
  ImageScale: ["image", scaledTo],
  ImageInvert: ["image", same],
  ImageBlur: ["image", same],
  ImageSharpen: ["image", same],
  VAEEncode: ["pixels", wholeCells],
  VAEDecode: ["samples", same],
  KSampler: ["latent_image", same],
  KSamplerAdvanced: ["latent_image", same],
  SetLatentNoiseMask: ["samples", same],
  LatentUpscaleBy: ["samples", cellsScaledBy],
  TileworkTiledVAEEncode: ["pixels", wholeCells],
  TileworkTiledVAEDecode: ["samples", same],
  TileworkLatentTileDenoise: ["latent_image", same],
  TileworkSolarCurvePreview: ["image", same],
};

const sound = (size) => (size?.every((side) => Number.isInteger(side) && side >= 1 && side <= MAX_LENGTH) ? size : null);

/** [height, width] in image pixels of what comes to the input `name`; null where only a run can tell, or no picture has that size. */
export const sizeAt = (node, name) => sound(sizeAbove(node, name, MOST_STEPS));

function sizeAbove(node, name, steps) {
  const source = pictureOf(node, name);
  if (source?.size) return source.size;
  if (source?.file) {
    const { height, width } = thumbnail(source.file);
    return height ? [height, width] : null;
  }
  if (source !== UNKNOWN || !steps) return null;
  const origin = originOf(node, name);
  const [input, change] = Object.hasOwn(THROUGH, origin?.node.comfyClass ?? "") ? THROUGH[origin.node.comfyClass] : [];
  const size = input && origin.slot === 0 ? sound(sizeAbove(origin.node, input, steps - 1)) : null;
  return size && change(origin.node, size);
}
