/** Landmarks without their tremor. Twin, with the source named: nerfstudio_mobavatar/posing/smoothing.py. */
import type { Vector } from "../rotation";
import type { Landmarks } from "./landmarks";
import { RETARGET } from "./table";

/** How much of a new value a first-order low pass takes. */
const shareOf = (step: number, cutoff: number) => 1 / (1 + 1 / (2 * Math.PI * cutoff * step));

/** The One Euro filter of a list of numbers, each by itself. */
export class OneEuro {
  private last: readonly number[] | undefined;
  private speed: readonly number[] = [];
  private when = 0;

  /** The smoothed values at a time, which must not go back; the same time again gives the last values. */
  next(x: readonly number[], seconds: number): readonly number[] {
    const { last } = this;
    const step = seconds - this.when;
    if (!last || step > RETARGET.forget_s) {
      this.last = x;
      this.speed = x.map(() => 0);
      this.when = seconds;
      return x;
    }
    if (step <= 0) return last;
    const share = shareOf(step, RETARGET.speed_cutoff_hz);
    this.speed = this.speed.map((v, i) => v + share * ((x[i]! - last[i]!) / step - v));
    this.last = last.map((v, i) => v + shareOf(step, RETARGET.min_cutoff_hz + RETARGET.beta * Math.abs(this.speed[i]!)) * (x[i]! - v));
    this.when = seconds;
    return this.last;
  }
}

const NAMES = ["body", "leftHand", "rightHand", "face"] as const;

/** Smooths all lists of landmarks; what was not seen in a picture starts anew. */
export class Smoother {
  private readonly filters = new Map<string, OneEuro>();

  next(marks: Landmarks, seconds: number): Landmarks {
    const found: Partial<Record<(typeof NAMES)[number], readonly Vector[]>> = {};
    for (const name of NAMES) {
      const places = marks[name];
      if (!places) {
        this.filters.delete(name);
        continue;
      }
      const filter = this.filters.get(name) ?? new OneEuro();
      this.filters.set(name, filter);
      const flat = filter.next(places.flat(), seconds);
      found[name] = places.map((_, i): Vector => [flat[3 * i]!, flat[3 * i + 1]!, flat[3 * i + 2]!]);
    }
    return { ...marks, ...found };
  }
}
