/** Which people of a scene are in the picture, and how large. */
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

/** How large a metre is drawn at the sphere's centre, in pixels; infinite from inside. */
export function pixelsPerMetre(camera: Camera, { center, radius }: Sphere): number {
  const z = inCamera(camera, center)[2];
  return z <= radius ? Number.POSITIVE_INFINITY : camera.K[4]! / z;
}
