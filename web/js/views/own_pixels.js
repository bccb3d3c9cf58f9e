/**
 * The picture's own pixels where one has zoomed in: a piece of it, fetched when the copy in the page has too few.
 *
 * One piece is kept, of at most MOST_SIDE by MOST_SIDE pixels (16 MB). What is asked for and no longer looked at is cancelled.
 */

import { api } from "../../../../scripts/api.js";
import { forget } from "./gpu.js";

const MOST_SIDE = 2048;
const STAYS = 80; // ms that a view has to stay before it is asked for
const MARGIN = 0.3; // of the view, on every side, so that a small move needs nothing new

export class OwnPixels {
  /**
   * @param {() => void} onChange called when a piece has come, or none will
   * @param read makes of the server's answer, and the width and height that were asked for, a picture as the view has it
   */
  constructor(onChange, read) {
    Object.assign(this, { onChange, read });
    this.follow(null, [0, 0]);
  }

  /** Another picture: `query` names it for the server, null where it cannot be asked for; `size` [width, height]. */
  follow(query, size) {
    this.cancel();
    Object.assign(this, { query, size, piece: null, refused: "", refusedAt: null });
  }

  /** What is under way is not wanted any more. */
  cancel() {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.wanted = null;
  }

  /** Somebody may look closer soon: the server reads the file meanwhile. */
  warm() {
    if (!this.query || this.piece || this.warmed === this.query) return;
    this.warmed = this.query;
    const asked = new URLSearchParams({ ...this.query, x: 0, y: 0, width: 1, height: 1 });
    api.fetchApi(`/tilework/pixels?${asked}`).catch(() => {}); // it is asked for in earnest later
  }

  /**
   * The piece that covers [left, top, right, bottom] of the picture: {picture, left, top}. Null until it is there, and then
   * it is asked for; where so much is looked at that no piece is allowed to be so large, or where there is none.
   */
  at(view) {
    const box = view.map((value, i) => Math.min(this.size[i % 2], Math.max(0, i < 2 ? Math.floor(value) : Math.ceil(value))));
    const [left, top, right, bottom] = box;
    // What was refused is asked for again as soon as one looks elsewhere.
    if (!this.query || String(box) === this.refusedAt || right - left > MOST_SIDE || bottom - top > MOST_SIDE || right <= left || bottom <= top) {
      this.cancel();
      return null;
    }
    const { piece } = this;
    if (piece && left >= piece.left && top >= piece.top && right <= piece.left + piece.picture.width && bottom <= piece.top + piece.picture.height) {
      this.cancel();
      return piece;
    }
    if (String(box) !== this.wanted) {
      this.cancel();
      this.wanted = String(box);
      this.timer = setTimeout(() => this.fetch(box), STAYS);
    }
    return null;
  }

  async fetch(view) {
    const [left, width] = widened(view[0], view[2], this.size[0]);
    const [top, height] = widened(view[1], view[3], this.size[1]);
    const { query, wanted } = this;
    const stillWanted = () => this.query === query && this.wanted === wanted;
    this.controller = new AbortController();
    try {
      const asked = new URLSearchParams({ ...query, x: left, y: top, width, height });
      const answer = await api.fetchApi(`/tilework/pixels?${asked}`, { signal: this.controller.signal });
      if (!answer.ok) throw new Error(answer.status < 500 ? await answer.text() : `status ${answer.status}`);
      const picture = await this.read(answer, width, height);
      if (!stillWanted()) return;
      if (this.piece) forget(this.piece.picture);
      Object.assign(this, { piece: { picture, left, top }, wanted: null, refused: "", refusedAt: null });
    } catch (problem) {
      if (problem.name !== "AbortError" && stillWanted()) Object.assign(this, { refused: problem.message, refusedAt: wanted, wanted: null });
    }
    this.onChange();
  }
}

/** [start, length] of a side with its margin, inside of the picture and no longer than allowed. */
function widened(start, stop, most) {
  const margin = Math.min(Math.round((stop - start) * MARGIN), Math.floor((MOST_SIDE - (stop - start)) / 2));
  const from = Math.max(0, start - margin);
  return [from, Math.min(most, stop + margin) - from];
}
