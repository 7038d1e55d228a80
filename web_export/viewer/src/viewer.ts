/** What is shown when: ties player, orbit, canvas and renderer together, one animation frame at a time. */
import { type Camera, flattened, Orbit } from "./camera";
import type { Avatar } from "./format";
import type { AvatarInstance } from "./instance";
import { skeletonOf, worldJoints } from "./kinematics";
import type { Page } from "./page";
import type { Player } from "./player";
import { steer } from "./pointer";
import type { Pose } from "./pose";
import { type Renderer, STAGE_FLOATS } from "./renderer";
import type { Vector } from "./rotation";

/** Above this many device pixels per CSS pixel the eye gains little and the GPU pays by the square. */
const MAX_PIXEL_RATIO = 2;
const MAX_PIXELS = 2560 * 1600;
const FEET = [10, 11] as const;
/** Height of the ball of the foot above the sole, metres. */
const SOLE = 0.03;
const SHADOW_RADII = [0.16, 0.16, 0.34] as const; // feet, pelvis; metres
const FLOOR_RADIUS = 4;
const FOLLOW_SECONDS = 0.25;
/** A person that jumps this far (metres) was moved by the scrub bar or the loop: the view jumps along. */
const JUMP = 0.5;
const MAX_IN_FLIGHT = 2;
const NOT_DRAWING = "the page is not drawing: its graphics device is lost or being replaced";

const vector = (numbers: readonly number[] | undefined, fallback: Vector): Vector =>
  numbers?.length === 3 && numbers.every(Number.isFinite) ? (numbers as unknown as Vector) : fallback;
const along = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export class Viewer {
  readonly orbit: Orbit;
  pixelScale = 1;
  private renderer: Renderer | undefined;
  private instance: AvatarInstance | undefined;
  private context: GPUCanvasContext | undefined;
  private fixedCamera: Camera | undefined;
  private fixedPose: Pose | undefined;
  private shownPose: Pose | undefined;
  private isDirty = true;
  private inFlight = 0;
  private drawn = 0;
  private lastTick = Number.NaN;
  private readonly skeleton;
  private readonly center: Vector;
  private readonly firstPelvis: Vector;
  private readonly floor: number;

  constructor(
    private readonly page: Page,
    private readonly avatar: Avatar,
    readonly player: Player,
  ) {
    const { meta } = avatar.header;
    this.skeleton = skeletonOf(avatar);
    const first = player.frames[0]!;
    this.firstPelvis = this.joint(first, 0);
    this.center = vector(meta.center, this.firstPelvis);
    const facing: Vector = [first.Rh[2]!, first.Rh[5]!, first.Rh[8]!]; // a body at rest looks along +z
    const up = vector(meta.up, [0, 1, 0]);
    this.orbit = new Orbit(this.center, meta.radius ?? 1, up, vector(meta.front, facing));
    this.floor = this.floorHeight();
    const changed = () => {
      this.fixedPose = undefined;
      this.isDirty = true;
    };
    page.connect(player, changed, () => {
      this.orbit.reset();
      this.isDirty = true;
    });
    steer(page.canvas, this.orbit, () => {
      this.isDirty = true;
    });
    new ResizeObserver(() => {
      this.isDirty = true;
    }).observe(page.canvas);
  }

  /** Draws this instance with this renderer from now on. */
  attach(renderer: Renderer, instance: AvatarInstance, device: GPUDevice, format: GPUTextureFormat): void {
    const context = this.page.canvas.getContext("webgpu");
    if (!context) throw new Error("the canvas gives no WebGPU context; load the page again");
    context.configure({ device, format, alphaMode: "opaque" });
    this.context = context;
    this.renderer = renderer;
    this.instance = instance;
    this.shownPose = undefined;
    this.inFlight = 0;
    this.isDirty = true;
  }

  detach(): void {
    this.renderer = undefined;
    this.instance = undefined;
  }

  /** Shows one pose and stops playing; undefined goes back to the player. */
  showPose(pose: Pose | undefined): void {
    this.fixedPose = pose;
    this.isDirty = true;
  }

  /** Shows through one camera; undefined goes back to the orbit. */
  showCamera(camera: Camera | undefined): void {
    this.fixedCamera = camera;
    this.isDirty = true;
  }

  /** One animation frame. */
  tick(now: number): void {
    const seconds = Number.isNaN(this.lastTick) ? 0 : Math.max(0, now - this.lastTick) / 1000;
    this.lastTick = now;
    if (this.player.playing && this.player.last > 0 && !this.fixedPose) {
      this.player.advance(seconds);
      this.isDirty = true;
    }
    if (!this.renderer || this.inFlight >= MAX_IN_FLIGHT) return;
    if (this.follow(seconds) || this.isDirty) void this.draw();
  }

  /** Draws the current pose on the canvas; resolves when the GPU has done it. */
  async draw(): Promise<void> {
    const { renderer, instance, context } = this;
    if (!renderer || !instance || !context) throw new Error(NOT_DRAWING);
    this.isDirty = false;
    const pose = this.currentPose();
    const camera = this.currentCamera();
    const { canvas } = this.page;
    if (canvas.width !== camera.width) canvas.width = camera.width;
    if (canvas.height !== camera.height) canvas.height = camera.height;
    this.uploadPose(instance, pose);
    renderer.present(context.getCurrentTexture(), [instance], camera, this.stage(pose));
    this.page.showTime(this.player);
    this.inFlight++;
    await renderer.finished();
    this.inFlight = Math.max(0, this.inFlight - 1); // a new device starts counting at zero
    this.drawn++;
  }

  /** The person alone over a plain background, at the size of the current camera. */
  readPixels(background: readonly [number, number, number]): Promise<Uint8Array> {
    if (!this.renderer || !this.instance) throw new Error(NOT_DRAWING);
    this.uploadPose(this.instance, this.currentPose());
    return this.renderer.readPixels([this.instance], this.currentCamera(), background);
  }

  /** Frames drawn since the last call. */
  takeDrawn(): number {
    const drawn = this.drawn;
    this.drawn = 0;
    return drawn;
  }

  private currentPose(): Pose {
    return this.fixedPose ?? this.player.pose();
  }

  private currentCamera(): Camera {
    if (this.fixedCamera) return this.fixedCamera;
    const { clientWidth, clientHeight } = this.page.canvas;
    const ratio = Math.min(window.devicePixelRatio, MAX_PIXEL_RATIO) * this.pixelScale;
    const capped = Math.min(ratio, Math.sqrt(MAX_PIXELS / Math.max(1, clientWidth * clientHeight)));
    const pixels = (size: number) => Math.max(1, Math.round(size * capped));
    return this.orbit.camera(pixels(clientWidth), pixels(clientHeight));
  }

  private uploadPose(instance: AvatarInstance, pose: Pose): void {
    if (pose === this.shownPose) return;
    instance.setPose(pose);
    this.shownPose = pose;
  }

  private joint(pose: Pose, index: number): Vector {
    const world = worldJoints(this.skeleton, pose);
    return [world[12 * index + 3]!, world[12 * index + 7]!, world[12 * index + 11]!];
  }

  /** Where the soles are in most of the motion, along the up axis; single frames may be fitted too low. */
  private floorHeight(): number {
    const { frames } = this.player;
    const stride = Math.max(1, Math.floor(frames.length / 200));
    const heights = frames
      .filter((_, i) => i % stride === 0)
      .map((pose) => Math.min(...FEET.map((foot) => along(this.joint(pose, foot), this.orbit.up))))
      .sort((a, b) => a - b);
    return heights[Math.floor(0.05 * heights.length)]! - SOLE;
  }

  /** Moves the orbit's target with the person, softly. Returns whether it moved. */
  private follow(seconds: number): boolean {
    const pelvis = this.joint(this.currentPose(), 0);
    const walked = flattened([0, 1, 2].map((i) => pelvis[i]! - this.firstPelvis[i]!) as unknown as Vector, this.orbit.up);
    const rest = [0, 1, 2].map((i) => this.center[i]! + walked[i]! - this.orbit.target[i]!) as unknown as Vector;
    const distance = Math.hypot(...rest);
    if (distance < 1e-4) return false;
    const share = distance > JUMP ? 1 : 1 - Math.exp(-seconds / FOLLOW_SECONDS);
    this.orbit.target = [0, 1, 2].map((i) => this.orbit.target[i]! + share * rest[i]!) as unknown as Vector;
    return true;
  }

  /** `Stage` of stage.wgsl: floor, its middle, what casts shadows. */
  private stage(pose: Pose): Float32Array<ArrayBuffer> {
    const out = new Float32Array(STAGE_FLOATS);
    out.set([...this.orbit.up, this.floor, ...this.orbit.target, FLOOR_RADIUS]);
    [...FEET, 0].forEach((joint, i) => out.set([...this.joint(pose, joint), SHADOW_RADII[i]!], 8 + 4 * i));
    return out;
  }

  get numGaussians(): number {
    return this.avatar.header.num_gaussians;
  }
}
