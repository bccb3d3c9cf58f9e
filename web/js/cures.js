/** What the editor can do about a diagnosis: nodes added, wired and set, as one step that can be undone. */

import { putValue } from "./advice_row.js";
import { above, comesFrom, feederOf, inputOf, isConnected, originOf, valueOf } from "./sources.js";
import { givesPicture, plannerOf } from "./tiles/wiring.js";

const LEAST_OVERLAP = 16;
// With room for all it will show: a node that grows a moment after it was added is a step of its own for undo.
const MATCH_SIZE = [340, 280];

const slotOf = (node, name) => node.inputs.indexOf(inputOf(node, name));
const wire = (from, to, name) => from.node.connect(from.slot, to, slotOf(to, name));

/** The Seam Blend that made the picture of a Seam Check, and what stands around it; null where that is not plain to see. */
function around(check) {
  const { found } = above(check, "image", givesPicture);
  const blend = found.length === 1 && found[0].node.comfyClass === "TileworkSeamBlend" ? found[0].node : null;
  const layout = blend && originOf(blend, "layout")?.node;
  const split = layout && plannerOf(layout);
  if (!split || [blend, split].some((node) => node.graph !== check.graph) || split.comfyClass !== "TileworkTileSplit") return null;
  const original = (isConnected(check, "reference") && feederOf(check, "reference")) || feederOf(split, "image");
  const [tiles, plan] = [feederOf(blend, "tiles"), feederOf(blend, "layout")];
  if (!original || comesFrom(original.node, blend)) return null;
  return tiles && plan ? { blend, split, original, tiles, plan } : null;
}

/** Where tiles do not overlap nothing can be blended: an eighth of the tile. */
function widen(split) {
  const sides = ["tile_width", "tile_height"].map((name) => valueOf(split, name));
  if (!(valueOf(split, "overlap") < LEAST_OVERLAP) || isConnected(split, "overlap") || !sides.every(Number.isInteger)) return;
  putValue(split, "overlap", Math.max(LEAST_OVERLAP, 8 * Math.round(Math.min(...sides) / 64)));
}

/** Color Match before Seam Blend, both with the original as reference. */
function alignTone({ blend, split, original, tiles, plan }) {
  widen(split);
  let match = tiles.node;
  if (match.comfyClass !== "TileworkColorMatch") {
    match = LiteGraph.createNode("TileworkColorMatch");
    match.setSize(MATCH_SIZE.map((side, i) => Math.max(side, match.size[i])));
    match.pos = [blend.pos[0] - match.size[0] - 60, blend.pos[1] + blend.size[1] + 80];
    blend.graph.add(match);
    wire(tiles, match, "images");
    match.connect(0, blend, slotOf(blend, "tiles"));
  }
  wire(plan, match, "layout");
  putValue(match, "method", "gain compensation");
  putValue(blend, "method", "gradient");
  for (const node of [match, blend]) wire(original, node, "reference");
}

const ACTIONS = {
  "align tone": ["Add and wire it", alignTone],
  "optimal seam": ["Set it", ({ blend, split }) => (widen(split), putValue(blend, "method", "optimal seam"))],
  "connect reference": ["Connect it", ({ original }, check) => wire(original, check, "reference")],
};

/** {label, act} for what the server calls `action`; {} where the editor cannot do it. */
export function cureOf(check, action) {
  const [label, act] = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : [];
  return act && around(check) ? { label, act: () => act(around(check), check) } : {};
}

/** By node: its outputs, and in which inputs of which nodes they belong. */
const OUTPUTS = {
  TileworkReceptiveField: [
    { to: ["TileworkTileSplit", "TileworkTiledUpscale"], outputs: { overlap: 1 } },
    { to: ["TileworkSeamBlend"], outputs: { trim: 2 } },
  ],
  TileworkTileSize: [
    {
      to: ["TileworkTileSplit", "TileworkTiledUpscale", "TileworkLatentTileDenoise", "TileworkTiledModel"],
      outputs: { tile_width: 0, tile_height: 1, overlap: 2 },
    },
  ],
};

/** {label, act} that connects a node's sizes where they belong; null where that is no single place, or is done already. */
export function connection(node) {
  const wires = [];
  // A VAE's figures are for the tiled VAE nodes, which take them by themselves.
  if (node.comfyClass === "TileworkReceptiveField" && isConnected(node, "vae")) return null;
  for (const { to, outputs } of OUTPUTS[node.comfyClass] ?? []) {
    const targets = (node.graph?._nodes ?? []).filter((one) => to.includes(one.comfyClass));
    if (targets.length !== 1 || comesFrom(node, targets[0])) continue;
    for (const [name, slot] of Object.entries(outputs)) if (!isConnected(targets[0], name)) wires.push([slot, targets[0], name]);
  }
  if (!wires.length) return null;
  return { label: "Connect them", act: () => wires.forEach(([slot, to, name]) => wire({ node, slot }, to, name)) };
}
