import assert from "node:assert/strict";
import test from "node:test";
import golden from "../../../tests/goldens/kinematics.json";
import { jointTransforms, mlpInputs, rawInputs, type Skeleton } from "../src/kinematics";
import { parsePose } from "../src/pose";
import { poseDistance, regionsFault } from "../src/trained_poses";
import { close } from "./close";

const skeleton: Skeleton = {
  rest: Float32Array.from(golden.skeleton.joint_rest),
  inverseBind: Float32Array.from(golden.skeleton.inverse_bind),
  parent: Int32Array.from(golden.skeleton.joint_parent),
};

test("network inputs are clamped to the trained range", () => {
  const { row, mlp_inputs } = golden.cases[0]!;
  const range = [mlp_inputs.map((x, i) => x + 0.1 * (i % 3) - 0.2), mlp_inputs.map((x, i) => x + 0.1 * (i % 3) - 0.1)];
  const clamped = mlp_inputs.map((x, i) => Math.min(Math.max(x, range[0]![i]!), range[1]![i]!));
  close(mlpInputs(parsePose(row), 73, 63, { input_range: range }), clamped, 1e-6);
});

test("the regions of the golden are sound, damaged ones are named", () => {
  const { trained_regions } = golden.trained;
  assert.equal(regionsFault(trained_regions, 63), undefined);
  const first = trained_regions[0]!;
  const damaged = [null, { ...first, joints: [22] }, { ...first, joints: [] }, { ...first, mean: [1] }, { ...first, poses: [] }, { ...first, radius: -1 }, { ...first, softness: 0 }];
  for (const region of damaged) {
    assert.match(regionsFault([first, region], 63) ?? "", /trained_regions\[1\] needs name, joints, mean/);
  }
  assert.match(regionsFault({}, 63) ?? "", /must be a list/);
});

for (const { name, row, joint_transforms, mlp_inputs, safe_inputs, pose_distance } of golden.cases) {
  test(`joint transforms equal evaluate.py: ${name}`, () => {
    // evaluate.py works in float32: chains of up to 55 products of numbers of a few metres leave about 1e-5
    close(jointTransforms(skeleton, parsePose(row)), joint_transforms, 3e-5);
  });
  test(`network inputs equal evaluate.py: ${name}`, () => {
    close(mlpInputs(parsePose(row), 73, 63), mlp_inputs, 1e-6);
  });
  test(`inputs kept to what training saw, and how far they were, equal trained_poses.py: ${name}`, () => {
    close(mlpInputs(parsePose(row), 73, 63, golden.trained), safe_inputs, 1e-5);
    const found = poseDistance(rawInputs(parsePose(row), 73, 63), golden.trained);
    assert.deepEqual([...found.keys()], Object.keys(pose_distance));
    close([...found.values()], Object.values(pose_distance), 1e-5);
  });
}
