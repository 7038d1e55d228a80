/** One person as its scene's users see it. */
import type { AvatarInfo, MotionInfo, MotionSource, Placement, PoseFrame, PoseSkeleton, SceneAvatar } from "./api";
import type { AvatarFile } from "./avatar_file";
import { allLevels, type Level } from "./detail";
import type { Avatar } from "./format";
import type { Lease } from "./library";
import { loadMotion, type Motion } from "./motion";
import type { Person } from "./person";
import { frameOf } from "./pose";

/** What a member tells its scene. */
export interface MemberScene {
  readonly adapter: string;
  /** A new picture is needed. */
  changed(): void;
  /** The camera must be told that people came, went or moved. */
  moved(): void;
  remove(member: Member): void;
  /** The member's avatar is another one now. */
  replaced(member: Member): Promise<void>;
}

export class Member implements SceneAvatar {
  /** How many levels of detail below the whole avatar are shown. */
  level = 0;
  /** What is drawn: without correctives until they have arrived. */
  avatar: Avatar;
  isDisposed = false;
  readonly complete: Promise<void>;

  constructor(
    readonly person: Person,
    private readonly lease: Lease,
    private readonly scene: MemberScene,
  ) {
    this.avatar = person.avatar;
    this.complete = this.follow();
    this.complete.catch(() => undefined); // whoever waits for it reports it
  }

  get file(): AvatarFile {
    return this.lease.file;
  }

  /** What can be drawn of it, coarsest first. */
  get levels(): readonly Level[] {
    return allLevels(this.avatar.header);
  }

  get isMoving(): boolean {
    return !this.paused && this.person.player.last > 0;
  }

  /** All correctives come at once: a picture has the whole avatar or the neutral one, never something in between. */
  private async follow(): Promise<void> {
    const whole = await this.file.whole;
    if (this.isDisposed || whole === this.avatar) return;
    this.avatar = whole;
    await this.scene.replaced(this);
  }

  get info(): AvatarInfo {
    return this.person.info(this.scene.adapter);
  }

  get motion(): MotionInfo {
    return this.person.motion;
  }

  get paused(): boolean {
    return !this.person.player.playing || this.person.isHeld;
  }

  get frame(): number {
    return this.person.player.position;
  }

  get speed(): number {
    return this.person.player.speed;
  }

  set speed(speed: number) {
    if (!(speed > 0 && speed <= 16)) throw new RangeError(`the speed must be above 0 and at most 16, found ${speed}`);
    this.person.player.speed = speed;
  }

  get loop(): boolean {
    return this.person.player.loop;
  }

  set loop(loop: boolean) {
    this.person.player.loop = loop;
  }

  get visible(): boolean {
    return this.person.visible;
  }

  set visible(visible: boolean) {
    this.person.visible = visible;
    this.scene.changed();
  }

  play(): void {
    this.person.hold(null);
    this.person.player.play();
    this.scene.changed();
  }

  pause(): void {
    this.person.player.playing = false;
    this.scene.changed();
  }

  seek(frame: number): void {
    if (!Number.isFinite(frame)) throw new RangeError(`a frame is a number, found ${frame}`);
    this.person.hold(null);
    this.person.player.seek(frame);
    this.scene.changed();
  }

  setPose(pose: number | PoseFrame | null): void {
    this.person.hold(pose);
    this.scene.changed();
  }

  getPose(): PoseFrame {
    return frameOf(this.person.pose());
  }

  get skeleton(): PoseSkeleton {
    return this.person.skeleton;
  }

  async setMotion(source: MotionSource): Promise<MotionInfo> {
    return this.useMotion(await loadMotion(source));
  }

  /** Plays a motion that was read before. */
  useMotion(motion: Motion): MotionInfo {
    this.person.useMotion(motion);
    this.scene.moved();
    return this.motion;
  }

  place(placement: Placement): void {
    this.person.place(placement);
    this.scene.moved();
  }

  dispose(): void {
    this.isDisposed = true;
    this.scene.remove(this);
    this.lease.release();
  }
}
