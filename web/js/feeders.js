/** The nodes that a node waits for, added and wired by one click: a loader for what it needs, a Save Image for what it makes. */

import { missingInputs } from "./sources.js";

const FEEDERS = { UPSCALE_MODEL: "UpscaleModelLoader", IMAGE: "LoadImage", VAE: "VAELoader" };
/** Nodes whose pictures come straight from a file as a rule; what the last of them makes is the result. */
const FED = { TileworkTileSplit: false, TileworkTiledUpscale: true, TileworkTiledVAEEncode: false };
const GAP = 60;
// Room for what they will show: a node that grows a moment after it was added is a step of its own for undo.
const SIZES = { LoadImage: [320, 420], SaveImage: [320, 420] };
const LEAST_SIZE = [320, 130];

/** {text, label, act} where all that the node waits for can be added; null else. */
export function feedersFor(node) {
  const missing = node.comfyClass in FED ? waiting(node) : [];
  if (!missing.length || !missing.every(({ type }) => LiteGraph.registered_node_types[FEEDERS[type]])) return null;
  return { text: "", label: missing.length > 1 ? "Add them" : "Add it", act: () => feed(node) };
}

const waiting = (node) => missingInputs(node).map((name) => node.inputs.find((input) => input.name === name));

function feed(node) {
  let [x, y] = node.pos;
  for (const input of waiting(node)) {
    const from = added(node, FEEDERS[input.type], (size) => [x - size[0] - GAP, y]);
    from.connect(0, node, node.inputs.indexOf(input));
    y += from.size[1] + GAP;
  }
  if (!FED[node.comfyClass] || node.outputs[0].links?.length) return;
  const save = added(node, "SaveImage", () => [x + node.size[0] + GAP, node.pos[1]]);
  node.connect(0, save, save.inputs.findIndex((input) => input.type === "IMAGE"));
}

function added(node, type, place) {
  const one = LiteGraph.createNode(type);
  one.setSize((SIZES[type] ?? LEAST_SIZE).map((side, i) => Math.max(side, one.size[i])));
  one.pos = place(one.size);
  node.graph.add(one);
  return one;
}
