/** GPU time of parts of a picture by timestamp queries; does nothing where the device has none. */

/** How finely a picture is timed: not at all, its two parts (compute, draw), or every compute pass. */
export type Timing = "off" | "parts" | "passes";

/** Parts that one picture may have; two timestamps each. */
const MAX_PARTS = 64;
const BYTES = 2 * MAX_PARTS * 8;

interface Queries {
  readonly set: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly readable: GPUBuffer;
}

export class PassTimer {
  timing: Timing = "off";
  /** Milliseconds of every part of the last picture whose times have arrived. */
  latest: Readonly<Record<string, number>> = {};
  private readonly queries: Queries | undefined;
  private labels: string[] = [];
  private isOpen = false;
  private arriving: Promise<void> | undefined;

  constructor(device: GPUDevice) {
    if (!device.features.has("timestamp-query")) return;
    this.queries = {
      set: device.createQuerySet({ type: "timestamp", count: 2 * MAX_PARTS }),
      resolved: device.createBuffer({ size: BYTES, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC }),
      readable: device.createBuffer({ size: BYTES, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ }),
    };
  }

  /** Whether the device can tell times at all. */
  get canTime(): boolean {
    return this.queries !== undefined;
  }

  /** Begins a picture; it is left out while the times of an earlier one are on their way. */
  start(): void {
    this.labels = [];
    this.isOpen = this.timing !== "off" && this.canTime && this.arriving === undefined;
  }

  /** Whether this picture's compute passes are to be encoded one by one. */
  get isSplit(): boolean {
    return this.isOpen && this.timing === "passes";
  }

  /** To be spread into the descriptor of a compute or render pass. Parts of one name are added up. */
  writes(label: string): { timestampWrites?: GPUComputePassTimestampWrites & GPURenderPassTimestampWrites } {
    if (!this.isOpen || this.labels.length === MAX_PARTS) return {};
    const first = 2 * this.labels.push(label) - 2;
    const querySet = this.queries!.set;
    return { timestampWrites: { querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 } };
  }

  /** Ends the picture's commands. */
  resolve(encoder: GPUCommandEncoder): void {
    if (!this.isOpen || this.labels.length === 0) return;
    const { set, resolved, readable } = this.queries!;
    encoder.resolveQuerySet(set, 0, 2 * this.labels.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, readable, 0, 16 * this.labels.length);
  }

  /** After the picture was submitted: has `latest` filled when the GPU is done. */
  collect(): void {
    if (!this.isOpen || this.labels.length === 0) return;
    this.isOpen = false;
    const { labels } = this;
    const { readable } = this.queries!;
    const arrive = async () => {
      await readable.mapAsync(GPUMapMode.READ, 0, 16 * labels.length);
      const times = new BigUint64Array(readable.getMappedRange(0, 16 * labels.length));
      const sums: Record<string, number> = {};
      labels.forEach((label, i) => {
        sums[label] = (sums[label] ?? 0) + Math.max(0, Number(times[2 * i + 1]! - times[2 * i]!)) / 1e6;
      });
      this.latest = sums;
      readable.unmap();
      this.arriving = undefined;
    };
    // a device that is lost or disposed of meanwhile has no times to tell; whoever draws learns it elsewhere
    this.arriving = arrive().catch(() => undefined);
  }

  /** Resolves when the times of everything collected so far have arrived. */
  async settled(): Promise<void> {
    await this.arriving;
  }

  dispose(): void {
    this.queries?.set.destroy();
    this.queries?.resolved.destroy();
    this.queries?.readable.destroy();
  }
}
