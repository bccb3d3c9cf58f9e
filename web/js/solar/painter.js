/**
 * Paints a picture through a curve: with WebGL 2, or pixel by pixel where there is none.
 *
 * Where several pixels of the picture fall on one of the screen, each goes through the
 * curve first and their mean is shown, as when the result itself is made smaller.
 *
 * A `view` says what is to be seen: {width, height} of the canvas, {left, top} the picture's place under its
 * upper left corner, {step} pixels of the picture per pixel of the canvas, {wipe} the column left of which the
 * picture is shown as it is.
 */

import { BACKGROUND, gpuOf, HAND_SAMPLES, MOST_SAMPLES, samplesFor } from "../views/gpu.js";
import { evaluate, LAST } from "./curve_math.js";

const TABLE_WIDTH = 256;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
uniform sampler2D colours, plane, curveTable;
uniform ivec2 size;
uniform vec2 origin, range, slopes;
uniform float height, step_, wipe, phase, gain, turns, background;
uniform int samples, mode;  // mode: 1 wave, 2 smooth, 4 each channel
out vec4 shown;

float entry(int i) { return texelFetch(curveTable, ivec2(i % ${TABLE_WIDTH}, i / ${TABLE_WIDTH}), 0).r; }
float look(float x) {
  float at = clamp(x, 0.0, 1.0) * ${LAST}.0;
  int below = min(int(at), ${LAST - 1});
  return mix(entry(below), entry(below + 1), at - float(below));
}
float wrap(float x) { return x - 2.0 * floor(x / 2.0); }
float bend(float x) {
  float u = (x - range.x) / (range.y - range.x), result;
  if ((mode & 1) != 0) {
    float t = u < 0.0 ? u * slopes.x : u > 1.0 ? turns + (u - 1.0) * slopes.y : look(u);
    t = wrap(t + 2.0 * phase);
    result = (mode & 2) != 0 ? (1.0 - cos(3.14159265358979 * (t > 1.0 ? 2.0 - t : t))) / 2.0 : 1.0 - abs(1.0 - t);
  } else {
    result = look(1.0 - abs(1.0 - wrap(u + 2.0 * phase)));
  }
  return clamp((result - 0.5) * gain + 0.5, 0.0, 1.0);
}
vec3 pixel(ivec2 at, bool before) {
  if (at.x < 0 || at.y < 0 || at.x >= size.x || at.y >= size.y) return vec3(background);
  vec3 colour = texelFetch(colours, at, 0).rgb;
  if (before) return colour;
  if ((mode & 4) != 0) return vec3(bend(colour.r), bend(colour.g), bend(colour.b));
  vec2 bytes = texelFetch(plane, at, 0).rg;
  return vec3(bend((bytes.r * 255.0 + bytes.g * 65280.0) / 65535.0));
}
void main() {
  vec2 at = vec2(gl_FragCoord.x, height - gl_FragCoord.y) - 0.5;
  bool before = gl_FragCoord.x < wipe;
  vec3 sum = vec3(0.0);
  for (int j = 0; j < samples; j++)
    for (int i = 0; i < samples; i++)
      sum += pixel(ivec2(floor(origin + (at + (vec2(i, j) + 0.5) / float(samples)) * step_)), before);
  shown = vec4(sum / float(samples * samples), 1.0);
}`;

const padded = new Float32Array(TABLE_WIDTH * Math.ceil((LAST + 1) / TABLE_WIDTH));
const tables = new WeakMap();

/** The picture through the curve by WebGL; the canvas that it is on. */
function paintByGpu(gpu, picture, channel, curve, view) {
  const { gl } = gpu;
  const { width, height } = picture;
  if (Math.max(width, height) > gpu.largest) throw new Error("too large");
  const u = gpu.begin(FRAGMENT, view.width, view.height);
  gpu.bind(0, picture, "colours", () =>
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(picture.rgba.buffer)),
  );
  const plane = picture.plane(channel);
  if (plane) {
    gpu.bind(1, picture, channel, () =>
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RG8, width, height, 0, gl.RG, gl.UNSIGNED_BYTE, new Uint8Array(plane.buffer)),
    );
  }
  // One for all curves: while a point is dragged there is another one in every frame.
  gpu.bind(2, gpu, "table", () => {});
  if (tables.get(gpu) !== curve.table) {
    padded.set(curve.table);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32F, TABLE_WIDTH, padded.length / TABLE_WIDTH, 0, gl.RED, gl.FLOAT, padded);
    tables.set(gpu, curve.table);
  }
  gl.uniform1i(u.colours, 0);
  gl.uniform1i(u.plane, 1);
  gl.uniform1i(u.curveTable, 2);
  gl.uniform2i(u.size, width, height);
  gl.uniform2f(u.origin, view.left, view.top);
  gl.uniform2f(u.range, curve.low, curve.high);
  gl.uniform2f(u.slopes, curve.before, curve.after);
  gl.uniform1f(u.height, view.height);
  gl.uniform1f(u.step_, view.step);
  gl.uniform1f(u.wipe, view.wipe);
  gl.uniform1f(u.phase, curve.phase);
  gl.uniform1f(u.gain, curve.gain);
  gl.uniform1f(u.turns, curve.turns);
  gl.uniform1f(u.background, BACKGROUND / 255);
  gl.uniform1i(u.samples, samplesFor(view.step, MOST_SAMPLES));
  gl.uniform1i(u.mode, (curve.wave ? 1 : 0) | (curve.smooth ? 2 : 0) | (channel === "each channel" ? 4 : 0));
  return gpu.finish();
}

let bytes;
let bytesOf;

/** The curve as bytes for every 16-bit value. */
function byteTable(curve) {
  if (bytesOf !== curve) {
    bytes = new Uint8ClampedArray(65536);
    for (let v = 0; v < 65536; v++) bytes[v] = 255 * evaluate(curve, v / 65535);
    bytesOf = curve;
  }
  return bytes;
}

/** What paintByHand can keep while only the curve changes. */
const gathered = new WeakMap();

/** The values under a view: for every pixel of the canvas inside the picture, those of its samples. */
function gather(picture, channel, view) {
  const key = [channel, view.width, view.height, view.left, view.top, view.step].join();
  const kept = gathered.get(picture);
  if (kept?.key === key) return kept;
  const samples = samplesFor(view.step, HAND_SAMPLES);
  const places = (count, start, length) => {
    const all = Int32Array.from({ length: count * samples }, (_, i) => Math.floor(start + ((i + 0.5) / samples) * view.step));
    let [first, last] = [0, count];
    while (first < last && (all[first * samples] < 0 || all[first * samples] >= length)) first++;
    while (last > first && (all[last * samples - 1] < 0 || all[last * samples - 1] >= length)) last--;
    return { all, first, last };
  };
  const [xs, ys] = [places(view.width, view.left, picture.width), places(view.height, view.top, picture.height)];
  const plane = picture.plane(channel);
  const { rgba, width } = picture;
  const columns = xs.last - xs.first;
  const each = samples * samples;
  const values = new Uint16Array(columns * (ys.last - ys.first) * each * (plane ? 1 : 3));
  const before = new Uint8ClampedArray(columns * (ys.last - ys.first) * 3);
  let to = 0;
  let colour = 0;
  for (let y = ys.first; y < ys.last; y++) {
    for (let x = xs.first; x < xs.last; x++) {
      let r = 0, g = 0, b = 0;
      for (let j = 0; j < samples; j++) {
        const row = ys.all[y * samples + j] * width;
        for (let i = 0; i < samples; i++) {
          const at = row + xs.all[x * samples + i];
          const [red, green, blue] = [rgba[4 * at], rgba[4 * at + 1], rgba[4 * at + 2]];
          r += red; g += green; b += blue;
          if (plane) values[to++] = plane[at];
          else {
            values[to++] = red * 257; values[to++] = green * 257; values[to++] = blue * 257;
          }
        }
      }
      before[colour++] = r / each; before[colour++] = g / each; before[colour++] = b / each;
    }
  }
  const image = new ImageData(view.width, view.height);
  new Uint32Array(image.data.buffer).fill(0xff000000 + BACKGROUND * 0x10101);
  const found = { key, image, values, before, each, xs, ys, isGrey: plane !== null };
  gathered.set(picture, found);
  return found;
}

function paintByHand(picture, channel, curve, view) {
  const { image, values, before, each, xs, ys, isGrey } = gather(picture, channel, view);
  const table = byteTable(curve);
  const data = image.data;
  const colours = isGrey ? 1 : 3;
  let at = 0;
  let colour = 0;
  for (let y = ys.first; y < ys.last; y++) {
    let to = 4 * (y * view.width + xs.first);
    for (let x = xs.first; x < xs.last; x++, to += 4, colour += 3) {
      const end = at + each * colours;
      if (x + 0.5 < view.wipe) {
        data[to] = before[colour]; data[to + 1] = before[colour + 1]; data[to + 2] = before[colour + 2];
        at = end;
      } else if (isGrey) {
        let sum = 0;
        while (at < end) sum += table[values[at++]];
        data[to] = data[to + 1] = data[to + 2] = sum / each;
      } else {
        let r = 0, g = 0, b = 0;
        while (at < end) {
          r += table[values[at++]]; g += table[values[at++]]; b += table[values[at++]];
        }
        data[to] = r / each; data[to + 1] = g / each; data[to + 2] = b / each;
      }
    }
  }
  return image;
}

/**
 * Paint onto a 2-D context; true where WebGL did it.
 *
 * @param {string} means "auto", "webgl" (also where it is computed by the processor), or "hand"
 */
export function paint(context, picture, channel, curve, view, means = "auto") {
  const gpu = means === "hand" ? null : gpuOf(means === "webgl");
  if (gpu) {
    try {
      context.drawImage(paintByGpu(gpu, picture, channel, curve, view), 0, 0);
      return true;
    } catch {
      // Too large for this device, or its context was just lost: by hand, then.
    }
  }
  context.putImageData(paintByHand(picture, channel, curve, view), 0, 0);
  return false;
}
