/** How far joints turn, and turning a rotation back into its range. Twin: nerfstudio_mobavatar/posing/limits.py. */
import { axisAngleToQuaternion, type Quaternion, quaternionToAxisAngle, type Vector } from "../rotation";
import { LIMITS } from "./table";

const DEGREES = 180 / Math.PI;
export const IDENTITY: Quaternion = [1, 0, 0, 0];
/** Lowest and highest degrees about x, y, z. */
export type Range = readonly [Vector, Vector];

export const add = (a: Vector, b: Vector): Vector => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scale = (a: Vector, s: number): Vector => [a[0] * s, a[1] * s, a[2] * s];
export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a: Vector): number => Math.sqrt(dot(a, a));
export const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
export const unit = (a: Vector): Vector => scale(a, 1 / Math.max(length(a), 1e-12));

/** `p q`: first q, then p. */
export function multiply([a, b, c, d]: Quaternion, [w, x, y, z]: Quaternion): Quaternion {
  return [
    a * w - b * x - c * y - d * z,
    a * x + b * w + c * z - d * y,
    a * y - b * z + c * w + d * x,
    a * z + b * y - c * x + d * w,
  ];
}

export const conjugate = ([w, x, y, z]: Quaternion): Quaternion => [w, -x, -y, -z];

/** A vector turned by a unit quaternion. */
export function turn(q: Quaternion, v: Vector): Vector {
  const [, x, y, z] = multiply(multiply(q, [0, ...v]), conjugate(q));
  return [x, y, z];
}

function about(axis: Vector, angle: number): Quaternion {
  return axisAngleToQuaternion(scale(axis, angle));
}

export const turnAbout = about;

/** `q = swing * twist`, the twist about a coordinate axis, with w >= 0 both; no twist where the swing is half a turn. */
export function swingTwist(q: Quaternion, bone: number): { swing: Quaternion; twist: Quaternion } {
  const along = q[1 + bone]!;
  const size = Math.hypot(q[0], along);
  const sign = q[0] < 0 ? -1 : 1;
  const twist: [number, number, number, number] = [1, 0, 0, 0];
  if (size >= 1e-9) {
    twist[0] = (sign * q[0]) / size;
    twist[1 + bone] = (sign * along) / size;
  }
  const swing = multiply(q, conjugate(twist));
  return { swing: swing[0] < 0 ? (swing.map((x) => -x) as unknown as Quaternion) : swing, twist };
}

/** Degrees of a unit quaternion as the table of limits counts them. */
export function angles(q: Quaternion, bone: number): Vector {
  const { swing, twist } = swingTwist(q, bone);
  const out = [...quaternionToAxisAngle(swing)];
  out[bone] = quaternionToAxisAngle(twist)[bone]!;
  return scale(out as unknown as Vector, DEGREES);
}

/** Inverse of `angles`. */
export function fromAngles(degrees: Vector, bone: number): Quaternion {
  const swing = degrees.map((x) => x / DEGREES);
  const twist = [0, 0, 0];
  twist[bone] = swing[bone]!;
  swing[bone] = 0;
  return multiply(axisAngleToQuaternion(swing as unknown as Vector), axisAngleToQuaternion(twist as unknown as Vector));
}

export function clip(v: Vector, [low, high]: Range): Vector {
  return v.map((x, i) => Math.min(Math.max(x, low[i]!), high[i]!)) as unknown as Vector;
}

/** Degrees by which a rotation leaves its range. */
export function excess(q: Quaternion, bone: number, range: Range): number {
  const found = angles(q, bone);
  return length(subtract(found, clip(found, range)));
}

/** The rotation brought into its range; one that is inside comes back as it is. */
export function limited(q: Quaternion, bone: number, range: Range): Quaternion {
  const found = angles(q, bone);
  const inside = clip(found, range);
  return found.every((x, i) => x === inside[i]) ? q : fromAngles(inside, bone);
}

/** Range of a joint, with what it holds already: nobody's captured pose may snap when it is touched. */
export function widened(joint: number, q: Quaternion): Range {
  const { bone, low, high } = LIMITS[joint]!;
  const held = angles(q, bone);
  const wide = (range: readonly number[], pick: (a: number, b: number) => number) =>
    held.map((x, i) => pick(x, range[i]!)) as unknown as Vector;
  return [wide(low, Math.min), wide(high, Math.max)];
}

/** The smallest rotation that takes unit vector a to b; about `spare` (made perpendicular to a) where they are opposite. */
export function between(a: Vector, b: Vector, spare: Vector): Quaternion {
  const w = 1 + dot(a, b);
  if (w < 1e-6) {
    const axis = subtract(spare, scale(a, dot(spare, a)));
    return [0, ...(length(axis) > 1e-6 ? unit(axis) : anyNormal(a))];
  }
  const q: Quaternion = [w, ...cross(a, b)];
  const size = Math.hypot(...q);
  return q.map((x) => x / size) as unknown as Quaternion;
}

function anyNormal(a: Vector): Vector {
  const sizes = a.map(Math.abs);
  const least = sizes.indexOf(Math.min(...sizes));
  return unit(cross(a, [0, 1, 2].map((i) => Number(i === least)) as unknown as Vector));
}

/**
 * Axis-angle of a rotation in the numbers nearest to those of a moment before. One rotation has many axis-angles, 2 pi apart,
 * and the avatar's networks see the numbers: they must not jump while a joint is turned through half a turn.
 */
export function nearestVector(q: Quaternion, before: Vector): Vector {
  const short = quaternionToAxisAngle(q);
  const angle = length(short);
  if (angle < 1e-9) {
    const turns = length(before);
    return turns > Math.PI ? scale(before, (2 * Math.PI * Math.round(turns / (2 * Math.PI))) / turns) : short;
  }
  const along = dot(short, before) / angle;
  return scale(short, (angle + 2 * Math.PI * Math.round((along - angle) / (2 * Math.PI))) / angle);
}
