/** What people do to a pose besides dragging limbs. Twin: nerfstudio_mobavatar/posing/edit.py. */
import type { PoseSkeleton as Skeleton } from "../api";
import { axisAngleToQuaternion, type Vector } from "../rotation";
import { type EditedPose, jointsOf, vectorAt, withJoints } from "./edited";
import { reach } from "./ik";
import { cross, dot, limited, nearestVector, scale, subtract, unit, widened } from "./limits";
import { CURL_DEG, JOINT_NAMES, LIMBS, LIMITS, MIRRORED } from "./table";

export type Side = "left" | "right";
export type Finger = keyof typeof CURL_DEG;
export const FINGERS = Object.keys(CURL_DEG) as Finger[];
const HISTORY_LENGTH = 200;

export const jointIndex = (name: string): number => JOINT_NAMES.indexOf(name as (typeof JOINT_NAMES)[number]);

/** One joint set to an axis-angle (radians), kept in its range, which is widened to what the joint holds already. */
export function turned(edited: EditedPose, joint: number, vector: Vector, useLimits = true): EditedPose {
  if (!vector.every(Number.isFinite)) throw new RangeError(`${JOINT_NAMES[joint]}: expected three finite numbers, found ${vector}`);
  const before = edited.pose[joint]!;
  let q = axisAngleToQuaternion(vector);
  if (useLimits && joint !== 0) q = limited(q, LIMITS[joint]!.bone, widened(joint, axisAngleToQuaternion(before)));
  return withJoints(edited, { [joint]: nearestVector(q, before) });
}

/** Left and right exchanged; the pelvis, the place in the world and the expression stay. */
export function mirrored(edited: EditedPose): EditedPose {
  const pose = MIRRORED.map((other, j): Vector => {
    if (j === 0) return edited.pose[0]!;
    const [x, y, z] = edited.pose[other]!;
    return [x, -y, -z];
  });
  return { ...edited, pose };
}

/** The person at another place; `planted` feet stay where they are as far as the legs reach. */
export function movedPelvis(skeleton: Skeleton, edited: EditedPose, transl: Vector, planted = true): EditedPose {
  let out: EditedPose = { ...edited, transl };
  if (!planted) return out;
  const { at } = jointsOf(skeleton, edited);
  for (const name of ["left_foot", "right_foot"] as const) out = reach(skeleton, out, name, at[LIMBS[name].end]!);
  return out;
}

/** Unit axis about which a finger bends. */
export function curlAxis(skeleton: Skeleton, side: Side, finger: Finger): Vector {
  const at = (name: string) => vectorAt(skeleton.rest, jointIndex(`${side}_${name}`));
  const bone = subtract(at(`${finger}3`), at(`${finger}1`));
  const palm: Vector = finger === "thumb" ? subtract(at("pinky1"), at("thumb3")) : [0, -1, 0];
  return unit(cross(bone, palm));
}

/** Fingers between flat (0) and a fist (1). */
export function curled(skeleton: Skeleton, edited: EditedPose, side: Side, share: number, fingers: readonly Finger[] = FINGERS): EditedPose {
  const changed: Record<number, Vector> = {};
  for (const finger of fingers) {
    const axis = curlAxis(skeleton, side, finger);
    CURL_DEG[finger].forEach((degrees, i) => {
      changed[jointIndex(`${side}_${finger}${i + 1}`)] = scale(axis, (degrees * Math.PI * share) / 180);
    });
  }
  return withJoints(edited, changed);
}

/** How curled a finger is, 0..1: the inverse of `curled`, the nearest for other poses. */
export function curlOf(skeleton: Skeleton, edited: EditedPose, side: Side, finger: Finger): number {
  const axis = curlAxis(skeleton, side, finger);
  let [along, all] = [0, 0];
  CURL_DEG[finger].forEach((degrees, i) => {
    const full = (degrees * Math.PI) / 180;
    along += full * dot(edited.pose[jointIndex(`${side}_${finger}${i + 1}`)]!, axis);
    all += full * full;
  });
  return Math.min(Math.max(along / all, 0), 1);
}

/** Undo and redo. A drag is one step: a state recorded with the same `gesture` as the newest one replaces it. */
export class History {
  private past: EditedPose[] = [];
  private future: EditedPose[] = [];
  private gesture: unknown;

  constructor(public now: EditedPose) {}

  /** A new state; what was undone is gone. */
  record(pose: EditedPose, gesture?: unknown): void {
    if (gesture === undefined || gesture !== this.gesture) this.past = [...this.past.slice(1 - HISTORY_LENGTH), this.now];
    this.now = pose;
    this.future = [];
    this.gesture = gesture;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  /** One step back; false where there is none. */
  undo(): boolean {
    return this.step(this.past, this.future);
  }

  /** One step forward again; false where there is none. */
  redo(): boolean {
    return this.step(this.future, this.past);
  }

  private step(source: EditedPose[], other: EditedPose[]): boolean {
    const next = source.pop();
    if (!next) return false;
    other.push(this.now);
    this.now = next;
    this.gesture = undefined;
    return true;
  }
}
