import assert from "node:assert/strict";
import test from "node:test";
import golden from "../../../tests/goldens/landmarks.json";
import { type EditedPose, vectorAt } from "../src/posing/edited";
import { facing, flipped, type Landmarks, retargeted } from "../src/posing/landmarks";
import { marksOf } from "../src/posing/mediapipe";
import { OneEuro, Smoother } from "../src/posing/smoothing";
import type { Quaternion, Vector } from "../src/rotation";
import { close } from "./close";

const skeleton = { rest: Float32Array.from(golden.skeleton.rest), parent: Int32Array.from(golden.skeleton.parent) };
const places = (flat: readonly number[] | null): Vector[] | null => flat && Array.from({ length: flat.length / 3 }, (_, i) => vectorAt(flat, i));

const marks = (i: number) => read(golden.cases[i]!.marks);

function read(m: (typeof golden.cases)[number]["marks"]): Landmarks {
  return {
    body: places(m.body)!,
    visibility: m.visibility,
    leftHand: places(m.left_hand),
    rightHand: places(m.right_hand),
    face: places(m.face),
    jaw: m.jaw,
    eyes: m.eyes && [[m.eyes[0]!, m.eyes[1]!], [m.eyes[2]!, m.eyes[3]!]],
  };
}

const editedPose = ({ pose, transl }: { pose: number[]; transl: number[] }): EditedPose => ({ pose: places(pose)!, transl: vectorAt(transl, 0), expression: [] });

golden.cases.forEach((c, i) => {
  test(`landmarks give the pose of landmarks.py: case ${i}`, () => {
    const after = retargeted(skeleton, marks(i), editedPose(c.before), c.stands as unknown as Quaternion);
    close(after.pose.flat(), c.after.pose, 2e-4); // the rest joints are float32 here
    close(after.transl, c.after.transl, 1e-5);
    close(facing(c.facing_of as unknown as Vector), c.stands, 1e-6);
  });
});

test("the mirror image is that of landmarks.py", () => {
  golden.cases.forEach(({ flipped: expected }, i) => {
    const [found, twin] = [flipped(marks(i)), read(expected)];
    for (const name of ["body", "visibility", "leftHand", "rightHand", "face", "eyes"] as const) {
      assert.equal(found[name] === null, twin[name] === null);
      close((found[name] ?? []).flat(), (twin[name] ?? []).flat(), 1e-9);
    }
  });
});

test("tremor is filtered as smoothing.py does", () => {
  const filter = new OneEuro();
  for (const { x, seconds, smooth } of golden.series) close(filter.next(x, seconds), smooth, 1e-5);
});

test("a hand that was away starts anew", () => {
  const smoother = new Smoother();
  const seen = marks(0);
  smoother.next(seen, 0);
  assert.equal(smoother.next({ ...seen, leftHand: null }, 0.03).leftHand, null);
  const far = seen.leftHand!.map(([x, y, z]): Vector => [x + 1, y, z]);
  assert.deepEqual(smoother.next({ ...seen, leftHand: far }, 0.06).leftHand, far);
});

test("landmarks that are no numbers are refused", () => {
  const before = editedPose(golden.cases[0]!.before);
  const broken = { ...marks(0), body: marks(0).body.map((): Vector => [Number.NaN, 0, 0]) };
  assert.throws(() => retargeted(skeleton, broken, before, [1, 0, 0, 0]), /finite/);
});

const point = ([x, y, z]: Vector, visibility = 1) => ({ x, y, z, visibility });

/** Results as MediaPipe gives them: normalised pictures places, and metres. */
function results(m: Landmarks) {
  const image = m.body.map(([x, y, z]) => point([0.5 + 0.3 * x, 0.5 + 0.3 * y, z]));
  const pose = { landmarks: [image], worldLandmarks: [m.body.map((p, i) => point(p, m.visibility[i]))] };
  const hands = (["right", "left"] as const).map((side) => {
    const wrist = image[side === "left" ? 15 : 16]!;
    const world = side === "left" ? m.leftHand! : m.rightHand!;
    return { landmarks: world.map(() => ({ ...wrist, x: wrist.x + 0.01 })), world: world.map((p) => point(p)) };
  });
  return { pose, hand: { landmarks: hands.map((h) => h.landmarks), worldLandmarks: hands.map((h) => h.world) } };
}

test("MediaPipe's results are read: hands by the nearer wrist, the face by its outline and its expression", () => {
  const m = marks(0);
  const { pose, hand } = results(m);
  const faceLandmarks = [Array.from({ length: 478 }, (_, i) => point([i / 1000, i / 500, 0]))];
  const categories = [["jawOpen", 0.4], ["eyeLookDownLeft", 0.2], ["eyeLookOutLeft", 0.3], ["eyeLookInRight", 0.5], ["eyeLookUpRight", 0.6]];
  const faceBlendshapes = [{ categories: categories.map(([categoryName, score]) => ({ categoryName: categoryName as string, score: score as number })) }];
  const found = marksOf(pose, hand, { faceLandmarks, faceBlendshapes }, 1.5)!;
  close(found.body.flat(), m.body.flat(), 1e-9);
  close(found.leftHand!.flat(), m.leftHand!.flat(), 1e-9);
  close(found.rightHand!.flat(), m.rightHand!.flat(), 1e-9);
  close(found.face!.flat(), [454, 234, 10, 152].flatMap((i) => [(1.5 * i) / 1000, i / 500, 0]), 1e-9);
  assert.equal(found.jaw, 0.4);
  close(found.eyes!.flat(), [0.3, 0.2, 0.5, -0.6], 1e-9);
});

test("nobody in the picture is nobody, and one hand is one hand", () => {
  assert.equal(marksOf({ landmarks: [], worldLandmarks: [] }, undefined, undefined, 1), null);
  const { pose, hand } = results(marks(0));
  const one = marksOf(pose, { landmarks: hand.landmarks.slice(1), worldLandmarks: hand.worldLandmarks.slice(1) }, undefined, 1)!;
  assert.ok(one.leftHand && !one.rightHand && !one.face && one.jaw === null && one.eyes === null);
});
