import assert from "node:assert/strict";
import test from "node:test";
import golden from "../../../tests/goldens/posing.json";
import type { PoseFrame, PoseSkeleton } from "../src/api";
import { lookAt } from "../src/camera";
import { parsePose } from "../src/pose";
import { jointIndex } from "../src/posing/edit";
import { type EditedPose, vectorAt } from "../src/posing/edited";
import { decodePose, decodeView, encodePose, encodeView } from "../src/posing/link";
import { LIMITS } from "../src/posing/table";
import { fromFrame, joints, reach, toFrame } from "../src/posing/public";
import type { Vector } from "../src/rotation";
import { PoseEditor } from "../src/ui/pose_editor";
import { expressionRanges } from "../src/ui/pose_mode";
import { Projection } from "../src/ui/projection";
import { close } from "./close";

const skeleton: PoseSkeleton = {
  rest: Float32Array.from(golden.skeleton.rest),
  parent: Int32Array.from(golden.skeleton.parent),
};
const before = golden.cases[0]!.before;
const start: EditedPose = {
  pose: Array.from({ length: 55 }, (_, j) => vectorAt(before.pose, j)),
  transl: vectorAt(before.transl, 0),
  expression: [0.5, -1.25, 0],
};

test("a link gives the pose back to 0.007 degrees, and is short", () => {
  const text = encodePose(start);
  assert.match(text, /^[\w-]+$/);
  assert.ok(text.length < 500, `${text.length} characters`);
  const back = decodePose(text);
  close(back.pose.flat(), start.pose.flat(), 0.5 / 4096 + 1e-9);
  close(back.transl, start.transl, 1e-6);
  close(back.expression, start.expression, 0.5 / 4096);
});

test("a link leaves out joints that are zero", () => {
  const few = { ...start, pose: start.pose.map((v, j): Vector => (j === 5 || j === 54 ? v : [0, 0, 0])) };
  few.pose[54] = [0.1, 0, -0.2];
  close(decodePose(encodePose(few)).pose.flat(), few.pose.flat(), 0.5 / 4096 + 1e-9);
  assert.ok(encodePose(few).length < 60);
});

test("a link holds large numbers as the same rotation", () => {
  const turns: Vector = [0, 9, 0];
  const back = decodePose(encodePose({ ...start, pose: start.pose.map((v, j) => (j === 5 ? turns : v)) }));
  close(back.pose[5]!, [0, 9 - 2 * Math.PI - 2 * Math.PI * Math.round((9 - 2 * Math.PI) / (2 * Math.PI)), 0], 1e-3);
});

test("a link may carry the view", () => {
  const view = { yaw: -0.1236, pitch: 0.5, zoom: 1.25 };
  assert.deepEqual(decodeView(encodeView(view)), { yaw: -0.124, pitch: 0.5, zoom: 1.25 });
  for (const broken of ["", "1,2", "1,2,", "1,2,x", "1,2,Infinity"]) assert.throws(() => decodeView(broken), /three numbers/);
});

test("sliders of the expression go as far as training went, zero included", () => {
  const header = { layer_sizes: [66, 8], num_pose_inputs: 63 };
  assert.deepEqual(expressionRanges(header), [[-3, 3], [-3, 3], [-3, 3]]);
  const low = [...Array<number>(63).fill(-1), -0.42, 0.2, 0];
  const high = [...Array<number>(63).fill(1), 1.11, 0.9, 0];
  assert.deepEqual(expressionRanges({ ...header, input_range: [low, high] }), [[-0.5, 1.2], [0, 0.9], [0, 0.1]]);
});

test("the pelvis spins about the world's axes, and a joint's axes are those of its world rotation", () => {
  const { editor: posing } = editor();
  posing.set({ ...start, pose: start.pose.map((): Vector => [0, 0, 0]) });
  posing.spin(0)([0, 0.5, 0]);
  close(posing.pose.pose[0]!, [0, 0.5, 0], 1e-6);
  close(posing.axes(jointIndex("left_wrist")).flat(), [Math.cos(0.5), 0, -Math.sin(0.5), 0, 1, 0, Math.sin(0.5), 0, Math.cos(0.5)], 1e-6);
});

test("a broken link says what is wrong with it", () => {
  const text = encodePose(start);
  const other = text[40] === "A" ? "B" : "A";
  const cases: [string, RegExp][] = [
    [text.slice(0, -4), /expected \d+ bytes, found \d+/],
    [text.slice(0, 40) + other + text.slice(41), /checksum/],
    [text.slice(0, 40) + text.slice(44, 48) + text.slice(40, 44) + text.slice(48), /checksum/], // bytes in another order
    [`C${text.slice(1)}`, /expected version 1, found 9/],
    ["", /letters, digits/],
    ["a b", /letters, digits/],
    ["AQAAA", /whole number of bytes/],
    ["AQ", /expected \d+ bytes, found 1/],
  ];
  for (const [broken, words] of cases) assert.throws(() => decodePose(broken), { code: "bad-link", message: words }, broken);
  for (let i = 0; i < text.length; i++) assert.throws(() => decodePose(text.slice(0, i)), { code: "bad-link" });
});

test("a frame of a file survives editing", () => {
  const frame = toFrame(skeleton, start);
  close(frame.pose.slice(3), start.pose.slice(1).flat(), 1e-6);
  const again = toFrame(skeleton, fromFrame(skeleton, JSON.parse(JSON.stringify(frame)) as PoseFrame));
  for (const key of ["pose", "Th", "expression"] as const) close(again[key]!, frame[key]!, 3e-6);
  close(again.Rh.flat(), frame.Rh.flat(), 3e-6);
  assert.equal(parsePose(frame).expression.length, 3);
});

test("drivers reach with what the module exports", () => {
  const at = joints(skeleton, start)[21]!;
  const target: Vector = [at[0], at[1] + 0.05, at[2]];
  close(joints(skeleton, reach(skeleton, start, "right_hand", target))[21]!, target, 2e-3);
});

test("pixels and places are inverse, also where the picture is letterboxed and the avatar placed", () => {
  const camera = { T_cam_world: lookAt([2, 1, 3], [0, 1, 0], [0, 1, 0]), K: [500, 3, 150, 0, 510, 210, 0, 0, 1], width: 300, height: 400 };
  const T = [0, 0, 1, 0.3, 0, 1, 0, 0, -1, 0, 0, 0.1, 0, 0, 0, 1];
  const projection = new Projection(camera, T, 800, 600);
  const p: Vector = [0.2, 1.3, -0.1];
  const pixel = projection.pixel(p);
  close(projection.point(pixel), p, 1e-9);
  // the optical axis goes through (150, 210) of 300 x 400 pixels, which are shown 1.5 times as large in the middle of 800 x 600
  const world: Vector = [0, 1, 0]; // the target of the camera; T turns it back into the avatar's world
  const avatar: Vector = [-(world[2] - 0.1), world[1], world[0] - 0.3];
  close(projection.pixel(avatar), [400, 315, Math.hypot(2, 3)], 1e-9);
  const [x, y] = projection.pixel([0, 1, 0].map((v, i) => v + projection.direction([0.1, 0, 0])[i]!) as unknown as Vector);
  const [x0, y0] = projection.pixel([0, 1, 0]);
  assert.ok(x > x0 + 10 && Math.abs(y - y0) < 1e-6);
});

function editor(): { editor: PoseEditor; told: EditedPose[] } {
  const told: EditedPose[] = [];
  return { editor: new PoseEditor(skeleton, start, (pose) => told.push(pose)), told };
}

test("a drag is one step back, a click is none", () => {
  const { editor: posing, told } = editor();
  const wrist = posing.joints()[20]!;
  const drag = posing.drag(20);
  const shoulder = posing.joints()[16]!;
  const target = (share: number) => wrist.map((x, i) => x + share * (shoulder[i]! - x)) as unknown as Vector;
  for (let i = 1; i <= 5; i++) drag(target(0.03 * i));
  close(posing.joints()[20]!, target(0.15), 2e-3);
  assert.equal(told.length, 5);
  assert.ok(posing.undo());
  assert.equal(posing.pose, start);
  assert.ok(!posing.undo());
  assert.ok(posing.redo());
  posing.reset();
  assert.equal(posing.pose, start);
  posing.drag(20);
  assert.ok(posing.undo());
});

test("the pelvis goes down between planted feet", () => {
  const { editor: posing } = editor();
  const [pelvis, left, right] = [0, 7, 8].map((j) => posing.joints()[j]!) as [Vector, Vector, Vector];
  posing.drag(0)([pelvis[0], pelvis[1] - 0.06, pelvis[2]]);
  const after = posing.joints();
  close(after[0]!, [pelvis[0], pelvis[1] - 0.06, pelvis[2]], 1e-9);
  close([...after[7]!, ...after[8]!], [...left, ...right], 0.01);
});

test("sliders count degrees inside the range; the pelvis from where it looked", () => {
  const { editor: posing } = editor();
  close(posing.degrees(0), [0, 0, 0], 1e-6);
  posing.rotate(0, [0, 30, 0]);
  close(posing.degrees(0), [0, 30, 0], 1e-6);
  const elbow = jointIndex("left_elbow");
  posing.rotate(elbow, [0, -60, 0]);
  close(posing.degrees(elbow), [0, -60, 0], 1e-6);
  posing.rotate(elbow, [0, 80, 0]);
  assert.ok(posing.degrees(elbow)[1] <= Math.max(LIMITS[elbow]!.high[1], 0) + 1e-6);
});

test("a joint that is spun turns about axes of the picture, from where the drag began", () => {
  const { editor: posing } = editor();
  const head = jointIndex("head");
  const spin = posing.spin(head);
  spin([0, 0.3, 0]);
  spin([0, 0.1, 0]);
  const once = posing.pose.pose[head]!;
  posing.undo();
  posing.spin(head)([0, 0.1, 0]);
  close(posing.pose.pose[head]!, once, 1e-9);
  assert.notDeepEqual(once, start.pose[head]);
});

test("a hand closes and an expression beyond the numbers so far is added", () => {
  const { editor: posing } = editor();
  posing.setCurl("left", 0.75);
  close([posing.curl("left")], [0.75], 1e-6);
  posing.setExpression(4, 1.5);
  close(posing.pose.expression, [0.5, -1.25, 0, 0, 1.5], 0);
});

test("a script's poses are one step back", () => {
  const { editor: posing, told } = editor();
  for (const x of [0.1, 0.2]) posing.adopt({ ...start, transl: [x, 0, 0] });
  assert.equal(told.length, 0);
  assert.ok(posing.undo());
  assert.equal(posing.pose, start);
});
