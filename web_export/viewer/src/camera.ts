/** Cameras: OpenCV axes (x right, y down, z forward), world-to-camera, pixel centres at half-integers; and an orbit around a point. */
import type { OrbitView } from "./api";
import type { Vector } from "./rotation";

export interface Camera {
  /** 16 numbers, row by row, metres. */
  readonly T_cam_world: readonly number[];
  /** 9 numbers, row by row, pixels. */
  readonly K: readonly number[];
  readonly width: number;
  readonly height: number;
}

const dot = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a: Vector, b: Vector): Vector => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const scaled = (a: Vector, s: number): Vector => [a[0] * s, a[1] * s, a[2] * s];
const plus = (a: Vector, b: Vector): Vector => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
const minus = (a: Vector, b: Vector): Vector => plus(a, scaled(b, -1));

export function normalize(a: Vector): Vector {
  const length = Math.hypot(...a);
  return length < 1e-12 ? [0, 0, 0] : scaled(a, 1 / length);
}

/** The part of `a` that lies in the ground plane. */
export function flattened(a: Vector, up: Vector): Vector {
  return minus(a, scaled(up, dot(a, up)));
}

/** World-to-camera transform, row by row, of a camera at `eye` that looks at `target`; `up` shows up in the picture. */
export function lookAt(eye: Vector, target: Vector, up: Vector): number[] {
  const z = normalize(minus(target, eye));
  const x = normalize(cross(z, up));
  const y = cross(z, x);
  return [x, y, z].flatMap((row) => [...row, -dot(row, eye)]).concat(0, 0, 0, 1);
}

/**
 * The first view is the poster's (`front_camera` in export.py, a 3:4 picture fitted into the window), so that the poster
 * gives way to the moving avatar without a jump.
 */
const DISTANCE = 3.2; // in radii of the sphere that holds the person
const MARGIN = 1.08;
const POSTER_ASPECT = 3 / 4;
const MAX_PITCH = (85 * Math.PI) / 180;
const ZOOM_RANGE = [0.15, 4] as const;

/** A camera on a sphere around `target`, steered by drags, wheel and fingers. */
export class Orbit {
  readonly up: Vector;
  /** Direction in the ground plane from which the person is seen from the front. */
  private readonly front: Vector;
  private yaw = 0;
  private pitch = 0;
  private zoom = 1;
  private pan: Vector = [0, 0, 0];

  /** `target` moves with the people; `radius` (metres) is what must fit into the window. */
  constructor(
    public target: Vector,
    public radius: number,
    up: Vector,
    facing: Vector,
  ) {
    this.up = normalize(up);
    const flat = normalize(flattened(facing, this.up));
    const other: Vector = Math.abs(this.up[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0];
    this.front = Math.hypot(...flat) > 0.5 ? flat : normalize(cross(this.up, other));
  }

  /** Goes to given angles (radians) and distance (1 = everything fits); what is left out stays. */
  set({ yaw = this.yaw, pitch = this.pitch, zoom = this.zoom }: OrbitView): void {
    this.yaw = yaw;
    this.pitch = Math.min(MAX_PITCH, Math.max(-MAX_PITCH, pitch));
    this.zoom = Math.min(ZOOM_RANGE[1], Math.max(ZOOM_RANGE[0], zoom));
  }

  /** Where it is, as `set` takes it. */
  get view(): Required<OrbitView> {
    return { yaw: this.yaw, pitch: this.pitch, zoom: this.zoom };
  }

  /** Turns by a drag in fractions of the window's height. */
  turn(dx: number, dy: number): void {
    this.yaw -= dx * Math.PI;
    this.pitch = Math.min(MAX_PITCH, Math.max(-MAX_PITCH, this.pitch + dy * Math.PI));
  }

  /** Moves closer (`factor` < 1) or away. */
  scale(factor: number): void {
    this.zoom = Math.min(ZOOM_RANGE[1], Math.max(ZOOM_RANGE[0], this.zoom * factor));
  }

  /** Shifts the picture with the pointer, in fractions of the window's height. */
  shift(dx: number, dy: number, width: number, height: number): void {
    const T = this.camera(width, height).T_cam_world;
    const visible = (height * DISTANCE * this.radius * this.zoom) / this.focal(width, height); // metres at the target
    const right: Vector = [T[0]!, T[1]!, T[2]!];
    const down: Vector = [T[4]!, T[5]!, T[6]!];
    const pan = minus(this.pan, plus(scaled(right, dx * visible), scaled(down, dy * visible)));
    const length = Math.hypot(...pan);
    this.pan = length > 2 * this.radius ? scaled(pan, (2 * this.radius) / length) : pan;
  }

  reset(): void {
    [this.yaw, this.pitch, this.zoom, this.pan] = [0, 0, 1, [0, 0, 0]];
  }

  /** Pixels per unit of x / z. */
  private focal(width: number, height: number): number {
    return (0.5 * Math.min(height, width / POSTER_ASPECT) * DISTANCE) / MARGIN;
  }

  camera(width: number, height: number): Camera {
    const side = cross(this.up, this.front);
    const around = plus(scaled(this.front, Math.cos(this.yaw)), scaled(side, Math.sin(this.yaw)));
    const toEye = plus(scaled(around, Math.cos(this.pitch)), scaled(this.up, Math.sin(this.pitch)));
    const target = plus(this.target, this.pan);
    const eye = plus(target, scaled(toEye, DISTANCE * this.radius * this.zoom));
    const focal = this.focal(width, height);
    return {
      T_cam_world: lookAt(eye, target, this.up),
      K: [focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1],
      width,
      height,
    };
  }
}
