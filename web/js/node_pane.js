/**
 * What the pack's panes have in common: elements of a DOM widget that shows something in a node, in both renderers.
 *
 * Text goes into the page as text alone, whatever a workflow has in it.
 */

import { app } from "../../../scripts/app.js";

/** The pane that was last on the page for a node: a node is made anew at every undo. */
const shown = new Map();

/** Which node this is, also after it was made anew. */
export const keyOf = (node) => `${node.graph?.rootGraph?.id ?? ""} ${node.graph?.id ?? ""} ${node.id}`;

/** A pane that looks at its node, its links and its widgets while it is on the screen: `frame` is called again and again. */
export class NodePane {
  /**
   * @param node the node it stands in
   * @param {string} name the class of its outermost element, `root`
   * @param {number} every the least time between two looks in ms; 0 for every frame of the screen
   */
  constructor(node, name, every = 0) {
    Object.assign(this, { node, every, visible: false, removed: false });
    this.root = element("div", name);
  }

  /** Begin to look. The two renderers tell of changes in different ways, so that it looks instead of being told. */
  watch() {
    let last = -Infinity;
    let waiting = false;
    const next = () => {
      if (!waiting) requestAnimationFrame(look);
      waiting = true;
    };
    const look = (now) => {
      waiting = false;
      if (!this.visible) return;
      // Out of the page for a moment, as when a renderer moves it: nothing to see, but it goes on.
      if (this.root.isConnected && now - last >= this.every) {
        last = now;
        shown.set(keyOf(this.node), this);
        this.lookOnce();
      }
      next();
    };
    this.observer = new IntersectionObserver((entries) => {
      this.visible = entries.some((entry) => entry.isIntersecting);
      if (this.visible) next();
    });
    this.observer.observe(this.root);
  }

  /** One look that fails, as at a workflow that makes no sense, must not be the last. */
  lookOnce() {
    try {
      this.frame();
    } catch (problem) {
      if (this.failed !== String(problem)) console.error("Tilework:", problem);
      this.failed = String(problem);
    }
  }

  /**
   * Nodes 2.0 keeps its place for a widget when undo or loading makes the node anew, and with it the element of the node
   * before, which nobody looks after any more. So the new one steps into its place.
   */
  takeOver() {
    for (const wait of [0, 100, 500, 1500]) {
      setTimeout(() => {
        const old = shown.get(keyOf(this.node));
        if (old?.removed && !this.removed && !this.root.isConnected && old.root.isConnected) old.root.replaceWith(this.root);
      }, wait);
    }
  }

  remove() {
    this.removed = true;
    this.visible = false;
    this.observer.disconnect();
  }
}

/** Call `taken` with what runs send to the node, and take the pane away with it. */
export function attach(node, pane, taken) {
  const [executed, removed] = [node.onExecuted, node.onRemoved];
  node.onExecuted = function (message, ...rest) {
    executed?.call(this, message, ...rest);
    taken(message);
  };
  node.onRemoved = function (...rest) {
    removed?.apply(this, rest);
    pane.remove();
  };
}

export function element(tag, name = "") {
  const one = document.createElement(tag);
  one.className = name;
  return one;
}

/** A button that the graph behind it does not notice. */
export function button(text, action) {
  const one = element("button");
  one.type = "button";
  one.textContent = text;
  one.addEventListener("pointerdown", (event) => event.button || event.stopPropagation());
  one.addEventListener("click", (event) => {
    event.stopPropagation();
    action();
  });
  return one;
}

/** A change is done: the graph is told, and can undo it. */
export function commit(node) {
  node.graph?.setDirtyCanvas?.(true, true);
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
}

/** Only where it is another text: a screen reader reads it again otherwise. */
export function say(one, text) {
  if (one.textContent !== text) one.textContent = text;
}

/** Put rules for the panes into the page. */
export function addStyle(rules) {
  const style = element("style");
  style.textContent = rules;
  document.head.append(style);
}
