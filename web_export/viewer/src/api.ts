/** The public types: what `core` and `mobile-avatar` promise to the pages that use them. Types only, no code. */

/** Where an avatar comes from: the address of a `.mobavatar` file, or the file itself. */
export type AvatarSource = string | URL | Blob | ArrayBuffer;

/** Where a motion comes from: the address of a `.pose.json` or `.pose.bin`, the file itself, or its rows. */
export type MotionSource = string | URL | Blob | readonly PoseFrame[];

/** One frame of a `.pose.json`: `x_world = Rh @ skin(x) + Th`. Angles in radians, lengths in metres. */
export interface PoseFrame {
  /** 55 x 3 axis-angle numbers, each joint relative to its parent. */
  readonly pose: readonly number[];
  /** 3 x 3 rotation, row by row. */
  readonly Rh: readonly (readonly number[])[];
  readonly Th: readonly number[];
  readonly expression?: readonly number[] | null;
}

/** Joints of the rest pose, as an avatar's file has them. */
export interface PoseSkeleton {
  /** 55 x 3 metres. */
  readonly rest: Float32Array;
  /** 55, -1 for the root; parents come before their children. */
  readonly parent: Int32Array;
}

/** Three numbers; an axis-angle in radians or a place in metres. */
export type Vector3 = readonly [number, number, number];

/** A pose as it is edited: SMPL-X's numbers. Immutable, operations return another one. */
export interface EditedPose {
  /** 55 axis-angles, each joint relative to its parent, joint 0 to the world. */
  readonly pose: readonly Vector3[];
  readonly transl: Vector3;
  readonly expression: readonly number[];
}

export type Limb = "left_hand" | "right_hand" | "left_foot" | "right_foot";

/** What is done to a pose by hand. World axes are those of the avatar's own motion. */
export interface Posing {
  /** SMPL-X's joints in order. */
  readonly jointNames: readonly string[];
  fromFrame(skeleton: PoseSkeleton, frame: PoseFrame): EditedPose;
  toFrame(skeleton: PoseSkeleton, pose: EditedPose): PoseFrame;
  /** Where the 55 joints are in the world, metres. */
  joints(skeleton: PoseSkeleton, pose: EditedPose): readonly Vector3[];
  /** The wrist or ankle at `target` (metres, world), or as near as the limb allows. */
  reach(skeleton: PoseSkeleton, pose: EditedPose, limb: Limb, target: Vector3): EditedPose;
  /** Elbow or knee turned towards `target`; hand and foot stay. */
  swivel(skeleton: PoseSkeleton, pose: EditedPose, limb: Limb, target: Vector3): EditedPose;
  /** One joint set to an axis-angle, kept in its range unless `useLimits` is false. */
  turned(pose: EditedPose, joint: number, vector: Vector3, useLimits?: boolean): EditedPose;
  /** Left and right exchanged. */
  mirrored(pose: EditedPose): EditedPose;
  /** The person at another place, with feet that stay unless `planted` is false. */
  movedPelvis(skeleton: PoseSkeleton, pose: EditedPose, transl: Vector3, planted?: boolean): EditedPose;
  /** The fingers of a hand between flat (0) and a fist (1). */
  curled(skeleton: PoseSkeleton, pose: EditedPose, side: "left" | "right", share: number): EditedPose;
}

/** A calibrated camera: OpenCV axes (x right, y down, z forward), metres and pixels, matrices row by row, nested or flat. */
export interface CameraView {
  /** 4 x 4, world to camera. */
  readonly T_cam_world: readonly number[] | readonly (readonly number[])[];
  /** 3 x 3. */
  readonly K: readonly number[] | readonly (readonly number[])[];
  readonly width: number;
  readonly height: number;
}

/** A camera on a sphere around the person. Everything left out keeps its value. */
export interface OrbitView {
  /** Turn around the person, radians; 0 looks at the front. */
  readonly yaw?: number;
  /** Height of the camera over the horizon, radians. */
  readonly pitch?: number;
  /** Distance, 1 = the whole person fits into the picture. */
  readonly zoom?: number;
}

/** `stage` is a light room with a floor; `transparent` lets the page show through; else `#rgb`, `#rrggbb` or a CSS colour. */
export type Background = "stage" | "transparent" | (string & {});

/** Where an avatar of a scene stands. */
export interface Placement {
  /** Metres, world axes. */
  readonly position?: readonly [number, number, number];
  /** Radians about the scene's upward axis. */
  readonly yaw?: number;
}

/** A motion that can be played. */
export interface MotionInfo {
  readonly name: string;
  readonly frames: number;
  /** Frames a second. */
  readonly fps: number;
}

export interface AvatarInfo {
  readonly numGaussians: number;
  /** Frames and frames a second of the motion that is loaded. */
  readonly frames: number;
  readonly fps: number;
  /** The graphics adapter that draws, in its driver's words; empty where the browser hides it. */
  readonly adapter: string;
  /** Body model and its licence, as the file names them. */
  readonly body: string;
  readonly bodyLicense: string;
  readonly generator: string;
}

export type ErrorCode =
  | "opened-from-disk"
  | "insecure-origin"
  | "no-webgpu"
  | "no-adapter"
  | "no-device"
  | "broken-gpu"
  | "out-of-memory"
  | "device-lost"
  | "not-found"
  | "network"
  | "not-an-avatar"
  | "newer-version"
  | "truncated"
  | "damaged"
  | "bad-motion"
  | "bad-link"
  | "internal";

/** Why something cannot be shown; `message` says what was expected, what was found and what to do. */
export interface AvatarError extends Error {
  readonly code: ErrorCode;
  /** A headline for people. */
  readonly title: string;
}

export interface Progress {
  /** `detail`: the avatar is already drawn, its pose-dependent corrections are still arriving. */
  readonly phase: "loading" | "preparing" | "detail" | "done";
  /** Bytes received, and bytes in all (NaN where the server does not say). */
  readonly loaded: number;
  readonly total: number;
}

/** What drawing costs at the moment. */
export interface Stats {
  /** Pictures drawn a second. */
  readonly fps: number;
  /** Animation frames that the browser offers a second; 60 on iOS whatever the screen can do. */
  readonly refreshHz: number;
  readonly isRefreshCapped: boolean;
  /** GPU milliseconds of a picture, in all and by pass; null and {} where the browser has no timestamps. */
  readonly gpuMilliseconds: number | null;
  readonly passMilliseconds: Readonly<Record<string, number>>;
  /** Splats that were seen in the last picture, of those that were drawn (the people's in the picture, at their levels of detail), of all that are loaded. */
  readonly visibleSplats: number | null;
  readonly drawnSplats: number;
  readonly splats: number;
  /** Square pixels of these splats' quads, which is about how many fragments are shaded. */
  readonly fragments: number | null;
  /** Size of the picture in pixels, and pixels for each CSS pixel. */
  readonly width: number;
  readonly height: number;
  readonly pixelRatio: number;
  /** Share of the pixel ratio that the governor allows (1 = all), and why. */
  readonly scale: number;
  readonly governor: "measuring" | "steady" | "lowered" | "lowest";
  /** Level of detail, 0 = all Gaussians. */
  readonly level: number;
  readonly downloadedBytes: number;
  readonly gpuBytes: number;
  readonly avatars: number;
  /** Avatars that are outside of the picture. */
  readonly culledAvatars: number;
  /**
   * By region of the body ("left arm"): degrees by which the pose that is shown is beyond those of training, 0 inside; of
   * several avatars the furthest. Empty where the files do not say what training saw.
   */
  readonly poseDistance: Readonly<Record<string, number>>;
  readonly adapter: string;
}

export interface ScreenshotOptions {
  /** MIME type: image/png (default), image/jpeg or image/webp. */
  readonly type?: string;
  /** Pixels; default is the size of the canvas. */
  readonly width?: number;
  readonly height?: number;
}

export interface SceneOptions {
  readonly background?: Background;
  /** Pictures a second that the governor defends; default 60. */
  readonly targetFps?: number;
  /** Most device pixels for each CSS pixel; default 2. */
  readonly maxPixelRatio?: number;
  /** Whether mouse, fingers and wheel move the camera; default true. */
  readonly pointer?: boolean;
}

export interface AddOptions extends Placement {
  readonly motion?: MotionSource | null;
  /** Start playing; default true. */
  readonly autoplay?: boolean;
  /** Start over at the end of the motion; default true. */
  readonly loop?: boolean;
  /** Ends the loading: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** One person in a scene. */
export interface SceneAvatar {
  /** Resolves when the pose-dependent corrections are drawn too; rejects where the file turns out to be broken. */
  readonly complete: Promise<void>;
  readonly info: AvatarInfo;
  readonly paused: boolean;
  /** Position in the motion, in frames, with fractions. */
  readonly frame: number;
  speed: number;
  loop: boolean;
  visible: boolean;
  play(): void;
  pause(): void;
  /** Goes to a frame (fractions are between frames) and keeps playing or standing. */
  seek(frame: number): void;
  /** Shows a frame of the motion (its index) or a pose, and stands still; null goes back to the motion. */
  setPose(pose: number | PoseFrame | null): void;
  /** The pose that is shown now, one row of a `.pose.json`. */
  getPose(): PoseFrame;
  readonly skeleton: PoseSkeleton;
  setMotion(source: MotionSource): Promise<MotionInfo>;
  place(placement: Placement): void;
  /** Takes the person out of the scene and frees what no other avatar uses. */
  dispose(): void;
}

export interface SceneEventMap {
  /** A picture is on the canvas. */
  frame: CustomEvent<{ readonly frame: number }>;
  /** A motion without loop is over. */
  ended: CustomEvent<{ readonly avatar: SceneAvatar }>;
  /** The scene cannot go on. */
  error: CustomEvent<{ readonly error: AvatarError }>;
  /** The graphics device was lost and is being replaced, or (`give-up`) not any more. */
  devicelost: CustomEvent<{ readonly action: "rebuild" | "lower" | "give-up"; readonly reason: string }>;
}

/** People on one canvas. All scenes of a document share one graphics device. */
export interface Scene extends EventTarget {
  readonly canvas: HTMLCanvasElement;
  readonly avatars: readonly SceneAvatar[];
  readonly stats: Stats;
  background: Background;
  /** Loads an avatar; resolves when it can be drawn. The same address is downloaded and uploaded once. */
  add(source: AvatarSource, options?: AddOptions): Promise<SceneAvatar>;
  /** Looks through a camera, or from an orbit; null goes back to the orbit's first view. */
  setCamera(camera: CameraView | OrbitView | null): void;
  /** Draws now and waits for the GPU. */
  render(): Promise<void>;
  screenshot(options?: ScreenshotOptions): Promise<Blob>;
  /** rgba bytes, rows from the top, of the people alone over a plain background (0..1). */
  readPixels(background?: readonly [number, number, number]): Promise<Uint8Array>;
  dispose(): void;
  addEventListener<K extends keyof SceneEventMap>(
    type: K,
    listener: (event: SceneEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

export interface AvatarElementEventMap extends Omit<SceneEventMap, "ended"> {
  /** The avatar is drawn; `detail.info` says what it is. */
  ready: CustomEvent<{ readonly info: AvatarInfo }>;
  progress: CustomEvent<Progress>;
  ended: CustomEvent<null>;
  /** Somebody posed the person by hand. */
  pose: CustomEvent<{ readonly pose: PoseFrame }>;
}

/**
 * `<mobile-avatar src motion poster autoplay loop controls>`: one person on a web page.
 *
 * Attributes, each also a property: `src` (address of the avatar), `motion` (of a motion), `motions` (of an index of
 * motions to choose from), `poster` (of a picture shown until the avatar is drawn and where it cannot be), `pose` (a frame
 * to stand still at), `background`, `speed`, `target-fps`, `max-pixel-ratio`; `autoplay`, `loop`, `controls` are on or off,
 * and `pose-link`: the page's address may carry a pose (`#pose=...`), which is shown at load, and people may copy such links.
 */
export interface MobileAvatarElement extends HTMLElement {
  src: string;
  motion: string;
  motions: string;
  poster: string;
  pose: number | null;
  background: Background;
  speed: number;
  autoplay: boolean;
  loop: boolean;
  controls: boolean;
  /** Resolves when the avatar is drawn; rejects with an AvatarError. A new `load` makes a new promise. */
  readonly ready: Promise<AvatarInfo>;
  /** Resolves when the pose-dependent corrections are drawn too. */
  readonly complete: Promise<void>;
  readonly info: AvatarInfo | null;
  readonly stats: Stats | null;
  readonly error: AvatarError | null;
  /** The scene inside, to add more people. */
  readonly scene: Scene | null;
  readonly paused: boolean;
  readonly frame: number;
  readonly motionList: readonly MotionInfo[];
  load(source?: AvatarSource, motion?: MotionSource | null): Promise<AvatarInfo>;
  setMotion(source: MotionSource): Promise<MotionInfo>;
  setPose(pose: number | PoseFrame | null): void;
  /** The pose that is shown now; throws while nothing is. */
  getPose(): PoseFrame;
  play(): void;
  pause(): void;
  seek(frame: number): void;
  setCamera(camera: CameraView | OrbitView | null): void;
  screenshot(options?: ScreenshotOptions): Promise<Blob>;
  /** Frees everything; the element shows its poster. `load()` starts anew. */
  dispose(): void;
  addEventListener<K extends keyof AvatarElementEventMap>(
    type: K,
    listener: (event: AvatarElementEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

/** Whether this browser can draw here, and if not, why. */
export type Support = { readonly ok: true; readonly adapter: string } | { readonly ok: false; readonly error: AvatarError };
