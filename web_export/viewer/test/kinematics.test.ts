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

for (const { name, row, joint_transforms, mlp_inputs } of golden.cases) {
  test(`joint transforms equal evaluate.py: ${name}`, () => {
    // evaluate.py works in float32: chains of up to 55 products of numbers of a few metres leave about 1e-5
    close(jointTransforms(skeleton, parsePose(row)), joint_transforms, 3e-5);
  });
  test(`network inputs equal evaluate.py: ${name}`, () => {
    close(mlpInputs(parsePose(row), 73, 63), mlp_inputs, 1e-6);
  });
}
