// What the overlay tests run in the page, added to `T` of waits.js.
() => {
  T.wait = (ms) => new Promise((done) => setTimeout(done, ms));
  T.clear = async () => {
    await app.loadGraphData({ last_node_id: 0, last_link_id: 0, nodes: [], links: [], groups: [], config: {}, extra: {}, version: 0.4 });
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [0, 0];
    app.canvas.setDirty(true, true);
  };
  T.add = (type, x, y, values = {}, graph = app.graph) => {
    const node = LiteGraph.createNode(type);
    node.pos = [x, y];
    graph.add(node);
    T.put(node, values);
    return node;
  };
  // As a hand does it: the value, and the widget's own callback.
  T.put = (node, values) => {
    for (const [name, value] of Object.entries(values)) {
      const widget = node.widgets.find((one) => one.name === name);
      widget.value = value;
      widget.callback?.(value, app.canvas, node);
    }
  };
  T.slot = (node, name) => node.inputs.findIndex((input) => input.name === name);
  T.link = (from, slot, to, name) => from.connect(slot, to, T.slot(to, name));
  T.find = (type) => app.graph._nodes.find((node) => node.type === type);
  T.overlay = (node) => node.widgets.find((widget) => widget.tileOverlay)?.tileOverlay;
  T.said = (node) => {
    const { text, more, hint } = T.overlay(node);
    return { text: text.textContent, more: more.textContent, hint: hint.textContent };
  };
  T.layout = (node) => T.overlay(node).scene.layout;
  T.shows = (node, text) => T.until(() => Object.values(T.said(node)).some((one) => one.includes(text)), `"${text}", not ${JSON.stringify(T.said(node))}`);
  // What the canvas holds, as one number.
  T.seen = (node) => {
    const { canvas, context } = T.overlay(node);
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum = (sum * 31 + data[i]) | 0;
    return sum;
  };
  // Where the picture lies on the screen, once the node has found its size.
  T.box = async (node) => {
    const { canvas } = T.overlay(node);
    const edges = () => JSON.stringify(canvas.getBoundingClientRect());
    for (let before = ""; before !== edges(); await T.wait(300)) before = edges();
    const { place } = T.overlay(node);
    const box = canvas.getBoundingClientRect();
    const ratio = box.width / canvas.width;
    return { left: box.left + place[0] * ratio, top: box.top + place[1] * ratio, width: place[2] * ratio, height: place[3] * ratio };
  };
  // Load Image -> Tile Split, as a newcomer wires it.
  T.scene = async (values = { tile_width: 256, tile_height: 256, overlap: 32 }) => {
    await T.clear();
    const load = T.add("LoadImage", 40, 120, { image: "example.png" });
    const split = T.add("TileworkTileSplit", 420, 120, values);
    T.link(load, 0, split, "image");
    app.canvas.setDirty(true, true);
    return { load, split };
  };
  // As a person gets into a subgraph: not in the frame in which it was made.
  T.enter = async (subgraph) => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    app.canvas.setGraph(subgraph);
    app.canvas.setDirty(true, true);
  };
  T.prompt = async () => (await app.graphToPrompt()).output;
}
