/** Pose -> what the GPU needs: 55 joint matrices and the network's input. Twins: `joint_transforms`, `mlp_inputs` in evaluate.py. */
import type { PoseSkeleton } from "./api";
import { type Avatar, floats, ints } from "./format";
import { NUM_JOINTS } from "./generated";
import type { Pose } from "./pose";
import { rodrigues } from "./rotation";
import { safeInputs, type Trained } from "./trained_poses";

/** The part of an avatar that moves joints. */
export interface Skeleton extends PoseSkeleton {
  /** 55 x 3 x 4, canonical pose -> joint */
  readonly inverseBind: Float32Array;
}

export function skeletonOf(avatar: Avatar): Skeleton {
  const { joint_rest, inverse_bind, joint_parent } = avatar.sections;
  return { rest: floats(joint_rest), inverseBind: floats(inverse_bind), parent: ints(joint_parent) };
}

/** `out[o..o+11] = a[i..i+11] b[j..j+11]`, 3 x 4 matrices with an implied last row 0 0 0 1; `out` is neither input. */
function multiply(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, out: Float64Array | Float32Array, o: number): void {
  for (let r = 0; r < 12; r += 4) {
    for (let c = 0; c < 4; c++) {
      let sum = c === 3 ? a[i + r + 3]! : 0;
      for (let k = 0; k < 3; k++) sum += a[i + r + k]! * b[j + 4 * k + c]!;
      out[o + r + c] = sum;
    }
  }
}

/** [55, 3, 4] `[Rh|Th] T_root_joint`: joints in the world (before the inverse bind). */
export function worldJoints(skeleton: Skeleton, pose: Pose): Float64Array {
  const { rest, parent } = skeleton;
  const world = new Float64Array(NUM_JOINTS * 12);
  const root = new Float64Array(12);
  const step = new Float64Array(12);
  const rotation = new Float64Array(9);
  for (let r = 0; r < 3; r++) {
    for (let c = 0; c < 3; c++) root[4 * r + c] = pose.Rh[3 * r + c]!;
    root[4 * r + 3] = pose.Th[r]!;
  }
  for (let j = 0; j < NUM_JOINTS; j++) {
    const up = parent[j]!;
    rodrigues(pose.pose[3 * j]!, pose.pose[3 * j + 1]!, pose.pose[3 * j + 2]!, rotation);
    for (let r = 0; r < 3; r++) {
      for (let c = 0; c < 3; c++) step[4 * r + c] = rotation[3 * r + c]!;
      step[4 * r + 3] = rest[3 * j + r]! - (up < 0 ? 0 : rest[3 * up + r]!);
    }
    if (up < 0) multiply(root, 0, step, 0, world, 12 * j);
    else multiply(world, 12 * up, step, 0, world, 12 * j);
  }
  return world;
}

/** [55, 3, 4] from canonical space to the world. */
export function jointTransforms(skeleton: Skeleton, pose: Pose): Float32Array<ArrayBuffer> {
  const world = worldJoints(skeleton, pose);
  const out = new Float32Array(NUM_JOINTS * 12);
  for (let j = 0; j < NUM_JOINTS; j++) multiply(world, 12 * j, skeleton.inverseBind, 12 * j, out, 12 * j);
  return out;
}

/** [inputs] pose numbers of joints 1..21, then the expression (zero-filled or cut to what the network takes). */
export function rawInputs(pose: Pose, inputs: number, poseInputs: number): Float32Array<ArrayBuffer> {
  const x = new Float32Array(inputs);
  x.set(pose.pose.subarray(3, 3 + poseInputs));
  x.set(pose.expression.subarray(0, inputs - poseInputs), poseInputs);
  return x;
}

/** The same, kept inside what training saw where the file says it. */
export function mlpInputs(pose: Pose, inputs: number, poseInputs: number, trained: Trained = {}): Float32Array<ArrayBuffer> {
  return safeInputs(rawInputs(pose, inputs, poseInputs), trained);
}
