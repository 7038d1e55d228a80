/** Entry point without a user interface: scenes on a canvas of your own. */
import type { Posing, Scene, SceneOptions, Support } from "./api";
import { asViewerError } from "./errors";
import { describe, requestAdapter } from "./gpu";
import * as hand from "./posing/public";
import { SceneImpl } from "./scene";

export type * from "./api";

/** Posing by hand: for drivers of your own, e.g. a tracker or sliders. */
export const posing: Posing = hand;

/** A scene on `canvas`. Rejects with an AvatarError where this browser cannot draw. */
export function createScene(canvas: HTMLCanvasElement, options: SceneOptions = {}): Promise<Scene> {
  return SceneImpl.open(canvas, options);
}

/** Asks the browser whether it can draw here, without opening a device. */
export async function support(): Promise<Support> {
  try {
    return { ok: true, adapter: describe((await requestAdapter()).info) };
  } catch (error) {
    return { ok: false, error: asViewerError(error) };
  }
}
