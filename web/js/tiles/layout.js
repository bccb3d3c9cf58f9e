/**
 * Where the tiles are: the even plan of blending/layout/tile_layout.py, number for number and word for word.
 *
 * A layout here is {canvas: [height, width], tile: [height, width], origins: [ys, xs], unit, batch, wrap: [y, x]}, lengths in
 * source pixels: what the nodes send after a run too. Only after a run there may be `ramps` (of y and x, [start, stop] of where
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

/** The longest stride of `spread`. */
function longestStride(size, count, multipleOf) {
  const steps = Math.floor(size / multipleOf);
  const last = Math.floor(steps / count);
  return Math.max(Math.ceil((steps - last) / (count - 1)) * multipleOf, size - (steps - last) * multipleOf);
}

/** `count` origins around a line that is joined to itself; the last stride takes what the lattice leaves over. */
function spread(size, count, multipleOf) {
  const steps = Math.floor(size / multipleOf);
  const rest = steps - Math.floor(steps / count);
  return Array.from({ length: count }, (_, i) => (i ? multipleOf * Math.floor((i * rest) / (count - 1)) : 0));
}

/** Origins of equal tiles around `size` pixels that are joined to themselves. */
export function planCircle(size, tile, overlap, multipleOf) {
  if (tile > size) {
    throw new PlanError(
      `a tile of ${tile} px is longer than the ${size} px of the picture where it wraps around, and would show the same place ` +
        `twice: use ${size} or less, or set wrap to none`,
    );
  }
  if (tile === size && overlap === 0) return [0];
  const most = Math.min(Math.floor(size / multipleOf), MAX_TILES);
  for (let count = Math.max(2, Math.ceil(size / (tile - overlap))); count <= most; count++) {
    if (longestStride(size, count, multipleOf) <= tile - overlap) return spread(size, count, multipleOf);
  }
  throw new PlanError(
    `tile ${tile} with overlap ${overlap} moves on by ${tile - overlap} px, and ${size} px joined to themselves cannot be gone round in ` +
      `such steps on a lattice of ${multipleOf} px: use a smaller overlap, a larger tile, or a multiple_of that divides ${size}`,
  );
}

/** The shortest tile of which `count` cover `size` pixels. */
function tileForCount(name, size, count, overlap, multipleOf, wraps) {
  if (count === 1 && wraps) {
    if (overlap) throw new PlanError(`${name} 1 is a single tile, which cannot overlap itself where the picture wraps around: use 2 or more`);
    return size;
  }
  const steps = Math.ceil(size / multipleOf);
  const shared = Math.ceil(overlap / multipleOf);
  let tile = 0;
  let possible = true;
  if (wraps) {
    const room = count <= Math.floor(size / multipleOf);
    tile = room ? Math.ceil((longestStride(size, count, multipleOf) + overlap) / multipleOf) * multipleOf : 0;
    possible = tile <= size;
  } else {
    tile = Math.max(Math.ceil((steps + (count - 1) * shared) / count), shared + (count > 1 ? 1 : 0)) * multipleOf;
    possible = steps - tile / multipleOf >= count - 1;
  }
  if (!possible || !(tile > 0 && tile <= MAX_LENGTH)) {
    throw new PlanError(
      `${name} ${count} with overlap ${overlap} cannot cover ${size} px in steps of ${multipleOf} px: use fewer ${name}, a smaller ` +
        "overlap, or 0 to go by the tile's size",
    );
  }
  return tile;
}

/** Along one axis, by `count` where it is not 0. */
function originsAlong(size, tile, overlap, lattice, count, wraps) {
  if (!count) return (wraps ? planCircle : planAxis)(size, tile, overlap, lattice);
  if (wraps) return count > 1 ? spread(size, count, lattice) : [0];
  const steps = Math.max(0, Math.ceil((size - tile) / lattice));
  return Array.from({ length: count }, (_, i) => lattice * Math.floor((i * steps) / Math.max(count - 1, 1)));
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

function checkPadding({ canvas: [height, width], tile: [tileHeight, tileWidth], origins: [ys, xs], unit, batch, wrap }) {
  const insideRows = ys.length - (ys.at(-1) + tileHeight > height && !wrap[0]);
  const insideColumns = xs.length - (xs.at(-1) + tileWidth > width && !wrap[1]);
  const copied = (ys.length * xs.length - insideRows * insideColumns) * tileHeight * tileWidth * batch;
  if (copied > Math.max(MAX_PADDED * unit ** 2, MAX_PADDING * height * width * batch)) {
    throw new PlanError(
      `tiles of ${tileWidth} x ${tileHeight} would be nearly all padding around a picture of ${width} x ${height}: ` +
        "use tiles of about the picture's size or smaller",
    );
  }
}

/** The layout that Python plans from the same whole numbers; PlanError, in its words, where there is none. */
export function planGrid({
  height, width, tileHeight, tileWidth, overlap, multipleOf, unit = 1, batch = 1, wrap = [false, false], columns = 0, rows = 0,
}) {
  if (rows < 0 || columns < 0) {
    throw new PlanError(`rows ${rows} and columns ${columns} are numbers of tiles: use 1 or more, or 0 to go by the tile's size`);
  }
  const lattice = lcm(Math.max(multipleOf, 1), unit);
  // What a number of tiles overrules need make no sense.
  const [tall, wide] = [rows ? Math.max(tileHeight, overlap + 1) : tileHeight, columns ? Math.max(tileWidth, overlap + 1) : tileWidth];
  checkPlan(height, width, tall, wide, overlap, multipleOf);
  if (rows) tileHeight = tileForCount("rows", height, rows, overlap, lattice, wrap[0]);
  if (columns) tileWidth = tileForCount("columns", width, columns, overlap, lattice, wrap[1]);
  for (const [name, value] of [["tile_height", tileHeight], ["tile_width", tileWidth]]) {
    if (value % unit) {
      const low = Math.floor(value / unit) * unit;
      throw new PlanError(`${name} ${value} is not a whole number of latent cells of ${unit} px: use ${low || unit} or ${low + unit}`);
    }
  }
  const origins = [
    originsAlong(height, tileHeight, overlap, lattice, rows, wrap[0]),
    originsAlong(width, tileWidth, overlap, lattice, columns, wrap[1]),
  ];
  const count = origins[0].length * origins[1].length;
  if (count > MAX_TILES) {
    throw new PlanError(
      `tiles of ${tileWidth} x ${tileHeight} with overlap ${overlap} cut a ${width} x ${height} picture into ` +
        `${count} tiles, more than ${MAX_TILES}: use a larger tile or a smaller overlap`,
    );
  }
  const layout = { canvas: [height, width], tile: [tileHeight, tileWidth], origins, unit, batch, wrap };
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

/** The origins of an axis, and behind them that of the first tile once more where it is the last one's neighbour. */
function startsOf({ canvas, origins, wrap }, axis) {
  const all = origins[axis];
  return wrap[axis] && all.length > 1 ? [...all, all[0] + canvas[axis]] : all;
}

/**
 * [start, stop] of where neighbours change over along one axis (0: y, 1: x). The last tile may reach over the canvas; where it
 * wraps, what is behind the end is at the beginning.
 */
export function overlapsOf(layout, axis) {
  if (layout.ramps) return layout.ramps[axis];
  const { canvas: { [axis]: size }, tile: { [axis]: tile } } = layout;
  const starts = startsOf(layout, axis);
  return starts.slice(1).flatMap((place, i) => {
    const start = place % size;
    const stop = start + starts[i] + tile - place;
    return layout.wrap[axis] && stop > size ? [[start, size], [0, stop - size]] : [[start, Math.min(stop, size)]];
  });
}

/** The middle of every overlap along one axis, in order: where one tile's own share of the grid ends and the next one's begins. */
export function cutsOf(layout, axis) {
  if (!layout.wrap[axis]) return overlapsOf(layout, axis).map(([start, stop]) => (start + stop) / 2);
  const starts = startsOf(layout, axis);
  const middles = starts.slice(1).map((place, i) => ((starts[i] + layout.tile[axis] + place) / 2) % layout.canvas[axis]);
  return middles.sort((a, b) => a - b);
}

const places = ({ canvas, tile, origins, wrap, regions, present }) => JSON.stringify([canvas, tile, origins, wrap, regions ?? [], present ?? null]);
/** Whether the tiles lie in the same places. */
export const sameLayout = (a, b) => places(a) === places(b);

function smallestOverlap(layout, axis) {
  const starts = startsOf(layout, axis);
  const gaps = starts.slice(1).map((origin, i) => starts[i] + layout.tile[axis] - origin);
  return gaps.length ? gaps.reduce((a, b) => Math.min(a, b)) : null;
}

/** How many pixels along one axis only one tile covers. */
function alone({ canvas, tile, origins, wrap }, axis) {
  const size = canvas[axis];
  const all = origins[axis];
  if (wrap[axis]) {
    const ring = [all.at(-1) - size, ...all, all[0] + size];
    return all.reduce((sum, _, i) => sum + Math.max(0, ring[i + 2] - ring[i] - tile[axis]), 0);
  }
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
  const sides = [["left to right", layout.wrap[1]], ["top to bottom", layout.wrap[0]]].filter(([, wraps]) => wraps).map(([words]) => words);
  if (sides.length) lines.push(`wraps around: ${sides.join(" and ")}`);
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
  const wrap = pair(record.wrap) ? record.wrap.map(Boolean) : [false, false];
  return { canvas, tile, origins, unit, batch, wrap, ...Object.fromEntries(more) };
}
