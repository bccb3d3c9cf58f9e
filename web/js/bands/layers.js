/** The layers of a run, bands and residual, as pictures/layers.py packs them: signed numbers of 16 bits, then a scale for each layer. */

import { forget } from "../views/gpu.js";
import { MOST_LAYERS } from "./gains.js";

const MOST_PIXELS = 1 << 21;
const MOST_SIDE = 8192;
const KEPT = 2; // of up to 88 MB each
const cache = new Map();

export class Layers {
  /** @param about {size, full_size, channels, layers}: what is in `bytes`, an ArrayBuffer; throws where it holds another number of them */
  constructor({ size, full_size: fullSize, channels, layers }, bytes) {
    const [width, height] = size;
    this.length = width * height * channels; // of one layer
    if (bytes.byteLength !== layers * (2 * this.length + 8)) throw new Error("The bands are not whole.");
    const end = layers * this.length;
    Object.assign(this, { width, height, fullSize, channels, numbers: new Int16Array(bytes, 0, end) });
    const scales = new DataView(bytes, 2 * end);
    this.scales = Array.from({ length: layers }, (_, k) => scales.getFloat64(8 * k, true));
    this.scale = width / fullSize[0]; // 1 where these are the picture's own pixels
  }

  get count() {
    return this.scales.length;
  }

  /** The sum of the layers at a pixel, each by its weight, and `offset`: one value per channel. */
  at(x, y, { weights, offset }) {
    const from = (y * this.width + x) * this.channels;
    return Array.from({ length: this.channels }, (_, c) =>
      this.scales.reduce((sum, scale, k) => sum + weights[k] * scale * this.numbers[k * this.length + from + c], offset),
    );
  }
}

const whole = (value, most) => Number.isInteger(value) && value >= 1 && value <= most;
const sides = (size, most) => Array.isArray(size) && size.length === 2 && size.every((side) => whole(side, most));

/** Whether what a run is said to have sent can be shown: a history may hold anything. */
export function isSound(about) {
  const { size, full_size: fullSize, channels, layers } = about ?? {};
  return sides(size, MOST_SIDE) && size[0] * size[1] <= MOST_PIXELS && sides(fullSize, 1 << 24) && [1, 3].includes(channels) && whole(layers, MOST_LAYERS);
}

/** The layers at `url`; those that were looked at last are kept. */
export function loadLayers(url, about) {
  const loading = cache.get(url) ?? read(url, about);
  cache.delete(url);
  cache.set(url, loading);
  loading.catch(() => cache.delete(url));
  for (const [old, kept] of cache) {
    if (cache.size <= KEPT) break;
    cache.delete(old);
    kept.then(forget, () => {});
  }
  return loading;
}

async function read(url, about) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`The bands could not be read (${answer.status}).`);
  return new Layers(about, await answer.arrayBuffer());
}

/** A piece of the full picture, of that width and height, out of the server's answer. */
export async function readPiece(answer, width, height, { channels, count }) {
  const size = [width, height];
  return new Layers({ size, full_size: size, channels, layers: count }, await answer.arrayBuffer());
}
