/** A line of advice in a node, with a button that does what it says. */

import { app } from "../../../scripts/app.js";
import { button, commit, element, say } from "./node_pane.js";

export const ADVICE_STYLE = `
.tilework-advice { display: flex; gap: 6px; align-items: center; flex: 0 0 auto; color: #a86a00; }
.dark-theme .tilework-advice { color: #e8a33d; }
.tilework-advice.tilework-calm { color: inherit; opacity: 0.85; }
.tilework-advice[hidden], .tilework-advice button[hidden] { display: none; }
.tilework-advice button { flex: 0 0 auto; font: inherit; padding: 1px 8px; border-radius: 4px; border: 1px solid var(--border-color, #555); cursor: pointer;
  background: var(--comfy-input-bg, #333); color: inherit; }
.tilework-advice button:disabled { opacity: 0.6; cursor: default; }
.tilework-advice button:focus-visible { outline: 2px solid #ffaa3c; }
`;

const DONE = "Done: run again";

export class AdviceRow {
  constructor(node) {
    this.node = node;
    this.advice = null;
    this.root = element("div", "tilework-advice");
    this.root.hidden = true;
    this.words = element("span");
    this.button = button("Use it", () => this.take());
    this.root.append(this.words, this.button);
  }

  /**
   * @param advice {text, values, act, label, of, calm} or null. `values`: widgets of the node and what to put in; `act`: what else
   *   there is to do; `label`: what the button says. Without one of both it is words alone. `of`: the result that it is about,
   *   which is done with once the button was pressed; `calm`: nothing is wrong.
   */
  show(advice) {
    const done = Boolean(advice?.of) && advice.of === this.done;
    this.advice = advice ?? null;
    this.root.hidden = !advice;
    this.root.classList.toggle("tilework-calm", Boolean(advice?.calm));
    say(this.words, advice?.text ?? "");
    this.button.hidden = !advice?.values && !advice?.act;
    this.button.disabled = done;
    say(this.button, done ? DONE : (advice?.label ?? "Use it"));
  }

  /** Do it, as one step that can be undone. */
  take() {
    for (const [name, value] of Object.entries(this.advice?.values ?? {})) putValue(this.node, name, value);
    this.advice?.act?.();
    this.done = this.advice?.of;
    this.show(this.advice);
    commit(this.node);
  }
}

/** As a hand does it: the value, and the widget's own callback. */
export function putValue(node, name, value) {
  const widget = node.widgets?.find((one) => one.name === name);
  if (!widget) return;
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
}
