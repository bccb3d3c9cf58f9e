/** The picture out of its bands, or one band alone. */

import { PictureView } from "../views/picture_view.js";
import { readPiece } from "./layers.js";
import { paint } from "./painter.js";

const ALONE = 2; // times as strong, on mid grey

/** What is to be seen of layers by `gains`: all of them, or number `alone` on mid grey; the residual, which is a picture, as it is. */
function mixOf(gains, alone) {
  if (alone === null) return { weights: gains, offset: 0 };
  const isResidual = alone === gains.length - 1;
  const only = gains.map((gain, k) => (k === alone ? (isResidual ? 1 : ALONE) * gain : 0));
  return { weights: only, offset: isResidual ? 0 : 0.5 };
}

export class BandView extends PictureView {
  /** @param onReadout(text) is told what is under the pointer */
  constructor(onReadout) {
    super("Picture out of its bands, each by its gain; left of the wipe with all gains 1.", (answer, width, height) =>
      readPiece(answer, width, height, this.picture),
    );
    Object.assign(this, { onReadout, alone: null });
    this.mix([1], null);
  }

  /** Show it by other gains, one for each layer; `alone` the number of one layer, or null. */
  mix(gains, alone) {
    this.after = mixOf(gains, alone);
    this.before = mixOf(gains.map(() => 1), alone);
    this.dirty = true;
  }

  paint(context, layers, view, means) {
    return paint(context, layers, this.before, this.after, view, means);
  }

  point(full) {
    if (!full) return this.onReadout("");
    const { picture: layers, x, y } = this.placeOf(full);
    const levels = (mix) => layers.at(x, y, mix).map((value) => Math.round(255 * value)).join(" ");
    this.onReadout(`x ${full[0]}  y ${full[1]}   ${layers.channels === 3 ? "RGB" : "grey"} ${levels(this.before)}   → ${levels(this.after)}`);
  }
}
