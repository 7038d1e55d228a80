/** What pages get to pose people by hand; typed in api.ts. */
import type { EditedPose, PoseFrame, PoseSkeleton, Vector3 } from "../api";
import { frameOf, parsePose } from "../pose";
import { fromPose, jointsOf, toPose } from "./edited";

export { curled, mirrored, movedPelvis, turned } from "./edit";
export { reach, swivel } from "./ik";
export { JOINT_NAMES as jointNames } from "./table";

/** Throws PoseError naming what is wrong with the row. */
export function fromFrame(skeleton: PoseSkeleton, frame: PoseFrame): EditedPose {
  return fromPose(skeleton, parsePose(frame));
}

export function toFrame(skeleton: PoseSkeleton, pose: EditedPose): PoseFrame {
  return frameOf(toPose(skeleton, pose));
}

export function joints(skeleton: PoseSkeleton, pose: EditedPose): readonly Vector3[] {
  return jointsOf(skeleton, pose).at;
}
