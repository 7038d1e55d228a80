/** Watches how drawing goes, drives the governor and keeps the figures for `Stats`. */
import { advance, condition, type GovernorState, INITIAL, STEPS, type Step } from "./governor";
import { isRefreshCapped, RefreshMeter } from "./pacing";

const SECOND = 1000;
/** Where the browser offers no animation frame for longer, the tab was hidden or a dialogue open: drawing was not slow. */
const GAP_MILLISECONDS = 2000;

export class Meter {
  private readonly refresh = new RefreshMeter();
  private readonly drawn: number[] = [];
  private state: GovernorState = INITIAL;
  /** When the last picture of something that moves was drawn; NaN where the next interval would mean nothing. */
  private last = Number.NaN;

  constructor(private readonly targetFps: number) {}

  /** An animation frame. */
  tick(now: number): void {
    if (this.refresh.tick(now) > GAP_MILLISECONDS) this.interrupt();
    while (this.drawn.length > 0 && now - this.drawn[0]! > SECOND) this.drawn.shift();
  }

  /** A picture was drawn. Only pictures of something that moves say how fast drawing is. */
  picture(now: number, isMoving: boolean, gpu: number | null): void {
    this.drawn.push(now);
    const interval = now - this.last;
    if (isMoving && interval >= 0) {
      const period = SECOND / Math.min(this.targetFps, this.refresh.hertz);
      this.state = advance(this.state, { interval, gpu }, { period });
    }
    this.last = isMoving ? now : Number.NaN;
  }

  /** The tab was hidden or the avatar out of view: the next interval means nothing. */
  interrupt(): void {
    this.last = Number.NaN;
  }

  get step(): Step {
    return STEPS[this.state.step]!;
  }

  get figures() {
    return {
      fps: this.drawn.length,
      refreshHz: this.refresh.hertz,
      isRefreshCapped: isRefreshCapped(navigator.userAgent, navigator.maxTouchPoints),
      scale: this.step.scale,
      governor: condition(this.state),
    } as const;
  }
}
