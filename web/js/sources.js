/** What a node will get, found by following its links before anything runs. */

import { app } from "../../../scripts/app.js";

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

/** The Set node of a pair (KJNodes, rgthree and others have them): the one of that name in this graph, or in one around it. */
function setterOf(getter) {
  const name = getter.widgets?.[0]?.value;
  const named = (node) => node.type === "SetNode" && node.widgets?.[0]?.value === name;
  for (let graph = getter.graph; graph; graph = hostsOf(graph)[0]?.graph) {
    const found = (graph._nodes ?? graph.nodes ?? []).find(named);
    if (found) return found;
  }
  return null;
}

/**
 * The end of the way back from `input`: {node, slot} of the output that feeds it, {node, widget} where it is a value of a
 * subgraph's own, {off: node} where a node that is bypassed or muted gives nothing, or null. Reroutes, Get and Set nodes,
 * bypassed nodes and the borders of subgraphs are passed through; `bypassed` takes the bypassed ones.
 */
function follow(graph, input, bypassed = []) {
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
    if (!node) return null;
    if (node.mode === NEVER) return { off: node };
    if (node.type === "Reroute" || node.type === "SetNode") input = node.inputs?.[0];
    else if (node.type === "GetNode") {
      const setter = setterOf(node);
      graph = setter?.graph ?? graph;
      input = setter?.inputs?.[0];
    } else if (node.mode === BYPASSED) {
      bypassed.push(node);
      input = passed(node, slot);
      if (input?.link == null) return { off: node };
    } else if (node.subgraph) {
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

export const inputOf = (node, name) => node.inputs?.find((input) => (input.widget?.name ?? input.name) === name);
const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name);

export const isConnected = (node, name) => inputOf(node, name)?.link != null;

/** The node and output that feed the input `name`; null where nothing does. */
/** The nodes that take output `slot` directly. */
export const takersOf = (node, slot) =>
  (node.outputs?.[slot]?.links ?? []).map((id) => node.graph?.getNodeById?.(linkOf(node.graph, id)?.target_id)).filter(Boolean);

export const originOf = (node, name) => {
  const end = isConnected(node, name) ? follow(node.graph, inputOf(node, name)) : null;
  return end?.off ? null : end;
};

/** The node and output at the other end of the one wire to the input `name`, in the same graph; null where there is none. */
export function feederOf(node, name) {
  const link = isConnected(node, name) ? linkOf(node.graph, inputOf(node, name).link) : null;
  const from = link && Number(link.origin_id) !== SUBGRAPH_INPUT ? node.graph.getNodeById(link.origin_id) : null;
  return from && { node: from, slot: link.origin_slot };
}

/** The bypassed or muted node because of which nothing comes to the input `name`; null where that is not so. */
export const offAbove = (node, name) => (isConnected(node, name) ? (follow(node.graph, inputOf(node, name))?.off ?? null) : null);

/** The names of the inputs that a run needs. */
export const requiredInputs = (node) => Object.keys(node.constructor?.nodeData?.input?.required ?? {});

/** Those of them that have nothing and are no widgets. */
export function missingInputs(node) {
  return requiredInputs(node).filter((name) => inputOf(node, name) && !inputOf(node, name).widget && inputOf(node, name).link == null);
}

/**
 * The nearest outputs above the input `name` for which `ends` is true, through whatever stands between.
 *
 * @returns {{found: {node, slot}[], off: object[]}} `off`: nodes on the way that are bypassed or muted
 */
export function above(node, name, ends) {
  const [found, off, seen] = [[], [], new Set()];
  const ways = isConnected(node, name) ? [[node.graph, inputOf(node, name)]] : [];
  while (ways.length && seen.size < MOST_STEPS) {
    const end = follow(...ways.shift(), off);
    if (end?.off) off.push(end.off);
    if (!end?.node || end.widget || seen.has(`${end.node.graph?.id} ${end.node.id} ${end.slot}`)) continue;
    seen.add(`${end.node.graph?.id} ${end.node.id} ${end.slot}`);
    if (ends(end)) found.push(end);
    else for (const input of end.node.inputs ?? []) if (input.link != null) ways.push([end.node.graph, input]);
  }
  return { found, off };
}

/** Whether `node` takes anything from `other`, directly or through others: a wire back to `other` would close a circle. */
export function comesFrom(node, other) {
  const [left, seen] = [[node], new Set()];
  while (left.length && seen.size < MOST_STEPS) {
    const one = left.pop();
    if (one === other) return true;
    if (seen.has(one)) continue;
    seen.add(one);
    for (const input of one.inputs ?? []) {
      const end = input.link == null ? null : follow(one.graph, input);
      if (end?.node) left.push(end.node);
    }
  }
  return false;
}

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
export function fileOf(value) {
  const parts = typeof value === "string" && /^(?:(.*)\/)?([^/]+?)(?: \[(input|output|temp)\])?$/.exec(value);
  return parts ? { filename: parts[2], subfolder: parts[1] ?? "", type: parts[3] ?? "input" } : null;
}
