/** Watches how drawing goes, drives the governor and keeps the figures for `Stats`. */
import { advance, condition, type GovernorState, INITIAL, STEPS, type Step } from "./governor";
import { isRefreshCapped, RefreshMeter } from "./pacing";

const SECOND = 1000;

export class Meter {
  private readonly refresh = new RefreshMeter();
  private readonly drawn: number[] = [];
  private state: GovernorState = INITIAL;
  private wasMoving = false;

  constructor(private readonly targetFps: number) {}

  /** An animation frame. */
  tick(now: number): void {
    this.refresh.tick(now);
    while (this.drawn.length > 0 && now - this.drawn[0]! > SECOND) this.drawn.shift();
  }

  /** A picture was drawn. Only pictures of something that moves say how fast drawing is. */
  picture(now: number, isMoving: boolean, gpu: number | null): void {
    const last = this.drawn.at(-1);
    this.drawn.push(now);
    if (isMoving && this.wasMoving && last !== undefined) {
      const period = SECOND / Math.min(this.targetFps, this.refresh.hertz);
      this.state = advance(this.state, { interval: now - last, gpu }, { period });
    }
    this.wasMoving = isMoving;
  }

  /** The tab was hidden or the avatar out of view: the next interval means nothing. */
  interrupt(): void {
    this.wasMoving = false;
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
