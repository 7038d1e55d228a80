/** What is being posed: the states so far, the joint that is chosen, and what a drag or a slider does. No document in here. */
import type { EditedPose, PoseSkeleton } from "../api";
import { curled, curlOf, type Finger, FINGERS, History, jointIndex, mirrored, movedPelvis, type Side, turned } from "../posing/edit";
import { jointsOf } from "../posing/edited";
import { reach, swivel } from "../posing/ik";
import { add, angles, conjugate, fromAngles, IDENTITY, multiply, type Range, subtract, turn, widened } from "../posing/limits";
import { type LimbName, LIMBS, LIMITS } from "../posing/table";
import { axisAngleToQuaternion, type Quaternion, quaternionToAxisAngle, type Vector } from "../rotation";

const PELVIS = 0;
const limbNames = Object.keys(LIMBS) as LimbName[];
/** Limbs by the joint that is dragged: the end (hand, foot) or the middle (elbow, knee). */
const ENDS = new Map<number, LimbName>(limbNames.map((name) => [LIMBS[name].end, name]));
const MIDDLES = new Map<number, LimbName>(limbNames.map((name) => [LIMBS[name].lower, name]));
/** Joints that move to where they are dragged; all others turn. */
export const HANDLES: readonly number[] = [...ENDS.keys(), ...MIDDLES.keys(), PELVIS];
const HALF_TURN: Range = [[-180, -180, -180], [180, 180, 180]];

export const isEnd = (joint: number) => ENDS.has(joint) || joint === PELVIS;

export class PoseEditor {
  /** The joint that sliders turn. */
  joint = jointIndex("head");
  readonly history: History;
  private readonly start: EditedPose;
  /** The pelvis turns from here: its rotation to the world says nothing to people. */
  private readonly facing: Quaternion;

  /** `changed` is called after every change, with the pose. */
  constructor(
    readonly skeleton: PoseSkeleton,
    pose: EditedPose,
    private readonly changed: (pose: EditedPose) => void,
  ) {
    this.start = pose;
    this.history = new History(pose);
    this.facing = axisAngleToQuaternion(pose.pose[PELVIS]!);
  }

  get pose(): EditedPose {
    return this.history.now;
  }

  /** Another pose; all of the same `gesture` are one step back. */
  set(pose: EditedPose, gesture?: unknown): void {
    if (pose === this.pose) return;
    this.history.record(pose, gesture);
    this.changed(pose);
  }

  /** A pose that came from elsewhere and is shown already; those that follow one another are one step back. */
  adopt(pose: EditedPose): void {
    this.history.record(pose, this);
  }

  /** False where there is nothing to take back. */
  undo(): boolean {
    return this.went(this.history.undo());
  }

  redo(): boolean {
    return this.went(this.history.redo());
  }

  private went(is: boolean): boolean {
    if (is) this.changed(this.pose);
    return is;
  }

  mirror(): void {
    this.set(mirrored(this.pose));
  }

  /** Back to the pose that was found. */
  reset(): void {
    this.set(this.start);
  }

  /** Metres, avatar's world. */
  joints(): readonly Vector[] {
    return jointsOf(this.skeleton, this.pose).at;
  }

  /** What dragging a joint does, from now on: a function of where it is dragged to. */
  drag(joint: number): (target: Vector) => void {
    const gesture = {};
    const { pose: before, skeleton } = this;
    const [end, middle] = [ENDS.get(joint), MIDDLES.get(joint)];
    const pelvis = this.joints()[PELVIS]!;
    return (target) => {
      if (end) this.set(reach(skeleton, this.pose, end, target), gesture);
      else if (middle) this.set(swivel(skeleton, this.pose, middle, target), gesture);
      else this.set(movedPelvis(skeleton, before, add(before.transl, subtract(target, pelvis))), gesture);
    };
  }

  /** The same for a joint that turns: a function of the axis-angle (radians, avatar's world) by which it turns. */
  spin(joint: number): (vector: Vector) => void {
    const gesture = {};
    const { pose: before, skeleton } = this;
    const { q } = jointsOf(skeleton, before);
    const up = conjugate(q[skeleton.parent[joint]!] ?? IDENTITY);
    return (vector) => {
      this.set(turned(before, joint, quaternionToAxisAngle(multiply(up, multiply(axisAngleToQuaternion(vector), q[joint]!)))), gesture);
    };
  }

  /** A joint's own axes in the world. */
  axes(joint: number): readonly [Vector, Vector, Vector] {
    const q = jointsOf(this.skeleton, this.pose).q[joint]!;
    return [turn(q, [1, 0, 0]), turn(q, [0, 1, 0]), turn(q, [0, 0, 1])];
  }

  private rotation(joint: number): Quaternion {
    const q = axisAngleToQuaternion(this.pose.pose[joint]!);
    return joint === PELVIS ? multiply(conjugate(this.facing), q) : q;
  }

  /** Degrees about x, y, z as the table of limits counts them. */
  degrees(joint: number): Vector {
    return angles(this.rotation(joint), LIMITS[joint]!.bone);
  }

  range(joint: number): Range {
    return joint === PELVIS ? HALF_TURN : widened(joint, this.rotation(joint));
  }

  rotate(joint: number, degrees: Vector, gesture?: unknown): void {
    const q = fromAngles(degrees, LIMITS[joint]!.bone);
    this.set(turned(this.pose, joint, quaternionToAxisAngle(joint === PELVIS ? multiply(this.facing, q) : q)), gesture);
  }

  /** 0 flat, 1 a fist. */
  curl(side: Side): number {
    return FINGERS.reduce((sum, finger: Finger) => sum + curlOf(this.skeleton, this.pose, side, finger) / FINGERS.length, 0);
  }

  setCurl(side: Side, share: number, gesture?: unknown): void {
    this.set(curled(this.skeleton, this.pose, side, share), gesture);
  }

  setExpression(index: number, value: number, gesture?: unknown): void {
    const { expression } = this.pose;
    const numbers = Array.from({ length: Math.max(expression.length, index + 1) }, (_, i) => expression[i] ?? 0);
    numbers[index] = value;
    this.set({ ...this.pose, expression: numbers }, gesture);
  }
}
