/** Start of the page: load the files beside it, open the GPU, play; say clearly what is wrong where it cannot. */
import type { Camera } from "./camera";
import { GpuContext } from "./context";
import { type Avatar, FormatError, readAvatar } from "./format";
import { GpuError, requestAdapter, requestDevice } from "./gpu";
import { AvatarInstance } from "./instance";
import { LoadError, loadFile } from "./load";
import { AvatarModel } from "./model";
import { Page } from "./page";
import { Player } from "./player";
import { parsePose, parsePoses, type Pose, PoseError } from "./pose";
import { Renderer } from "./renderer";
import { Viewer } from "./viewer";

const AVATAR_FILE = "avatar.mobavatar";
const MOTION_FILE = "motion.pose.json";
const DEFAULT_FPS = 30;
/** A driver that loses the device (low memory, reset) gets two new chances, the second at half the resolution. */
const MAX_LOSSES = 2;
const READOUT_MILLISECONDS = 1000;

export interface ApiCamera {
  T_cam_world: number[][] | number[];
  K: number[][] | number[];
  width: number;
  height: number;
}

/** What scripts (benchmarks, tests, an embedding page) may do with the page, as `window.mobavatar`. */
export interface MobavatarApi {
  /** Resolves when the first frame is drawn; rejects with what the page says when it cannot draw. */
  readonly ready: Promise<void>;
  /** Shows a frame of the motion (its index) or one frame as in `.pose.json`, and stops playing; null plays on. */
  setPose(pose: number | object | null): void;
  /** Looks through one camera (nested or flat row-by-row matrices, OpenCV axes, pixels); null goes back to the orbit. */
  setCamera(camera: ApiCamera | null): void;
  /** Draws on the canvas now and waits for the GPU. */
  renderOnce(): Promise<void>;
  /** rgba bytes (rows from the top) of the person over a plain background, at the size of the current camera. */
  readPixels(background?: readonly [number, number, number]): Promise<Uint8Array>;
  /** What is shown and by which graphics adapter. */
  readonly info: { numGaussians: number; frames: number; fps: number; adapter: string };
}

declare global {
  interface Window {
    mobavatar: MobavatarApi;
  }
}

async function loadAvatar(page: Page): Promise<{ avatar: Avatar; poses: Pose[] }> {
  const named = (name: string) => (error: unknown) => {
    if (error instanceof FormatError || error instanceof PoseError) error.message = `${name}: ${error.message}`;
    throw error;
  };
  const motion = loadFile(MOTION_FILE)
    .then((bytes) => parsePoses(new TextDecoder().decode(bytes)))
    .catch(named(MOTION_FILE));
  motion.catch(() => undefined); // reported below, after the avatar's own errors
  const bytes = await loadFile(AVATAR_FILE, (share) => page.progress("Loading the avatar", share));
  page.progress("Unpacking", 1);
  const avatar = await readAvatar(bytes).catch(named(AVATAR_FILE));
  return { avatar, poses: await motion };
}

function describe(adapter: GPUAdapterInfo): string {
  return [adapter.vendor, adapter.architecture, adapter.description].filter(Boolean).join(" ");
}

/** Opens the device and keeps it open: a lost one is replaced, at most twice. */
async function drawWith(viewer: Viewer, avatar: Avatar, losses: number, fail: (error: unknown) => void): Promise<string> {
  const { device, adapter, format } = await requestDevice();
  const context = await GpuContext.create(device, format);
  const model = await AvatarModel.upload(context, avatar);
  viewer.pixelScale = losses >= MAX_LOSSES ? 0.5 : 1;
  viewer.attach(new Renderer(context), new AvatarInstance(model), device, format);
  void device.lost.then(({ message }) => {
    viewer.detach();
    if (losses < MAX_LOSSES) void drawWith(viewer, avatar, losses + 1, fail).catch(fail);
    else fail(new GpuError("The graphics device was lost", `${message || "The driver gave no reason."}\nLoad the page again; if it comes back, close other pages first.`));
  });
  return describe(adapter);
}

function animate(viewer: Viewer, page: Page, details: string): void {
  let since = performance.now();
  const splats = `${viewer.numGaussians.toLocaleString("en")} splats`;
  const frame = (now: number) => {
    viewer.tick(now);
    if (now - since > READOUT_MILLISECONDS) {
      const fps = (1000 * viewer.takeDrawn()) / (now - since);
      since = now;
      page.readout(fps > 0 ? `${fps.toFixed(fps < 10 ? 1 : 0)} fps · ${splats}` : splats, details);
    }
    requestAnimationFrame(frame);
  };
  page.readout(splats, details);
  requestAnimationFrame(frame);
}

function failure(page: Page): (error: unknown) => void {
  return (error) => {
    console.error(error);
    const isFile = error instanceof FormatError || error instanceof PoseError || error instanceof LoadError;
    const title = error instanceof GpuError ? error.title : isFile ? "The avatar could not be loaded" : "The avatar cannot be drawn";
    page.message(title, error instanceof Error ? error.message : String(error));
  };
}

function flat(matrix: number[][] | number[], count: number, name: string): number[] {
  const numbers = (matrix as number[]).flat();
  if (numbers.length === count && numbers.every(Number.isFinite)) return numbers;
  throw new Error(`${name} must be ${count} finite numbers, found ${numbers.length} values`);
}

/** The API of a page whose viewer comes later. */
class Api implements MobavatarApi {
  viewer: Viewer | undefined;
  adapter = "";

  constructor(readonly ready: Promise<void>) {}

  setPose(pose: number | object | null): void {
    const { player } = this.shown;
    if (typeof pose !== "number") {
      this.shown.showPose(pose === null ? undefined : parsePose(pose));
      return;
    }
    const frame = player.frames[pose];
    if (!frame) throw new Error(`there is no frame ${pose}; the motion has frames 0..${player.last}`);
    this.shown.showPose(frame);
  }

  setCamera(camera: ApiCamera | null): void {
    const checked: Camera | undefined = camera
      ? { ...camera, T_cam_world: flat(camera.T_cam_world, 16, "T_cam_world"), K: flat(camera.K, 9, "K") }
      : undefined;
    this.shown.showCamera(checked);
  }

  renderOnce(): Promise<void> {
    return this.shown.draw();
  }

  readPixels(background: readonly [number, number, number] = [0, 0, 0]): Promise<Uint8Array> {
    return this.shown.readPixels(background);
  }

  get info(): MobavatarApi["info"] {
    const { player, numGaussians } = this.shown;
    return { numGaussians, frames: player.frames.length, fps: player.fps, adapter: this.adapter };
  }

  private get shown(): Viewer {
    if (!this.viewer) throw new Error("the avatar is not there yet: await mobavatar.ready first");
    return this.viewer;
  }
}

async function start(page: Page, fail: (error: unknown) => void, found: (viewer: Viewer, adapter: string) => void): Promise<void> {
  await requestAdapter(); // says what is missing before megabytes are loaded
  const { avatar, poses } = await loadAvatar(page);
  const { fps, body, body_license } = avatar.header.meta;
  const player = new Player(poses, fps && fps > 0 ? fps : DEFAULT_FPS);
  player.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const viewer = new Viewer(page, avatar, player);
  page.progress("Preparing the graphics device", 1);
  const adapter = await drawWith(viewer, avatar, 0, fail);
  await viewer.draw();
  page.revealed(player);
  found(viewer, adapter);
  animate(viewer, page, [adapter, body && `Body: ${body}`, body_license].filter(Boolean).join("\n"));
}

function main(): void {
  const page = new Page();
  const fail = failure(page);
  const ready = start(page, fail, (viewer, adapter) => Object.assign(api, { viewer, adapter }));
  const api = new Api(ready);
  window.mobavatar = api;
  ready.catch(fail);
}

main();
