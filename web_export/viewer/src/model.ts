/** An avatar file on the graphics device; any number of instances share it. Twin: AvatarModel in wgpu_renderer.py. */
import { type GpuContext, guarded } from "./context";
import { allLevels, type Level } from "./detail";
import type { Avatar } from "./format";
import { BUFFERS, JOINED } from "./generated";
import { type Skeleton, skeletonOf } from "./kinematics";
import { checkHeader, type Dimension, dimensions, keptTable, modelStruct } from "./layout";

/** One array after the other, and zeros to a whole number of words. */
function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(4 * Math.ceil(parts.reduce((sum, part) => sum + part.length, 0) / 4));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export class AvatarModel {
  readonly buffers = new Map<string, GPUBuffer>();
  readonly skeleton: Skeleton;
  readonly counts: Record<Dimension, number>;
  /** All that can be drawn, coarsest first; the last is the whole avatar. */
  readonly levels: readonly Level[];

  private constructor(
    readonly context: GpuContext,
    readonly avatar: Avatar,
  ) {
    checkHeader(avatar.header);
    this.skeleton = skeletonOf(avatar);
    this.counts = dimensions(avatar.header);
    this.levels = allLevels(avatar.header);
    for (const buffer of BUFFERS) {
      if (buffer.scope === "model") this.buffers.set(buffer.name, this.upload(buffer));
    }
  }

  /** Uploads an avatar; throws with the driver's words where it cannot. */
  static upload(context: GpuContext, avatar: Avatar): Promise<AvatarModel> {
    return guarded(context.device, "the graphics driver refused the avatar", () => new AvatarModel(context, avatar));
  }

  /** Graphics memory, in bytes. */
  get bytes(): number {
    return [...this.buffers.values()].reduce((sum, buffer) => sum + buffer.size, 0);
  }

  /** Gives all graphics memory back; instances must be gone before. */
  dispose(): void {
    for (const buffer of this.buffers.values()) buffer.destroy();
    this.buffers.clear();
  }

  private upload(buffer: Extract<(typeof BUFFERS)[number], { scope: "model" }>): GPUBuffer {
    const parts = this.content(buffer);
    const isWhole = parts.every(({ length }) => length % 4 === 0); // no section of an odd number of halves
    const { queue } = this.context.device;
    const made = this.context.makeBuffer(buffer, this.counts[buffer.dimension], parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of isWhole ? parts : [joined(parts)]) {
      queue.writeBuffer(made, at, part);
      at += part.length;
    }
    return made;
  }

  private content({ name, fill }: Extract<(typeof BUFFERS)[number], { scope: "model" }>): readonly Uint8Array<ArrayBuffer>[] {
    const { sections, header } = this.avatar;
    if (fill === "section") return [sections[name]];
    if (fill === "joined") return JOINED.map((section) => sections[section]);
    if (fill === "uniform") return [new Uint8Array(modelStruct(header))];
    const { rotation_index, scale_index, color_index } = sections;
    const lists = [rotation_index, scale_index, color_index].map((s) => new Uint32Array(s.buffer));
    return [new Uint8Array(keptTable(header.num_gaussians, lists).buffer)];
  }
}
