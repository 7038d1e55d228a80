/** Which people of a scene are in the picture, and how much detail they need there. */
import type { Camera } from "./camera";
import type { Vector } from "./rotation";

/** A sphere that holds a person, in world coordinates, metres. */
export interface Sphere {
  readonly center: Vector;
  readonly radius: number;
}

function inCamera(camera: Camera, p: Vector): Vector {
  const T = camera.T_cam_world;
  return [0, 4, 8].map((r) => T[r]! * p[0] + T[r + 1]! * p[1] + T[r + 2]! * p[2] + T[r + 3]!) as unknown as Vector;
}

/** Whether any of the sphere may be seen: it is tested against the five planes of the frustum that is open to the back. */
export function isVisible(camera: Camera, { center, radius }: Sphere): boolean {
  const [x, y, z] = inCamera(camera, center);
  if (z < -radius) return false;
  const [fx, fy, cx, cy] = [camera.K[0]!, camera.K[4]!, camera.K[2]!, camera.K[5]!];
  // plane through the eye and a border of the picture: signed distance of the centre, positive outside
  const outside = (along: number, focal: number, border: number) => (along * focal - z * border) / Math.hypot(focal, border);
  return (
    outside(x, fx, camera.width - cx) < radius &&
    outside(-x, fx, cx) < radius &&
    outside(y, fy, camera.height - cy) < radius &&
    outside(-y, fy, cy) < radius
  );
}

/** Height of the sphere in the picture, pixels; infinite from inside. */
export function projectedPixels(camera: Camera, { center, radius }: Sphere): number {
  const z = inCamera(camera, center)[2];
  return z <= radius ? Number.POSITIVE_INFINITY : (2 * radius * camera.K[4]!) / z;
}

/** Gaussians worth drawing for a person this many pixels tall: beyond one per pixel of its outline box nothing is gained. */
const GAUSSIANS_PER_PIXEL = 1;
/** A person fills about this share of the square around its sphere. */
const FILLED = 0.2;
/** A coarser level must be enough by this factor before it is taken, so that a step to and fro does not swing. */
const MARGIN = 1.25;

/**
 * Level of detail for a person `pixels` tall: the coarsest of `counts` (Gaussians of each level, falling) that is enough,
 * and `given` up further; the current level is kept within the margin.
 */
export function chooseLevel(counts: readonly number[], pixels: number, current: number, given = 0): number {
  const needed = GAUSSIANS_PER_PIXEL * FILLED * pixels * pixels;
  let level = 0;
  while (level + 1 < counts.length && counts[level + 1]! >= needed * (level + 1 > current ? MARGIN : 1)) level++;
  return Math.min(counts.length - 1, level + given);
}
