/** Small copies of pictures, and how large the pictures are. */

import { api } from "../../../../scripts/api.js";

const LONGEST_SIDE = 1024;
const KEPT = 12;
const NONE = { failed: true };
const cache = new Map();

/**
 * The picture that the server has under `file` {filename, subfolder, type}: {height, width} once its size is known,
 * and {canvas} once it can be drawn; {failed: true} where there is none. It is asked for again frame by frame.
 * A run that could not write its picture sends none.
 */
export function thumbnail(file) {
  if (!file) return NONE;
  const url = api.apiURL(`/view?${new URLSearchParams(file)}`);
  if (!cache.has(url)) {
    const entry = {};
    cache.set(url, entry);
    load(url, entry).catch(() => (entry.failed = true));
    if (cache.size > KEPT) cache.delete(cache.keys().next().value);
  } else {
    const entry = cache.get(url);
    cache.delete(url);
    cache.set(url, entry);
  }
  return cache.get(url);
}

async function load(url, entry) {
  const image = new Image();
  await new Promise((done, failed) => {
    Object.assign(image, { onload: done, onerror: failed, src: url });
  });
  // Turned as its camera says, which is how Load Image reads it too.
  const { naturalWidth: width, naturalHeight: height } = image;
  Object.assign(entry, { width, height });
  // Beside the page's own work, so that a photograph of a hundred megapixels does not stop it. One that is too large to
  // be decoded still has a size.
  await image.decode().catch(() => {});
  const ratio = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.removeAttribute("src");
  entry.canvas = canvas;
}
