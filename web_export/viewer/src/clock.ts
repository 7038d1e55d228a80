/** One requestAnimationFrame loop for every scene of the document; it rests while nobody listens. */

export type Tick = (now: number) => void;

export class FrameClock {
  private readonly listeners = new Set<Tick>();
  private handle = 0;

  add(listener: Tick): void {
    this.listeners.add(listener);
    if (this.handle === 0) this.handle = requestAnimationFrame(this.run);
  }

  remove(listener: Tick): void {
    this.listeners.delete(listener);
  }

  private readonly run = (now: number): void => {
    this.handle = this.listeners.size > 0 ? requestAnimationFrame(this.run) : 0;
    for (const listener of [...this.listeners]) listener(now);
  };
}
