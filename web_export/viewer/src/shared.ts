/** The one graphics device of a document, opened by its first scene, replaced when the driver loses it, closed by the last. */
import { ViewerError } from "./errors";
import { Device } from "./device";
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
  private readonly policy = new RecoveryPolicy();
  private opened: Promise<Device> | undefined;
  private isLowered = false;

  /** Resolves when the user is attached; throws ViewerError where there is no device for it. */
  async join(user: GpuUser): Promise<void> {
    this.users.add(user);
    try {
      await user.attach(await this.device(), this.isLowered);
    } catch (error) {
      this.leave(user);
      throw error;
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
    this.opened ??= Device.open().then(
      (device) => {
        void device.lost.then((reason) => this.lost(device, reason));
        device.context.device.addEventListener("uncapturederror", ({ error }) => this.refused(error));
        return device;
      },
      (error: unknown) => {
        this.opened = undefined;
        throw error;
      },
    );
    return this.opened;
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
    const action = this.policy.lost(performance.now());
    if (action === "lower") this.isLowered = true;
    const users = [...this.users];
    for (const user of users) user.detach(action, reason);
    if (action === "give-up") {
      const text = `${reason || "The driver gave no reason."}\nLoad the page again; if it comes back, close other pages first.`;
      for (const user of users) user.fail(new ViewerError("device-lost", text));
      return;
    }
    await Promise.all(users.map((user) => this.join(user).catch((error: unknown) => user.fail(error))));
  }
}

let document_: SharedGpu | undefined;

/** The document's device holder; made on first use, so that importing the module does nothing. */
export function sharedGpu(): SharedGpu {
  document_ ??= new SharedGpu();
  return document_;
}
