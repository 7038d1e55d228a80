/** Motions: read from an address, a file or rows. */
import type { MotionInfo, MotionSource, PoseFrame } from "./api";
import { asViewerError } from "./errors";
import { loadText, nameOf } from "./load";
import { type Pose, parsePoses, readPoses } from "./pose";

export interface Motion extends MotionInfo {
  readonly poses: readonly Pose[];
}

const isRows = (source: MotionSource): source is readonly PoseFrame[] => Array.isArray(source);

/** A motion's file name without its endings, as people may read it. */
export function title(file: string): string {
  return file.replace(/\.json$/i, "").replace(/\.pose$/i, "").replace(/[_-]+/g, " ").trim() || file;
}

/** `fps` 0 leaves the speed to the avatar. Throws ViewerError naming the file, the frame and what is wrong with it. */
export async function loadMotion(source: MotionSource, fps = 0, name?: string, signal?: AbortSignal): Promise<Motion> {
  const file = isRows(source) ? "the motion" : nameOf(source);
  try {
    const poses = isRows(source) ? readPoses(source) : parsePoses(await loadText(source, signal));
    return { name: name ?? title(file), frames: poses.length, fps, poses };
  } catch (error) {
    throw asViewerError(error, file);
  }
}
