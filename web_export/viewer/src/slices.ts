/** Work in slices, so that a page that loads an avatar still answers a finger and draws the one that is there. */

const SLICE_MS = 8;

/** Lets everything else that waits run. Unlike a timer it is not slowed down in a page that is in the background. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

export class Slices {
  private started = performance.now();

  /** To be awaited between pieces of work of a few milliseconds: returns at once while the slice lasts. */
  async breathe(): Promise<void> {
    if (performance.now() - this.started < SLICE_MS) return;
    await turn();
    this.started = performance.now();
  }
}
