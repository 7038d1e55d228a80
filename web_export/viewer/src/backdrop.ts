/** What is around the people: the room with its floor and shadows, a colour, or nothing. Values of `Stage` in stage.wgsl. */
import type { Background } from "./api";
import { STAGE_FLOATS } from "./renderer";
import type { Vector } from "./rotation";

/** Joints that cast a shadow: the balls of the feet and the pelvis, each with its radius on the floor, metres. */
export const SHADOWS = [[10, 0.16], [11, 0.16], [0, 0.34]] as const;
const SLOTS = 3;
const FLOOR_RADIUS = 4;

export interface Room {
  readonly up: Vector;
  /** Height of the floor along `up`. */
  readonly floor: number;
  readonly center: Vector;
  /** Points and radii, nearest first; three are drawn. */
  readonly casters: readonly (readonly [Vector, number])[];
}

/** Red, green, blue, alpha in 0..1 of a CSS colour; undefined for the room. Throws RangeError on what is no colour. */
export function parseBackground(background: Background): readonly [number, number, number, number] | undefined {
  if (background === "stage") return undefined;
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })!;
  if (background !== "transparent" && !CSS.supports("color", background)) {
    throw new RangeError(`the background must be "stage", "transparent" or a CSS colour, found "${background}"`);
  }
  context.fillStyle = background;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = [...context.getImageData(0, 0, 1, 1).data].map((x) => x / 255) as [number, number, number, number];
  return [r, g, b, a];
}

/** `flat`: the colour that stands in for the room. */
export function stageValues(room: Room, flat: readonly [number, number, number, number] | undefined): Float32Array<ArrayBuffer> {
  const out = new Float32Array(STAGE_FLOATS);
  out.set([...room.up, room.floor, ...room.center, flat ? 0 : FLOOR_RADIUS]);
  room.casters.slice(0, SLOTS).forEach(([point, radius], i) => out.set([...point, radius], 8 + 4 * i));
  if (flat) out.set([flat[0] * flat[3], flat[1] * flat[3], flat[2] * flat[3], flat[3]], 20);
  return out;
}
