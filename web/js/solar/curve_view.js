/** The picture through the curve, and its own pixels where it is looked at closely. */

import { PictureView } from "../views/picture_view.js";
import { evaluate } from "./curve_math.js";
import { OwnPixels } from "./own_pixels.js";
import { paint } from "./painter.js";

export class CurveView extends PictureView {
  /** @param {object} options onReadout(text), onHover(value or null) with the curve's inputs under the pointer */
  constructor({ onReadout, onHover }) {
    super("Picture through the curve.");
    Object.assign(this, { onReadout, onHover, piece: null, own: new OwnPixels(() => (this.dirty = true)) });
  }

  /**
   * @param picture a Picture, the full one or a copy of it; null for none
   * @param query what names the full one for the server, see OwnPixels
   */
  show(picture, query = null) {
    super.show(picture);
    this.own.follow(picture ? query : null, picture?.fullSize ?? [0, 0]);
  }

  draw(curve, channel, force = false) {
    Object.assign(this, { curve, channel });
    return super.draw(force);
  }

  paint(context, picture, view, means) {
    return paint(context, picture, this.channel, this.curve, view, means);
  }

  /** Whether more could be seen than the copy has. */
  get beyondCopy() {
    return this.picture !== null && this.picture.scale < 1 && this.scale() > this.picture.scale;
  }

  /** The copy, or where it has too few pixels a piece of the full picture. */
  pixelsFor(left, top, scale) {
    const { width, height } = this.canvas;
    this.piece = this.beyondCopy ? this.own.at([left, top, left + width / scale, top + height / scale]) : null;
    if (!this.beyondCopy) this.own.cancel();
    return this.piece ?? super.pixelsFor();
  }

  point(full) {
    if (!full || !this.curve) {
      this.onReadout("");
      this.onHover(null);
      return;
    }
    const { picture, left, top } = this.piece ?? super.pixelsFor();
    const [x, y] = [Math.floor((full[0] - left) * picture.scale), Math.floor((full[1] - top) * picture.scale)];
    const index = Math.min(y, picture.height - 1) * picture.width + Math.min(x, picture.width - 1);
    const rgb = [...picture.rgba.slice(4 * index, 4 * index + 3)];
    const plane = picture.plane(this.channel);
    const inputs = plane ? [plane[index] / 65535] : rgb.map((value) => value / 255);
    const level = (value) => Math.round(255 * Math.min(1, Math.max(0, value)));
    const outputs = inputs.map((value) => level(evaluate(this.curve, value)));
    this.onReadout(`x ${full[0]}  y ${full[1]}   RGB ${rgb.join(" ")}   → ${outputs.join(" ")}`);
    this.onHover(inputs);
  }
}
