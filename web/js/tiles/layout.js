/**
 * Where the tiles are: the even plan of blending/layout/tile_layout.py, number for number and word for word.
 *
 * A layout here is {canvas: [height, width], tile: [height, width], origins: [ys, xs], unit, batch}, lengths in source
 * pixels: what the nodes send after a run too. Only after a run there may be `ramps` (of y and x, [start, stop] of where
 * neighbours change over), `regions` ([y, x, height, width, and the same of its core], painted over the grid, which may be
 * none: origins [[], []]), and `present`, the numbers of the tiles that are here.
 */

export const MAX_TILES = 65_536;
export const MAX_LENGTH = 2 ** 20;
const MAX_PADDED = 2 ** 26;
const MAX_PADDING = 8;

/** A plan that cannot be made; its message is for the user. */
export class PlanError extends Error {}

const gcd = (a, b) => (b ? gcd(b, a % b) : a);
const lcm = (a, b) => (a / gcd(a, b)) * b;

/** Origins of equal tiles, evenly spread over `size` pixels. */
export function planAxis(size, tile, overlap, multipleOf) {
  if (size <= tile) return [0];
  const latticeSteps = Math.ceil((size - tile) / multipleOf);
  const longestStride = Math.floor((tile - overlap) / multipleOf);
  if (longestStride < 1) {
    const room = tile >= multipleOf ? `an overlap of ${tile - multipleOf} or less, ` : "";
    throw new PlanError(
      `tile ${tile} with overlap ${overlap} moves on by ${tile - overlap} px, less than multiple_of ${multipleOf}: ` +
        `use ${room}a larger tile, or multiple_of ${tile - overlap} or less`,
    );
  }
  const strides = Math.ceil(latticeSteps / longestStride);
  return Array.from({ length: strides + 1 }, (_, i) => multipleOf * Math.floor((i * latticeSteps) / strides));
}

function checkPlan(height, width, tileHeight, tileWidth, overlap, multipleOf) {
  for (const [name, value] of [["height", height], ["width", width]]) {
    if (!(value >= 1 && value <= MAX_LENGTH)) throw new PlanError(`an image ${name} of ${value} px cannot be cut: it must be 1 to ${MAX_LENGTH}`);
  }
  for (const [name, value] of [["tile_height", tileHeight], ["tile_width", tileWidth]]) {
    if (!(value >= 1 && value <= MAX_LENGTH)) throw new PlanError(`${name} ${value} is not a tile size: use 1 to ${MAX_LENGTH}, for example 1024`);
  }
  if (multipleOf < 1) throw new PlanError(`multiple_of ${multipleOf} is not a lattice: use 1 or more, for example 8`);
  if (overlap < 0) throw new PlanError(`overlap ${overlap} is negative: use 0 or more, for example an eighth of the tile`);
  const smaller = Math.min(tileHeight, tileWidth);
  if (overlap >= smaller) {
    throw new PlanError(
      `overlap ${overlap} must be smaller than the tile (${tileWidth} x ${tileHeight}): use ${Math.floor(smaller / 2)} or less`,
    );
  }
}

function checkPadding({ canvas: [height, width], tile: [tileHeight, tileWidth], origins: [ys, xs], unit, batch }) {
  const insideRows = ys.length - (ys.at(-1) + tileHeight > height);
  const insideColumns = xs.length - (xs.at(-1) + tileWidth > width);
  const copied = (ys.length * xs.length - insideRows * insideColumns) * tileHeight * tileWidth * batch;
  if (copied > Math.max(MAX_PADDED * unit ** 2, MAX_PADDING * height * width * batch)) {
    throw new PlanError(
      `tiles of ${tileWidth} x ${tileHeight} would be nearly all padding around a picture of ${width} x ${height}: ` +
        "use tiles of about the picture's size or smaller",
    );
  }
}

/** The layout that Python plans from the same whole numbers; PlanError, in its words, where there is none. */
export function planGrid({ height, width, tileHeight, tileWidth, overlap, multipleOf, unit = 1, batch = 1 }) {
  checkPlan(height, width, tileHeight, tileWidth, overlap, multipleOf);
  for (const [name, value] of [["tile_height", tileHeight], ["tile_width", tileWidth]]) {
    if (value % unit) {
      const low = Math.floor(value / unit) * unit;
      throw new PlanError(`${name} ${value} is not a whole number of latent cells of ${unit} px: use ${low || unit} or ${low + unit}`);
    }
  }
  const lattice = lcm(multipleOf, unit);
  const origins = [planAxis(height, tileHeight, overlap, lattice), planAxis(width, tileWidth, overlap, lattice)];
  const count = origins[0].length * origins[1].length;
  if (count > MAX_TILES) {
    throw new PlanError(
      `tiles of ${tileWidth} x ${tileHeight} with overlap ${overlap} cut a ${width} x ${height} picture into ` +
        `${count} tiles, more than ${MAX_TILES}: use a larger tile or a smaller overlap`,
    );
  }
  const layout = { canvas: [height, width], tile: [tileHeight, tileWidth], origins, unit, batch };
  checkPadding(layout);
  return layout;
}

const gridCount = ({ origins: [ys, xs] }) => ys.length * xs.length;
export const countOf = (layout) => gridCount(layout) + (layout.regions?.length ?? 0);

/** Whether tile `index` is here. */
export const isHere = (layout, index) => !layout.present || layout.present.includes(index);

/** Tile `index`, numbered row by row, regions after the grid: {y, x, height, width}. */
export function tileAt(layout, index) {
  const { tile: [height, width], origins: [ys, xs], regions } = layout;
  if (index >= gridCount(layout)) {
    const [y, x, h, w] = regions[index - gridCount(layout)];
    return { y, x, height: h, width: w };
  }
  return { y: ys[Math.floor(index / xs.length)], x: xs[index % xs.length], height, width };
}

/** The core of region `index` of the layout's regions: {y, x, height, width}. */
export function coreOf({ regions }, index) {
  const [y, x, height, width] = regions[index].slice(4);
  return { y, x, height, width };
}

/** The tile that lies topmost over a place [y, x] of the canvas; null where there is none. */
export function regionAt(layout, [y, x]) {
  for (let index = (layout.regions?.length ?? 0) - 1; index >= 0; index--) {
    const [top, left, height, width] = layout.regions[index];
    if (y >= top && y < top + height && x >= left && x < left + width) return gridCount(layout) + index;
  }
  return null;
}

/** [start, stop] of where neighbours change over along one axis (0: y, 1: x); the last tile may reach over the canvas. */
export function overlapsOf({ canvas, tile, origins, ramps }, axis) {
  if (ramps) return ramps[axis];
  return origins[axis].slice(1).map((start, i) => [start, Math.min(origins[axis][i] + tile[axis], canvas[axis])]);
}

/** Whether the tiles lie in the same places. */
const places = ({ canvas, tile, origins, regions, present }) => JSON.stringify([canvas, tile, origins, regions ?? [], present ?? null]);
export const sameLayout = (a, b) => places(a) === places(b);

function smallestOverlap({ tile, origins }, axis) {
  const gaps = origins[axis].slice(1).map((origin, i) => origins[axis][i] + tile[axis] - origin);
  return gaps.length ? gaps.reduce((a, b) => Math.min(a, b)) : null;
}

/** How many pixels along one axis only one tile covers. */
function alone({ canvas, tile, origins }, axis) {
  const size = canvas[axis];
  const all = origins[axis];
  return all.reduce((sum, _, i) => {
    const start = i ? Math.min(all[i - 1] + tile[axis], size) : 0;
    return sum + Math.max(0, (all[i + 1] ?? size) - start);
  }, 0);
}

/** n / d with that many digits, half rounded up. Whole numbers all the way: Python's text is the same to the digit. */
function decimal(n, d, digits) {
  const ten = 10n ** BigInt(digits);
  const scaled = (2n * BigInt(n) * ten + BigInt(d)) / (2n * BigInt(d));
  const whole = String(scaled / ten).replace(/\B(?=(\d{3})+$)/g, ",");
  return `${whole}.${String(scaled % ten).padStart(digits, "0")}`;
}

/** What Tile Split says of its layout, in the same lines as Python's `describe_split`. */
export function describe(layout, multipleOf = null) {
  const { canvas: [height, width], tile: [tileHeight, tileWidth], origins: [ys, xs], unit, batch } = layout;
  const count = countOf(layout);
  const overlaps = [smallestOverlap(layout, 1), smallestOverlap(layout, 0)].filter((one) => one != null).join(" x ");
  const area = height * width;
  const repeated = decimal(100 * (area - alone(layout, 0) * alone(layout, 1)), area, 1);
  // Apart, because their product may be more than a double holds exactly.
  const work = decimal(BigInt(count) * BigInt(tileHeight * tileWidth), area, 2);
  const lines = [
    `${count} tile${count > 1 ? "s" : ""} of ${tileWidth} x ${tileHeight} (${xs.length} x ${ys.length})`,
    (count > 1 ? `true overlap ${overlaps} px, ` : "") + `${repeated} % computed twice or more`,
    `${width} x ${height} px${batch > 1 ? `, batch ${batch}` : ""}, ${work} x the pixels to compute`,
  ];
  if (unit > 1) lines.push(`${unit} image pixels per latent cell`);
  else if (multipleOf && (tileWidth % multipleOf || tileHeight % multipleOf)) {
    lines.push(`the tile is not a multiple of ${multipleOf}: a VAE would crop it`);
  }
  return lines;
}

/** A layout from what a node sent; null where it is none. */
export function readLayout(record) {
  const whole = (value, least) => Number.isInteger(value) && value >= least && value <= MAX_LENGTH;
  const pair = (value) => Array.isArray(value) && value.length === 2;
  const list = (value, each) => Array.isArray(value) && value.length <= MAX_TILES && value.every(each);
  const axis = (value) => list(value, (one) => whole(one, 0));
  const region = (value) => list(value, (one) => whole(one, 0)) && value.length === 8;
  const sizes = [record?.canvas, record?.tile];
  if (!sizes.every((value) => pair(value) && value.every((one) => whole(one, 1)))) return null;
  if (!pair(record.origins) || !record.origins.every(axis)) return null;
  const { canvas, tile, origins, unit, batch, regions, present, ramps } = record;
  if (regions !== undefined && !list(regions, region)) return null;
  const count = countOf(record);
  if (count > MAX_TILES || (!count && !regions) || !whole(unit, 1) || !whole(batch, 1)) return null;
  if (present !== undefined && !list(present, (one) => whole(one, 0) && one < count)) return null;
  const place = (value) => pair(value) && value.every((one) => whole(one, 0));
  if (ramps !== undefined && !(pair(ramps) && ramps.every((of, i) => list(of, place) && of.length === origins[i].length - 1))) return null;
  const more = Object.entries({ regions, present, ramps }).filter(([, value]) => value !== undefined);
  return { canvas, tile, origins, unit, batch, ...Object.fromEntries(more) };
}
