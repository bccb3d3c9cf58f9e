// What tests and screenshots do in the page of the front end, as `F`.
() => {
  const F = (window.F = {});
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  F.frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  F.until = async (test, what = "", seconds = 60) => {
    for (const end = performance.now() + 1000 * seconds; performance.now() < end; await pause(40)) {
      const value = await test();
      if (value) return value;
    }
    throw new Error(`waited in vain: ${what || test}`);
  };
  // Until the graph stays as it is for a while: while the page starts, the host loads the last workflow.
  F.rest = async () => {
    let [before, calm] = ["", 0];
    await F.until(() => {
      const now = JSON.stringify(app.graph.serialize().nodes.map((node) => [node.id, node.type, node.size]));
      calm = now === before ? calm + 1 : 0;
      before = now;
      return calm >= 10;
    }, "the graph is at rest");
    await F.frame();
  };
  // Front ends up to 1.47 mark an error by its class, newer ones by what it is.
  const ERROR_TOASTS = ".p-toast-message-error, [data-testid=toast][data-toast-kind=error]";
  F.toasts = () => [...document.querySelectorAll(ERROR_TOASTS)].map((one) => one.textContent);
  F.dismissToasts = () => {
    const { toast } = app.extensionManager;
    (toast.dismissAll ?? toast.removeAll).call(toast);
  };
  F.empty = { last_node_id: 0, last_link_id: 0, nodes: [], links: [], groups: [], config: {}, extra: {}, version: 0.4 };
  F.view = (scale, x, y) => {
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset = [x, y];
    app.canvas.setDirty(true, true);
  };
  F.clear = async () => {
    await app.loadGraphData(structuredClone(F.empty));
    const store = app.extensionManager.workflow;
    for (const open of [...store.openWorkflows]) if (open.path !== store.activeWorkflow.path) await store.closeWorkflow(open);
    F.dismissToasts();
    F.view(1, 0, 0);
    await F.frame();
  };
  F.add = (type, x, y, values = {}) => {
    const node = LiteGraph.createNode(type);
    if (!node) throw new Error(`there is no node ${type}`);
    node.pos = [x, y];
    app.graph.add(node);
    for (const [name, value] of Object.entries(values)) {
      const widget = node.widgets.find((one) => one.name === name);
      widget.value = value;
      widget.callback?.(value);
    }
    return node;
  };
  F.node = (id) => app.graph.getNodeById(id);
  F.link = (from, output, to, input) => {
    const slot = to.inputs.findIndex((one) => one.name === input);
    if (!from.connect(output, to, slot)) throw new Error(`${from.type} does not connect to ${to.type}, ${input}`);
  };
  F.types = () => app.graph._nodes.map((node) => node.type);
  F.prompt = async () => (await app.graphToPrompt()).output;
  F.workflow = async () => (await app.graphToPrompt()).workflow;
  // Run the graph, or `prompt` under its nodes' ids; what went wrong, or null.
  F.run = async (prompt) => {
    const graph = await app.graphToPrompt();
    const over = ["execution_success", "execution_error", "execution_interrupted"];
    let end;
    const listen = ({ type, detail }) => (end ??= [type, detail]);
    over.forEach((kind) => app.api.addEventListener(kind, listen));
    try {
      await app.api.queuePrompt(0, { output: prompt ?? graph.output, workflow: graph.workflow });
      await F.until(() => end, "the run is over", 120);
    } finally {
      over.forEach((kind) => app.api.removeEventListener(kind, listen));
    }
    return end[0] === over[0] ? null : `${end[1].node_type}: ${end[1].exception_message}`;
  };
  // A place of the graph on the screen.
  F.screen = ([x, y]) => {
    const box = app.canvas.canvas.getBoundingClientRect();
    const { scale, offset } = app.canvas.ds;
    return [box.left + (x + offset[0]) * scale, box.top + (y + offset[1]) * scale];
  };
  F.title = (id) => {
    const node = F.node(id);
    return F.screen([node.pos[0] + Math.min(110, node.size[0] / 2), node.pos[1] - 15]);
  };
  // Where a node really is, in the graph's own units: left, top with its title, right, bottom.
  F.box = (node) => {
    const element = LiteGraph.vueNodesMode && document.querySelector(`[data-node-id="${node.id}"]`);
    if (!element) {
      const [width, height] = node.flags?.collapsed ? [node._collapsed_width ?? 80, 0] : node.size;
      return [node.pos[0], node.pos[1] - 30, node.pos[0] + width, node.pos[1] + height];
    }
    const box = element.getBoundingClientRect();
    const canvas = app.canvas.canvas.getBoundingClientRect();
    const { scale, offset } = app.canvas.ds;
    const [x, y] = [(box.left - canvas.left) / scale - offset[0], (box.top - canvas.top) / scale - offset[1]];
    return [x, y, x + box.width / scale, y + box.height / scale];
  };
  // Everything in view, or the nodes of one type, between the editor's bars and not larger than `most`; gives where it lies then.
  F.fit = async (type, most = 1) => {
    const groups = type ? [] : (app.graph._groups ?? []);
    const boxes = app.graph._nodes.filter((node) => !type || node.type === type).map(F.box);
    boxes.push(...groups.map(({ pos, size }) => [...pos, pos[0] + size[0], pos[1] + size[1]]));
    const [left, top] = [0, 1].map((i) => Math.min(...boxes.map((box) => box[i])));
    const [right, bottom] = [2, 3].map((i) => Math.max(...boxes.map((box) => box[i])));
    const canvas = app.canvas.canvas.getBoundingClientRect();
    const [x0, y0, x1, y1] = [70, 100, canvas.width - 20, canvas.height - 70];
    const scale = Math.min(most, (x1 - x0) / (right - left), (y1 - y0) / (bottom - top));
    F.view(scale, x0 / scale - left, y0 / scale - top);
    await F.frame();
    return [...F.screen([left, top]), ...F.screen([right, bottom])];
  };
}
