/** The pose that is edited: SMPL-X's numbers, the root included. Twin: `EditedPose` in nerfstudio_mobavatar/posing/edit.py. */
import type { EditedPose, PoseSkeleton as Skeleton } from "../api";
import type { Pose } from "../pose";
import { axisAngleToQuaternion, matrixToQuaternion, type Quaternion, quaternionToAxisAngle, quaternionToMatrix, type Vector } from "../rotation";
import { multiply, subtract, add, turn } from "./limits";

export type { EditedPose };

export function vectorAt(values: ArrayLike<number>, i: number): Vector {
  return [values[3 * i]!, values[3 * i + 1]!, values[3 * i + 2]!];
}

/** From a frame of a motion: `global_orient = log(Rh exp(pose[0]))`, `transl = Th + Rh J0 - J0`. */
export function fromPose(skeleton: Skeleton, given: Pose): EditedPose {
  const Rh = matrixToQuaternion(given.Rh);
  const pelvis = vectorAt(skeleton.rest, 0);
  const pose = Array.from({ length: given.pose.length / 3 }, (_, j) => vectorAt(given.pose, j));
  pose[0] = quaternionToAxisAngle(multiply(Rh, axisAngleToQuaternion(pose[0]!)));
  return { pose, transl: subtract(add(vectorAt(given.Th, 0), turn(Rh, pelvis)), pelvis), expression: Array.from(given.expression) };
}

/** As a frame of a motion, whose root rotation is zero. */
export function toPose(skeleton: Skeleton, edited: EditedPose): Pose {
  const root = axisAngleToQuaternion(edited.pose[0]!);
  const pelvis = vectorAt(skeleton.rest, 0);
  const pose = Float32Array.from(edited.pose.flat());
  pose.fill(0, 0, 3);
  const Th = Float32Array.from(subtract(add(edited.transl, pelvis), turn(root, pelvis)));
  return { pose, Rh: quaternionToMatrix(root), Th, expression: Float32Array.from(edited.expression) };
}

/** The pose with some joints changed. */
export function withJoints(edited: EditedPose, joints: Readonly<Record<number, Vector>>): EditedPose {
  return { ...edited, pose: edited.pose.map((vector, j) => joints[j] ?? vector) };
}

/** Rotation and position (metres) of every joint in the world. */
export function jointsOf(skeleton: Skeleton, edited: EditedPose): { q: Quaternion[]; at: Vector[] } {
  const q: Quaternion[] = [];
  const at: Vector[] = [];
  for (let j = 0; j < edited.pose.length; j++) {
    const up = skeleton.parent[j]!;
    const local = axisAngleToQuaternion(edited.pose[j]!);
    const rest = vectorAt(skeleton.rest, j);
    q.push(up < 0 ? local : multiply(q[up]!, local));
    at.push(up < 0 ? add(rest, edited.transl) : add(at[up]!, turn(q[up]!, subtract(rest, vectorAt(skeleton.rest, up)))));
  }
  return { q, at };
}

