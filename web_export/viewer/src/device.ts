/** The open graphics device with what is on it: compiled shaders, and each avatar once, however many draw it. */
import { GpuContext } from "./context";
import { ViewerError } from "./errors";
import type { Avatar } from "./format";
import { describe, requestAdapter } from "./gpu";
import { AvatarModel } from "./model";

const TIMESTAMPS = "timestamp-query";
/** What fails on a device that is being lost may fail before the browser tells of the loss. */
const NEWS_MILLISECONDS = 200;

interface Uploaded {
  readonly model: Promise<AvatarModel>;
  users: number;
}

/** The reason of a loss if there was one. */
function heardOf(lost: Promise<string>): Promise<string | undefined> {
  return Promise.race([lost, new Promise<undefined>((done) => setTimeout(() => done(undefined), NEWS_MILLISECONDS))]);
}

export function lostError(reason: string): ViewerError {
  const text = `${reason || "The driver gave no reason."}\nLoad the page again; if it comes back, close other pages first.`;
  return new ViewerError("device-lost", text);
}

export class Device {
  isClosed = false;
  isLost = false;
  private readonly uploaded = new Map<Avatar, Uploaded>();

  private constructor(
    readonly context: GpuContext,
    readonly adapter: string,
    readonly format: GPUTextureFormat,
    /** Resolves with the driver's words when the device is gone. */
    readonly lost: Promise<string>,
  ) {
    void lost.then(() => {
      this.isLost = true;
    });
  }

  /** A device with WebGPU's default limits, which every adapter has; it tells times where it can. Throws ViewerError. */
  static async open(): Promise<Device> {
    const adapter = await requestAdapter();
    let device: GPUDevice;
    try {
      device = await adapter.requestDevice({ requiredFeatures: adapter.features.has(TIMESTAMPS) ? [TIMESTAMPS] : [] });
    } catch (error) {
      throw new ViewerError("no-device", `${(error as Error).message}\nClose other pages and load this one again.`);
    }
    const lost = device.lost.then(({ message }) => message);
    const format = navigator.gpu.getPreferredCanvasFormat();
    try {
      return new Device(await GpuContext.create(device, format), describe(adapter.info), format, lost);
    } catch (error) {
      const reason = await heardOf(lost);
      device.destroy();
      throw reason === undefined ? error : lostError(reason);
    }
  }

  /** Whether the device is gone, which explains whatever has just failed on it. */
  async isGone(): Promise<boolean> {
    return (await heardOf(this.lost)) !== undefined;
  }

  /** The uploaded avatar; pair every call with a `release`. Throws ViewerError. */
  async acquire(avatar: Avatar): Promise<AvatarModel> {
    const found = this.uploaded.get(avatar) ?? { model: AvatarModel.upload(this.context, avatar), users: 0 };
    this.uploaded.set(avatar, found);
    found.users++;
    try {
      return await found.model;
    } catch (error) {
      this.release(avatar);
      throw error;
    }
  }

  release(avatar: Avatar): void {
    const found = this.uploaded.get(avatar);
    if (!found || --found.users > 0) return;
    this.uploaded.delete(avatar);
    void found.model.then((model) => model.dispose()).catch(() => undefined); // one that failed was reported by `acquire`
  }

  /** Gives everything back. */
  close(): void {
    this.isClosed = true;
    this.context.dispose();
    this.context.device.destroy();
  }
}
