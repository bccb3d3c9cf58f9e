/**
 * A few words in nodes that have no overlay: which wire they wait for, which one is wrong, what they failed with, what their sizes
 * cost, and what to do with what the last run found out.
 */

import { app } from "../../../scripts/app.js";
import { AdviceRow } from "./advice_row.js";
import { connection } from "./cures.js";
import { addStyle, attach, element, keyOf, NodePane, say } from "./node_pane.js";
import { errorOf } from "./run_errors.js";
import { costOf } from "./tiles/cost.js";
import { waitsFor, wrongWires } from "./tiles/wiring.js";

const NOTE_KEY = "tilework_note";
const LOOK_EVERY = 120; // ms
const STYLE = `
.tilework-notes { width: 100%; box-sizing: border-box; font: 11px/1.35 sans-serif; color: var(--input-text, #ddd); white-space: pre-line;
  overflow-wrap: anywhere; }
.tilework-notes > div:first-child:empty { display: none; }
.tilework-notes .tilework-error { color: #d93025; font-weight: 600; }
.dark-theme .tilework-notes .tilework-error { color: #ff7b72; }
`;
const NODES = new Set([
  "TileworkColorMatch",
  "TileworkAlignTiles",
  "TileworkDiffMerge",
  "TileworkFidelityCheck",
  "TileworkMergeDetections",
  "TileworkMergeMasks",
  "TileworkPutTile",
  "TileworkTileAt",
  "TileworkLatentTileDenoise",
  "TileworkTiledModel",
  "TileworkTilePrompts",
  "TileworkReceptiveField",
  "TileworkTileSize",
]);

/** What runs said last, by graph and node: a node is made anew at every undo. */
const notes = new Map();

class NotePane extends NodePane {
  constructor(node) {
    super(node, "tilework-notes", LOOK_EVERY);
    this.height = 1;
    this.text = element("div");
    this.text.setAttribute("role", "status");
    // A root that is nowhere is never seen: a pixel is left where there is nothing to say.
    this.root.style.minHeight = "1px";
    this.advice = new AdviceRow(node);
    this.root.append(this.text, this.advice.root);
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
    const error = wrongWires(this.node) || errorOf(this.node);
    const waits = waitsFor(this.node);
    const note = notes.get(keyOf(this.node));
    const cost = error || waits ? null : costOf(this.node);
    say(this.text, error || waits || note || cost?.text || "");
    this.text.classList.toggle("tilework-error", Boolean(error));
    this.advice.show(error || waits ? null : (cost?.advice ?? this.places(note)));
    const shown = this.text.textContent || this.advice.advice;
    const height = shown ? this.text.offsetHeight + this.advice.root.offsetHeight + 4 : 1;
    if (height !== this.height) this.grow(height);
  }

  /** After a run: a button that wires its figures where they belong. */
  places(note) {
    const found = note ? connection(this.node) : null;
    return found && { text: "", ...found };
  }

  take(message) {
    const [note] = Array.isArray(message?.[NOTE_KEY]) ? message[NOTE_KEY] : [];
    if (typeof note === "string") notes.set(keyOf(this.node), note);
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
    if (!NODES.has(node.comfyClass)) return;
    const pane = new NotePane(node);
    attach(node, pane, (message) => pane.take(message));
    // At once: a change a moment later would be a step of its own for undo.
    node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  },
  loadedGraphNode(node) {
    node.widgets?.find((widget) => widget.notePane)?.notePane.takeOver();
  },
});
