/**
 * Solar curves in the browser: the same tables, waves and points as blending/solar/curves.py.
 *
 * A curve is a table over 0..1 with SUB entries per 8-bit level, read between its entries. For a wave the
 * table holds the place along the wave (straight lines between knots, so the table is exact wherever the
 * knots are on it), and triangle or cosine come after; for points it holds the output itself.
 */

export const PRESETS = ["four points", "six points", "one peak", "inversions", "curve"];
export const SHAPES = ["straight", "smooth"];
export const CHANNELS = ["luminance", "each channel", "lightness"];
export const TABLES = {
  "four points": [0, 51, 101, 152, 203, 255],
  "six points": [0, 36, 72, 109, 145, 181, 218, 255],
  "one peak": [0, 128, 255],
};
export const MOST_POINTS = 64;
export const LEAST_DISTANCE = 1 / 256;
export const MOST_INVERSIONS = 16;
export const MOST_GAIN = 8;
const SUB = 128;
export const LAST = 255 * SUB;

/** Points from a workflow, which may hold anything: {points} sorted by x, or {error}, a sentence. */
export function checkPoints(value) {
  const raw = Array.isArray(value) ? value : value?.points;
  if (!Array.isArray(raw)) return { error: "The points of this node are no list of points." };
  if (raw.length < 2 || raw.length > MOST_POINTS) return { error: `This node has ${raw.length} points: use 2 to ${MOST_POINTS}.` };
  const isShare = (v) => typeof v === "number" && v >= 0 && v <= 1;
  for (let i = 0; i < raw.length; i++) {
    const point = raw[i];
    if (!Array.isArray(point) || point.length !== 2 || !point.every(isShare)) return { error: `Point ${i} is not two numbers from 0 to 1.` };
  }
  const points = raw.map(([x, y]) => [x, y]).sort((a, b) => a[0] - b[0]);
  for (let i = 1; i < points.length; i++) {
    if (points[i][0] - points[i - 1][0] < LEAST_DISTANCE) return { error: `Points ${i - 1} and ${i} lie over each other.` };
  }
  return { points };
}

/** The knots of a wave, 0..1, or null for preset "curve". */
export function knotsOf(preset, inversions) {
  if (preset === "curve") return null;
  if (preset !== "inversions") return TABLES[preset].map((level) => level / 255);
  return Array.from({ length: inversions + 2 }, (_, i) => i / (inversions + 1));
}

/** The points that a preset's wave goes through. */
export function pointsOf(preset, inversions) {
  return knotsOf(preset, inversions).map((x, i) => [Math.round(x * 1e6) / 1e6, i % 2]);
}

/** A curve to evaluate: {wave, smooth, phase, gain, table, before, after, low, high}. */
export function makeCurve({ preset, shape, inversions, phase, gain, points, samples, low = 0, high = 1 }) {
  const table = new Float32Array(LAST + 1);
  const knots = knotsOf(preset, inversions);
  const smooth = shape === "smooth";
  const curve = { wave: knots !== null, smooth, phase, gain, table, before: 0, after: 0, turns: 0, low, high };
  if (knots) {
    fill(table, knots, (run, way) => run + way);
    const last = knots.length - 1;
    curve.turns = last;
    curve.before = 1 / (knots[1] - knots[0]);
    curve.after = 1 / (knots[last] - knots[last - 1]);
  } else if (samples) {
    fill(table, samples.map((_, i) => i / (samples.length - 1)), (run, way) => samples[run] + (samples[run + 1] - samples[run]) * way);
  } else {
    const ease = smooth ? (way) => (1 - Math.cos(Math.PI * way)) / 2 : (way) => way;
    fill(table, points.map((p) => p[0]), (run, way) => points[run][1] + (points[run + 1][1] - points[run][1]) * ease(way));
  }
  return curve;
}

/** Entries of `table` from runs between `xs`; outside them the nearest end's value. */
function fill(table, xs, value) {
  let run = 0;
  for (let i = 0; i <= LAST; i++) {
    const x = i / LAST;
    while (run < xs.length - 2 && x >= xs[run + 1]) run++;
    table[i] = value(run, Math.min(1, Math.max(0, (x - xs[run]) / (xs[run + 1] - xs[run]))));
  }
}

const wrap = (x) => x - 2 * Math.floor(x / 2);

function read(table, x) {
  const at = Math.min(LAST, Math.max(0, x * LAST));
  const below = Math.min(LAST - 1, Math.floor(at));
  return table[below] + (table[below + 1] - table[below]) * (at - below);
}

/** What becomes of value `x` of the picture. Not clipped. */
export function evaluate(curve, x) {
  const u = (x - curve.low) / (curve.high - curve.low);
  let out;
  if (curve.wave) {
    let turns = u < 0 ? u * curve.before : u > 1 ? curve.turns + (u - 1) * curve.after : read(curve.table, u);
    turns = wrap(turns + 2 * curve.phase);
    out = curve.smooth ? (1 - Math.cos(Math.PI * turns)) / 2 : 1 - Math.abs(1 - turns);
  } else {
    out = read(curve.table, 1 - Math.abs(1 - wrap(u + 2 * curve.phase)));
  }
  return (out - 0.5) * curve.gain + 0.5;
}

const LINEAR = Float64Array.from({ length: 256 }, (_, v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));

/** What the curve is applied to, for 8-bit red, green and blue: 0..1. Not for "each channel". */
export function inputOf(channel, r, g, b) {
  if (channel === "luminance") return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
  const y = 0.2126729 * LINEAR[r] + 0.7151522 * LINEAR[g] + 0.072175 * LINEAR[b];
  const f = y > 216 / 24389 ? Math.cbrt(y) : (841 / 108) * y + 4 / 29;
  return 1.16 * f - 0.16;
}
