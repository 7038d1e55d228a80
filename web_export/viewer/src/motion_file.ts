/** Reads a `.pose.bin` (FORMAT.md), the rows of a `.pose.json` as integers. Twin: motion/pose_binary.py, bit for bit. */
import { crc32 } from "./format";
import { MAX_EXPRESSIONS, MAX_FRAMES, MOTION_HEADER_BYTES, MOTION_MAGIC, MOTION_NORM, MOTION_STEPS, MOTION_VERSION, NUM_JOINTS } from "./generated";
import { type Pose, PoseError } from "./pose";
import { gunzip } from "./sections";
import { Slices } from "./slices";
import { column, decodeStream, type Stream } from "./streams";

const PLANES = 4;
/** First column of each kind of number: the frame's own number, joints, root, place, expression. */
const JOINTS = 1;
const ROOT = JOINTS + 3 * NUM_JOINTS;
const PLACE = ROOT + 4;
const EXPRESSION = PLACE + 3;

export interface MotionFile {
  readonly poses: Pose[];
  /** Frames a second; 0: not known. */
  readonly fps: number;
}

export function isMotionFile(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(0, MOTION_MAGIC.length)) === MOTION_MAGIC;
}

/** Throws PoseError on anything that is not whole. */
export async function readMotionFile(bytes: Uint8Array<ArrayBuffer>): Promise<MotionFile> {
  if (bytes.length < MOTION_HEADER_BYTES || !isMotionFile(bytes)) throw new PoseError("not a motion in binary; export it again");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, rows, width] = [8, 12, 16].map((at) => view.getUint32(at, true)) as [number, number, number];
  const fps = view.getFloat32(20, true);
  if (version !== MOTION_VERSION) throw new PoseError(`made by another version (format ${version}, this page reads ${MOTION_VERSION}): update the page beside it`);
  const stored = bytes.slice(MOTION_HEADER_BYTES);
  if (crc32(stored, crc32(bytes.subarray(0, MOTION_HEADER_BYTES - 4))) !== view.getUint32(MOTION_HEADER_BYTES - 4, true)) {
    throw new PoseError("damaged or cut off (checksum differs); copy or export it again");
  }
  if (rows < 1 || rows > MAX_FRAMES || width > MAX_EXPRESSIONS || !(fps >= 0 && Number.isFinite(fps))) {
    throw new PoseError(`expected 1 to ${MAX_FRAMES} frames, found ${rows} of ${width} expressions at ${fps} a second`);
  }
  const shape = { rows, columns: EXPRESSION + width, signed: true };
  const slices = new Slices();
  let raw: Uint8Array<ArrayBuffer>;
  try {
    raw = await gunzip(stored, PLANES * rows * shape.columns, "motion");
  } catch (error) {
    throw new PoseError((error as Error).message);
  }
  const table = await decodeStream(raw, shape, "zigzag", PLANES, slices);
  sumTwice(table);
  return { poses: Array.from({ length: rows }, (_, row) => poseAt(table, row)), fps };
}

/** Second differences along time -> the numbers themselves. */
function sumTwice(table: Stream): void {
  for (let c = 0; c < table.columns; c++) {
    const values = column(table, c);
    let [speed, sum] = [0, 0];
    for (let i = 0; i < values.length; i++) {
      speed = (speed + values[i]!) | 0;
      sum = (sum + speed) | 0;
      values[i] = sum;
    }
  }
}

function poseAt({ rows, columns, values }: Stream, row: number): Pose {
  const numbers = (from: number, to: number, step: number) => Float32Array.from({ length: to - from }, (_, i) => values[(from + i) * rows + row]! * step);
  const [w, x, y, z] = [0, 1, 2, 3].map((i) => values[(ROOT + i) * rows + row]!) as [number, number, number, number];
  return {
    pose: numbers(JOINTS, ROOT, MOTION_STEPS.pose),
    Rh: matrix(w, x, y, z),
    Th: numbers(PLACE, EXPRESSION, MOTION_STEPS.metres),
    expression: numbers(EXPRESSION, columns, MOTION_STEPS.expression),
  };
}

/** 3 x 3 of a quaternion in steps; every product of two is exact in double precision. */
function matrix(w: number, x: number, y: number, z: number): Float32Array {
  const norm = w * w + x * x + y * y + z * z;
  if (!(Math.abs(norm - MOTION_NORM[0]) <= MOTION_NORM[1])) throw new PoseError("holds quaternions that are not of unit length; export it again");
  const s = 2 / norm;
  return Float32Array.of(
    1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y),
    s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x),
    s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y),
  );
}
