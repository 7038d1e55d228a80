/**
 * Keeps the frame rate by drawing fewer pixels, and at the very end fewer Gaussians, of avatars that have enough of them. A
 * pure state machine: samples of frames go in, a step of `STEPS` comes out; it reads no clock and no browser.
 *
 * It does not swing: it steps down after two bad windows and up only where the cost one step up, taken as proportional to
 * the area (an overestimate, since part of the cost is per Gaussian), stays below the budget. A step up that had to be taken
 * back doubles the wait before the next one: a device that throttles by temperature settles at what it can hold.
 */

export interface Sample {
  /** Milliseconds since the last picture, while something moves. */
  readonly interval: number;
  /** GPU milliseconds of the newest measured picture, null without timestamps. */
  readonly gpu: number | null;
}

export interface GovernorOptions {
  /** Milliseconds that a picture may take from one to the next: 1000 / target, never less than the display's own. */
  readonly period: number;
}

export interface Step {
  /** Share of the pixel ratio. */
  readonly scale: number;
  /** Share of the picture's fineness that Gaussians are enough for: a level of detail that shows less is not drawn. */
  readonly detail: number;
}

/** Two steps halve the area. Detail goes only when the picture is already coarse, in the same measure as pixels do. */
export const STEPS: readonly Step[] = [
  { scale: 1, detail: 1 },
  { scale: 0.84, detail: 1 },
  { scale: 0.71, detail: 1 },
  { scale: 0.6, detail: 1 },
  { scale: 0.5, detail: 1 },
  { scale: 0.5, detail: 0.71 },
  { scale: 0.42, detail: 0.71 },
  { scale: 0.35, detail: 0.5 },
];

export interface GovernorState {
  readonly step: number;
  /** What has come since the window was opened. */
  readonly intervals: readonly number[];
  readonly gpu: readonly number[];
  /** Windows in a row that were too slow, or fast enough for more. */
  readonly bad: number;
  readonly good: number;
  /** Windows to ignore: pictures in flight are still of the old size. */
  readonly settling: number;
  /** Good windows to wait for before a step up. */
  readonly patience: number;
  /** Windows since the last step up. */
  readonly sinceRaise: number;
  readonly windows: number;
}

const WINDOW_MILLISECONDS = 500;
/** A window with fewer pictures is twice as long at most: a device that needs seconds for one is not left to them. */
const WINDOW_FRAMES = 4;
/** Share of the period that the GPU may be busy: the browser's compositor needs it too. */
const BUDGET_SHARE = 0.85;
const BAD_WINDOWS = 2;
const MIN_PATIENCE = 4;
const MAX_PATIENCE = 128;
/** A raise that lasted this many windows (10 s) was right. */
const REGRET_WINDOWS = 20;
/** Without timestamps a picture counts as late beyond this many periods, and a window as bad beyond this share of them. */
const LATE = 1.4;
const BAD_LATE_SHARE = 0.25;
const GOOD_LATE_SHARE = 0.05;

export const INITIAL: GovernorState = {
  step: 0, intervals: [], gpu: [], bad: 0, good: 0, settling: 1, patience: MIN_PATIENCE, sinceRaise: Number.POSITIVE_INFINITY, windows: 0,
};

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

const area = (step: number) => STEPS[step]!.scale ** 2 * STEPS[step]!.detail;

/** Load of a window: 1 = the budget is used up. Its factor one step up is `growth`. */
function verdict(state: GovernorState, period: number): { bad: boolean; good: boolean; load: number } {
  const growth = state.step === 0 ? 1 : area(state.step - 1) / area(state.step);
  if (2 * state.gpu.length >= state.intervals.length) {
    const load = median(state.gpu) / (BUDGET_SHARE * period);
    return { bad: load > 1, good: load * growth < 0.9, load };
  }
  const late = state.intervals.filter((interval) => interval > LATE * period).length / state.intervals.length;
  return { bad: late > BAD_LATE_SHARE, good: late < GOOD_LATE_SHARE, load: median(state.intervals) / period };
}

function lowered(state: GovernorState, load: number): GovernorState {
  const last = STEPS.length - 1;
  // far too slow: go two steps at once
  const step = Math.min(last, state.step + (load > 1.8 ? 2 : 1));
  const regretted = state.sinceRaise < REGRET_WINDOWS;
  const patience = regretted ? Math.min(MAX_PATIENCE, 2 * state.patience) : state.patience;
  return { ...state, step, patience, bad: 0, good: 0, settling: 1, sinceRaise: Number.POSITIVE_INFINITY };
}

function closeWindow(state: GovernorState, period: number): GovernorState {
  const judged = verdict(state, period);
  const sinceRaise = state.sinceRaise + 1;
  const patience = sinceRaise === REGRET_WINDOWS ? Math.max(MIN_PATIENCE, state.patience / 2) : state.patience;
  const next = { ...state, intervals: [], gpu: [], windows: state.windows + 1, sinceRaise, patience };
  if (state.settling > 0) return { ...next, settling: state.settling - 1 };
  const bad = judged.bad ? state.bad + 1 : 0;
  const good = judged.good ? state.good + 1 : 0;
  if (bad >= BAD_WINDOWS && state.step < STEPS.length - 1) return lowered(next, judged.load);
  if (good >= patience && state.step > 0) {
    return { ...next, step: state.step - 1, bad: 0, good: 0, settling: 1, sinceRaise: 0 };
  }
  return { ...next, bad, good };
}

/** The state after one more picture of something that moves. */
export function advance(state: GovernorState, sample: Sample, { period }: GovernorOptions): GovernorState {
  const intervals = [...state.intervals, sample.interval];
  const gpu = sample.gpu === null ? state.gpu : [...state.gpu, sample.gpu];
  const next = { ...state, intervals, gpu };
  const elapsed = intervals.reduce((sum, interval) => sum + interval, 0);
  return elapsed >= WINDOW_MILLISECONDS * (intervals.length < WINDOW_FRAMES ? 2 : 1) ? closeWindow(next, period) : next;
}

/** In one word for the statistics panel. */
export function condition(state: GovernorState): "measuring" | "steady" | "lowered" | "lowest" {
  if (state.windows < 2) return "measuring";
  if (state.step === 0) return "steady";
  return state.step === STEPS.length - 1 ? "lowest" : "lowered";
}
