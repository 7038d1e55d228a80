/**
 * A pose as a short text for an address: base64url of
 * version (1 byte), which joints are not zero (7), 3 int16 for each of those (radians x 4096), transl (3 float32, metres),
 * number of expression numbers (1), these as int16 (x 4096), and Fletcher's checksum of all before (2). Little-endian.
 */
import type { OrbitView } from "../api";
import { ViewerError } from "../errors";
import { NUM_JOINTS } from "../generated";
import { axisAngleToQuaternion, quaternionToAxisAngle, type Vector } from "../rotation";
import type { EditedPose } from "./edited";

const VERSION = 1;
const MASK_BYTES = 7;
/** Half a step is 0.007 degrees. */
const STEPS = 4096;
const LARGEST = 32767 / STEPS;
const MOST_EXPRESSIONS = 255;
const AGAIN = "copy the link again";

function fletcher(bytes: Uint8Array): number {
  let [a, b] = [0, 0];
  for (const byte of bytes) {
    a = (a + byte) % 255;
    b = (b + a) % 255;
  }
  return 256 * b + a;
}

const steps = (x: number) => Math.round(Math.min(Math.max(x, -LARGEST), LARGEST) * STEPS);

/** Angles of the pose are kept to 0.007 degrees, beyond 8 radians in other numbers of the same rotation. */
export function encodePose({ pose, transl, expression }: EditedPose): string {
  const small = (v: Vector) => (Math.max(...v.map(Math.abs)) > LARGEST ? quaternionToAxisAngle(axisAngleToQuaternion(v)) : v);
  const joints = pose.map((v) => small(v).map(steps));
  const shown = joints.flatMap((v, j) => (v.some((x) => x !== 0) ? [j] : []));
  const expressions = expression.slice(0, MOST_EXPRESSIONS);
  const view = new DataView(new ArrayBuffer(1 + MASK_BYTES + 6 * shown.length + 12 + 1 + 2 * expressions.length + 2));
  const bytes = new Uint8Array(view.buffer);
  bytes[0] = VERSION;
  let at = 1 + MASK_BYTES;
  const int16 = (x: number) => {
    view.setInt16(at, x, true);
    at += 2;
  };
  for (const j of shown) {
    bytes[1 + (j >> 3)]! |= 1 << (j & 7);
    joints[j]!.forEach(int16);
  }
  for (const x of transl) {
    view.setFloat32(at, x, true);
    at += 4;
  }
  bytes[at++] = expressions.length;
  expressions.map(steps).forEach(int16);
  view.setUint16(at, fletcher(bytes.subarray(0, at)), true);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** A camera on its orbit as text: yaw, pitch (radians) and zoom. */
export function encodeView({ yaw, pitch, zoom }: Required<OrbitView>): string {
  return [yaw, pitch, zoom].map((x) => x.toFixed(3)).join(",");
}

/** Inverse of `encodeView`. Throws ViewerError saying what is wrong with the text. */
export function decodeView(text: string): Required<OrbitView> {
  const numbers = text.split(",").map((x) => (x === "" ? Number.NaN : Number(x)));
  if (numbers.length !== 3 || !numbers.every(Number.isFinite)) {
    throw new ViewerError("bad-link", `the view in the address: expected three numbers, found "${text}"; ${AGAIN}`);
  }
  const [yaw, pitch, zoom] = numbers as [number, number, number];
  return { yaw, pitch, zoom };
}

/** Inverse of `encodePose`. Throws ViewerError saying what is wrong with the text. */
export function decodePose(text: string): EditedPose {
  const refuse = (found: string) => new ViewerError("bad-link", `the pose in the address: ${found}; ${AGAIN}`);
  if (!/^[\w-]+$/.test(text)) throw refuse("expected letters, digits, - and _, found others");
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    throw refuse(`${text.length} characters are no whole number of bytes`);
  }
  if (bytes[0] !== VERSION) throw refuse(`expected version ${VERSION}, found ${bytes[0]}`);
  const isShown = Array.from({ length: NUM_JOINTS }, (_, j) => ((bytes[1 + (j >> 3)] ?? 0) & (1 << (j & 7))) !== 0);
  const head = 1 + MASK_BYTES + 6 * isShown.filter(Boolean).length + 12;
  const expected = head + 1 + 2 * (bytes[head] ?? 0) + 2;
  if (bytes.length !== expected) throw refuse(`expected ${expected} bytes, found ${bytes.length}`);
  const view = new DataView(bytes.buffer);
  if (view.getUint16(expected - 2, true) !== fletcher(bytes.subarray(0, -2))) throw refuse("the checksum is another one");
  let at = 1 + MASK_BYTES;
  const next = () => view.getInt16((at += 2) - 2, true) / STEPS;
  const pose = isShown.map((is): Vector => (is ? [next(), next(), next()] : [0, 0, 0]));
  const transl: Vector = [view.getFloat32(at, true), view.getFloat32(at + 4, true), view.getFloat32(at + 8, true)];
  if (!transl.every(Number.isFinite)) throw refuse("the place is not finite");
  at = head + 1;
  return { pose, transl, expression: Array.from({ length: bytes[head]! }, next) };
}
