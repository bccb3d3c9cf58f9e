/** The picture through the curve. */

import { PictureView } from "../views/picture_view.js";
import { evaluate } from "./curve_math.js";
import { paint } from "./painter.js";
import { bitmapOf, pixelsOf } from "./picture.js";

export class CurveView extends PictureView {
  /** @param {object} options onReadout(text), onHover(value or null) with the curve's inputs under the pointer */
  constructor({ onReadout, onHover }) {
    super("Picture through the curve.", async (answer) => pixelsOf(await bitmapOf(await answer.blob())));
    Object.assign(this, { onReadout, onHover });
  }

  draw(curve, channel, force = false) {
    Object.assign(this, { curve, channel });
    return super.draw(force);
  }

  paint(context, picture, view, means) {
    return paint(context, picture, this.channel, this.curve, view, means);
  }

  point(full) {
    if (!full || !this.curve) {
      this.onReadout("");
      this.onHover(null);
      return;
    }
    const { picture, x, y } = this.placeOf(full);
    const index = y * picture.width + x;
    const rgb = [...picture.rgba.slice(4 * index, 4 * index + 3)];
    const plane = picture.plane(this.channel);
    const inputs = plane ? [plane[index] / 65535] : rgb.map((value) => value / 255);
    const level = (value) => Math.round(255 * Math.min(1, Math.max(0, value)));
    const outputs = inputs.map((value) => level(evaluate(this.curve, value)));
    this.onReadout(`x ${full[0]}  y ${full[1]}   RGB ${rgb.join(" ")}   → ${outputs.join(" ")}`);
    this.onHover(inputs);
  }
}
