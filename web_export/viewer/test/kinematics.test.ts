import test from "node:test";
import golden from "../../../tests/goldens/kinematics.json";
import { jointTransforms, mlpInputs, type Skeleton } from "../src/kinematics";
import { parsePose } from "../src/pose";
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
  close(mlpInputs(parsePose(row), 73, 63, range), clamped, 1e-6);
});

for (const { name, row, joint_transforms, mlp_inputs } of golden.cases) {
  test(`joint transforms equal evaluate.py: ${name}`, () => {
    // evaluate.py works in float32: chains of up to 55 products of numbers of a few metres leave about 1e-5
    close(jointTransforms(skeleton, parsePose(row)), joint_transforms, 3e-5);
  });
  test(`network inputs equal evaluate.py: ${name}`, () => {
    close(mlpInputs(parsePose(row), 73, 63), mlp_inputs, 1e-6);
  });
}
