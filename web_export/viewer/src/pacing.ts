/** How often the browser offers animation frames, from the times at which they came. */

const COMMON_RATES = [30, 48, 50, 60, 72, 75, 90, 100, 120, 144, 165, 240] as const;
const KEPT = 90;
/** Needed before anything is said. */
const ENOUGH = 20;

export class RefreshMeter {
  private readonly intervals: number[] = [];
  private last = Number.NaN;

  /** An animation frame came at `now` (milliseconds). Returns how long after the one before, NaN at first. */
  tick(now: number): number {
    const interval = now - this.last;
    this.last = now;
    if (interval > 1 && interval < 1000) this.intervals.push(interval);
    if (this.intervals.length > KEPT) this.intervals.shift();
    return interval;
  }

  /** Animation frames a second that are possible: the tenth of the intervals that is shortest, at the nearest rate of a display. */
  get hertz(): number {
    if (this.intervals.length < ENOUGH) return 60;
    const sorted = [...this.intervals].sort((a, b) => a - b);
    const rate = 1000 / sorted[Math.floor(0.1 * sorted.length)]!;
    return COMMON_RATES.reduce((best, common) => (Math.abs(common - rate) < Math.abs(best - rate) ? common : best));
  }
}

/** Whether this is an iPhone or iPad, whose browsers offer 60 frames a second at most, whatever the screen can do. */
export function isRefreshCapped(userAgent: string, touchPoints: number): boolean {
  return /iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && touchPoints > 1);
}
