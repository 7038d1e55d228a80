/** What the controls may do with the element that they belong to. */
import type { Background, MotionInfo, Stats } from "../api";

export interface Host {
  readonly paused: boolean;
  readonly frame: number;
  /** Index of the last frame. */
  readonly last: number;
  readonly fps: number;
  readonly stats: Stats | null;
  readonly motionList: readonly MotionInfo[];
  readonly motionIndex: number;
  /** Names and licences, for the foot of the statistics. */
  readonly details: string;
  speed: number;
  background: Background;
  toggle(): void;
  pause(): void;
  seek(frame: number): void;
  chooseMotion(index: number): void;
  openFiles(files: Iterable<File>): void;
  /** Whether every compute pass is timed by itself; costs some time. */
  timePasses(isOn: boolean): void;
  takePicture(): void;
  toggleFullscreen(): void;
  /** Turns (radians), zooms (factor), or goes back to the first view. */
  turn(yaw: number, pitch: number): void;
  zoom(factor: number): void;
  resetView(): void;
}
