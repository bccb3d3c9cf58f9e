/**
 * The overlays: the grid on every node that cuts or puts together, the seams by verdict on Seam Check.
 *
 * Tile Split's follows the widgets before anything runs. A run sends what it did under keys of our own; the picture that
 * it also sends for users of the API would be a second one below the first, so it is not shown here.
 */

import { app } from "../../../scripts/app.js";
import { addStyle, attach, keyOf } from "./node_pane.js";
import { feedersFor } from "./feeders.js";
import { errorOf } from "./run_errors.js";
import { originKey } from "./sources.js";
import { STYLE, TileOverlay } from "./tiles/overlay.js";
import { blendScene, checkScene, ownScene, planScene, selectScene, setResults, splitScene } from "./tiles/scenes.js";
import { waitsFor, wrongWires } from "./tiles/wiring.js";

const GRID = "The grid of tiles over the picture. Arrow keys go from tile to tile.";
const NODES = {
  TileworkTileSplit: { key: "tilework_layout", input: "image", scene: splitScene, what: GRID, rows: 2 },
  TileworkLatentTileSplit: { key: "tilework_layout", input: "samples", scene: splitScene, what: GRID, rows: 2 },
  TileworkSeamBlend: { key: "tilework_layout", input: "layout", scene: blendScene, what: GRID, rows: 3 },
  TileworkLatentSeamBlend: { key: "tilework_layout", input: "layout", scene: blendScene, what: GRID, rows: 3 },
  TileworkTiledUpscale: { key: "tilework_layout", input: "layout", scene: ownScene, what: GRID, rows: 3 },
  TileworkTiledVAEEncode: { key: "tilework_layout", input: "pixels", scene: ownScene, what: GRID, rows: 3 },
  TileworkTiledVAEDecode: { key: "tilework_layout", input: "samples", scene: ownScene, what: GRID, rows: 3 },
  TileworkObjectTiles: { key: "tilework_layout", input: "mask", scene: planScene, what: GRID, rows: 4 },
  TileworkMaskTiles: { key: "tilework_layout", input: "mask", scene: planScene, what: GRID, rows: 2 },
  TileworkSelectTiles: {
    key: "tilework_layout",
    input: "layout",
    scene: selectScene,
    what: "The tiles to choose from. Arrow keys go from tile to tile, Enter takes one or leaves it.",
    rows: 2,
  },
  TileworkSeamCheck: {
    key: "tilework_seams",
    input: "layout",
    scene: checkScene,
    rows: 5,
    what: "The boundaries between tiles, coloured by verdict. Arrow keys go through them, the worst first.",
  },
};

/** Nodes that answer with a picture with writing on it, which a small node would make too small to read: they grow when it comes. */
const WIDE = { TileworkReceptiveField: [400, 480], TileworkTileSize: [400, 580] };

/** What runs sent last, by graph and node: a node is made anew at every undo. */
const results = new Map();
setResults((node) => results.get(keyOf(node)));

/** The overlay stands for the picture of the last run, which the host would draw below it. */
function hideImages(node) {
  node.hideOutputImages = true; // Nodes 2.0
  Object.defineProperty(node, "imgs", { configurable: true, get: () => undefined, set: () => {} }); // classic canvas
}

function addOverlay(node, { key, input, scene, what, rows }) {
  const overlay = new TileOverlay(node, what, rows, (page) => {
    const wrong = wrongWires(node);
    // Wires that are wrong explain what a run made of them.
    const error = wrong || errorOf(node);
    // Another picture than the one that these wires would make is not drawn calmly above the words.
    const instead = wrong ? "The wires do not fit together." : scene === splitScene ? "" : waitsFor(node);
    const shown = instead ? { hint: instead, pages: 1 } : scene(node, results.get(keyOf(node)), page);
    const advice = shown.advice ?? (wrong ? null : feedersFor(node));
    return error ? { ...shown, advice, error } : { ...shown, advice };
  });
  hideImages(node);
  attach(node, overlay, (message) => {
    const records = message?.[key];
    if (!Array.isArray(records)) return;
    // None where the run could not make its preview: what was shown before is not its result.
    if (records.length) results.set(keyOf(node), { records, from: originKey(node, input) });
    else results.delete(keyOf(node));
  });
  const [width, height] = node.computeSize();
  node.setSize([Math.max(width, 340), Math.max(height, node.size[1])]);
}

function growOnce(node, least) {
  const executed = node.onExecuted;
  node.setSize([least[0], node.size[1]]);
  node.onExecuted = function (message, ...rest) {
    executed?.call(this, message, ...rest);
    if (message?.images?.length) this.setSize(least.map((side, i) => Math.max(side, this.size[i])));
  };
}

app.registerExtension({
  name: "tilework.tileOverlay",
  init: () => addStyle(STYLE),
  nodeCreated(node) {
    const kind = NODES[node.comfyClass];
    if (kind) addOverlay(node, kind);
    const least = WIDE[node.comfyClass];
    if (least) growOnce(node, least);
  },
  loadedGraphNode(node) {
    node.widgets?.find((widget) => widget.tileOverlay)?.tileOverlay.takeOver();
  },
});
