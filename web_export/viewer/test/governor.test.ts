import assert from "node:assert/strict";
import test from "node:test";
import { allLevels, chooseLevel, type Level } from "../src/detail";
import { advance, condition, type GovernorState, INITIAL, STEPS } from "../src/governor";
import { Meter } from "../src/meter";

const PERIOD = 1000 / 60;
const LAST = STEPS.length - 1;

/** Draws for `seconds`; a picture at step s takes `gpu(s)` milliseconds of GPU time, or `interval(s)` from one to the next. */
function draw(state: GovernorState, seconds: number, cost: { gpu?: (step: number) => number; interval?: (step: number) => number }): GovernorState {
  let now = 0;
  while (now < 1000 * seconds) {
    const gpu = cost.gpu?.(state.step) ?? null;
    const interval = cost.interval?.(state.step) ?? Math.max(PERIOD, gpu ?? 0);
    state = advance(state, { interval, gpu }, { period: PERIOD });
    now += interval;
  }
  return state;
}

/** Cost that is proportional to the pixels, `full` milliseconds at full size. */
const byArea = (full: number) => (step: number) => full * STEPS[step]!.scale ** 2 * STEPS[step]!.detail;

test("a fast device stays at full size", () => {
  const state = draw(INITIAL, 20, { gpu: byArea(5) });
  assert.equal(state.step, 0);
  assert.equal(condition(state), "steady");
});

test("a slow device is lowered until it fits, and stays there", () => {
  const state = draw(INITIAL, 20, { gpu: byArea(22) });
  assert.ok(state.step > 0 && byArea(22)(state.step) <= PERIOD, `step ${state.step}`);
  assert.equal(condition(state), "lowered");
  assert.equal(draw(state, 60, { gpu: byArea(22) }).step, state.step, "no swinging");
});

test("a hopeless device ends at the lowest step, not below", () => {
  const state = draw(INITIAL, 60, { gpu: byArea(500) });
  assert.equal(state.step, LAST);
  assert.equal(condition(state), "lowest");
});

/** How many Gaussians are drawn at each step, of a person who has so many pixels per metre in the whole picture. */
const drawn = (numGaussians: number, levels: readonly (readonly [number, number])[], pixelsPerMetre: number) => {
  const all = allLevels({ num_gaussians: numGaussians, levels: levels.map(([count, pixels]): Level => ({ count, enlarge: 1, pixels_per_metre: pixels })) });
  return STEPS.map(({ scale, detail }) => all.at(-1 - chooseLevel(all, scale * detail * pixelsPerMetre, 0))!.count);
};

test("Gaussians are given up where the rest is nearly enough, never of an avatar that needs all of them", () => {
  // levels of `mobavatar demo`'s avatar, 400 pixels tall, and of docs/sample's, 600
  const small = drawn(10_000, [[1250, 16], [2500, 24], [5000, 32]], 220);
  assert.deepEqual(new Set(small), new Set([10_000]));
  const large = drawn(200_000, [[6250, 42], [12_500, 63], [25_000, 84], [50_000, 126], [100_000, 168]], 330);
  assert.deepEqual(large.slice(0, 5), [200_000, 200_000, 200_000, 200_000, 200_000], "pixels go first");
  assert.ok(large.every((count, i) => i === 0 || count <= large[i - 1]!) && large.at(-1)! < 50_000, String(large));
});

test("one slow window is no reason", () => {
  let state = draw(INITIAL, 3, { gpu: byArea(5) });
  state = draw(state, 0.4, { gpu: byArea(40) });
  assert.equal(draw(state, 3, { gpu: byArea(5) }).step, 0);
});

test("without timestamps late pictures lower, punctual ones raise again", () => {
  const late = draw(INITIAL, 5, { interval: () => 2 * PERIOD });
  assert.ok(late.step > 0);
  const again = draw(late, 120, { interval: () => PERIOD });
  assert.equal(again.step, 0);
});

test("a device that throttles when warm waits longer before each new try", () => {
  // what fits at step s fits only for two seconds at the step above: it gets warm there
  let state = draw(INITIAL, 10, { gpu: byArea(22) });
  const held = state.step;
  let tries = 0;
  let waits: number[] = [];
  let since = 0;
  for (let i = 0; i < 4000; i++) {
    const isAbove = state.step < held;
    const before = state.step;
    state = advance(state, { interval: PERIOD * 4, gpu: isAbove ? PERIOD * 1.2 : PERIOD * 0.4 }, { period: PERIOD });
    since++;
    if (before === held && state.step < held) {
      tries++;
      waits = [...waits, since];
    }
    if (state.step === held && before < held) since = 0;
  }
  assert.ok(tries >= 2 && tries <= 8, `${tries} tries in 267 s`);
  assert.ok(waits.at(-1)! > 2 * waits[0]!, `waits ${waits}`);
});

/** A page that is offered animation frames every `PERIOD`, and draws a picture of something that moves every `interval`. */
function play(meter: Meter, start: number, seconds: number, interval: number): number {
  let drawn = start;
  let now = start;
  for (; now < start + 1000 * seconds; now += PERIOD) {
    meter.tick(now);
    if (now - drawn < interval) continue;
    meter.picture(now, true, null);
    drawn = now;
  }
  return now;
}

test("a gap of a hidden tab is not counted", () => {
  const meter = new Meter(60);
  let now = 0;
  for (let i = 0; i < 10; i++) now = play(meter, now + 5000, 0.04, 0);
  assert.equal(meter.step.scale, 1);
});

test("a device that needs seconds for a picture is lowered within a few of them", () => {
  const meter = new Meter(60);
  play(meter, 0, 15, 2500);
  assert.ok(meter.step.scale < 1);
});

test("advance changes nothing of what it is given", () => {
  const state = Object.freeze({ ...INITIAL, intervals: Object.freeze([]) as readonly number[], gpu: Object.freeze([]) as readonly number[] });
  advance(state, { interval: PERIOD, gpu: 3 }, { period: PERIOD });
  assert.deepEqual(state.intervals, []);
});
