/** A picture in memory: its pixels, and per channel what the curve is applied to, and its histogram. */

import { inputOf } from "./curve_math.js";

const KEPT = 6;
const MOST_PIXELS = 1 << 21; // of a copy
const cache = new Map();

export class Picture {
  /** @param {number[]} fullSize width and height of the picture that this one is a copy of, its own if left out */
  constructor(imageData, fullSize = [imageData.width, imageData.height]) {
    this.width = imageData.width;
    this.height = imageData.height;
    this.rgba = imageData.data;
    this.fullSize = fullSize;
    this.scale = this.width / fullSize[0]; // 1 where these are the picture's own pixels
    this.planes = new Map();
    this.counts = new Map();
  }

  /** 16-bit values the curve is applied to, one per pixel; null for "each channel", where it is the colours. */
  plane(channel) {
    if (channel === "each channel") return null;
    if (!this.planes.has(channel)) {
      const plane = new Uint16Array(this.width * this.height);
      for (let i = 0, at = 0; i < plane.length; i++, at += 4) {
        plane[i] = Math.round(65535 * Math.min(1, Math.max(0, inputOf(channel, this.rgba[at], this.rgba[at + 1], this.rgba[at + 2]))));
      }
      this.planes.set(channel, plane);
    }
    return this.planes.get(channel);
  }

  /** How many pixels have each 8-bit level: one array, or three for "each channel". */
  histograms(channel) {
    if (!this.counts.has(channel)) {
      const plane = this.plane(channel);
      const counts = Array.from({ length: plane ? 1 : 3 }, () => new Uint32Array(256));
      if (plane) for (const value of plane) counts[0][(value + 128) / 257 | 0]++;
      else for (let at = 0; at < this.rgba.length; at += 4) for (let c = 0; c < 3; c++) counts[c][this.rgba[at + c]]++;
      this.counts.set(channel, counts);
    }
    return this.counts.get(channel);
  }

  /** 1st and 99th percentile to the level, where the server has not measured them yet. */
  range(channel) {
    const counts = this.histograms(channel);
    const total = counts.length * this.width * this.height;
    const at = (share) => {
      let sum = 0;
      for (let v = 0; v < 256; v++) {
        for (const one of counts) sum += one[v];
        if (sum > share * (total - 1)) return v / 255;
      }
      return 1;
    };
    const [low, high] = [at(0.01), at(0.99)];
    return high - low >= 1 / 1024 ? [low, high] : [0, 1];
  }
}

/** The picture at `url`, made smaller where it is very large. `fullSize`: of the picture it stands for, if another. */
export function loadPicture(url, fullSize) {
  if (!cache.has(url)) {
    const loading = read(url, fullSize);
    loading.catch(() => cache.delete(url));
    cache.set(url, loading);
    if (cache.size > KEPT) cache.delete(cache.keys().next().value);
  }
  return cache.get(url);
}

async function read(url, fullSize) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`The picture could not be read (${answer.status}).`);
  const bitmap = await bitmapOf(await answer.blob());
  const ratio = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)), 8192 / Math.max(bitmap.width, bitmap.height));
  return pixelsOf(bitmap, ratio, fullSize);
}

/** A file's pixels, with the numbers that are in the file. */
export const bitmapOf = (blob) => createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });

/** A bitmap, which is used up, made smaller by `ratio`. */
export function pixelsOf(bitmap, ratio = 1, fullSize = [bitmap.width, bitmap.height]) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.floor(bitmap.width * ratio));
  canvas.height = Math.max(1, Math.floor(bitmap.height * ratio));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Picture(context.getImageData(0, 0, canvas.width, canvas.height), fullSize);
}
