/**
 * What went wrong, kept for the node that said it until the next run: the host shows it in a window that is soon closed.
 */

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { keyOf } from "./node_pane.js";

const LONGEST = 1200;
const sentences = new Map();

const rootGraph = () => app.rootGraph ?? app.graph?.rootGraph ?? app.graph;

/** The nodes that the host means by an id such as "7:3": that of a subgraph's node stands before the one inside. */
export function nodesOf(id) {
  let graph = rootGraph();
  return String(id)
    .split(":")
    .map((part) => {
      const node = graph?.getNodeById?.(part) ?? graph?.getNodeById?.(Number(part)) ?? null;
      graph = node?.subgraph;
      return node;
    });
}

/** What the host refused before the run, as the node's own words where it has some. */
function refusal({ errors }) {
  const said = Array.isArray(errors) ? errors.filter((one) => one && typeof one === "object") : [];
  return said.map(({ type, message, details }) => {
    const words = [message, details].filter((part) => typeof part === "string" && part);
    // Of the node's own check the host makes "name - sentence".
    return type === "custom_validation_failed" && words[1] ? words[1].replace(/^\w+ - /, "") : words.join(": ");
  }).join("\n");
}

/** The sentence that `node` failed with in the last run, or was refused with before it; empty where it was not. */
export function errorOf(node) {
  const failed = sentences.get(keyOf(node));
  if (failed) return failed.text;
  for (const [id, refused] of Object.entries(app.lastNodeErrors ?? {})) {
    if (nodesOf(id).at(-1) === node) return refusal(refused).slice(0, LONGEST);
  }
  return "";
}

/** [nodes from the outermost on, sentence] of everything that stands there now. */
export function allErrors() {
  const refused = Object.entries(app.lastNodeErrors ?? {}).map(([id, one]) => [nodesOf(id), refusal(one).slice(0, LONGEST)]);
  return [...[...sentences.values()].map(({ nodes, text }) => [nodes, text]), ...refused];
}

api.addEventListener("execution_start", () => sentences.clear());
api.addEventListener("execution_error", ({ detail }) => {
  const nodes = nodesOf(detail?.node_id);
  const text = String(detail?.exception_message ?? "").trim().slice(0, LONGEST);
  const node = nodes.at(-1);
  if (node && text) sentences.set(keyOf(node), { nodes, text });
});
