/**
 * What to do when the driver loses the device (low memory, reset, an update): rebuild, at most twice; then once more on a
 * lower tier (half the pixel ratio, a coarser level); then give up. Losses that lie far apart are forgotten.
 */

export type Recovery = "rebuild" | "lower" | "give-up";

const REBUILDS = 2;
/** A device that held this long was not lost for what the page asks of it. */
const FORGIVEN_MILLISECONDS = 5 * 60_000;

export class RecoveryPolicy {
  private losses = 0;
  private lastLoss = Number.NEGATIVE_INFINITY;

  /** A device was lost at `now` (milliseconds). */
  lost(now: number): Recovery {
    if (now - this.lastLoss > FORGIVEN_MILLISECONDS) this.losses = 0;
    this.lastLoss = now;
    this.losses++;
    if (this.losses <= REBUILDS) return "rebuild";
    return this.losses === REBUILDS + 1 ? "lower" : "give-up";
  }

  /** A person asked to try again. */
  reset(): void {
    this.losses = 0;
  }
}
