// Helpers that the tests of Frequency Join run in the page, added to `T` of overlay.js.
() => {
  T.pane = (node = join) => node.widgets.find((one) => one.bandPane).bandPane;
  T.text = (node = join) => node.widgets.find((one) => one.name === "gains").value;
  T.frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  // Load Image -> Frequency Separation -> Frequency Join -> Preview Any, as a person wires it.
  T.joined = async (image = "example.png", bands = 4, grey = null) => {
    await T.clear();
    const load = grey ? T.add("TileworkTestImage", 40, 120, { channels: 1, ...grey }) : T.add("LoadImage", 40, 120, { image });
    const split = T.add("TileworkBandSplit", 40, 560, { bands });
    const join = T.add("TileworkBandJoin", 420, 120);
    const out = T.add("PreviewAny", 1000, 120);
    T.link(load, 0, split, "image");
    T.link(split, 0, join, "bands");
    T.link(split, 1, join, "residual");
    T.link(join, 0, out, "source");
    Object.assign(window, { load, split, join, out });
    await T.frame();
  };
  T.loaded = () => T.until(() => T.pane().view.picture && !T.pane().view.dirty, "the bands", 60);
  T.slider = (index) => T.pane().sliders.rows[index].slider;
  T.values = () => T.pane().sliders.rows.map(({ slider }) => +slider.value);
  // Where a slider stands on the screen at a share of its way.
  T.place = (index, share) => {
    const box = T.slider(index).getBoundingClientRect();
    return [box.left + 8 + share * (box.width - 16), box.top + box.height / 2];
  };
  T.sum = () => {
    const { canvas, context } = T.pane().view;
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum = (sum * 31 + data[i]) | 0;
    return sum;
  };
  // The whole picture as it is drawn, one byte per colour, in base64.
  T.pixels = async (means) => {
    await T.frame();
    const { byGpu, width, height, data } = T.pane().view.pixels(means);
    const bytes = data.filter((_, i) => i % 4 < 3);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return { byGpu, width, height, bytes: btoa(text) };
  };
  // The pixel of the full picture right of the wipe, and what is drawn there.
  T.underAPlace = async () => {
    await T.frame();
    const { view } = T.pane();
    const at = [view.canvas.width, view.canvas.height].map((side) => Math.floor(0.75 * side));
    return [...view.under(at.map((place) => place + 0.5)), [...view.context.getImageData(...at, 1, 1).data].slice(0, 3)];
  };
}
