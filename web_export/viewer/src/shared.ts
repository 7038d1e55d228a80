/** The one graphics device of a document, opened by its first scene, replaced when the driver loses it, closed by the last. */
import { ViewerError } from "./errors";
import { Device, lostError } from "./device";
import { type Recovery, RecoveryPolicy } from "./recovery";

/** Who draws with the device. */
export interface GpuUser {
  /** Draw with this device from now on; `isLowered` asks for half the pixels and less detail. */
  attach(device: Device, isLowered: boolean): Promise<void>;
  /** The graphics memory is used up: draw half the pixels and less detail from now on. */
  lower(): void;
  /** The device is gone. */
  detach(action: Recovery, reason: string): void;
  /** There will be no other device. */
  fail(error: unknown): void;
}

export class SharedGpu {
  private readonly users = new Set<GpuUser>();
  /** Those that do not draw yet: where a device is lost before they do, they wait for its successor. */
  private readonly joining = new Set<GpuUser>();
  private readonly policy = new RecoveryPolicy();
  private opened: Promise<Device> | undefined;
  private isLowered = false;
  private lastAction: Recovery = "rebuild";

  /** Resolves when the user is attached, or has left; throws ViewerError where there is no device for it. */
  async join(user: GpuUser): Promise<void> {
    this.users.add(user);
    this.joining.add(user);
    try {
      while (this.users.has(user)) {
        const device = await this.device();
        if (await this.attached(user, device)) return;
        const reason = await device.lost;
        if (this.lastAction === "give-up") throw lostError(reason);
      }
    } catch (error) {
      this.leave(user);
      throw error;
    } finally {
      this.joining.delete(user);
    }
  }

  /** Whether the user draws with the device now; false where the device was lost meanwhile. */
  private async attached(user: GpuUser, device: Device): Promise<boolean> {
    try {
      if (this.users.has(user)) await user.attach(device, this.isLowered);
      return !device.isLost || !this.users.has(user);
    } catch (error) {
      if (!(await device.isGone())) throw error;
      return false;
    }
  }

  leave(user: GpuUser): void {
    this.users.delete(user);
    if (this.users.size > 0) return;
    const closing = this.opened;
    this.opened = undefined;
    void closing?.then((device) => device.close()).catch(() => undefined);
  }

  /** Forgets earlier losses: a person asked to try again. */
  forgive(): void {
    this.policy.reset();
    this.isLowered = false;
  }

  private device(): Promise<Device> {
    if (this.opened) return this.opened;
    const opening = this.open().then(
      (device) => {
        void device.lost.then((reason) => this.lost(device, reason));
        device.context.device.addEventListener("uncapturederror", ({ error }) => device.isClosed || device.isLost || this.refused(error));
        return device;
      },
      (error: unknown) => {
        if (this.opened === opening) this.opened = undefined;
        throw error;
      },
    );
    this.opened = opening;
    return opening;
  }

  /** A device that was lost while it was set up counts like any other. */
  private async open(): Promise<Device> {
    for (;;) {
      try {
        return await Device.open();
      } catch (error) {
        if (!(error instanceof ViewerError) || error.code !== "device-lost" || this.count() === "give-up") throw error;
      }
    }
  }

  private count(): Recovery {
    this.lastAction = this.policy.lost(performance.now());
    if (this.lastAction === "lower") this.isLowered = true;
    return this.lastAction;
  }

  /** What the driver could not do while drawing: memory is saved once, everything else ends in a message. */
  private refused(error: GPUError): void {
    const isMemory = error instanceof GPUOutOfMemoryError;
    if (isMemory && !this.isLowered) {
      this.isLowered = true;
      for (const user of this.users) user.lower();
      return;
    }
    const text = `The driver says: ${error.message}\nClose other pages and load this one again.`;
    for (const user of [...this.users]) user.fail(new ViewerError(isMemory ? "out-of-memory" : "internal", text));
  }

  private async lost(device: Device, reason: string): Promise<void> {
    if (device.isClosed) return;
    this.opened = undefined;
    const action = this.count();
    const users = [...this.users].filter((user) => !this.joining.has(user));
    for (const user of users) user.detach(action, reason);
    // a page that hears of the loss may have taken some of them away
    const left = users.filter((user) => this.users.has(user));
    if (action === "give-up") for (const user of left) user.fail(lostError(reason));
    else await Promise.all(left.map((user) => this.join(user).catch((error: unknown) => user.fail(error))));
  }
}

let document_: SharedGpu | undefined;

/** The document's device holder; made on first use, so that importing the module does nothing. */
export function sharedGpu(): SharedGpu {
  document_ ??= new SharedGpu();
  return document_;
}
