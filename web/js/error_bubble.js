/**
 * Errors of nodes that cannot show them now: collapsed ones, and those inside of a subgraph that is not open.
 *
 * The words stand below the node on the screen, or below the subgraph's, and go along with it.
 */

import { app } from "../../../scripts/app.js";
import { addStyle, element, say } from "./node_pane.js";
import { allErrors } from "./run_errors.js";

const LOOK_EVERY = 100; // ms
const OURS = /^Tilework/;
const STYLE = `
.tilework-bubble { position: fixed; max-width: 340px; padding: 4px 8px; border-radius: 6px; background: #2b1512; color: #ff7b72; font: 600 11px/1.35 sans-serif;
  white-space: pre-line; overflow-wrap: anywhere; pointer-events: none; z-index: 10; }
`;

/** The node under which the error has to stand, or null where the node shows it by itself or is not in view. */
function standsFor(nodes) {
  const node = nodes.at(-1);
  if (!OURS.test(node?.comfyClass ?? "")) return null;
  const shown = nodes.find((one) => one?.graph === app.canvas.graph);
  return shown && (shown !== node || node.flags?.collapsed) ? shown : null;
}

function place(bubble, node) {
  const box = app.canvas.canvas.getBoundingClientRect();
  const { scale, offset } = app.canvas.ds;
  const below = node.flags?.collapsed ? 6 : node.size[1] + 6;
  bubble.style.left = `${box.left + (node.pos[0] + offset[0]) * scale}px`;
  bubble.style.top = `${box.top + (node.pos[1] + below + offset[1]) * scale}px`;
}

app.registerExtension({
  name: "tilework.errorBubble",
  init: () => addStyle(STYLE),
  setup() {
    const bubbles = [];
    setInterval(() => {
      const shown = allErrors().map(([nodes, text]) => [standsFor(nodes), text, nodes.at(-1)]).filter(([node]) => node);
      while (bubbles.length > shown.length) bubbles.pop().remove();
      shown.forEach(([node, text, source], i) => {
        bubbles[i] ??= document.body.appendChild(element("div", "tilework-bubble"));
        bubbles[i].setAttribute("role", "alert");
        say(bubbles[i], node === source ? text : `${source.title || source.type}: ${text}`);
        place(bubbles[i], node);
      });
    }, LOOK_EVERY);
  },
});
