/** Motions: read from an address, a file or rows. */
import type { MotionInfo, MotionSource, PoseFrame } from "./api";
import { asViewerError } from "./errors";
import { loadBytes, nameOf } from "./load";
import { isMotionFile, type MotionFile, readMotionFile } from "./motion_file";
import { type Pose, parsePoses, readPoses } from "./pose";

export interface Motion extends MotionInfo {
  readonly poses: readonly Pose[];
}

const isRows = (source: MotionSource): source is readonly PoseFrame[] => Array.isArray(source);

/** A motion's file name without its endings, as people may read it. */
export function title(file: string): string {
  return file.replace(/\.(json|bin)$/i, "").replace(/\.pose$/i, "").replace(/[_-]+/g, " ").trim() || file;
}

async function read(source: string | URL | Blob, signal?: AbortSignal): Promise<MotionFile> {
  const bytes = await loadBytes(source, signal);
  return isMotionFile(bytes) ? readMotionFile(bytes) : { poses: parsePoses(new TextDecoder().decode(bytes)), fps: 0 };
}

/** `fps` 0 leaves the speed to the file, then to the avatar. Throws ViewerError naming the file, the frame and what is wrong with it. */
export async function loadMotion(source: MotionSource, fps = 0, name?: string, signal?: AbortSignal): Promise<Motion> {
  const file = isRows(source) ? "the motion" : nameOf(source);
  try {
    const { poses, fps: own } = isRows(source) ? { poses: readPoses(source), fps: 0 } : await read(source, signal);
    return { name: name ?? title(file), frames: poses.length, fps: fps || own, poses };
  } catch (error) {
    throw asViewerError(error, file);
  }
}
