/** What the controls may do with the element that they belong to. */
import type { Background, MotionInfo, PoseFrame, Scene, Stats } from "../api";
import type { Camera } from "../camera";
import type { Member } from "../member";

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

  // posing by hand

  readonly avatar: Member | undefined;
  readonly scene: (Scene & { readonly camera: Camera | undefined }) | undefined;
  /** Whether the page's address may carry a pose. */
  readonly hasPoseLink: boolean;
  /** Shows a pose that was made by hand, and tells the page. */
  editPose(frame: PoseFrame): void;
  /** Whether the camera stays where it is while the pelvis moves. */
  holdView(isHeld: boolean): void;
  savePose(frame: PoseFrame): void;
  /** Shows the first pose of a file. */
  openPose(file: File): void;
  /** Copies the page's address with a pose; where the browser does not allow it, goes there (false). */
  copyLink(pose: string): Promise<boolean>;
  /** Tells screen readers. */
  say(words: string): void;
}
