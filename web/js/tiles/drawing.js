/** A picture with its grid or its seams, drawn into a canvas. All places are shares of the picture, 0 to 1. */

import { coreOf, countOf, cutsOf, isHere, overlapsOf, regionAt, tileAt } from "./layout.js";

const BACKGROUND = "#181818";
const SHADE = "rgba(255, 122, 46, 0.33)";
const LINE = "rgba(255, 255, 255, 0.82)";
const PLATE = "rgba(16, 18, 22, 0.67)";
const MARK = "#ffaa3c";
const REGION = "rgba(255, 170, 60, 0.95)";
const CHOSEN = "rgba(90, 200, 250, 0.95)";
const CHOSEN_FILL = "rgba(90, 200, 250, 0.22)";
const DIM = "rgba(0, 0, 0, 0.45)";
const MARGIN = 4;

/** By verdict; never by colour alone: seams are thick, doubtful ones dashed, what was not judged dotted. */
export const VERDICTS = {
  seam: { colour: "#ff3b30", width: 4, dash: [] },
  "edge or seam": { colour: "#ffb800", width: 4, dash: [7, 3] },
  clean: { colour: "#46c774", width: 1.5, dash: [] },
  "not judged": { colour: "#a0a0aa", width: 1.5, dash: [2, 3] },
};

/** Where a picture of `size` [height, width] lies in a canvas, as large as it can be: [x, y, width, height]. */
export function placeOf(canvas, [height, width], ratio) {
  const margin = MARGIN * ratio;
  const scale = Math.min((canvas.width - 2 * margin) / width, (canvas.height - 2 * margin) / height);
  const [w, h] = [Math.max(1, width * scale), Math.max(1, height * scale)];
  return [(canvas.width - w) / 2, (canvas.height - h) / 2, w, h];
}

/**
 * Draw `scene` {size, picture, layout, chosen, seams} afresh; `chosen` is a Set of tiles.
 *
 * @param {number} ratio canvas pixels per pixel of the screen
 * @param {number|null} marked index of the tile or seam that is pointed at
 * @returns {number[]|null} where the picture lies: [x, y, width, height] in canvas pixels
 */
export function draw(context, scene, ratio, marked) {
  const { canvas } = context;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = BACKGROUND;
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (!scene.size) return null;
  const place = placeOf(canvas, scene.size, ratio);
  context.fillStyle = "#2b2b2b";
  context.fillRect(...place);
  context.imageSmoothingQuality = "high";
  if (scene.picture) context.drawImage(scene.picture, ...place);
  if (scene.seams) drawSeams(context, scene, place, ratio, marked);
  else if (scene.layout) drawGrid(context, scene.layout, place, ratio, marked, scene.chosen);
  return place;
}

function drawGrid(context, layout, [left, top, width, height], ratio, marked, chosen) {
  const [fy, fx] = [height / layout.canvas[0], width / layout.canvas[1]];
  context.fillStyle = SHADE;
  for (const [start, stop] of overlapsOf(layout, 0)) context.fillRect(left, top + start * fy, width, Math.max(0, stop - start) * fy);
  for (const [start, stop] of overlapsOf(layout, 1)) context.fillRect(left + start * fx, top, Math.max(0, stop - start) * fx, height);
  context.strokeStyle = LINE;
  context.lineWidth = ratio;
  context.setLineDash([]);
  context.beginPath();
  for (const cut of cutsOf(layout, 0)) line(context, left, top + cut * fy, width, 0);
  for (const cut of cutsOf(layout, 1)) line(context, left + cut * fx, top, 0, height);
  context.stroke();
  // A tile that goes on at the other side is drawn twice, each time as far as the picture goes.
  const boxesOf = (tile) => {
    const [tall, wide] = layout.canvas;
    const ends = (start, length, size, wraps) =>
      (wraps && start + length > size ? [start, start - size] : [start]).map((at) => [Math.max(at, 0), Math.min(at + length, size)]);
    return ends(tile.y, tile.height, tall, layout.wrap[0]).flatMap(([y0, y1]) =>
      ends(tile.x, tile.width, wide, layout.wrap[1]).map(([x0, x1]) => [left + x0 * fx, top + y0 * fy, (x1 - x0) * fx, (y1 - y0) * fy]),
    );
  };
  const outline = (tile, colour, wide, dash = []) => {
    context.strokeStyle = colour;
    context.lineWidth = wide * ratio;
    context.setLineDash(dash.map((part) => part * ratio));
    for (const box of boxesOf(tile)) context.strokeRect(...box);
    context.setLineDash([]);
  };
  (layout.regions ?? []).forEach((_, index) => {
    outline(tileAt(layout, countOf(layout) - layout.regions.length + index), REGION, 2);
    outline(coreOf(layout, index), REGION, 1, [4, 3]);
  });
  if (chosen || layout.present) drawChosen(context, layout, chosen, boxesOf, outline, [left, top, width, height]);
  drawArrows(context, layout, [left, top, width, height], ratio);
  drawNumbers(context, layout, left, top, fy, fx, ratio);
  if (marked === null || marked >= countOf(layout)) return;
  outline(tileAt(layout, marked), MARK, 2);
}

/** The chosen tiles, or those that are here, are framed; all but the chosen ones lies in the dark. */
function drawChosen(context, layout, chosen, boxesOf, outline, place) {
  const numbers = [...(chosen ?? layout.present)];
  if (!chosen) {
    for (const number of numbers) outline(tileAt(layout, number), REGION, 2);
    return;
  }
  context.save();
  context.beginPath();
  context.rect(...place);
  // Holes, each drawn the other way round: what none of them covers is filled.
  for (const [x, y, w, h] of numbers.flatMap((number) => boxesOf(tileAt(layout, number)))) {
    context.moveTo(x, y);
    context.lineTo(x, y + h);
    context.lineTo(x + w, y + h);
    context.lineTo(x + w, y);
    context.closePath();
  }
  context.fillStyle = DIM;
  context.fill();
  context.restore();
  for (const number of numbers) {
    const tile = tileAt(layout, number);
    context.fillStyle = CHOSEN_FILL;
    for (const box of boxesOf(tile)) context.fillRect(...box);
    outline(tile, CHOSEN, 2);
  }
}

/** Where sides are joined: three arrows on either of them that point over the border. */
function drawArrows(context, { wrap }, [left, top, width, height], ratio) {
  const length = 8 * ratio;
  const arrow = (...corners) => {
    context.beginPath();
    corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.fill();
    context.stroke();
  };
  context.fillStyle = MARK;
  context.strokeStyle = BACKGROUND;
  for (const share of [0.25, 0.5, 0.75]) {
    const [x, y] = [left + share * width, top + share * height];
    for (const [tip, base] of wrap[1] ? [[left, left + length], [left + width, left + width - length]] : []) {
      arrow([tip, y], [base, y - 0.7 * length], [base, y + 0.7 * length]);
    }
    for (const [tip, base] of wrap[0] ? [[top, top + length], [top + height, top + height - length]] : []) {
      arrow([x, tip], [x - 0.7 * length, base], [x + 0.7 * length, base]);
    }
  }
}

function line(context, x, y, dx, dy) {
  context.moveTo(x, y);
  context.lineTo(x + dx, y + dy);
}

/** Numbers in the order of the list, in the middle of each tile; of tiles too small for that, of every second, third ... */
function drawNumbers(context, layout, left, top, fy, fx, ratio) {
  const [ys, xs] = layout.origins;
  const [height, width] = layout.canvas;
  if (!ys.length || layout.regions?.length) {
    drawRegionNumbers(context, layout, left, top, fy, fx, ratio);
    if (!ys.length) return;
  }
  const [cellHeight, cellWidth] = [(fy * height) / ys.length, (fx * width) / xs.length];
  const size = Math.max(9 * ratio, Math.min(22 * ratio, Math.min(cellHeight, cellWidth) / 3));
  context.font = `${size}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const plateWidth = context.measureText(String(ys.length * xs.length - 1)).width + 6 * ratio;
  const [rows, columns] = [everyOf(1.2 * size, cellHeight), everyOf(plateWidth, cellWidth)];
  for (let row = 0; row < ys.length; row += rows) {
    for (let column = 0; column < xs.length; column += columns) {
      const index = row * xs.length + column;
      if (!isHere(layout, index)) continue;
      const tile = tileAt(layout, index);
      const x = left + (layout.ramps ? ownMiddle(layout, 1, column) : middleOf(tile.x, tile.width, width, layout.wrap[1])) * fx;
      const y = top + (layout.ramps ? ownMiddle(layout, 0, row) : middleOf(tile.y, tile.height, height, layout.wrap[0])) * fy;
      plate(context, index, x, y, size, ratio);
    }
  }
}

function plate(context, index, x, y, size, ratio) {
  const half = context.measureText(String(index)).width / 2 + 3 * ratio;
  context.fillStyle = PLATE;
  context.fillRect(x - half, y - 0.6 * size, 2 * half, 1.2 * size);
  context.fillStyle = "#fff";
  context.fillText(String(index), x, y);
}

/** Numbers of regions, each in its upper left corner, where those of the grid below do not stand. */
function drawRegionNumbers(context, layout, left, top, fy, fx, ratio) {
  const first = countOf(layout) - layout.regions.length;
  const size = 11 * ratio;
  context.font = `${size}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  layout.regions.forEach((_, index) => {
    const tile = tileAt(layout, first + index);
    const half = context.measureText(String(first + index)).width / 2 + 4 * ratio;
    if (isHere(layout, first + index)) plate(context, first + index, left + tile.x * fx + half, top + tile.y * fy + 0.7 * size, size, ratio);
  });
}
/** The middle of a row's or column's own share of a grid whose tiles may overlap by much. */
function ownMiddle(layout, axis, index) {
  const ends = [0, ...cutsOf(layout, axis), layout.canvas[axis]];
  return (ends[index] + ends[index + 1]) / 2;
}

/** The middle of what of a tile lies on the picture; of one that goes on at the other side, where its middle is. */
const middleOf = (start, length, size, wraps) => (wraps ? (start + length / 2) % size : (start + Math.min(start + length, size)) / 2);

/** Which tiles have a number: every one where it leaves something of the tile to see. */
const everyOf = (plate, cell) => (cell >= 1.5 * plate ? 1 : Math.ceil((2.5 * plate) / cell));

function drawSeams(context, { seams, size }, place, ratio, marked) {
  context.fillStyle = DIM;
  context.fillRect(...place);
  context.lineCap = "butt";
  const stroke = (seam, width, colour, dash) => {
    const [x0, y0, x1, y1] = endsOf(seam, size, place);
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.setLineDash(dash.map((part) => part * ratio));
    context.beginPath();
    line(context, x0, y0, x1 - x0, y1 - y0);
    context.stroke();
  };
  for (const seam of [...seams].reverse()) {
    const { colour, width, dash } = VERDICTS[seam.verdict] ?? VERDICTS["not judged"];
    stroke(seam, width, colour, dash); // the worst are drawn last
  }
  const seam = seams[marked];
  if (!seam) return;
  const { colour, width, dash } = VERDICTS[seam.verdict] ?? VERDICTS["not judged"];
  stroke(seam, width + 6, "#fff", []);
  stroke(seam, width + 2, "#181818", []);
  stroke(seam, width + 2, colour, dash);
}

/** A seam's two ends in the canvas. */
function endsOf({ vertical, line: at, along: [start, stop] }, [height, width], [left, top, w, h]) {
  const [fx, fy] = [w / width, h / height];
  return vertical
    ? [left + at * fx, top + start * fy, left + at * fx, top + stop * fy]
    : [left + start * fx, top + at * fy, left + stop * fx, top + at * fy];
}

/** The seam nearest to a place in the canvas and not further than `reach` from it; null where there is none. */
export function seamAt({ seams, size }, place, [x, y], reach) {
  let best = null;
  let nearest = reach;
  seams.forEach((seam, index) => {
    const [x0, y0, x1, y1] = endsOf(seam, size, place);
    const dx = Math.max(x0 - x, 0, x - x1);
    const dy = Math.max(y0 - y, 0, y - y1);
    const distance = Math.hypot(dx, dy);
    if (distance < nearest) [best, nearest] = [index, distance];
  });
  return best;
}

/** The region that lies topmost at a place in the canvas, else the tile whose own share of the grid it lies in; null outside of all. */
export function tileUnder(layout, [left, top, width, height], [x, y]) {
  if (x < left || y < top || x >= left + width || y >= top + height) return null;
  const at = [((y - top) / height) * layout.canvas[0], ((x - left) / width) * layout.canvas[1]];
  const region = regionAt(layout, at);
  if (region !== null || !layout.origins[0].length) return region;
  const [row, column] = at.map((value, axis) => {
    const passed = cutsOf(layout, axis).filter((cut) => value >= cut).length;
    const count = layout.origins[axis].length;
    // The first cut of a joined axis is that of the last tile with the first one.
    return layout.wrap[axis] && count > 1 ? (passed + count - 1) % count : passed;
  });
  return row * layout.origins[1].length + column;
}
