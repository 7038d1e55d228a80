/** People on one canvas: who is there, when to draw, with which device. */
import type { AddOptions, AvatarSource, Background, CameraView, OrbitView, Progress, Scene, SceneAvatar, SceneOptions, ScreenshotOptions, Stats } from "./api";
import type { Camera } from "./camera";
import { FrameClock } from "./clock";
import { Composition, type Picture } from "./composition";
import type { Device } from "./device";
import { asViewerError } from "./errors";
import { borrow } from "./library";
import { Member, type MemberScene } from "./member";
import { Meter } from "./meter";
import { loadMotion } from "./motion";
import { NO_COST, Painter } from "./painter";
import { Person } from "./person";
import { steer } from "./pointer";
import type { Recovery } from "./recovery";
import { type GpuUser, sharedGpu } from "./shared";
import { checkPixels, pictureSize } from "./view";

const MAX_IN_FLIGHT = 2;
const MEASURE_MILLISECONDS = 250;
const NOT_DRAWING = "the scene is not drawing: its graphics device is lost or being replaced, or nobody was added";
const DEFAULT_FPS = 60;
/** Above this many device pixels per CSS pixel the eye gains little and the GPU pays by the square. */
const DEFAULT_PIXEL_RATIO = 2;
/** Share of the pixel ratio, and of the detail, that is left after the device was lost too often. */
const LOWERED = 0.5;

let clock: FrameClock | undefined;

export class SceneImpl extends EventTarget implements Scene, GpuUser, MemberScene {
  private readonly composition = new Composition();
  private readonly meter: Meter;
  private readonly maxPixelRatio: number;
  private readonly observers: { disconnect(): void }[];
  private painter: Painter | undefined;
  /** The painter to be, while it is given what it has to draw. */
  private coming: Painter | undefined;
  private isDisposed = false;
  /** Who waits for a painter. */
  private waiting: (() => void)[] = [];
  private isDirty = true;
  private isLowered = false;
  private isOnScreen = true;
  private inFlight = 0;
  private lastTick = Number.NaN;
  private lastMeasure = Number.NEGATIVE_INFINITY;
  private isTimingPasses = false;
  private size = { width: 1, height: 1, ratio: 1 };

  private constructor(
    readonly canvas: HTMLCanvasElement,
    options: SceneOptions,
  ) {
    super();
    this.composition.background = options.background ?? "stage";
    this.meter = new Meter(options.targetFps ?? DEFAULT_FPS);
    this.maxPixelRatio = options.maxPixelRatio ?? DEFAULT_PIXEL_RATIO;
    const resize = new ResizeObserver(() => this.changed());
    resize.observe(canvas);
    const sight = new IntersectionObserver((entries) => {
      this.isOnScreen = entries.at(-1)!.isIntersecting;
      this.changed();
    });
    sight.observe(canvas);
    this.observers = [resize, sight];
    if (options.pointer ?? true) this.observers.push(steer(canvas, () => this.composition.orbit, () => this.changed()));
  }

  /** Throws ViewerError where this browser cannot draw. */
  static async open(canvas: HTMLCanvasElement, options: SceneOptions = {}): Promise<SceneImpl> {
    const scene = new SceneImpl(canvas, options);
    try {
      await sharedGpu().join(scene);
    } catch (error) {
      scene.dispose();
      throw asViewerError(error);
    }
    clock ??= new FrameClock();
    clock.add(scene.tick);
    return scene;
  }

  get avatars(): readonly SceneAvatar[] {
    return this.composition.members;
  }

  get adapter(): string {
    return this.painter?.device.adapter ?? "";
  }

  get background(): Background {
    return this.composition.background;
  }

  set background(background: Background) {
    this.composition.background = background;
    this.changed();
  }

  async add(source: AvatarSource, options: AddOptions = {}): Promise<Member> {
    const { motion, signal, onProgress = () => undefined } = options;
    const progress: { -readonly [K in keyof Progress]: Progress[K] } = { phase: "loading", loaded: 0, total: Number.NaN };
    const tell = (change: Partial<Progress>) => onProgress({ ...Object.assign(progress, change) });
    const lease = borrow(source, (loaded, total) => tell({ loaded, total }));
    signal?.addEventListener("abort", lease.release, { once: true });
    try {
      const poses = motion ? loadMotion(motion, 0, undefined, signal) : undefined;
      poses?.catch(() => undefined); // reported below, after the avatar's own errors
      const person = new Person(await lease.file.neutral, await poses);
      Object.assign(person.player, { playing: options.autoplay ?? true, loop: options.loop ?? true });
      person.place(options);
      tell({ phase: "preparing" });
      const member = new Member(person, lease, this);
      await this.join(member);
      signal?.throwIfAborted();
      tell({ phase: "detail" });
      member.complete.then(
        () => tell({ phase: "done" }),
        (error: unknown) => member.isDisposed || this.fail(error),
      );
      return member;
    } catch (error) {
      lease.release();
      throw signal?.aborted ? signal.reason : asViewerError(error);
    }
  }

  setCamera(camera: CameraView | OrbitView | null): void {
    this.composition.setCamera(camera);
    this.changed();
  }

  /** Turns the orbit by angles (radians) and multiplies its distance. */
  turn(yaw: number, pitch: number, zoom: number): void {
    this.composition.orbit?.turn(-yaw / Math.PI, pitch / Math.PI);
    this.composition.orbit?.scale(zoom);
    this.changed();
  }

  /** Where the orbit is; undefined where a script has set a camera, or nobody is there. */
  get view(): Required<OrbitView> | undefined {
    return this.composition.view;
  }

  /** The camera, in pixels of CSS; one set by a script may have another shape than the canvas. */
  get camera(): Camera | undefined {
    return this.composition.camera(Math.max(1, this.canvas.clientWidth), Math.max(1, this.canvas.clientHeight));
  }

  set isViewHeld(isHeld: boolean) {
    this.composition.isViewHeld = isHeld;
  }

  /** Whether `stats` tells the time of every compute pass or of all of them together. */
  set timesPasses(isOn: boolean) {
    this.isTimingPasses = isOn;
    if (this.painter) this.painter.timesPasses = isOn;
  }

  async render(): Promise<void> {
    const drawn = this.draw();
    if (!drawn) throw new Error(NOT_DRAWING);
    await drawn;
  }

  /** A first picture, with this device or with the one that comes after it; returns where there will be none. */
  async renderSoon(): Promise<void> {
    while (!this.isDisposed) {
      const { painter } = this;
      if (painter) await this.render();
      else await new Promise<void>((done) => this.waiting.push(done));
      if (painter && painter === this.painter && !painter.device.isLost) return;
    }
  }

  readPixels(background: readonly [number, number, number] = [0, 0, 0]): Promise<Uint8Array> {
    if (background.length !== 3 || !background.every(Number.isFinite)) {
      return Promise.reject(new RangeError(`a background is three numbers from 0 to 1, found ${String(background)}`));
    }
    const picture = this.compose();
    if (!this.painter || !picture) return Promise.reject(new Error(NOT_DRAWING));
    return this.painter.readPixels(picture.camera, background, picture.shown);
  }

  async screenshot({ type = "image/png", width, height }: ScreenshotOptions = {}): Promise<Blob> {
    checkPixels(width ?? 1, height ?? 1);
    const picture = this.compose(width, height);
    if (!this.painter || !picture) throw new Error(NOT_DRAWING);
    this.painter.present(picture.camera, picture.stage, picture.shown);
    const blob = await new Promise<Blob | null>((done) => this.canvas.toBlob(done, type, 0.92));
    this.changed();
    if (!blob) throw new Error(`the browser cannot write ${type}`);
    return blob;
  }

  get stats(): Stats {
    const { members, culled, splats: drawnSplats } = this.composition;
    const { gpuMilliseconds, passMilliseconds, visibleSplats, fragments, gpuBytes } = this.painter?.cost ?? NO_COST;
    const files = new Set(members.map(({ file }) => file));
    return {
      ...this.meter.figures,
      gpuMilliseconds,
      passMilliseconds,
      visibleSplats,
      fragments,
      gpuBytes,
      drawnSplats,
      splats: members.reduce((sum, { info }) => sum + info.numGaussians, 0),
      width: this.size.width,
      height: this.size.height,
      pixelRatio: this.size.ratio,
      level: Math.max(0, ...members.map(({ level }) => level)),
      downloadedBytes: [...files].reduce((sum, { loadedBytes }) => sum + loadedBytes, 0),
      avatars: members.length,
      culledAvatars: culled,
      poseDistance: this.composition.poseDistance(),
      adapter: this.adapter,
    };
  }

  dispose(): void {
    this.isDisposed = true;
    clock?.remove(this.tick);
    for (const observer of this.observers) observer.disconnect();
    for (const member of [...this.composition.members]) member.dispose();
    this.painter?.dispose();
    this.coming?.dispose();
    this.painter = this.coming = undefined;
    sharedGpu().leave(this);
    this.wake();
  }

  // from members

  changed(): void {
    this.isDirty = true;
  }

  moved(): void {
    this.composition.reframe();
    this.changed();
  }

  remove(member: Member): void {
    const { members } = this.composition;
    if (members.includes(member)) members.splice(members.indexOf(member), 1);
    this.painter?.remove(member);
    this.moved();
  }

  async replaced(member: Member): Promise<void> {
    if (this.composition.members.includes(member)) await this.paint(member);
    this.changed();
  }

  // from the shared device

  async attach(device: Device, isLowered: boolean): Promise<void> {
    this.isLowered = isLowered;
    const painter = new Painter(device, this.canvas);
    this.coming = painter;
    try {
      // until nobody is missing: people come, go and get their correctives meanwhile
      for (;;) {
        const next = this.composition.members.find((member) => painter.drawnOf(member) !== member.avatar);
        if (!next || this.coming !== painter) break;
        await painter.set(next);
      }
    } catch (error) {
      painter.dispose();
      throw error;
    }
    if (this.coming !== painter) return; // disposed
    this.coming = undefined;
    painter.timesPasses = this.isTimingPasses;
    this.painter = painter;
    this.inFlight = 0;
    this.changed();
    this.wake();
  }

  lower(): void {
    this.isLowered = true;
    this.changed();
  }

  detach(action: Recovery, reason: string): void {
    this.painter?.dispose(true);
    this.painter = undefined;
    this.emit("devicelost", { action, reason });
  }

  fail(error: unknown): void {
    this.emit("error", { error: asViewerError(error) });
  }

  private emit(type: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  private wake(): void {
    for (const done of this.waiting.splice(0)) done();
  }

  /** Has a member drawn; where the device is gone, its successor sees to that. */
  private async paint(member: Member): Promise<void> {
    const { painter } = this;
    try {
      while (painter && painter === this.painter && !member.isDisposed && painter.drawnOf(member) !== member.avatar) await painter.set(member);
    } catch (error) {
      if (!(await painter!.device.isGone())) throw error;
    }
  }

  private async join(member: Member): Promise<void> {
    this.composition.members.push(member);
    try {
      await this.paint(member);
    } catch (error) {
      this.remove(member);
      throw error;
    }
    this.moved();
  }

  private readonly tick = (now: number): void => {
    const seconds = Number.isNaN(this.lastTick) ? 0 : Math.max(0, now - this.lastTick) / 1000;
    this.lastTick = now;
    this.meter.tick(now);
    if (!this.isOnScreen) {
      this.meter.interrupt();
      return;
    }
    const { members } = this.composition;
    const moving = members.filter((member) => member.isMoving);
    for (const member of moving) {
      if (member.person.player.advance(seconds)) this.emit("ended", { avatar: member });
    }
    if (!this.painter || this.inFlight >= MAX_IN_FLIGHT) return;
    const isFollowing = this.composition.follow(seconds);
    if (moving.length === 0 && !isFollowing && !this.isDirty) {
      this.meter.interrupt();
      return;
    }
    if (!this.draw()) return;
    this.meter.picture(now, moving.length > 0, this.painter.cost.gpuMilliseconds);
    if (now - this.lastMeasure < MEASURE_MILLISECONDS) return;
    this.lastMeasure = now;
    this.painter.measure();
  };

  private compose(width?: number, height?: number): Picture | undefined {
    const { clientWidth, clientHeight } = this.canvas;
    const { scale, detail } = this.meter.step;
    const allowed = this.isLowered ? LOWERED : 1;
    this.size = pictureSize(clientWidth, clientHeight, Math.min(devicePixelRatio, this.maxPixelRatio) * scale * allowed);
    return this.composition.compose(width ?? this.size.width, height ?? this.size.height, detail * allowed);
  }

  /** Draws what is to be seen now; resolves when the GPU has done it. Undefined where nothing can be drawn. */
  private draw(): Promise<void> | undefined {
    const picture = this.compose();
    const { painter } = this;
    if (!painter || !picture) return undefined;
    this.isDirty = false;
    painter.present(picture.camera, picture.stage, picture.shown);
    this.inFlight++;
    return painter.finished().then(() => {
      if (painter === this.painter) this.inFlight = Math.max(0, this.inFlight - 1);
      this.emit("frame", { frame: this.composition.members[0]?.frame ?? 0 });
    });
  }
}
