import assert from "node:assert/strict";
import test from "node:test";
import golden from "../../../tests/goldens/posing.json";
import type { Skeleton } from "../src/kinematics";
import { worldJoints } from "../src/kinematics";
import { curled, curlOf, History, mirrored, movedPelvis, type Side, turned } from "../src/posing/edit";
import { type EditedPose, fromPose, jointsOf, toPose, vectorAt } from "../src/posing/edited";
import { reach, swivel } from "../src/posing/ik";
import { angles, conjugate, excess, length, multiply, nearestVector, subtract, widened } from "../src/posing/limits";
import { type LimbName, LIMBS, LIMITS } from "../src/posing/table";
import { axisAngleToQuaternion, quaternionToAxisAngle, type Vector } from "../src/rotation";
import { close } from "./close";

const skeleton: Skeleton = {
  rest: Float32Array.from(golden.skeleton.rest),
  inverseBind: new Float32Array(55 * 12),
  parent: Int32Array.from(golden.skeleton.parent),
};

interface State {
  pose: number[];
  transl: number[];
}

function editedPose({ pose, transl }: State): EditedPose {
  return { pose: Array.from({ length: 55 }, (_, j) => vectorAt(pose, j)), transl: vectorAt(transl, 0), expression: [] };
}

/** What a case of the golden file does, here. */
function done(c: Record<string, unknown>, before: EditedPose): EditedPose {
  const target = c["target"] as unknown as Vector;
  switch (c["operation"]) {
    case "reach":
      return reach(skeleton, before, c["limb"] as LimbName, target);
    case "swivel":
      return swivel(skeleton, before, c["limb"] as LimbName, target);
    case "turned":
      return turned(before, c["joint"] as number, c["vector"] as Vector);
    case "mirrored":
      return mirrored(before);
    case "movedPelvis":
      return movedPelvis(skeleton, before, c["transl"] as Vector);
    case "curled":
      return curled(skeleton, before, c["side"] as Side, c["share"] as number);
    default:
      throw new Error(String(c["operation"]));
  }
}

golden.cases.forEach((c, i) => {
  test(`${c.operation} equals posing/*.py: case ${i}`, () => {
    const after = done(c, editedPose(c.before));
    // the rest joints are float32 here; a swivel stops where a range begins, found by bisection
    close(after.pose.flat(), c.after.pose, 2e-4);
    close(after.transl, c.after.transl, 1e-5);
  });
});

/** Small and repeatable (Park and Miller 1988). */
function dice(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

const start = () => editedPose(golden.cases[0]!.before);

test("10,000 dragged moves: no joint flips, no axis-angle wraps, no range is left", () => {
  const random = dice(7);
  const around = () => random() + random() + random() - 1.5;
  for (const name of Object.keys(LIMBS) as LimbName[]) {
    const limb = LIMBS[name];
    let pose = start();
    const bones = [limb.lower, limb.end].map((j) => length(subtract(vectorAt(skeleton.rest, j), vectorAt(skeleton.rest, skeleton.parent[j]!))));
    const size = bones[0]! + bones[1]!;
    let speed: Vector = [0, 0, 0];
    let target = jointsOf(skeleton, pose).at[limb.end]!;
    for (let i = 0; i < 2500; i++) {
      const { at } = jointsOf(skeleton, pose);
      const [root, hand] = [at[limb.upper]!, at[limb.end]!];
      speed = speed.map((v) => 0.9 * v + 0.004 * around()) as unknown as Vector;
      const out = subtract(target, root);
      if (length(out) > 1.1 * size) speed = speed.map((_, k) => (-0.01 * out[k]!) / length(out)) as unknown as Vector;
      if (length(out) < 0.25 * size) speed = speed.map((_, k) => (0.01 * out[k]!) / length(out)) as unknown as Vector;
      target = target.map((x, k) => x + speed[k]!) as unknown as Vector;
      const next = reach(skeleton, pose, name, target);
      const dragged = length(subtract(target, hand)) / size;
      for (const j of [limb.upper, limb.lower, limb.end]) {
        const change = length(subtract(next.pose[j]!, pose.pose[j]!));
        const [p, q] = [pose, next].map((x) => axisAngleToQuaternion(x.pose[j]!));
        const turnedBy = length(quaternionToAxisAngle(multiply(conjugate(p!), q!)));
        const where = `${name}, move ${i}, joint ${j}: ${turnedBy} rad, numbers ${change}, for ${dragged} of the limb`;
        assert.ok(turnedBy < 0.9 + 6 * dragged, where);
        assert.ok(change < 2 * turnedBy + 1e-6, where);
      }
      for (const j of [limb.upper, limb.end]) {
        const { bone } = LIMITS[j]!;
        const before = axisAngleToQuaternion(pose.pose[j]!);
        assert.ok(excess(axisAngleToQuaternion(next.pose[j]!), bone, widened(j, before)) < 1e-3, `${name}, move ${i}: joint ${j} left its range`);
      }
      pose = next;
    }
  }
});

test("a target that a pose in range reaches is reached within 5 mm (99 of 100) and at once", () => {
  const reached = golden.cases.filter((c) => c.operation === "reach");
  for (const c of reached) {
    const name = c.limb as LimbName;
    const hand = jointsOf(skeleton, done(c, editedPose(c.before))).at[LIMBS[name].end]!;
    const miss = length(subtract(hand, c.target as unknown as Vector));
    const goldenMiss = length(subtract(jointsOf(skeleton, editedPose(c.after)).at[LIMBS[name].end]!, c.target as unknown as Vector));
    assert.ok(miss < goldenMiss + 1e-3, `${name}: ${miss} m`);
  }
});

test("touching a handle moves nothing", () => {
  const pose = start();
  for (const name of Object.keys(LIMBS) as LimbName[]) {
    const hand = jointsOf(skeleton, pose).at[LIMBS[name].end]!;
    close(reach(skeleton, pose, name, hand).pose.flat(), pose.pose.flat(), 1e-9);
  }
});

test("a frame of a motion survives editing", () => {
  const pose = start();
  const frame = toPose(skeleton, pose);
  const again = fromPose(skeleton, frame);
  close(again.pose.flat(), pose.pose.flat(), 1e-5);
  close(again.transl, pose.transl, 1e-5);
  // the joints where kinematics.ts puts them for that frame
  const world = worldJoints(skeleton, frame);
  const { at } = jointsOf(skeleton, pose);
  close(at.flat(), Array.from({ length: 55 }, (_, j) => [3, 7, 11].map((k) => world[12 * j + k]!)).flat(), 1e-5);
});

test("mirroring twice and curling are undone by their inverse", () => {
  const pose = start();
  assert.deepEqual(mirrored(mirrored(pose)).pose.slice(1), pose.pose.slice(1));
  const fist = curled(skeleton, pose, "left", 0.6);
  assert.ok(Math.abs(curlOf(skeleton, fist, "left", "thumb") - 0.6) < 1e-6);
});

test("numbers of a rotation stay near those of a moment before", () => {
  let before: Vector = [3.1, 0, 0];
  for (let angle = 3.1; angle < 7; angle += 0.05) {
    const now = nearestVector(axisAngleToQuaternion([angle, 0, 0]), before);
    assert.ok(Math.abs(now[0] - angle) < 1e-6, `${now} at ${angle}`);
    before = now;
  }
});

test("joints stop at their range, and a captured pose beyond it does not snap", () => {
  const elbow = LIMBS.left_hand.lower;
  const bent = turned(start(), elbow, [0, -3.1, 0]);
  assert.ok(Math.abs(angles(axisAngleToQuaternion(bent.pose[elbow]!), 0)[1] + 150) < 1);
  const beyond: EditedPose = { ...start(), pose: start().pose.map((v, j): Vector => (j === elbow ? [0, -2.9, 0] : v)) };
  close(turned(beyond, elbow, [0, -2.85, 0]).pose[elbow]!, [0, -2.85, 0], 1e-9);
});

test("a drag is one step of the history", () => {
  const [a, b, c] = [start(), mirrored(start()), curled(skeleton, start(), "left", 1)];
  const history = new History(a);
  history.record(b, "drag 1");
  history.record(c, "drag 1");
  assert.ok(history.undo());
  assert.equal(history.now, a);
  assert.ok(!history.undo() && history.redo());
  assert.equal(history.now, c);
  history.record(b);
  assert.ok(!history.redo());
});
