/** `<mobile-avatar>`: attributes, methods and events around a session. */
import type { AvatarInfo, AvatarSource, Background, CameraView, MobileAvatarElement, MotionInfo, MotionSource, OrbitView, PoseFrame, Scene, ScreenshotOptions, Stats } from "../api";
import { asViewerError, ViewerError } from "../errors";
import { sharedGpu } from "../shared";
import { Controls } from "./controls";
import styles from "./element.css";
import poseStyles from "./pose.css";
import { Frame } from "./frame";
import { Session, type SessionListener, type Wishes } from "./session";

const OBSERVED = ["src", "motion", "poster", "pose", "background", "speed", "loop", "controls"] as const;
const NOT_THERE = "nothing is loaded: set `src` or call `load()` first";

/** Where the module is loaded without a document (rendering on a server) there are no elements to extend. */
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

interface Load {
  readonly source: AvatarSource;
  readonly motion: MotionSource | null;
}

export class MobileAvatar extends Base implements MobileAvatarElement {
  static readonly observedAttributes = OBSERVED;
  declare addEventListener: MobileAvatarElement["addEventListener"];
  error: ViewerError | null = null;
  ready: Promise<AvatarInfo> = this.idle();
  private readonly frame_: Frame;
  private controls_: Controls | undefined;
  private session: Session | undefined;
  private isFirstPicture = false;
  private isWaiting = false;
  /** What was asked for last, to be tried again. */
  private last: Load | undefined;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styles, poseStyles].map((text) => {
      const sheet = new CSSStyleSheet(); // not a <style> element: pages may forbid those
      sheet.replaceSync(text);
      return sheet;
    });
    this.frame_ = new Frame(root, () => this.retry());
  }

  // attributes

  get src(): string {
    return this.text("src");
  }

  set src(address: string) {
    this.setAttribute("src", address);
  }

  get motion(): string {
    return this.text("motion");
  }

  set motion(address: string) {
    this.setAttribute("motion", address);
  }

  get motions(): string {
    return this.text("motions");
  }

  set motions(address: string) {
    this.setAttribute("motions", address);
  }

  get poster(): string {
    return this.text("poster");
  }

  set poster(address: string) {
    this.setAttribute("poster", address);
  }

  get pose(): number | null {
    return this.hasAttribute("pose") ? this.number("pose", 0) : null;
  }

  set pose(frame: number | null) {
    if (frame === null) this.removeAttribute("pose");
    else this.setAttribute("pose", String(frame));
  }

  get background(): Background {
    return this.text("background") || "stage";
  }

  set background(background: Background) {
    this.setAttribute("background", background);
  }

  get speed(): number {
    return this.number("speed", 1);
  }

  set speed(speed: number) {
    this.setAttribute("speed", String(speed));
  }

  get autoplay(): boolean {
    return this.hasAttribute("autoplay");
  }

  set autoplay(isOn: boolean) {
    this.toggleAttribute("autoplay", isOn);
  }

  get loop(): boolean {
    return this.hasAttribute("loop");
  }

  set loop(isOn: boolean) {
    this.toggleAttribute("loop", isOn);
  }

  get controls(): boolean {
    return this.hasAttribute("controls");
  }

  set controls(isOn: boolean) {
    this.toggleAttribute("controls", isOn);
  }

  // what it shows

  get complete(): Promise<void> {
    return this.ready.then(() => this.session?.avatar?.complete);
  }

  get info(): AvatarInfo | null {
    return this.session?.avatar?.info ?? null;
  }

  get stats(): Stats | null {
    return this.session?.stats ?? null;
  }

  get scene(): Scene | null {
    return this.session?.scene ?? null;
  }

  get paused(): boolean {
    return this.session?.paused ?? true;
  }

  get frame(): number {
    return this.session?.frame ?? 0;
  }

  get motionList(): readonly MotionInfo[] {
    return this.session?.motionList ?? [];
  }

  // what it does

  load(source: AvatarSource = this.src, motion: MotionSource | null = this.motion || null): Promise<AvatarInfo> {
    this.dispose();
    this.last = { source, motion };
    this.error = null;
    this.isFirstPicture = true;
    const session = new Session(this, this.frame_.canvas, this.wishes(), this.listener(() => session === this.session));
    this.session = session;
    this.frame_.progress({ phase: "loading", loaded: 0, total: Number.NaN });
    const ready = session.open(source, motion).catch((error: unknown) => {
      if (session !== this.session) throw error; // another load or `dispose` ended this one
      throw this.fail(asViewerError(error));
    });
    ready.catch(() => undefined); // told on the element and by its events
    this.ready = ready;
    return ready;
  }

  setMotion(source: MotionSource): Promise<MotionInfo> {
    return this.opened.setMotion(source);
  }

  setPose(pose: number | PoseFrame | null): void {
    this.opened.setPose(pose);
  }

  getPose(): PoseFrame {
    return this.opened.getPose();
  }

  play(): void {
    this.opened.play();
  }

  pause(): void {
    this.opened.pause();
  }

  seek(frame: number): void {
    this.opened.seek(frame);
  }

  setCamera(camera: CameraView | OrbitView | null): void {
    this.opened.setCamera(camera);
  }

  screenshot(options?: ScreenshotOptions): Promise<Blob> {
    return this.opened.screenshot(options);
  }

  dispose(): void {
    const { session } = this;
    this.session = undefined;
    session?.dispose();
    if (this.controls_) this.controls_.isShown = false;
    this.frame_.cover();
  }

  connectedCallback(): void {
    this.frame_.setPoster(this.poster);
    if (!this.session) this.loadSoon();
  }

  disconnectedCallback(): void {
    queueMicrotask(() => {
      if (!this.isConnected) this.dispose(); // else it was only moved to another place
    });
  }

  attributeChangedCallback(name: (typeof OBSERVED)[number], before: string | null, value: string | null): void {
    if (before === value || !this.isConnected) return;
    if (name === "src") return this.loadSoon();
    if (name === "poster") return this.frame_.setPoster(this.poster);
    if (!this.session?.avatar) return;
    try {
      this.apply(name, this.session);
    } catch (error) {
      this.frame_.fail(asViewerError(error), true); // nobody could catch it
    }
  }

  /** Handles a key that was pressed elsewhere on the page. */
  handleKey(event: KeyboardEvent): void {
    if (this.controls_?.isShown) this.controls_.onKey(event);
  }

  private apply(name: (typeof OBSERVED)[number], session: Session): void {
    const { avatar, scene } = session;
    if (name === "motion" && this.motion !== "") {
      session.setMotion(this.motion).catch((error: unknown) => this.frame_.fail(asViewerError(error), true));
    } else if (name === "pose") session.setPose(this.pose);
    else if (name === "background") scene!.background = this.background;
    else if (name === "speed") avatar!.speed = this.speed;
    else if (name === "loop") avatar!.loop = this.loop;
    else if (name === "controls") this.showControls();
  }

  /** Once for all attributes that are set in one go. */
  private loadSoon(): void {
    if (this.isWaiting) return;
    this.isWaiting = true;
    this.ready = Promise.resolve().then(() => {
      this.isWaiting = false;
      return this.isConnected && this.src !== "" ? this.load() : this.idle();
    });
    this.ready.catch(() => undefined); // told on the element and by its events
  }

  private retry(): void {
    sharedGpu().forgive();
    if (this.last) void this.load(this.last.source, this.last.motion).catch(() => undefined); // told by `fail`
  }

  private wishes(): Wishes {
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    return {
      background: this.background,
      targetFps: this.number("target-fps", 60),
      maxPixelRatio: this.number("max-pixel-ratio", 2),
      autoplay: this.autoplay && !isCalm,
      loop: this.loop,
      speed: this.speed,
      pose: this.pose,
      motions: this.motions,
      poseLink: this.hasAttribute("pose-link"),
    };
  }

  private listener(isCurrent: () => boolean): SessionListener {
    const current = <A extends unknown[]>(run: (...args: A) => void) => (...args: A) => {
      if (isCurrent()) run(...args);
    };
    return {
      shown: current((info) => this.shown(info)),
      progress: current((progress) => {
        if (this.isFirstPicture) this.frame_.progress(progress);
        this.tell("progress", progress);
      }),
      failed: current((error, isPassing) => {
        if (isPassing) this.frame_.fail(error, true);
        else this.fail(error);
      }),
      passOn: current((event) => this.passOn(event)),
      changed: current(() => this.controls_?.show()),
      said: current((words) => this.frame_.announce(words)),
    };
  }

  private shown(info: AvatarInfo): void {
    this.isFirstPicture = false;
    this.frame_.reveal();
    this.showControls();
    this.tell("ready", { info });
  }

  private showControls(): void {
    const { session } = this;
    if (!session || this.isFirstPicture) return;
    // made when they are wanted first, and anew for a new session, which they belong to
    if (this.controls && this.controls_?.host !== session) {
      this.controls_?.remove();
      this.controls_ = new Controls(session, this, this.shadowRoot!, this.frame_.canvas);
    }
    if (!this.controls_) return;
    this.controls_.isShown = this.controls;
    this.controls_.show();
  }

  private passOn(event: Event): void {
    if (event.type === "frame") this.controls_?.show();
    this.tell(event.type, event.type === "ended" ? null : (event as CustomEvent<unknown>).detail);
  }

  /** Nothing can be drawn any more: says why over the poster and gives everything back. */
  private fail(error: ViewerError): ViewerError {
    console.error(error);
    this.dispose();
    this.error = error;
    this.ready = Promise.reject(error);
    this.ready.catch(() => undefined); // told on the element and by its events
    this.frame_.fail(error, false);
    this.tell("error", { error });
    return error;
  }

  private tell(type: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  private get opened(): Session {
    if (!this.session) throw new Error(NOT_THERE);
    return this.session;
  }

  private idle(): Promise<never> {
    const nothing = Promise.reject<never>(new ViewerError("internal", NOT_THERE));
    nothing.catch(() => undefined);
    return nothing;
  }

  private text(name: string): string {
    return this.getAttribute(name) ?? "";
  }

  private number(name: string, fallback: number): number {
    const value = Number.parseFloat(this.text(name));
    return Number.isFinite(value) ? value : fallback;
  }
}

/** Tells the browser of the element, once. */
export function define(): void {
  if (globalThis.customElements && !customElements.get("mobile-avatar")) customElements.define("mobile-avatar", MobileAvatar);
}
