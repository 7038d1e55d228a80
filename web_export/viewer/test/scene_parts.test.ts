import assert from "node:assert/strict";
import test from "node:test";
import type { Camera } from "../src/camera";
import { allLevels, areLevels, chooseLevel } from "../src/detail";
import { asViewerError, ViewerError } from "../src/errors";
import { title } from "../src/motion";
import { isRefreshCapped, RefreshMeter } from "../src/pacing";
import { RecoveryPolicy } from "../src/recovery";
import { checkedCamera, pictureSize } from "../src/view";
import { isVisible, pixelsPerMetre } from "../src/visibility";

const CAMERA: Camera = { T_cam_world: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], K: [100, 0, 50, 0, 100, 100, 0, 0, 1], width: 100, height: 200 };
const sphere = (x: number, y: number, z: number, radius = 1) => ({ center: [x, y, z] as const, radius });

test("a lost device is replaced twice, then lowered, then given up", () => {
  const policy = new RecoveryPolicy();
  assert.deepEqual([0, 1, 2, 3, 4].map((s) => policy.lost(1000 * s)), ["rebuild", "rebuild", "lower", "give-up", "give-up"]);
  policy.reset();
  assert.equal(policy.lost(5000), "rebuild");
});

test("losses that lie far apart are forgotten", () => {
  const policy = new RecoveryPolicy();
  for (let i = 0; i < 10; i++) assert.equal(policy.lost(i * 6 * 60_000), "rebuild");
});

test("people outside of the picture are culled, those at its border are not", () => {
  assert.ok(isVisible(CAMERA, sphere(0, 0, 5)));
  assert.ok(!isVisible(CAMERA, sphere(0, 0, -2)), "behind");
  assert.ok(isVisible(CAMERA, sphere(0, 0, 0.5)), "around the eye");
  for (const [x, y] of [[-1, 0], [1, 0], [0, -1], [0, 1]] as const) {
    const half = x !== 0 ? 2.5 : 5; // half the picture at z = 5
    assert.ok(isVisible(CAMERA, sphere((half + 0.9) * x, (half + 0.9) * y, 5)), `${x} ${y} just inside`);
    assert.ok(!isVisible(CAMERA, sphere((half + 1.6) * x, (half + 1.6) * y, 5)), `${x} ${y} outside`);
  }
});

const LEVELS = [{ count: 10, enlarge: 2, pixels_per_metre: 40 }, { count: 50, enlarge: 1.5, pixels_per_metre: 200 }];

test("far away people get fewer Gaussians, with a margin against swinging", () => {
  assert.equal(pixelsPerMetre(CAMERA, sphere(0, 0, 10)), 10);
  assert.equal(pixelsPerMetre(CAMERA, sphere(0, 0, 0.5)), Number.POSITIVE_INFINITY);
  const all = allLevels({ num_gaussians: 200, levels: LEVELS });
  assert.deepEqual(all.map(({ count }) => count), [10, 50, 200]);
  assert.deepEqual([1000, 150, 30].map((pixels) => chooseLevel(all, pixels, 0)), [0, 1, 2]);
  assert.equal(chooseLevel(all, 190, 0), 0, "190 * 1.15 > 200");
  assert.equal(chooseLevel(all, 190, 1), 1, "kept within the margin");
  assert.equal(chooseLevel(all, 210, 1), 0, "no longer enough");
  assert.equal(chooseLevel(all, Number.POSITIVE_INFINITY, 2), 0, "from inside");
  assert.equal(chooseLevel(allLevels({ num_gaussians: 5 }), 1, 0), 0, "there is only one");
});

test("levels that make no sense are told from those that do", () => {
  assert.ok(areLevels(LEVELS, 200) && areLevels([], 1));
  const [coarse, fine] = LEVELS as [(typeof LEVELS)[0], (typeof LEVELS)[0]];
  const wrong = [null, {}, [null], [fine, coarse], [{ ...coarse, count: 1.5 }], [{ ...coarse, count: 0 }], [{ ...coarse, enlarge: 0 }],
    [{ ...coarse, enlarge: 17 }], [{ ...coarse, pixels_per_metre: -1 }], [coarse, { ...fine, pixels_per_metre: 39 }], [{ count: 3 }]];
  for (const levels of wrong) assert.ok(!areLevels(levels, 200), JSON.stringify(levels));
  assert.ok(!areLevels(LEVELS, 50), "a level is less than the whole");
});

test("the rate of the display is found, and named where iOS limits it", () => {
  const meter = new RefreshMeter();
  assert.equal(meter.hertz, 60, "before anything is known");
  for (let i = 0; i < 60; i++) meter.tick(i * 8.35 + (i % 20 === 0 ? 3 : 0));
  assert.equal(meter.hertz, 120);
  assert.ok(isRefreshCapped("Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X)", 5));
  assert.ok(isRefreshCapped("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", 5), "an iPad says that it is a Mac");
  assert.ok(!isRefreshCapped("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", 0));
  assert.ok(!isRefreshCapped("Mozilla/5.0 (Linux; Android 16)", 5));
});

test("pictures have at most four million pixels and at least one", () => {
  assert.deepEqual(pictureSize(400, 800, 2), { width: 800, height: 1600, ratio: 2 });
  const large = pictureSize(4000, 2000, 2);
  assert.ok(large.width * large.height <= 2560 * 1600 * 1.001);
  assert.deepEqual(pictureSize(0, 0, 2), { width: 1, height: 1, ratio: 2 });
});

test("what is no camera is refused with what was expected", () => {
  const view = { T_cam_world: CAMERA.T_cam_world, K: CAMERA.K, width: 100, height: 200 };
  assert.equal(checkedCamera(view).width, 100);
  assert.throws(() => checkedCamera({ ...view, K: [1, 2] }), /K must be 9 finite numbers, found 2 values/);
  assert.throws(() => checkedCamera({ ...view, width: 0.5 }), /whole pixels, 1 to 8192, found 0.5 x 200/);
});

test("whatever is thrown becomes an error that can be shown", () => {
  const known = new ViewerError("truncated", "x");
  assert.equal(asViewerError(known), known);
  const wrapped = asViewerError(Object.assign(new Error("short"), { code: "truncated" }), "a.mobavatar");
  assert.deepEqual([wrapped.code, wrapped.message, wrapped.title], ["truncated", "a.mobavatar: short", "The avatar could not be loaded"]);
  assert.deepEqual([asViewerError("odd").code, asViewerError("odd").message], ["internal", "odd"]);
});

test("file names become titles", () => {
  assert.deepEqual(["walk_one.pose.json", "a.pose.bin", "a-b.JSON", ".json"].map(title), ["walk one", "a", "a b", ".json"]);
});
