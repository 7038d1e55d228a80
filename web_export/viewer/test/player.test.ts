import assert from "node:assert/strict";
import test from "node:test";
import { Player, mixPoses } from "../src/player";
import { type Pose, parsePoses } from "../src/pose";
import { axisAngleToQuaternion, matrixToQuaternion, mixAxisAngle, quaternionToAxisAngle, quaternionToMatrix, rodrigues, type Vector } from "../src/rotation";
import { close } from "./close";

const EYE = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];

function row(angle: number, x: number) {
  return { frame_id: 0, pose: Array.from({ length: 165 }, (_, i) => (i === 4 ? angle : 0)), Rh: EYE, Th: [x, 0, 0], expression: [x] };
}

const poses = (...rows: object[]) => parsePoses(JSON.stringify(rows));

function matrix([x, y, z]: Vector): Float64Array {
  const m = new Float64Array(9);
  rodrigues(x, y, z, m);
  return m;
}

test("a mix at the ends is the frame itself", () => {
  const [p, q] = poses(row(0.1, 0), row(0.5, 1)) as [Pose, Pose];
  assert.equal(mixPoses(p, q, 0), p);
  assert.equal(mixPoses(p, q, 1), q);
});

test("a mix half way is half way", () => {
  const [p, q] = poses(row(0.1, 0), row(0.5, 1)) as [Pose, Pose];
  const mixed = mixPoses(p, q, 0.5);
  assert.ok(Math.abs(mixed.pose[4]! - 0.3) < 1e-6);
  close(mixed.Th, [0.5, 0, 0], 1e-6);
  close(mixed.expression, [0.5], 1e-6);
});

test("the world rotation goes along the shorter arc", () => {
  const [p, q] = poses(row(0, 0), row(0, 0)) as [Pose, Pose];
  const turn = (a: number) => quaternionToMatrix(axisAngleToQuaternion([0, a, 0]));
  const mixed = mixPoses({ ...p, Rh: turn(3) }, { ...q, Rh: turn(-3) }, 0.5);
  close(mixed.Rh, turn(Math.PI), 1e-6);
});

test("angles that wrap are not crossed number by number", () => {
  // 3.1 and -3.1 about y are 0.083 rad apart; half way is pi, never 0
  for (const t of [0.25, 0.5, 0.75]) {
    const mixed = mixAxisAngle([0, 3.1, 0], [0, -3.1, 0], t);
    close(matrix(mixed), matrix([0, 3.1 + t * (2 * Math.PI - 6.2), 0]), 1e-9);
    assert.ok(Math.abs(mixed[1] - (t < 0.5 ? 3.1 : -3.1)) < 0.1, "written in the numbers of the nearer frame");
  }
});

test("conversions invert each other", () => {
  for (const r of [[0.1, -0.7, 0.4], [0, 0, 0], [Math.PI, 0, 0], [0, Math.PI, 0], [0, 0, Math.PI], [2.2, 2.1, -0.78], [3.1, 0, 0], [0, -2.2, 2.2], [-1.5, 1.5, 1.5]] as const) {
    const q = axisAngleToQuaternion(r);
    close(quaternionToAxisAngle(q), r, 1e-9);
    close(quaternionToMatrix(q), matrix(r), 1e-6); // one is stored in float32
    close(quaternionToMatrix(matrixToQuaternion(Float32Array.from(matrix(r)))), matrix(r), 1e-6);
  }
});

test("playing runs at the motion's own speed and starts over", () => {
  const player = new Player(poses(row(0, 0), row(0, 1), row(0, 2), row(0, 3), row(0, 4)), 20);
  player.advance(0.1);
  assert.ok(Math.abs(player.position - 2) < 1e-9);
  close(player.pose().Th, [2, 0, 0], 1e-6);
  player.advance(0.125);
  assert.ok(Math.abs(player.position - 0.5) < 1e-9, "4.5 is past the last frame");
  player.playing = false;
  player.advance(0.1);
  assert.ok(Math.abs(player.position - 0.5) < 1e-9);
});

test("a hidden tab does not skip through the motion", () => {
  const player = new Player(poses(...Array.from({ length: 100 }, (_, i) => row(0, i))), 30);
  player.advance(60);
  assert.ok(player.position < 10);
});

test("seeking stays inside, one frame is a still", () => {
  const player = new Player(poses(row(0, 0), row(0, 1)), 30);
  player.seek(7);
  assert.equal(player.position, 1);
  player.seek(-1);
  assert.equal(player.position, 0);
  const still = new Player(poses(row(0, 0)), 30);
  still.advance(1);
  assert.equal(still.position, 0);
  assert.ok(still.pose());
});

test("bad motions name the frame and the field", () => {
  const bad = (edit: object) => () => poses(row(0, 0), { ...row(0, 0), ...edit });
  assert.throws(bad({ pose: [1, 2] }), /frame 1 needs pose\[165\], Th\[3\], Rh\[3\]\[3\]: pose must be 165 finite numbers, found 2 values/);
  assert.throws(bad({ Th: null }), /Th must be 3 finite numbers, found null/);
  assert.throws(bad({ Rh: [[1, 0, 0], [0, 1, 0], [0, 0, "x"]] }), /Rh must be 9 finite numbers/);
  assert.throws(() => parsePoses("[]"), /non-empty/);
  assert.throws(() => parsePoses("<html>"), /not JSON/);
  assert.equal(poses({ ...row(0, 0), expression: null })[0]!.expression.length, 10);
});
