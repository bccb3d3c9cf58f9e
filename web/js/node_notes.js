/**
 * A few words in nodes that have no picture of their own: which wire they wait for, which one is wrong, and what they failed with.
 */

import { app } from "../../../scripts/app.js";
import { addStyle, attach, element, NodePane, say } from "./node_pane.js";
import { errorOf } from "./run_errors.js";
import { waitsFor, wrongWires } from "./tiles/wiring.js";

const LOOK_EVERY = 120; // ms
const STYLE = `
.tilework-notes { width: 100%; box-sizing: border-box; font: 11px/1.35 sans-serif; color: var(--input-text, #ddd); white-space: pre-line;
  overflow-wrap: anywhere; }
.tilework-notes div:empty { display: none; }
.tilework-notes .tilework-error { color: #d93025; font-weight: 600; }
.dark-theme .tilework-notes .tilework-error { color: #ff7b72; }
`;
const NODES = new Set([
  "TileworkColorMatch",
  "TileworkLatentTileDenoise",
  "TileworkTiledModel",
  "TileworkTilePrompts",
  "TileworkReceptiveField",
  "TileworkTileSize",
]);

class NotePane extends NodePane {
  constructor(node) {
    super(node, "tilework-notes", LOOK_EVERY);
    this.height = 0;
    this.text = element("div");
    this.text.setAttribute("role", "status");
    // A root that is nowhere is never seen: a pixel is left where there is nothing to say.
    this.root.style.minHeight = "1px";
    this.root.append(this.text);
    this.widget = node.addDOMWidget("tilework_notes", "TILEWORK_NOTES", this.root, {
      serialize: false,
      hideInPanel: true,
      getValue: () => "",
      setValue: () => {},
      getMinHeight: () => this.height,
      getMaxHeight: () => this.height,
      hideOnZoom: false,
    });
    this.widget.serialize = false;
    this.widget.notePane = this;
    this.watch();
  }

  frame() {
    const error = errorOf(this.node) || wrongWires(this.node);
    say(this.text, error || waitsFor(this.node));
    this.text.classList.toggle("tilework-error", Boolean(error));
    const height = this.text.textContent ? this.text.offsetHeight + 4 : 1;
    if (height !== this.height) this.grow(height);
  }

  /** As high as the words are; the node goes along with it. */
  grow(height) {
    const { node } = this;
    const more = height - this.height;
    this.height = height;
    if (!node.flags?.collapsed) node.setSize([node.size[0], Math.max(node.size[1] + more, node.computeSize()[1])]);
    node.graph?.setDirtyCanvas?.(true, true);
  }
}

app.registerExtension({
  name: "tilework.nodeNotes",
  init: () => addStyle(STYLE),
  nodeCreated(node) {
    if (NODES.has(node.comfyClass)) attach(node, new NotePane(node), () => {});
  },
  loadedGraphNode(node) {
    node.widgets?.find((widget) => widget.notePane)?.notePane.takeOver();
  },
});
