/** What an element shows: one scene, its person, the motions to choose from; and what the controls may do with them. */
import type { AddOptions, AvatarInfo, AvatarSource, Background, CameraView, MotionInfo, MotionSource, OrbitView, PoseFrame, Progress, SceneOptions, ScreenshotOptions, Stats } from "../api";
import { asViewerError, type ViewerError } from "../errors";
import { requestAdapter } from "../gpu";
import { borrow } from "../library";
import type { Member } from "../member";
import { loadMotion } from "../motion";
import { frameOf } from "../pose";
import { toPose } from "../posing/edited";
import { decodePose, decodeView, encodeView } from "../posing/link";
import { SceneImpl } from "../scene";
import type { Host } from "./host";
import { type Choice, loadChoices, MotionList } from "./motions";

/** What happens in a session, for the element around it. */
export interface SessionListener {
  /** The first picture of an avatar is on the canvas. */
  shown(info: AvatarInfo): void;
  progress(progress: Progress): void;
  /** `isPassing`: what was there goes on. */
  failed(error: ViewerError, isPassing: boolean): void;
  /** An event of the scene, to be passed on. */
  passOn(event: Event): void;
  /** Something that the controls show is another one now. */
  changed(): void;
  /** Short words about what was done, for screen readers. */
  said(words: string): void;
}

export interface Wishes extends SceneOptions {
  readonly autoplay: boolean;
  readonly loop: boolean;
  readonly speed: number;
  /** A frame to stand still at. */
  readonly pose: number | null;
  /** Address of an index of motions, or "". */
  readonly motions: string;
  /** Whether the page's address may carry a pose. */
  readonly poseLink: boolean;
}

const EVENTS = ["frame", "ended", "devicelost", "error"] as const;
/** Start of the fragment of an address that carries a pose. */
const LINK = "#pose=";
/** And of the view in it, which may be missing. */
const VIEW = "&view=";
const NOT_THERE = "the avatar is not there yet: await `ready` first";

/** Hands a file to the person in front of the page. */
function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Why something that an attribute asks for is not possible; the avatar is shown without it. */
function refusal(run: () => unknown): ViewerError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return asViewerError(error);
  }
}

export class Session implements Host {
  scene: SceneImpl | undefined;
  avatar: Member | undefined;
  private readonly list = new MotionList();
  private readonly abort = new AbortController();

  constructor(
    private readonly element: HTMLElement,
    private readonly canvas: HTMLCanvasElement,
    private readonly wishes: Wishes,
    private readonly listener: SessionListener,
  ) {}

  /** Shows an avatar. Throws ViewerError, or the reason of `dispose`. */
  async open(source: AvatarSource, motion: MotionSource | null): Promise<AvatarInfo> {
    const { signal } = this.abort;
    await requestAdapter(); // says what is missing before megabytes are loaded
    signal.throwIfAborted();
    // the download starts now, beside the device and its shaders; `add` joins it
    const early = typeof source === "string" || source instanceof URL ? borrow(source, () => undefined) : undefined;
    try {
      const choices = this.wishes.motions === "" ? undefined : loadChoices(this.wishes.motions);
      choices?.catch(() => undefined); // reported by `fillList`
      const { background = "stage", pose, speed, poseLink } = this.wishes;
      const scene = await SceneImpl.open(this.canvas, { ...this.wishes, background: "stage" });
      if (signal.aborted) scene.dispose();
      signal.throwIfAborted();
      this.scene = scene;
      if (this.wishes.poseLink) addEventListener("hashchange", () => this.goneTo(), { signal });
      for (const name of EVENTS) scene.addEventListener(name, (event) => this.heard(event));
      const chosen = motion ?? (await choices)?.[0]?.source ?? null;
      await this.show(source, chosen, this.wishes.autoplay);
      const faults = [
        refusal(() => (scene.background = background)),
        refusal(() => (this.speed = speed)),
        refusal(() => pose !== null && this.setPose(pose)),
        poseLink ? this.followLink() : undefined,
      ];
      await scene.renderSoon();
      signal.throwIfAborted();
      this.listener.shown(this.info);
      for (const fault of faults) if (fault) this.listener.failed(fault, true);
      void this.fillList(choices);
      return this.info;
    } finally {
      early?.release();
    }
  }

  /** Frees everything; whatever is still being loaded rejects. */
  dispose(): void {
    this.abort.abort(new DOMException("the avatar is not wanted any more", "AbortError"));
    this.scene?.dispose();
    this.scene = undefined;
    this.avatar = undefined;
  }

  get info(): AvatarInfo {
    return this.shownAvatar.info;
  }

  async setMotion(source: MotionSource): Promise<MotionInfo> {
    const info = await this.shownAvatar.setMotion(source);
    this.list.choose(source, info);
    this.listener.changed();
    return info;
  }

  setPose(pose: number | PoseFrame | null): void {
    this.shownAvatar.setPose(pose);
    this.listener.changed();
  }

  setCamera(camera: CameraView | OrbitView | null): void {
    this.shownScene.setCamera(camera);
  }

  screenshot(options?: ScreenshotOptions): Promise<Blob> {
    return this.shownScene.screenshot(options);
  }

  get shownScene(): SceneImpl {
    if (!this.scene || !this.avatar) throw new Error(NOT_THERE);
    return this.scene;
  }

  getPose(): PoseFrame {
    return this.shownAvatar.getPose();
  }

  private get shownAvatar(): Member {
    if (!this.avatar) throw new Error(NOT_THERE);
    return this.avatar;
  }

  // what the controls do

  get paused(): boolean {
    return this.avatar?.paused ?? true;
  }

  get frame(): number {
    return this.avatar?.frame ?? 0;
  }

  get last(): number {
    return Math.max(0, (this.avatar?.info.frames ?? 1) - 1);
  }

  get fps(): number {
    return this.avatar?.info.fps ?? 1;
  }

  get stats(): Stats | null {
    return this.scene?.stats ?? null;
  }

  get motionList(): readonly MotionInfo[] {
    return this.list.all.map(({ name, frames, fps }) => ({ name, frames, fps }));
  }

  get motionIndex(): number {
    return this.list.index;
  }

  get details(): string {
    if (!this.avatar) return "";
    const { body, bodyLicense, generator } = this.avatar.info;
    return [body && `Body: ${body}`, bodyLicense, generator].filter(Boolean).join("\n");
  }

  get speed(): number {
    return this.avatar?.speed ?? 1;
  }

  set speed(speed: number) {
    this.shownAvatar.speed = speed;
    this.listener.changed();
  }

  get background(): Background {
    return this.scene?.background ?? "stage";
  }

  set background(background: Background) {
    this.element.setAttribute("background", background);
    this.listener.changed();
  }

  toggle(): void {
    if (this.paused) this.shownAvatar.play();
    else this.shownAvatar.pause();
    this.listener.changed();
  }

  play(): void {
    this.shownAvatar.play();
    this.listener.changed();
  }

  pause(): void {
    this.shownAvatar.pause();
    this.listener.changed();
  }

  seek(frame: number): void {
    this.shownAvatar.seek(frame);
    this.listener.changed();
  }

  chooseMotion(index: number): void {
    const choice = this.list.all[index];
    if (choice) this.attempt(async () => {
      const { name } = await this.useChoice(choice);
      this.listener.said(`Motion: ${name}`);
    });
  }

  openFiles(files: Iterable<File>): void {
    this.attempt(async () => {
      for (const file of files) {
        if (/\.(json|bin)$/i.test(file.name)) await this.setMotion(file);
        else await this.exchange(file);
        this.listener.said(`Opened ${file.name}`);
      }
    });
  }

  takePicture(): void {
    this.attempt(async () => {
      save(await this.screenshot(), "avatar.png");
      this.listener.said("Picture saved");
    });
  }

  toggleFullscreen(): void {
    this.attempt(() => (document.fullscreenElement ? document.exitFullscreen() : this.element.requestFullscreen()));
  }

  timePasses(isOn: boolean): void {
    if (this.scene) this.scene.timesPasses = isOn;
  }

  turn(yaw: number, pitch: number): void {
    this.scene?.turn(yaw, pitch, 1);
  }

  zoom(factor: number): void {
    this.scene?.turn(0, 0, factor);
  }

  resetView(): void {
    this.scene?.setCamera(null);
  }

  // posing by hand

  get hasPoseLink(): boolean {
    return this.wishes.poseLink;
  }

  editPose(pose: PoseFrame): void {
    this.shownAvatar.setPose(pose);
    this.listener.passOn(new CustomEvent("pose", { detail: { pose } }));
  }

  holdView(isHeld: boolean): void {
    if (this.scene) this.scene.isViewHeld = isHeld;
  }

  savePose(frame: PoseFrame): void {
    save(new Blob([JSON.stringify([{ frame_id: 0, ...frame }])], { type: "application/json" }), "pose.pose.json");
    this.listener.said("Pose saved");
  }

  openPose(file: File): void {
    this.attempt(async () => {
      const { poses } = await loadMotion(file);
      this.editPose(frameOf(poses[0]!));
      this.listener.said(`Opened ${file.name}`);
    });
  }

  async copyLink(pose: string): Promise<boolean> {
    const address = new URL(location.href);
    const view = this.scene?.view;
    const isTurned = view && (view.yaw !== 0 || view.pitch !== 0 || view.zoom !== 1);
    address.hash = LINK + pose + (isTurned ? VIEW + encodeView(view) : "");
    try {
      await navigator.clipboard.writeText(address.href);
      this.listener.said("Link copied");
      return true;
    } catch {
      history.replaceState(history.state, "", address);
      this.listener.said("The link is in the address bar");
      return false;
    }
  }

  say(words: string): void {
    this.listener.said(words);
  }

  /** Another address of the same page. */
  private goneTo(): void {
    const fault = this.avatar && this.followLink();
    if (fault) this.listener.failed(fault, true);
  }

  /** Shows the pose of the page's address where it has one. Returns why that is not possible. */
  private followLink(): ViewerError | undefined {
    if (!location.hash.startsWith(LINK)) return undefined;
    try {
      const { skeleton } = this.shownAvatar;
      const [pose, view] = location.hash.slice(LINK.length).split(VIEW) as [string, string | undefined];
      const camera = view === undefined ? undefined : decodeView(view);
      this.setPose(frameOf(toPose(skeleton, decodePose(pose))));
      if (camera) this.setCamera(camera);
      return undefined;
    } catch (error) {
      return asViewerError(error);
    }
  }

  /** Does what a person asked for; what goes wrong with it is told and leaves the picture as it is. */
  private attempt(run: () => Promise<void>): void {
    run().then(
      () => this.listener.changed(),
      (error: unknown) => this.abort.signal.aborted || this.listener.failed(asViewerError(error), true),
    );
  }

  private async useChoice(choice: Choice): Promise<MotionInfo> {
    this.shownAvatar.useMotion(await loadMotion(choice.source, choice.fps, choice.name));
    this.list.choose(choice.source, choice);
    return choice;
  }

  private async fillList(choices: Promise<Choice[]> | undefined): Promise<void> {
    if (!choices) return;
    this.attempt(async () => this.list.fill(await choices));
  }

  /** Adds an avatar with a motion to the scene; it is the one that the controls move from now on. */
  private async show(source: AvatarSource, motion: MotionSource | null, autoplay: boolean): Promise<void> {
    const { loop } = this.avatar ?? this.wishes;
    const { speed } = this;
    const { signal } = this.abort;
    const options: AddOptions = { motion, autoplay, loop, signal, onProgress: (progress) => this.listener.progress(progress) };
    const added = await this.scene!.add(source, options);
    added.speed = speed;
    this.avatar = added;
    if (motion !== null) this.list.choose(motion, added.motion);
  }

  /** Another avatar instead of the one that is shown, in the same motion; the old one stays until the new one is there. */
  private async exchange(source: AvatarSource): Promise<void> {
    const before = this.avatar;
    const motion = this.list.all[this.list.index]?.source ?? null;
    await this.show(source, motion, !this.paused);
    before?.dispose();
    this.listener.shown(this.info);
  }

  private heard(event: Event): void {
    if (event instanceof CustomEvent && event.type === "error") this.listener.failed((event.detail as { error: ViewerError }).error, false);
    else this.listener.passOn(event);
  }
}
