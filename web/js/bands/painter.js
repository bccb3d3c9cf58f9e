/**
 * Paints the sum of layers, each by its weight: with WebGL 2, or value by value where there is none.
 *
 * Where several pixels fall on one of the screen their mean is shown, and only that is cut to black and white: as when the result
 * itself, which is not cut, is made smaller. A `mix` is {weights, offset}: the sum is that of weights times layers, and `offset`. A
 * `view` is that of views/picture_view.js; left of its wipe the mix `before` is shown.
 */

import { BACKGROUND, gpuOf, HAND_SAMPLES, MOST_SAMPLES, samplesFor } from "../views/gpu.js";
import { MOST_LAYERS } from "./gains.js";

const MOST_TURNS = 500; // how often a sum is changed before it is made anew, so that what is lost by rounding stays next to nothing

const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp isampler2DArray;
uniform isampler2DArray layers;
uniform ivec2 size;
uniform vec2 origin, offsets;
uniform float height, step_, wipe, background;
uniform float before[${MOST_LAYERS}], after[${MOST_LAYERS}];
uniform int samples, count;
uniform bool grey;
out vec4 shown;

vec3 pixel(ivec2 at, bool isBefore) {
  vec3 sum = vec3(isBefore ? offsets.x : offsets.y);
  for (int k = 0; k < count; k++) sum += (isBefore ? before[k] : after[k]) * vec3(texelFetch(layers, ivec3(at, k), 0).rgb);
  return sum;
}
void main() {
  vec2 at = vec2(gl_FragCoord.x, height - gl_FragCoord.y) - 0.5;
  bool isBefore = gl_FragCoord.x < wipe;
  vec3 sum = vec3(0.0);
  float inside = 0.0;
  for (int j = 0; j < samples; j++)
    for (int i = 0; i < samples; i++) {
      ivec2 place = ivec2(floor(origin + (at + (vec2(i, j) + 0.5) / float(samples)) * step_));
      if (any(lessThan(place, ivec2(0))) || any(greaterThanEqual(place, size))) continue;
      sum += pixel(place, isBefore);
      inside += 1.0;
    }
  vec3 colour = inside > 0.0 ? sum / inside : vec3(background);
  shown = vec4(clamp(grey && inside > 0.0 ? colour.rrr : colour, 0.0, 1.0), 1.0);
}`;

function paintByGpu(gpu, layers, before, after, view) {
  const { gl } = gpu;
  const { width, height, channels, count, scales } = layers;
  if (Math.max(width, height) > gpu.largest) throw new Error("too large");
  const u = gpu.begin(FRAGMENT, view.width, view.height);
  const [inside, format] = channels === 1 ? [gl.R16I, gl.RED_INTEGER] : [gl.RGB16I, gl.RGB_INTEGER];
  const kind = gl.TEXTURE_2D_ARRAY;
  gpu.bind(3, layers, "layers", () => gl.texImage3D(kind, 0, inside, width, height, count, 0, format, gl.SHORT, layers.numbers), kind);
  const scaled = ({ weights }) => Float32Array.from({ length: MOST_LAYERS }, (_, k) => (k < count ? weights[k] * scales[k] : 0));
  gl.uniform1i(u.layers, 3);
  gl.uniform2i(u.size, width, height);
  gl.uniform2f(u.origin, view.left, view.top);
  gl.uniform2f(u.offsets, before.offset, after.offset);
  gl.uniform1f(u.height, view.height);
  gl.uniform1f(u.step_, view.step);
  gl.uniform1f(u.wipe, view.wipe);
  gl.uniform1f(u.background, BACKGROUND / 255);
  gl.uniform1fv(u.before, scaled(before));
  gl.uniform1fv(u.after, scaled(after));
  gl.uniform1i(u.samples, samplesFor(view.step, MOST_SAMPLES));
  gl.uniform1i(u.count, count);
  gl.uniform1i(u.grey, channels === 1 ? 1 : 0);
  return gpu.finish();
}

/** What paintByHand can keep while only the weights change. */
const gathered = new WeakMap();

/** The layers under a view, as means of what falls on each pixel of the canvas that shows the picture: a Float32Array for each. */
function gather(layers, view) {
  const key = [view.width, view.height, view.left, view.top, view.step].join();
  const kept = gathered.get(layers);
  if (kept?.key === key) return kept;
  const samples = samplesFor(view.step, HAND_SAMPLES);
  const { width, channels, numbers, length, scales } = layers;
  const [xs, ys] = [places(view.width, view.left, view.step, samples, width), places(view.height, view.top, view.step, samples, layers.height)];
  const columns = xs.last - xs.first;
  const planes = scales.map((scale, k) => {
    const plane = new Float32Array(columns * (ys.last - ys.first) * channels);
    const share = scale / (samples * samples);
    for (let y = ys.first * samples; y < ys.last * samples; y++) {
      const row = k * length + ys.all[y] * width * channels;
      let to = (Math.floor(y / samples) - ys.first) * columns * channels;
      for (let x = xs.first; x < xs.last; x++, to += channels) {
        for (let i = 0; i < samples; i++) {
          const at = row + xs.all[x * samples + i] * channels;
          plane[to] += share * numbers[at];
          if (channels === 3) {
            plane[to + 1] += share * numbers[at + 1];
            plane[to + 2] += share * numbers[at + 2];
          }
        }
      }
    }
    return plane;
  });
  const image = new ImageData(view.width, view.height);
  new Uint32Array(image.data.buffer).fill(0xff000000 + BACKGROUND * 0x10101);
  const found = { key, image, planes, xs, ys };
  gathered.set(layers, found);
  return found;
}

/** Which pixels of the picture fall on each of the canvas along an axis, and the first and last that lie inside. */
function places(count, start, step, samples, length) {
  const all = Int32Array.from({ length: count * samples }, (_, i) => Math.floor(start + ((i + 0.5) / samples) * step));
  let [first, last] = [0, count];
  while (first < last && (all[first * samples] < 0 || all[first * samples] >= length)) first++;
  while (last > first && (all[last * samples - 1] < 0 || all[last * samples - 1] >= length)) last--;
  return { all, first, last };
}

/** The sum of planes by the weights of a mix, in levels of 255. `kept`: such a sum by other weights, which is made into it. */
function summed(planes, { weights, offset }, kept) {
  const changed = kept && kept.offset === offset ? weights.map((weight, k) => weight - kept.weights[k]) : weights;
  const isFew = changed.every(Number.isFinite) && changed.filter(Boolean).length <= planes.length / 2;
  const isNew = changed === weights || kept.turns >= MOST_TURNS || !isFew;
  const sum = kept?.sum ?? new Float32Array(planes[0].length);
  if (isNew) sum.fill(255 * offset);
  // A slider changes one weight at a time: what the others add stays.
  planes.forEach((plane, k) => {
    const weight = 255 * (isNew ? weights : changed)[k];
    if (weight) for (let i = 0; i < sum.length; i++) sum[i] += weight * plane[i];
  });
  return { sum, weights: [...weights], offset, turns: isNew ? 0 : kept.turns + 1 };
}

function paintByHand(layers, before, after, view) {
  const found = gather(layers, view);
  const { image, planes, xs, ys } = found;
  // What is left of the wipe seldom changes.
  if (view.wipe > 0) found.before = summed(planes, before, found.before);
  found.after = summed(planes, after, found.after);
  const columns = xs.last - xs.first;
  const split = Math.min(columns, Math.max(0, Math.ceil(view.wipe - 0.5) - xs.first));
  for (let y = ys.first; y < ys.last; y++) {
    const [from, to] = [(y - ys.first) * columns, y * view.width + xs.first];
    if (split) put(image.data, to, found.before.sum, from, split, layers.channels);
    put(image.data, to + split, found.after.sum, from + split, columns - split, layers.channels);
  }
  return image;
}

/** `count` pixels of a sum, from pixel `from` on, into the bytes of an image, from pixel `to` on. */
function put(bytes, to, sum, from, count, channels) {
  const [green, blue] = channels === 1 ? [0, 0] : [1, 2];
  for (let i = 0, at = from * channels, out = 4 * to; i < count; i++, at += channels, out += 4) {
    bytes[out] = sum[at];
    bytes[out + 1] = sum[at + green];
    bytes[out + 2] = sum[at + blue];
  }
}

/** Paint onto a 2-D context; true where WebGL did it. `means`: see views/picture_view.js. */
export function paint(context, layers, before, after, view, means = "auto") {
  const gpu = means === "hand" ? null : gpuOf(means === "webgl");
  if (gpu) {
    try {
      context.drawImage(paintByGpu(gpu, layers, before, after, view), 0, 0);
      return true;
    } catch {
      // Too large for this device, or its context was just lost: by hand, then.
    }
  }
  context.putImageData(paintByHand(layers, before, after, view), 0, 0);
  return false;
}
