/** Draws the people of one scene on one canvas with one device. */
import type { Camera } from "./camera";
import type { Device } from "./device";
import { ViewerError } from "./errors";
import type { Avatar } from "./format";
import { AvatarInstance } from "./instance";
import type { Member } from "./member";
import type { Pose } from "./pose";
import { Renderer } from "./renderer";

/** A person in the picture: which one, in which pose, where, with how much detail. */
export interface Shown {
  readonly member: Member;
  readonly pose: Pose;
  /** 16 numbers, row by row. */
  readonly T_world_avatar: readonly number[];
  /** Levels of detail below everything. */
  readonly level: number;
}

export interface Cost {
  readonly gpuMilliseconds: number | null;
  readonly passMilliseconds: Readonly<Record<string, number>>;
  readonly visibleSplats: number | null;
  readonly fragments: number | null;
  readonly gpuBytes: number;
}

export const NO_COST: Cost = { gpuMilliseconds: null, passMilliseconds: {}, visibleSplats: null, fragments: null, gpuBytes: 0 };

interface Drawn {
  readonly instance: AvatarInstance;
  readonly avatar: Avatar;
  pose?: Pose;
}

/** Who draws on a canvas: the last one that was made for it. */
const painters = new WeakMap<HTMLCanvasElement, Painter>();

export class Painter {
  /** What the last measured picture cost. */
  cost: Cost = NO_COST;
  private readonly drawn = new Map<Member, Drawn>();
  private readonly canvasContext: GPUCanvasContext;
  private readonly renderer: Renderer;
  private isMeasuring = false;
  private isDisposed = false;

  constructor(
    readonly device: Device,
    private readonly canvas: HTMLCanvasElement,
  ) {
    const context = canvas.getContext("webgpu");
    if (!context) throw new ViewerError("internal", "the canvas gives no WebGPU context; load the page again");
    context.configure({ device: device.context.device, format: device.format, alphaMode: "premultiplied" });
    painters.set(canvas, this);
    this.canvasContext = context;
    this.renderer = new Renderer(device.context);
    this.timesPasses = false;
  }

  /** What is drawn of a member. */
  drawnOf(member: Member): Avatar | undefined {
    return this.drawn.get(member)?.avatar;
  }

  /**
   * Uploads what a member is now and draws it in place of what it was; where it becomes something else meanwhile, its
   * scene has asked for that as well. Throws ViewerError.
   */
  async set(member: Member): Promise<void> {
    const { avatar } = member;
    const model = await this.device.acquire(avatar);
    if (this.isDisposed || member.isDisposed || member.avatar !== avatar || this.drawnOf(member) === avatar) {
      this.device.release(avatar);
      return;
    }
    this.remove(member);
    this.drawn.set(member, { instance: new AvatarInstance(model), avatar });
  }

  remove(member: Member): void {
    const found = this.drawn.get(member);
    if (!found) return;
    this.drawn.delete(member);
    found.instance.dispose();
    this.device.release(found.avatar);
  }

  present(camera: Camera, stage: Float32Array<ArrayBuffer>, shown: readonly Shown[]): void {
    if (this.canvas.width !== camera.width) this.canvas.width = camera.width;
    if (this.canvas.height !== camera.height) this.canvas.height = camera.height;
    this.renderer.present(this.canvasContext.getCurrentTexture(), this.instances(shown), camera, stage);
  }

  readPixels(camera: Camera, background: readonly [number, number, number], shown: readonly Shown[]): Promise<Uint8Array> {
    return this.renderer.readPixels(this.instances(shown), camera, background);
  }

  /** Resolves when everything submitted so far is done, or when the device is gone. */
  finished(): Promise<void> {
    return this.renderer.finished();
  }

  /** Times every compute pass by itself, which costs some time, or all of them together. */
  set timesPasses(isOn: boolean) {
    this.renderer.timing = isOn ? "passes" : "parts";
  }

  /** Asks the GPU for figures; `cost` has them a little later. */
  measure(): void {
    if (this.isMeasuring) return;
    this.isMeasuring = true;
    this.renderer.stats().then(
      ({ visibleSplats, fragments, bytes, partsMs }) => {
        const parts = Object.values(partsMs);
        const gpuMilliseconds = parts.length > 0 ? parts.reduce((sum, ms) => sum + ms, 0) : null;
        this.cost = { gpuMilliseconds, passMilliseconds: partsMs, visibleSplats, fragments, gpuBytes: bytes };
        this.isMeasuring = false;
      },
      () => undefined, // the device is gone: its successor measures
    );
  }

  /** `isLost`: the device took everything with it, there is nothing to give back. */
  dispose(isLost = false): void {
    this.isDisposed = true;
    if (isLost) return;
    this.renderer.dispose();
    for (const member of [...this.drawn.keys()]) this.remove(member);
    if (painters.get(this.canvas) === this) this.canvasContext.unconfigure();
  }

  private instances(shown: readonly Shown[]): AvatarInstance[] {
    return shown.flatMap(({ member, pose, T_world_avatar, level }) => {
      const drawn = this.drawn.get(member);
      if (!drawn) return [];
      const { instance } = drawn;
      if (drawn.pose !== pose) instance.setPose(pose);
      drawn.pose = pose;
      instance.transform = T_world_avatar;
      instance.level = Math.max(0, instance.model.levels.length - 1 - level);
      return [instance];
    });
  }
}
