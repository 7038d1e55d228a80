/** Sorts a known scene once: some graphics drivers compile the shaders and then compute nonsense. Twin: check_sort in wgpu_selftest.py. */
import type { GpuContext } from "./context";
import { BUFFERS, DISPATCH_OFFSET, PASSES, QUADS_PER_INSTANCE, SORT_BLOCK } from "./generated";
import { sceneDimensions, structBytes } from "./layout";

/** Three blocks of the sort, the last one not full. */
const COUNT = 5000;
const CULLED = 0xffffffff;
const VIEW = {
  world_to_camera: [], focal: [], principal: [], viewport: [], near_plane: 0, blur: 0, pixel_filter: 0, num_splats: COUNT,
} as const;

/**
 * Depths between 1 and 2 that lie in the middle of their sort key, so that no driver's rounding moves them: all digits,
 * many equal keys, a third culled. The first two are the ends of the range.
 */
export function testScene(): { depths: Float32Array<ArrayBuffer>; order: number[] } {
  const key = (i: number) => (i < 2 ? i * 65535 : ((i * 7919) % 3001) * 21 + 5);
  const isVisible = (i: number) => i < 2 || i % 3 !== 0;
  const depths = Float32Array.from({ length: COUNT }, (_, i) => (i < 2 ? 1 + i : 1 + (key(i) + 0.5) / 65535));
  const order = Array.from({ length: COUNT }, (_, i) => i).filter(isVisible);
  const bits = new Uint32Array(depths.buffer);
  bits.forEach((_, i) => {
    if (!isVisible(i)) bits[i] = CULLED;
  });
  return { depths, order: order.sort((a, b) => key(a) - key(b)) };
}

/** What the passes of stage `sort` read and write, filled with the test's scene. */
function makeBuffers(context: GpuContext, depths: Float32Array<ArrayBuffer>, visible: number): Map<string, GPUBuffer> {
  const counts = sceneDimensions(COUNT);
  const buffers = new Map<string, GPUBuffer>();
  for (const buffer of BUFFERS) {
    if (buffer.scope !== "scene" || buffer.name === "splats") continue;
    const isRead = buffer.name === "order" || buffer.name === "arguments";
    buffers.set(buffer.name, context.makeBuffer(buffer, counts[buffer.dimension], 0, isRead ? GPUBufferUsage.COPY_SRC : 0));
  }
  const [nearest, farthest] = new Uint32Array(Float32Array.of(1, 2).buffer);
  const { queue } = context.device;
  queue.writeBuffer(buffers.get("view")!, 0, structBytes("View", VIEW));
  queue.writeBuffer(buffers.get("depths")!, 0, depths);
  queue.writeBuffer(buffers.get("frame_state")!, 0, Uint32Array.of(visible, ~nearest!, farthest!));
  return buffers;
}

function encode(context: GpuContext, buffers: Map<string, GPUBuffer>, copied: GPUBuffer, visible: number): GPUCommandBuffer {
  const counts = sceneDimensions(COUNT);
  const encoder = context.device.createCommandEncoder();
  const compute = encoder.beginComputePass();
  for (const pass of PASSES) {
    if (pass.stage !== "sort") continue;
    const { pipeline, layout } = context.compute.get(pass.name)!;
    compute.setPipeline(pipeline);
    compute.setBindGroup(0, context.bind(layout, pass.bindings, buffers));
    if (pass.groups) compute.dispatchWorkgroups(counts[pass.groups]);
    else compute.dispatchWorkgroupsIndirect(buffers.get("arguments")!, DISPATCH_OFFSET);
  }
  compute.end();
  encoder.copyBufferToBuffer(buffers.get("arguments")!, 0, copied, 0, 48);
  encoder.copyBufferToBuffer(buffers.get("order")!, 0, copied, 48, 4 * visible);
  return encoder.finish();
}

/** Undefined where the device sorts as it should, else what it did instead. */
export async function checkSort(context: GpuContext): Promise<string | undefined> {
  const { depths, order } = testScene();
  const visible = order.length;
  const buffers = makeBuffers(context, depths, visible);
  const copied = context.device.createBuffer({
    size: 48 + 4 * visible,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  try {
    context.device.queue.submit([encode(context, buffers, copied, visible)]);
    await copied.mapAsync(GPUMapMode.READ);
    const found = new Uint32Array(copied.getMappedRange());
    const quads = Math.ceil(visible / QUADS_PER_INSTANCE);
    const blocks = Math.ceil(visible / SORT_BLOCK);
    if (found[1] !== quads || found[DISPATCH_OFFSET / 4] !== blocks) {
      return `it would draw ${found[1]} groups of splats and sort ${found[DISPATCH_OFFSET / 4]}, expected ${quads} and ${blocks}`;
    }
    const wrong = order.findIndex((splat, rank) => found[12 + rank] !== splat);
    return wrong < 0 ? undefined : `item ${wrong} of ${visible} sorted ones is ${found[12 + wrong]}, expected ${order[wrong]}`;
  } finally {
    copied.destroy();
    for (const buffer of buffers.values()) buffer.destroy();
  }
}
