/** Cameras as callers give them, and how many pixels a picture has. */
import type { CameraView, OrbitView } from "./api";
import type { Camera } from "./camera";

const MAX_PIXELS = 2560 * 1600;
/** WebGPU's default limit of a texture. */
const MAX_SIDE = 8192;

function flat(matrix: CameraView["K"], count: number, name: string): number[] {
  const numbers = (matrix as readonly number[]).flat();
  if (numbers.length === count && numbers.every(Number.isFinite)) return numbers;
  throw new RangeError(`${name} must be ${count} finite numbers, found ${numbers.length} values`);
}

/** Throws RangeError on what is neither a camera nor an orbit. */
export function isOrbit(view: CameraView | OrbitView): view is OrbitView {
  if (typeof view !== "object") throw new RangeError(`a camera is an object {T_cam_world, K, width, height} or {yaw, pitch, zoom}, found ${String(view)}`);
  return !("T_cam_world" in view);
}

/** Throws RangeError on a size that no picture can have. */
export function checkPixels(width: number, height: number): void {
  if ([width, height].every((size) => Number.isInteger(size) && size >= 1 && size <= MAX_SIDE)) return;
  throw new RangeError(`width and height must be whole pixels, 1 to ${MAX_SIDE}, found ${width} x ${height}`);
}

/** Throws RangeError on what is no camera. */
export function checkedCamera(view: CameraView): Camera {
  const { width, height } = view;
  checkPixels(width, height);
  return { T_cam_world: flat(view.T_cam_world, 16, "T_cam_world"), K: flat(view.K, 9, "K"), width, height };
}

/** Pixels of a picture that is shown `cssWidth` x `cssHeight` large. */
export function pictureSize(cssWidth: number, cssHeight: number, ratio: number): { width: number; height: number; ratio: number } {
  const capped = Math.min(ratio, Math.sqrt(MAX_PIXELS / Math.max(1, cssWidth * cssHeight)));
  const pixels = (size: number) => Math.max(1, Math.round(size * capped));
  return { width: pixels(cssWidth), height: pixels(cssHeight), ratio: capped };
}
