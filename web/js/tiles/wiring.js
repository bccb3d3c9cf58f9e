/** Wires that do not fit together, found before anything runs: after 81 tiles it would be late. */

import { above, isConnected, missingInputs, offAbove, originOf, requiredInputs } from "../sources.js";

const SPLITS = new Set(["TileworkTileSplit", "TileworkLatentTileSplit"]);
const BLENDS = new Set(["TileworkSeamBlend", "TileworkLatentSeamBlend"]);
/** Nodes that plan for parts of a picture. */
const PLACES = new Set(["TileworkSelectTiles", "TileworkMaskTiles", "TileworkObjectTiles"]);
const MOST_LAYOUTS = 8;
const MUTED = 2;

/** Inputs that take the tiles of the layout at `layout`; those that take a whole picture, blended with it or not. */
const JOINTS = {
  TileworkSeamBlend: { tiles: ["tiles"], pictures: ["reference", "base"] },
  TileworkLatentSeamBlend: { tiles: ["tiles"], pictures: [] },
  TileworkAlignTiles: { tiles: ["tiles"], pictures: ["reference"] },
  TileworkColorMatch: { tiles: ["images"], pictures: ["reference"] },
  TileworkTilePrompts: { tiles: ["tile_conditioning"], pictures: [] },
  TileworkSeamCheck: { tiles: ["tiles"], pictures: ["image", "reference"] },
};

/** Nodes of which one of several inputs is enough. */
const ONE_OF = {
  TileworkReceptiveField: ["upscale_model", "vae"],
  TileworkTileSize: ["upscale_model", "vae", "model"],
  TileworkObjectTiles: ["mask", "boxes"],
};

const givesTiles = ({ node, slot }) => SPLITS.has(node.comfyClass) && slot === 0;
export const givesPicture = ({ node, slot }) => BLENDS.has(node.comfyClass) && slot === 0;

/** A node's name and number, as the editor shows them. */
const called = (node) => `${node.title || node.type} (#${node.id})`;

/** The node that a layout was planned by: a Tile Split may have it from another one. */
export function plannerOf(node) {
  for (let step = 0; step < MOST_LAYOUTS && SPLITS.has(node.comfyClass); step++) {
    const next = originOf(node, "layout")?.node;
    if (!next) break;
    node = next;
  }
  return node;
}

const list = (names, word) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} ${word} ${names.at(-1)}` : names[0]);

/** Which wires the node waits for, as a sentence; empty where all are there. */
export function waitsFor(node) {
  const choice = ONE_OF[node.comfyClass];
  if (choice && !choice.some((name) => isConnected(node, name))) return `Connect ${list(choice, "or")}.`;
  const missing = missingInputs(node);
  return missing.length ? `Connect ${list(missing, "and")}.` : "";
}

/** What is wrong with the wires that are there, as a sentence; empty where nothing is. */
export function wrongWires(node) {
  return switchedOff(node) || apart(node);
}

const how = (node) => (node.mode === MUTED ? "muted" : "bypassed");

function switchedOff(node) {
  // What is optional is simply not there then, but for a layout, which nobody connects for nothing.
  for (const name of new Set([...requiredInputs(node), "layout"])) {
    const off = offAbove(node, name);
    if (off) return `"${name}" comes from ${called(off)}, which is ${how(off)} and gives nothing: switch it on again, or connect another node.`;
  }
  return "";
}

function apart(node) {
  const joint = JOINTS[node.comfyClass];
  if (!joint) return "";
  for (const name of joint.pictures) {
    const { found } = above(node, name, (end) => givesTiles(end) || givesPicture(end));
    const split = found.length && found.every(givesTiles) ? found[0].node : null;
    if (split) return `"${name}" gets the tiles of ${called(split)}: connect the whole picture, ${name === "image" ? "from Seam Blend" : "the one that was split for instance"}.`;
  }
  const layout = originOf(node, "layout")?.node;
  return layout ? ofAnother(node, joint, layout) : "";
}

/** Tiles, or a blended picture, that belong to another layout than the one that is connected. */
function ofAnother(node, joint, layout) {
  const planner = plannerOf(layout);
  for (const name of joint.tiles) {
    const { found, off } = above(node, name, givesTiles);
    const split = found.length ? null : off.find((one) => SPLITS.has(one.comfyClass));
    if (split) return `"${name}" comes from ${called(split)}, which is ${how(split)} and cuts nothing: switch it on again.`;
    if (found.length && !found.some((end) => plannerOf(end.node) === planner)) {
      return `"${name}" comes from ${called(found[0].node)} and "layout" from ${called(layout)}: connect the layout of the one that cut the tiles.`;
    }
  }
  if (!joint.pictures.includes("image")) return "";
  const { found } = above(node, "image", givesPicture);
  const others = found.map((end) => originOf(end.node, "layout")?.node).filter(Boolean);
  // What was put into a picture in places is that picture, and is checked by the grid of the whole.
  if (others.some((one) => PLACES.has(plannerOf(one).comfyClass))) return "";
  if (!others.length || others.some((one) => plannerOf(one) === planner)) return "";
  return `"image" was blended by ${called(found[0].node)} with the layout of ${called(others[0])}, and "layout" comes from ${called(layout)}: connect the same layout to both.`;
}
