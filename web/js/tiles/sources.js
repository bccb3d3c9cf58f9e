/** What a node will get, found by following its links before anything runs. */

import { app } from "../../../../scripts/app.js";

/** A value or size that only a run can tell. */
export const UNKNOWN = Symbol("unknown");

const SUBGRAPH_INPUT = -10; // a number or a text, by version
const MOST_STEPS = 200;
const BYPASSED = 4;
const NEVER = 2;
const LOADERS = new Set(["LoadImage", "LoadImageOutput"]);
// Nodes that make a picture or a latent of the size that their widgets say.
const MAKERS = { EmptyImage: null, EmptyLatentImage: 8, EmptySD3LatentImage: 8 };
const WHOLE_NUMBERS = new Set(["PrimitiveNode", "PrimitiveInt"]);

const linkOf = (graph, id) => (id == null ? null : (graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id] ?? null));

/** The subgraph nodes that stand for `graph`. */
function hostsOf(graph) {
  const root = graph.rootGraph ?? app.graph;
  const graphs = [root, ...(root.subgraphs?.values?.() ?? [])];
  return graphs.flatMap((one) => (one._nodes ?? one.nodes ?? []).filter((node) => node.subgraph === graph));
}

/**
 * The end of the way back from `input`: {node, slot} of the output that feeds it, {node, widget} where it is a value of a
 * subgraph's own, or null. Reroutes, bypassed nodes and the borders of subgraphs are passed through.
 */
function follow(graph, input) {
  const inside = [];
  for (let step = 0; input && step < MOST_STEPS; step++) {
    const link = linkOf(graph, input.link);
    if (!link) return step && input.widget ? { node: input.owner, widget: input.widget.name } : null;
    if (Number(link.origin_id) === SUBGRAPH_INPUT) {
      // Where several nodes share the subgraph, and none of them was come from, no one of them is meant.
      const hosts = inside.length ? [inside.pop()] : hostsOf(graph);
      if (hosts.length !== 1) return null;
      const [host] = hosts;
      graph = host.graph;
      input = withOwner(host, host.inputs[link.origin_slot]);
      continue;
    }
    const node = graph.getNodeById(link.origin_id);
    const slot = link.origin_slot;
    if (!node || node.mode === NEVER) return null;
    if (node.type === "Reroute") input = node.inputs[0];
    else if (node.mode === BYPASSED) input = passed(node, slot);
    else if (node.subgraph) {
      inside.push(node);
      graph = node.subgraph;
      input = { link: graph.outputs?.[slot]?.linkIds?.[0] };
    } else return { node, slot };
  }
  return null;
}

const withOwner = (owner, input) => input && { link: input.link, widget: input.widget, owner };

/** The input that a bypassed node hands to that output. */
function passed(node, slot) {
  const type = node.outputs[slot]?.type;
  return node.inputs?.[slot]?.type === type ? node.inputs[slot] : node.inputs?.find((input) => input.type === type);
}

const inputOf = (node, name) => node.inputs?.find((input) => (input.widget?.name ?? input.name) === name);
const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name);

export const isConnected = (node, name) => inputOf(node, name)?.link != null;

/** The node and output that feed the input `name`; null where nothing does. */
export const originOf = (node, name) => (isConnected(node, name) ? follow(node.graph, inputOf(node, name)) : null);

/** Which node and output that is, as text: what came from elsewhere before says nothing any more. */
export function originKey(node, name) {
  const origin = originOf(node, name);
  return origin ? `${origin.node.graph?.id} ${origin.node.id} ${origin.slot}` : "";
}

/** The value of the widget `name`, or of the primitive that is connected to it; UNKNOWN where only a run can tell. */
export function valueOf(node, name) {
  if (!isConnected(node, name)) return widgetOf(node, name)?.value;
  const origin = originOf(node, name);
  if (origin?.widget) return widgetOf(origin.node, origin.widget)?.value;
  return WHOLE_NUMBERS.has(origin?.node.type) ? valueOf(origin.node, origin.node.widgets?.[0]?.name) : UNKNOWN;
}

/**
 * The picture or latent that comes to the input `name`: {file} for a Load Image's, {size: [height, width], unit} in pixels,
 * UNKNOWN, or null where nothing is connected.
 */
export function pictureOf(node, name) {
  if (!isConnected(node, name)) return null;
  const origin = originOf(node, name);
  if (LOADERS.has(origin?.node.type) && origin.slot === 0) {
    const file = fileOf(valueOf(origin.node, "image"));
    return file ? { file } : UNKNOWN;
  }
  if (!origin || !(origin.node.type in MAKERS)) return UNKNOWN;
  const unit = MAKERS[origin.node.type];
  const size = ["height", "width"].map((side) => valueOf(origin.node, side));
  if (!size.every((side) => Number.isInteger(side) && side > 0)) return UNKNOWN;
  return { size: unit ? size.map((side) => Math.floor(side / unit) * unit) : size, unit };
}

/** A Load Image's value, such as "folder/name.png [output]", as the server wants it. */
function fileOf(value) {
  const parts = typeof value === "string" && /^(?:(.*)\/)?([^/]+?)(?: \[(input|output|temp)\])?$/.exec(value);
  return parts ? { filename: parts[2], subfolder: parts[1] ?? "", type: parts[3] ?? "input" } : null;
}
