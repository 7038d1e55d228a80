import assert from "node:assert/strict";
import test from "node:test";
import { type Camera, lookAt, Orbit } from "../src/camera";
import type { Vector } from "../src/rotation";
import { close } from "./close";

const TARGET: Vector = [0.5, 1, -2];
const UP: Vector = [0, -1, 0];
const make = () => new Orbit(TARGET, 1, UP, [0, 0, 1]);

/** Pixel and depth of a world point. */
function project({ T_cam_world: T, K }: Camera, p: Vector): [number, number, number] {
  const [x, y, z] = [0, 4, 8].map((r) => T[r]! * p[0] + T[r + 1]! * p[1] + T[r + 2]! * p[2] + T[r + 3]!) as [number, number, number];
  return [(K[0]! * x) / z + K[2]!, (K[4]! * y) / z + K[5]!, z];
}

test("lookAt is a rotation with the target ahead and up up", () => {
  const T = lookAt([0, 0, 5], [0, 0, 0], [0, 1, 0]);
  close(T, [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 5, 0, 0, 0, 1], 1e-12);
});

test("the target is in the middle and up is up in the picture", () => {
  const camera = make().camera(800, 600);
  close(project(camera, TARGET).slice(0, 2), [400, 300], 1e-9);
  const above = project(camera, [TARGET[0], TARGET[1] - 0.5, TARGET[2]]);
  assert.ok(above[1] < 250 && Math.abs(above[0] - 400) < 1e-9);
});

test("the person fits into wide and tall windows", () => {
  for (const [width, height] of [[1280, 800], [390, 844]] as const) {
    const camera = make().camera(width, height);
    for (const side of [-1, 1]) {
      const [, y] = project(camera, [TARGET[0], TARGET[1] + 0.95 * side, TARGET[2]]);
      assert.ok(y > 0 && y < height);
      const T = camera.T_cam_world;
      const [x] = project(camera, [TARGET[0] + T[0]! * 0.5 * side, TARGET[1] + T[1]! * 0.5 * side, TARGET[2] + T[2]! * 0.5 * side]);
      assert.ok(x > 0 && x < width, `${x} outside ${width}`);
    }
  }
});

test("the first view is from the front", () => {
  const front = project(make().camera(100, 100), [TARGET[0], TARGET[1], TARGET[2] + 1])[2];
  const back = project(make().camera(100, 100), [TARGET[0], TARGET[1], TARGET[2] - 1])[2];
  assert.ok(front < back);
});

test("dragging right brings the person's near side to the right", () => {
  const orbit = make();
  const before = orbit.camera(100, 100);
  const depth = project(before, TARGET)[2];
  const T = before.T_cam_world;
  const near = [0, 1, 2].map((i) => TARGET[i]! - T[8 + i]! * 0.3) as unknown as Vector;
  orbit.turn(0.05, 0);
  const after = orbit.camera(100, 100);
  assert.ok(project(after, near)[0] > project(before, near)[0]);
  assert.ok(Math.abs(project(after, TARGET)[2] - depth) < 1e-9);
});

test("dragging down brings the person's near side down", () => {
  const orbit = make();
  const before = orbit.camera(100, 100);
  const T = before.T_cam_world;
  const near = [0, 1, 2].map((i) => TARGET[i]! - T[8 + i]! * 0.3) as unknown as Vector;
  orbit.turn(0, 0.05);
  assert.ok(project(orbit.camera(100, 100), near)[1] > project(before, near)[1]);
});

test("the view never turns over the top", () => {
  const orbit = make();
  const right = orbit.camera(100, 100).T_cam_world.slice(0, 3);
  for (const way of [100, -100]) {
    orbit.turn(0, way);
    const T = orbit.camera(100, 100).T_cam_world;
    close(T.slice(0, 3), right, 1e-9);
    assert.ok(Math.abs(T[9]!) < 0.997 && Math.abs(T[9]!) > 0.9, "looks steeply down or up, but not along the axis");
  }
});

test("zoom moves nearer and stays within its range", () => {
  const orbit = make();
  const depth = () => project(orbit.camera(100, 100), TARGET)[2];
  const start = depth();
  orbit.scale(0.5);
  assert.ok(Math.abs(depth() - start / 2) < 1e-9);
  orbit.scale(1e-9);
  assert.ok(depth() > 0.1);
  orbit.scale(1e9);
  assert.ok(depth() < 100);
});

test("shifting moves the target with the pointer, and reset takes it back", () => {
  const orbit = make();
  orbit.shift(0.1, -0.2, 200, 100);
  close(project(orbit.camera(200, 100), TARGET).slice(0, 2), [110, 30], 1e-9);
  orbit.reset();
  close(project(orbit.camera(200, 100), TARGET).slice(0, 2), [100, 50], 1e-9);
});

test("an axis without facing still gives a camera", () => {
  for (const up of [[1, 0, 0], [0, 0, -1], [0, 1, 0]] as const) {
    const depth = project(new Orbit([0, 0, 0], 1, up, [0, 0, 0]).camera(10, 10), [0, 0, 0])[2];
    assert.ok(depth > 1, `${depth}`);
  }
});
