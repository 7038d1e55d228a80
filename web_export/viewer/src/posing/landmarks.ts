/** A pose from the landmarks of a camera. Twin, with the method written out: nerfstudio_mobavatar/posing/landmarks.py. */
import type { PoseSkeleton as Skeleton } from "../api";
import { axisAngleToQuaternion, type Quaternion, quaternionToAxisAngle, type Vector } from "../rotation";
import { FINGERS, jointIndex, type Side } from "./edit";
import { type EditedPose, jointsOf, vectorAt } from "./edited";
import { add, between, conjugate, cross, dot, IDENTITY, length, limited, multiply, nearestVector, scale, subtract, swingTwist, turn, turnAbout, unit } from "./limits";
import { FINGER_ROOTS, HINGES, IK, LIMITS, MARKS, RETARGET } from "./table";

type Mark = keyof typeof MARKS;
const DEGREES = 180 / Math.PI;
const UP: Vector = [0, 1, 0];
const AHEAD: Vector = [0, 0, 1];
const LEFT: Vector = [1, 0, 0];
const SIDES = ["left", "right"] as const;
const FEET = SIDES.flatMap((side) => [jointIndex(`${side}_ankle`), jointIndex(`${side}_foot`)]);

/** One picture's. MediaPipe's axes (x right in the picture, y down, z away) and numbering. */
export interface Landmarks {
  /** 33 places, metres. */
  readonly body: readonly Vector[];
  /** 33 numbers, 0 hidden, 1 seen. */
  readonly visibility: readonly number[];
  /** 21 places. */
  readonly leftHand: readonly Vector[] | null;
  readonly rightHand: readonly Vector[] | null;
  /** Beside the left ear, beside the right ear, top of the forehead, chin; any unit. */
  readonly face: readonly Vector[] | null;
  /** 0 closed, 1 open. */
  readonly jaw: number | null;
  /** Left and right eye: to the person's left and down, -1..1. */
  readonly eyes: readonly (readonly [number, number])[] | null;
}

/** The landmarks of the mirror image: left and right exchanged. */
export function flipped(marks: Landmarks): Landmarks {
  const order = marks.visibility.map((_, i) => i);
  for (const name of Object.keys(MARKS) as Mark[]) {
    if (!name.startsWith("left_")) continue;
    const [left, right] = [MARKS[name], MARKS[name.replace("left_", "right_") as Mark]];
    order[left] = right;
    order[right] = left;
  }
  const across = (places: readonly Vector[] | null) => places && places.map(([x, y, z]): Vector => [-x, y, z]);
  const { face, eyes } = marks;
  return {
    body: across(order.map((i) => marks.body[i]!))!,
    visibility: order.map((i) => marks.visibility[i]!),
    leftHand: across(marks.rightHand),
    rightHand: across(marks.leftHand),
    face: across(face && [1, 0, 2, 3].map((i) => face[i]!)),
    jaw: marks.jaw,
    eyes: eyes && [...eyes].reverse().map(([left, down]) => [-left, down] as const),
  };
}

/** Somebody who stands upright and looks the way a pelvis does; up is the world's axis nearest to the pelvis' own. */
export function facing(pelvis: Vector): Quaternion {
  const q = axisAngleToQuaternion(pelvis);
  const up = turn(q, UP);
  const sizes = up.map(Math.abs);
  const axis = sizes.indexOf(Math.max(...sizes));
  const upright = up.map((x, i) => (i === axis ? Math.sign(x) : 0)) as unknown as Vector;
  return multiply(between(unit(up), upright, turn(q, AHEAD)), q);
}

const middleOf = (a: Vector, b: Vector): Vector => scale(add(a, b), 0.5);

/** The rotation that takes one pair of directions to another: the first exactly, the second as near as it goes. */
function fit(first: Vector, second: Vector, restFirst: Vector, restSecond: Vector): Quaternion {
  const q = between(unit(restFirst), unit(first), unit(restSecond));
  const axis = unit(first);
  const [a, b] = [turn(q, restSecond), second].map((v) => subtract(v, scale(axis, dot(v, axis)))) as [Vector, Vector];
  return multiply(turnAbout(axis, Math.atan2(dot(cross(a, b), axis), dot(a, b))), q);
}

/** The pose that is being put together, parents before children. */
class Figure {
  private readonly pose: Vector[];

  constructor(
    private readonly skeleton: Skeleton,
    private readonly before: EditedPose,
    private readonly stands: Quaternion,
  ) {
    this.pose = [...before.pose];
  }

  places(marks: readonly Vector[]): Vector[] {
    if (!marks.flat().every(Number.isFinite)) throw new RangeError("landmarks: expected finite numbers, found NaN or infinity; leave the picture out");
    return marks.map(([x, y, z]) => turn(this.stands, [x, -y, -z]));
  }

  rest(start: string, end: string): Vector {
    const { rest } = this.skeleton;
    return subtract(vectorAt(rest, jointIndex(end)), vectorAt(rest, jointIndex(start)));
  }

  /** From between two joints of the rest pose to between two others. */
  middle(start: string, end: string): Vector {
    return middleOf(this.rest(`left_${start}`, `left_${end}`), this.rest(`right_${start}`, `right_${end}`));
  }

  private world(joint: number): Quaternion {
    const q = axisAngleToQuaternion(this.pose[joint]!);
    const up = this.skeleton.parent[joint]!;
    return up < 0 ? q : multiply(this.world(up), q);
  }

  private above(name: string): Quaternion {
    const up = this.skeleton.parent[jointIndex(name)]!;
    return up < 0 ? IDENTITY : this.world(up);
  }

  /** Turns a joint to a rotation in the world, as far as it is seen and its range lets it. */
  set(name: string, wanted: Quaternion, weight: number): void {
    this.setLocal(name, multiply(conjugate(this.above(name)), wanted), weight);
  }

  private setLocal(name: string, wanted: Quaternion, weight: number): void {
    if (weight <= 0) return;
    const joint = jointIndex(name);
    const before = axisAngleToQuaternion(this.before.pose[joint]!);
    const way = quaternionToAxisAngle(multiply(conjugate(before), wanted));
    this.put(joint, multiply(before, axisAngleToQuaternion(scale(way, weight))));
  }

  private put(joint: number, q: Quaternion): void {
    const { bone, low, high } = LIMITS[joint]!;
    this.pose[joint] = nearestVector(joint === 0 ? q : limited(q, bone, [low, high]), this.before.pose[joint]!);
  }

  /** Turns a joint of the face to shares (-1..1) of its range. */
  angle(name: string, share: Vector): void {
    const { high } = LIMITS[jointIndex(name)]!;
    const vector = share.map((x, i) => (Math.min(Math.max(x, -1), 1) * high[i]!) / DEGREES) as unknown as Vector;
    this.setLocal(name, axisAngleToQuaternion(vector), 1);
  }

  /** Turns a chain so that its last joint has a rotation in the world, every joint by the same part of it. */
  share(names: readonly string[], wanted: Quaternion, weight: number): void {
    const way = quaternionToAxisAngle(multiply(conjugate(this.above(names[0]!)), wanted));
    const part = axisAngleToQuaternion(scale(way, 1 / names.length));
    for (const name of names) this.setLocal(name, part, weight);
  }

  /** World rotation of a joint that points its bone (rest pose) along a direction, without twist. */
  along(name: string, bone: Vector, wanted: Vector): Quaternion {
    const above = this.above(name);
    return multiply(between(unit(turn(above, bone)), unit(wanted), turn(above, AHEAD)), above);
  }

  /** Points the two bones of a limb; `first` and `both` are the weights of the upper one and of its twist. */
  bend([upper, lower, end]: readonly [string, string, string], u: Vector, v: Vector, first: number, both: number): void {
    const q = this.along(upper, this.rest(upper, lower), u);
    const axis = unit(u);
    const normal = cross(axis, unit(v));
    const sine = length(normal);
    const bent = Math.atan2(sine, dot(axis, unit(v))) * DEGREES;
    const share = both * Math.min(Math.max((bent - IK.plane_from_deg) / (IK.plane_fully_deg - IK.plane_from_deg), 0), 1);
    const raw = turn(q, (HINGES as Readonly<Record<number, Vector>>)[jointIndex(lower)]!);
    const hinge = subtract(raw, scale(axis, dot(raw, axis)));
    const twist = sine > 1e-9 ? Math.atan2(dot(cross(hinge, normal), axis), dot(hinge, normal)) : 0;
    this.set(upper, multiply(turnAbout(axis, share * twist), q), first);
    this.set(lower, this.along(lower, this.rest(lower, end), v), both);
  }

  /** Turns a hand to a rotation in the world; the forearm takes the twist. */
  palm(side: Side, wanted: Quaternion, weight: number): void {
    if (weight <= 0) return;
    const [elbow, wrist] = [jointIndex(`${side}_elbow`), `${side}_wrist`];
    const relative = multiply(conjugate(this.above(wrist)), wanted);
    const { twist } = swingTwist(conjugate(relative), LIMITS[jointIndex(wrist)]!.bone);
    const part = axisAngleToQuaternion(scale(quaternionToAxisAngle(conjugate(twist)), weight));
    this.put(elbow, multiply(axisAngleToQuaternion(this.pose[elbow]!), part));
    this.set(wrist, wanted, weight);
  }

  /** Palm and fingers from a hand's own landmarks. */
  hand(side: Side, p: readonly Vector[]): void {
    const wrist = `${side}_wrist`;
    const [ahead, wide] = [this.rest(wrist, `${side}_middle1`), this.rest(`${side}_pinky1`, `${side}_index1`)];
    this.palm(side, fit(subtract(p[9]!, p[0]!), subtract(p[5]!, p[17]!), ahead, wide), 1);
    for (const finger of FINGERS) {
      const root = FINGER_ROOTS[finger];
      const [a, b, c] = [1, 2, 3].map((i) => `${side}_${finger}${i}`) as [string, string, string];
      const last = this.rest(b, c);
      const bones = [[a, this.rest(a, b)], [b, last], [c, last]] as const; // the last has no joint at its tip
      bones.forEach(([name, bone], i) => this.set(name, this.along(name, bone, subtract(p[root + i + 1]!, p[root + i]!)), 1));
    }
  }

  /** The pose, as high over the floor as before where the legs are seen. */
  onTheFloor(weight: number): EditedPose {
    const { before, pose, skeleton } = this;
    const up = turn(this.stands, UP);
    const lowest = (of: EditedPose) => {
      const { at } = jointsOf(skeleton, of);
      return Math.min(...FEET.map((joint) => dot(at[joint]!, up)));
    };
    const rise = weight * (lowest(before) - lowest({ ...before, pose }));
    return { ...before, pose, transl: add(before.transl, scale(up, rise)) };
  }
}

/**
 * The pose that the landmarks show, where they show it; the rest of it is that of `before`. `stands`: how somebody stands
 * in the avatar's world who looks straight into the camera, see `facing`. Throws RangeError for landmarks that are not finite.
 */
export function retargeted(skeleton: Skeleton, marks: Landmarks, before: EditedPose, stands: Quaternion): EditedPose {
  const figure = new Figure(skeleton, before, stands);
  const p = figure.places(marks.body);
  const at = (name: string): Vector => p[MARKS[name as Mark]]!;
  const middle = (name: string) => middleOf(at(`left_${name}`), at(`right_${name}`));
  const seen = (...names: string[]): number => {
    const least = Math.min(...names.map((name) => marks.visibility[MARKS[name as Mark]]!));
    return Math.min(Math.max((least - RETARGET.hidden) / (RETARGET.seen - RETARGET.hidden), 0), 1);
  };
  const [hips, shoulders] = [seen("left_hip", "right_hip"), seen("left_shoulder", "right_shoulder")];
  const back = unit(subtract(middle("shoulder"), middle("hip")));
  const up = figure.middle("hip", "shoulder");
  const pelvis = fit(subtract(at("left_hip"), at("right_hip")), back, figure.rest("right_hip", "left_hip"), up);
  figure.set("pelvis", pelvis, Math.min(hips, shoulders));
  const spine = add(scale(back, hips), scale(turn(stands, UP), 1 - hips));
  const chest = fit(subtract(at("left_shoulder"), at("right_shoulder")), spine, figure.rest("right_shoulder", "left_shoulder"), up);
  figure.share(["spine1", "spine2", "spine3"], chest, shoulders);
  if (marks.face) {
    const [left, right, top, chin] = figure.places(marks.face) as [Vector, Vector, Vector, Vector];
    figure.share(["neck", "head"], fit(subtract(left, right), subtract(top, chin), LEFT, UP), 1);
  } else {
    const down = RETARGET.nose_down_deg / DEGREES;
    const nose = subtract(at("nose"), middle("ear"));
    const head = fit(subtract(at("left_ear"), at("right_ear")), nose, LEFT, [0, -Math.sin(down), Math.cos(down)]);
    figure.share(["neck", "head"], head, seen("nose", "left_ear", "right_ear"));
  }
  for (const side of SIDES) {
    const of = (...names: string[]) => names.map((name) => `${side}_${name}`) as [string, string, string];
    const [arm, leg] = [of("shoulder", "elbow", "wrist"), of("hip", "knee", "ankle")];
    for (const limb of [arm, leg]) {
      const [a, b, c] = limb.map(at) as [Vector, Vector, Vector];
      figure.bend(limb, subtract(b, a), subtract(c, b), seen(limb[0], limb[1]), seen(...limb));
    }
    const [ankle, foot] = [leg[2], `${side}_foot`];
    figure.set(ankle, figure.along(ankle, figure.rest(ankle, foot), subtract(at(foot), at(ankle))), seen(ankle, foot));
    const hand = side === "left" ? marks.leftHand : marks.rightHand;
    if (hand) {
      figure.hand(side, figure.places(hand));
      continue;
    }
    const [index, pinky] = [at(`${side}_index`), at(`${side}_pinky`)];
    const ahead = middleOf(figure.rest(arm[2], `${side}_index1`), figure.rest(arm[2], `${side}_pinky1`));
    const wide = figure.rest(`${side}_pinky1`, `${side}_index1`);
    const palm = fit(subtract(middleOf(index, pinky), at(arm[2])), subtract(index, pinky), ahead, wide);
    figure.palm(side, palm, seen(...arm, `${side}_index`, `${side}_pinky`));
  }
  if (marks.jaw !== null) figure.angle("jaw", [marks.jaw, 0, 0]);
  marks.eyes?.forEach(([left, down], i) => figure.angle(`${SIDES[i]!}_eye`, [down, left, 0]));
  return figure.onTheFloor(seen("left_hip", "right_hip", "left_ankle", "right_ankle"));
}
