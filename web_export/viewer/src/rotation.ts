/** Rotations on plain arrays: axis-angle in radians, quaternions wxyz, 3 x 3 matrices row by row. */

export type Quaternion = readonly [number, number, number, number];
export type Vector = readonly [number, number, number];

/** Rodrigues' formula, written to `out[at..at+8]`. The angle is kept above 1e-6 as in evaluate.py. */
export function rodrigues(x: number, y: number, z: number, out: Float64Array, at = 0): void {
  const angle = Math.sqrt(Math.max(x * x + y * y + z * z, 1e-12));
  const [a, b, c] = [x / angle, y / angle, z / angle];
  const s = Math.sin(angle);
  const v = 1 - Math.cos(angle);
  // I + s k + v k k with the skew matrix k; k k is written out since a, b, c need not have length one at zero
  out[at] = 1 - v * (b * b + c * c);
  out[at + 1] = -s * c + v * a * b;
  out[at + 2] = s * b + v * a * c;
  out[at + 3] = s * c + v * a * b;
  out[at + 4] = 1 - v * (a * a + c * c);
  out[at + 5] = -s * a + v * b * c;
  out[at + 6] = -s * b + v * a * c;
  out[at + 7] = s * a + v * b * c;
  out[at + 8] = 1 - v * (a * a + b * b);
}

export function axisAngleToQuaternion([x, y, z]: Vector): Quaternion {
  const angle = Math.hypot(x, y, z);
  const s = angle < 1e-9 ? 0.5 : Math.sin(angle / 2) / angle;
  return [Math.cos(angle / 2), x * s, y * s, z * s];
}

/** Shortest axis-angle of a unit quaternion. */
export function quaternionToAxisAngle(q: Quaternion): Vector {
  const sign = q[0] < 0 ? -1 : 1;
  const sine = Math.hypot(q[1], q[2], q[3]);
  const scale = sine < 1e-9 ? 2 : (2 * Math.atan2(sine, Math.abs(q[0]))) / sine;
  return [q[1] * sign * scale, q[2] * sign * scale, q[3] * sign * scale];
}

/** Unit quaternion of a rotation matrix, by its largest component (Shepperd 1978). */
export function matrixToQuaternion(m: ArrayLike<number>): Quaternion {
  const [a, b, c, d, e, f, g, h, i] = Array.from(m) as [number, number, number, number, number, number, number, number, number];
  const squared = [1 + a + e + i, 1 + a - e - i, 1 - a + e - i, 1 - a - e + i];
  const rows: Quaternion[] = [
    [squared[0]!, h - f, c - g, d - b],
    [h - f, squared[1]!, d + b, c + g],
    [c - g, d + b, squared[2]!, h + f],
    [d - b, c + g, h + f, squared[3]!],
  ];
  const best = rows[squared.indexOf(Math.max(...squared))]!;
  const length = Math.hypot(...best);
  return best.map((x) => x / length) as unknown as Quaternion;
}

export function quaternionToMatrix([w, x, y, z]: Quaternion): Float32Array {
  return Float32Array.of(
    1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
    2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
    2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
  );
}

/** Spherical interpolation along the shorter arc. */
export function slerp(p: Quaternion, q: Quaternion, t: number): Quaternion {
  const dot = p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3];
  const angle = Math.acos(Math.min(1, Math.abs(dot)));
  const sine = Math.sin(angle);
  const a = sine < 1e-6 ? 1 - t : Math.sin((1 - t) * angle) / sine;
  const b = (sine < 1e-6 ? t : Math.sin(t * angle) / sine) * (dot < 0 ? -1 : 1);
  const mixed = [0, 1, 2, 3].map((i) => a * p[i]! + b * q[i]!);
  const length = Math.hypot(...mixed);
  return mixed.map((x) => x / length) as unknown as Quaternion;
}

/** Two neighbouring frames this close (radians) are mixed number by number; beyond it the numbers may have wrapped. */
const LINEAR_LIMIT = 1;

/**
 * Axis-angle between two frames. The same rotation has many axis-angles (2 pi apart), and the avatar's network was
 * trained on the captured numbers, so a jump from one to another must not be crossed number by number: the rotation
 * is then interpolated as a quaternion and written in the numbers of the nearer frame.
 */
export function mixAxisAngle(p: Vector, q: Vector, t: number): Vector {
  if (Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]) <= LINEAR_LIMIT) {
    return [p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]), p[2] + t * (q[2] - p[2])];
  }
  const near = t < 0.5 ? p : q;
  const short = quaternionToAxisAngle(slerp(axisAngleToQuaternion(p), axisAngleToQuaternion(q), t));
  const angle = Math.hypot(...short);
  if (angle < 1e-9) return short;
  const along = (short[0] * near[0] + short[1] * near[1] + short[2] * near[2]) / angle;
  const scale = (angle + 2 * Math.PI * Math.round((along - angle) / (2 * Math.PI))) / angle;
  return [short[0] * scale, short[1] * scale, short[2] * scale];
}
