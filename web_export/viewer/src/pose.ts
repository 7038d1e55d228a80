/** Reads a `.pose.json` sequence (pose_sequence.py): `x_world = Rh skin(x) + Th`. */
import type { PoseFrame } from "./api";
import { NUM_JOINTS } from "./generated";

/** What a frame without expression gets; the network takes what it needs. */
const DEFAULT_EXPRESSION = 10;

/** One frame. Angles in radians, metres, matrices row by row. */
export interface Pose {
  /** 55 x 3 axis-angle, relative to the parent joint. */
  readonly pose: Float32Array;
  /** 3 x 3 */
  readonly Rh: Float32Array;
  readonly Th: Float32Array;
  readonly expression: Float32Array;
}

export class PoseError extends Error {
  override name = "PoseError";
  readonly code = "bad-motion";
}

function numbers(value: unknown, count: number | undefined, what: string): Float32Array {
  const flat = Array.isArray(value) ? value.flat() : [];
  if (!Array.isArray(value) || !flat.every((x) => Number.isFinite(x)) || flat.length !== (count ?? flat.length)) {
    const found = Array.isArray(value) ? `${flat.length} values` : String(value);
    throw new PoseError(`${what} must be ${count ?? "a list of"} finite numbers, found ${found}`);
  }
  return Float32Array.from(flat as number[]);
}

/** One frame as it stands in the JSON; throws PoseError naming what is wrong. */
export function parsePose(row: unknown): Pose {
  if (typeof row !== "object" || row === null) throw new PoseError("expected an object");
  const { pose, Rh, Th, expression } = row as Record<string, unknown>;
  return {
    pose: numbers(pose, NUM_JOINTS * 3, "pose"),
    Rh: numbers(Rh, 9, "Rh"),
    Th: numbers(Th, 3, "Th"),
    expression: expression ? numbers(expression, undefined, "expression") : new Float32Array(DEFAULT_EXPRESSION),
  };
}

/** One row of a file: a millionth of a radian and of a metre, and float32 gives no more. */
export function frameOf({ pose, Rh, Th, expression }: Pose): PoseFrame {
  const rounded = (x: Float32Array) => Array.from(x, (value) => Math.round(1e6 * value) / 1e6);
  const rows = rounded(Rh);
  return { pose: rounded(pose), Rh: [0, 3, 6].map((i) => rows.slice(i, i + 3)), Th: rounded(Th), expression: rounded(expression) };
}

/** A whole sequence; throws PoseError naming the frame. */
export function parsePoses(text: string): Pose[] {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch (error) {
    throw new PoseError(`not JSON (${String(error)}); export it again`);
  }
  return readPoses(rows);
}

/** The rows of a sequence; throws PoseError naming the frame. */
export function readPoses(rows: unknown): Pose[] {
  if (!Array.isArray(rows) || rows.length === 0) throw new PoseError("expected a non-empty JSON array of frames");
  return rows.map((row, i) => {
    try {
      return parsePose(row);
    } catch (error) {
      throw new PoseError(`frame ${i} needs pose[165], Th[3], Rh[3][3]: ${(error as Error).message}`);
    }
  });
}
