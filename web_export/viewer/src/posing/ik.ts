/** A limb follows a dragged hand or foot. Twin, with the method written out: nerfstudio_mobavatar/posing/ik.py. */
import type { PoseSkeleton as Skeleton } from "../api";
import { axisAngleToQuaternion, type Quaternion, type Vector } from "../rotation";
import { type EditedPose, jointsOf, vectorAt, withJoints } from "./edited";
import {
  add, angles, between, clip, conjugate, cross, dot, excess, fromAngles, length, limited, multiply, nearestVector, type Range,
  scale, subtract, turn, turnAbout, unit, widened,
} from "./limits";
import { HINGES, IK, type LimbName, LIMBS, LIMITS } from "./table";

const DEGREES = 180 / Math.PI;
type Limb = (typeof LIMBS)[LimbName];

const rest = (skeleton: Skeleton, from: number, to: number): Vector =>
  subtract(vectorAt(skeleton.rest, to), vectorAt(skeleton.rest, from));
const hingeOf = (limb: Limb): Vector => (HINGES as Readonly<Record<number, Vector>>)[limb.lower]!;

/** A limb as it stands before it is moved: rotations and places (metres) in the world, named as in an arm. */
interface Held {
  readonly above: Quaternion;
  readonly upper: Quaternion;
  readonly lower: Quaternion;
  readonly end: Quaternion;
  readonly shoulder: Vector;
  readonly elbow: Vector;
  readonly hand: Vector;
}

function held(skeleton: Skeleton, edited: EditedPose, { upper, lower, end }: Limb, target: Vector): Held {
  if (!target.every(Number.isFinite)) throw new RangeError(`target: expected three finite numbers, found ${target}`);
  const { q, at } = jointsOf(skeleton, edited);
  return {
    above: q[skeleton.parent[upper]!]!,
    upper: q[upper]!,
    lower: q[lower]!,
    end: q[end]!,
    shoulder: at[upper]!,
    elbow: at[lower]!,
    hand: at[end]!,
  };
}

/** The pose with other local rotations of some joints, in the numbers nearest to what they hold. */
function withTurned(edited: EditedPose, turned: Readonly<Record<number, Quaternion>>): EditedPose {
  const joints = Object.entries(turned).map(([joint, q]) => [joint, nearestVector(q, edited.pose[Number(joint)]!)]);
  return withJoints(edited, Object.fromEntries(joints) as Record<number, Vector>);
}

/**
 * The pose in which the limb's end (wrist, ankle) is at `target` (metres, world), or as near as the limb allows. Only the
 * limb's joints change. Throws RangeError for a target that is not finite.
 */
export function reach(skeleton: Skeleton, edited: EditedPose, name: LimbName, target: Vector): EditedPose {
  const limb = LIMBS[name];
  const now = held(skeleton, edited, limb, target);
  const dragged = length(subtract(target, now.hand));
  if (dragged < 1e-9) return edited;
  const towards = subtract(target, now.shoulder);
  const distance = length(towards);
  const localLower = bent(skeleton, limb, now, distance);
  const hand = add(now.elbow, turn(multiply(now.upper, localLower), rest(skeleton, limb.lower, limb.end)));
  const direction = unit(subtract(hand, now.shoulder));
  const axis = distance < 1e-6 ? direction : scale(towards, 1 / distance);
  const aimed = multiply(between(direction, axis, turn(now.upper, hingeOf(limb))), now.upper);
  const size = length(rest(skeleton, limb.upper, limb.lower)) + length(rest(skeleton, limb.lower, limb.end));
  const most = Math.min(IK.calm_rad + (IK.calm_rad_per_length * dragged) / size, Math.PI);
  const localUpper = swivelled(limb.upper, now, aimed, axis, most);
  const turned: Record<number, Quaternion> = { [limb.upper]: localUpper, [limb.lower]: localLower };
  if (limb.kind === "leg") {
    const knee = multiply(multiply(now.above, localUpper), localLower);
    const range = widened(limb.end, axisAngleToQuaternion(edited.pose[limb.end]!));
    turned[limb.end] = limited(multiply(conjugate(knee), now.end), LIMITS[limb.end]!.bone, range);
  }
  return withTurned(edited, turned);
}

/**
 * The limb turned about the line from its root to its end, which both stay, so that the elbow (knee) comes nearest to
 * `target`. Throws RangeError for a target that is not finite.
 */
export function swivel(skeleton: Skeleton, edited: EditedPose, name: LimbName, target: Vector): EditedPose {
  const limb = LIMBS[name];
  const now = held(skeleton, edited, limb, target);
  const axis = unit(subtract(now.hand, now.shoulder));
  const [across, wanted] = [now.elbow, target].map((point) => {
    const v = subtract(point, now.shoulder);
    return subtract(v, scale(axis, dot(v, axis)));
  }) as [Vector, Vector];
  if (Math.min(length(across), length(wanted)) < 1e-4) return edited;
  const angle = Math.atan2(dot(cross(across, wanted), axis), dot(across, wanted));
  const local = multiply(conjugate(now.above), multiply(turnAbout(axis, angle), now.upper));
  const range = widened(limb.upper, axisAngleToQuaternion(edited.pose[limb.upper]!));
  return excess(local, LIMITS[limb.upper]!.bone, range) > 1e-6 ? edited : withTurned(edited, { [limb.upper]: local });
}

/** Step 1: the lower joint's rotation relative to the upper one, root and end `distance` apart where the bend's range allows it. */
function bent(skeleton: Skeleton, limb: Limb, { upper, lower, shoulder, elbow, hand }: Held, distance: number): Quaternion {
  const [a, b] = [length(subtract(elbow, shoulder)), length(subtract(hand, elbow))];
  const straight = Math.cos(IK.straight_deg / DEGREES);
  const folded = Math.cos(mostBent(skeleton, limb) / DEGREES);
  const cosine = Math.min(Math.max((distance * distance - a * a - b * b) / (2 * a * b), folded), straight);
  const along = scale(subtract(elbow, shoulder), 1 / a);
  const forearm = scale(subtract(hand, elbow), 1 / b);
  const raw = turn(upper, hingeOf(limb));
  const hinge = unit(subtract(raw, scale(along, dot(raw, along))));
  const plane = cross(along, forearm);
  const sine = length(plane);
  const bend = Math.atan2(sine, dot(along, forearm)) * DEGREES;
  const share = Math.min(Math.max((bend - IK.plane_from_deg) / (IK.plane_fully_deg - IK.plane_from_deg), 0), 1);
  const mixed = add(scale(plane, share / Math.max(sine, 1e-12)), scale(hinge, 1 - share));
  const normal = length(mixed) < 0.1 ? hinge : unit(mixed);
  const wanted = add(scale(along, cosine), scale(cross(normal, along), Math.sqrt(1 - cosine * cosine)));
  return multiply(conjugate(upper), multiply(between(forearm, wanted, normal), lower));
}

/** Largest angle between the bones, degrees: the range of the hinge, and the bend that the rest pose has already. */
function mostBent(skeleton: Skeleton, limb: Limb): number {
  const along = unit(rest(skeleton, limb.upper, limb.lower));
  const forearm = unit(rest(skeleton, limb.lower, limb.end));
  const hinge = hingeOf(limb).findIndex((x) => x !== 0);
  const { low, high } = LIMITS[limb.lower]!;
  return Math.acos(Math.min(dot(along, forearm), 1)) * DEGREES + Math.max(Math.abs(low[hinge]!), Math.abs(high[hinge]!));
}

/** Step 3: local rotation of the upper joint, turned about `axis` into its range by the smallest angle up to `most` that does it. */
function swivelled(joint: number, now: Held, aimed: Quaternion, axis: Vector, most: number): Quaternion {
  const { bone } = LIMITS[joint]!;
  const down = conjugate(now.above);
  const before = multiply(down, now.upper);
  const range: Range = widened(joint, before);
  const local = (angle: number) => multiply(down, multiply(turnAbout(axis, angle), aimed));
  const outside = (angle: number) => excess(local(angle), bone, range);
  const first = outside(0);
  if (first === 0) return local(0);
  const count = IK.swivel_steps;
  const step = most / count;
  const found = new Map([[0, first]]);
  // outwards from zero on both sides, so that the first angle inside the range is the nearest
  for (let i = 1; i <= count; i++) {
    for (const signed of [i, -i]) {
      const value = outside(signed * step);
      found.set(signed, value);
      if (value === 0) return local(edge(outside, signed * step, (signed - Math.sign(signed)) * step));
    }
  }
  // the range may be narrower than a step: look into the valleys between the samples, the deepest first
  const value = (i: number) => found.get(i) ?? Number.POSITIVE_INFINITY;
  const valleys = [...found.keys()].filter((i) => value(i) <= Math.min(value(i - 1), value(i + 1))).sort((i, j) => value(i) - value(j));
  const bottoms = valleys
    .slice(0, IK.valleys)
    .map((i) => bottom(outside, Math.max(i - 1, -count) * step, Math.min(i + 1, count) * step));
  const depths = bottoms.map(outside);
  const best = local(bottoms[depths.indexOf(Math.min(...depths))]!);
  // where the range wins, walk towards its edge inside of it, no faster than the hand was dragged
  const start = angles(before, bone);
  const way = subtract(clip(angles(best, bone), range), start);
  return fromAngles(add(start, scale(way, Math.min(most / Math.max(length(way) / DEGREES, 1e-12), 1))), bone);
}

/** Where a range begins: the angle inside it that is nearest to `beyond`, by bisection. */
function edge(outside: (angle: number) => number, inside: number, beyond: number): number {
  for (let i = 0; i < IK.refinements; i++) {
    const middle = 0.5 * (inside + beyond);
    if (outside(middle) === 0) inside = middle;
    else beyond = middle;
  }
  return inside;
}

/** Lowest point of a valley, by golden section. */
function bottom(outside: (angle: number) => number, left: number, right: number): number {
  for (let i = 0; i < IK.refinements; i++) {
    const a = left + 0.382 * (right - left);
    const b = left + 0.618 * (right - left);
    if (outside(a) < outside(b)) right = b;
    else left = a;
  }
  return 0.5 * (left + right);
}
