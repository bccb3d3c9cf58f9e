// What every test waits with in the page. `window.T` is made anew for every test.
() => {
  const T = (window.T = {});
  T.until = async (test, what = "", seconds = 15) => {
    for (const end = performance.now() + 1000 * seconds; performance.now() < end; await new Promise((done) => setTimeout(done, 40))) {
      const value = test();
      if (value) return value;
    }
    throw new Error(`waited in vain: ${what || test}`);
  };
  // The host's undo is done, and the graph is as the host last took it down: what changes between two keys (sizes, while
  // pictures come in) would be a step of its own for undo.
  T.settled = async () => {
    let calm = 0;
    await T.until(() => {
      const tracker = app.extensionManager.workflow.activeWorkflow.changeTracker;
      const now = JSON.parse(JSON.stringify(app.graph.serialize()));
      calm = !tracker._restoringState && tracker.constructor.graphEqual(tracker.activeState, now) ? calm + 1 : 0;
      return calm >= 8;
    }, "the graph is at rest");
  };
}
