// What the tests of Solar Curve Preview run in the page, added to `T` of waits.js.
() => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  T.add = (type, x, y) => {
    const node = LiteGraph.createNode(type);
    node.pos = [x, y];
    app.graph.add(node);
    return node;
  };
  T.clear = async () => {
    await app.loadGraphData({ last_node_id: 0, last_link_id: 0, nodes: [], links: [], groups: [], config: {}, extra: {}, version: 0.4 });
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [0, 0];
  };
  T.find = () => app.graph._nodes.find((node) => node.type === "TileworkSolarCurvePreview");
  T.solar = (node = T.find()) => node.widgets.find((widget) => widget.tilework).tilework;
  T.set = async (values, node = T.find()) => {
    for (const [name, value] of Object.entries(values)) {
      const widget = node.widgets.find((one) => one.name === name);
      widget.value = value;
      widget.callback?.(value);
    }
    await frame();
  };
  T.scene = async () => {
    await T.clear();
    const load = T.add("LoadImage", 60, 120);
    load.widgets[0].value = "example.png";
    const solar = T.add("TileworkSolarCurvePreview", 440, 120);
    load.connect(0, solar, 0);
    const out = T.add("PreviewImage", 900, 120);
    solar.connect(0, out, 0);
    app.canvas.setDirty(true, true);
    await T.until(() => T.solar().view.picture, "the picture");
    await frame();
  };
  // As a workflow that was opened: nodes fresh from the menu lack what undo compares and loading adds (the order in
  // which they run, empty lists of values).
  T.reopen = async () => {
    app.graph.updateExecutionOrder();
    await app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())));
    await T.until(() => T.find() && T.solar().view.picture, "the picture");
    app.graph.updateExecutionOrder();
    await frame();
  };
  T.prompt = async () => (await app.graphToPrompt()).output;
  T.points = async () => Object.values(await T.prompt()).find((node) => node.class_type === "TileworkSolarCurvePreview").inputs.points;
  // The screen's place of a point of the curve.
  T.place = (index) => {
    const { plot } = T.solar();
    const box = plot.canvas.getBoundingClientRect();
    const [x, y] = plot.at(...plot.points[index]);
    return [box.left + (x / plot.canvas.width) * box.width, box.top + (y / plot.canvas.height) * box.height];
  };
  T.middle = (part) => {
    const box = T.solar()[part].canvas.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2, box.width, box.height];
  };
  T.seen = () => {
    const { canvas, context } = T.solar().view;
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum = (sum * 31 + data[i]) | 0;
    return sum;
  };
  T.frame = frame;
  // The whole picture through the curve, one byte per colour, in base64.
  T.pixels = async (means) => {
    await frame();
    const { byGpu, data } = T.solar().view.pixels(means);
    const bytes = data.filter((_, i) => i % 4 < 3);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return { byGpu, bytes: btoa(text) };
  };
}
