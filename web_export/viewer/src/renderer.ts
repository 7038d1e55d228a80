/**
 * Draws instances of avatars into one picture: their splats lie one instance after the other and are sorted together.
 * A frame: passes of stage `pose` for every new pose, `project` for every instance, `sort` once, blended quads.
 * layout.py lists the passes. Host twin: SceneRenderer in wgpu_renderer.py.
 */
import type { Camera } from "./camera";
import { type GpuContext, OUTPUT_FORMAT, STAGE_BINDINGS } from "./context";
import { BLUR, BUFFERS, DISPATCH_OFFSET, DRAW_BINDINGS, GROUP_SIZE, NEAR_PLANE, PASSES, PIXEL_FILTER } from "./generated";
import type { AvatarInstance } from "./instance";
import { checkScene, sceneDimensions, structBytes, trainingBlur } from "./layout";
import { PassTimer, type Timing } from "./pass_timer";

/** `Stage` in stage.wgsl: six vec4f. */
export const STAGE_FLOATS = 24;
type Pass = (typeof PASSES)[number];

/** What the last picture took. */
export interface Stats {
  /** Gaussians of all instances at their levels. */
  readonly splats: number;
  /** Of these, how many were inside the picture and not transparent. */
  readonly visibleSplats: number;
  /** Square pixels of their quads: about as many fragments are shaded. */
  readonly fragments: number;
  /** Graphics memory of models, instances and scene; the canvas is the page's. */
  readonly bytes: number;
  /** GPU time by `timing`'s parts, of the last timed picture; empty where the device cannot tell. */
  readonly partsMs: Readonly<Record<string, number>>;
}

/** All that the sorted splats of a picture depend on. */
interface Sorted {
  readonly instances: readonly AvatarInstance[];
  readonly numbers: readonly number[];
}

function isSame<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

/** Row by row `a b` of two 4 x 4 matrices whose last row is 0 0 0 1, first three rows only. */
function product(a: readonly number[], b: readonly number[]): number[] {
  const sum = (r: number, c: number) => [0, 1, 2, 3].reduce((s, k) => s + a[4 * r + k]! * b[4 * k + c]!, 0);
  return Array.from({ length: 12 }, (_, i) => sum(i >> 2, i & 3));
}

export class Renderer {
  private readonly stage: GPUBuffer;
  private readonly buffers = new Map<string, GPUBuffer>();
  private capacity = -1;
  private drawn: readonly AvatarInstance[] = [];
  private counts = sceneDimensions(0);
  private sortGroups = new Map<Pass["name"], GPUBindGroup>();
  private instanceGroups = new WeakMap<AvatarInstance, Map<Pass["name"], GPUBindGroup>>();
  /** What the scene's buffers hold; undefined before the first picture. */
  private sorted: Sorted | undefined;
  private readonly timer: PassTimer;

  constructor(private readonly context: GpuContext) {
    this.stage = context.allocate("stage", STAGE_FLOATS * 4, GPUBufferUsage.UNIFORM);
    this.timer = new PassTimer(context.device);
  }

  /** How finely pictures are timed. Single passes cost the GPU a little: for benchmarks. */
  get timing(): Timing {
    return this.timer.timing;
  }

  set timing(timing: Timing) {
    this.timer.timing = timing;
  }

  /**
   * Draws onto the page's canvas, over its backdrop (`stage`: six vec4f, see stage.wgsl). Where nobody has moved, nor
   * the camera, since the last picture, the sorted splats are used again.
   */
  present(
    canvas: GPUTexture,
    instances: readonly AvatarInstance[],
    camera: Camera,
    stage: Float32Array<ArrayBuffer>,
  ): void {
    this.write(this.stage, stage);
    const isNew = this.setScene(instances, camera);
    const encoder = this.context.device.createCommandEncoder();
    this.timer.start();
    if (isNew) this.encodeCompute(encoder);
    this.encodeStage(encoder, canvas.createView());
    this.submit(encoder);
  }

  /** The compute passes of a picture alone, submitted: what benchmarks repeat. */
  compute(instances: readonly AvatarInstance[], camera: Camera): void {
    this.setScene(instances, camera);
    const encoder = this.context.device.createCommandEncoder();
    this.timer.start();
    this.encodeCompute(encoder);
    this.submit(encoder);
  }

  /** The people over a plain background (0..1): width x height x 4 bytes rgba, rows from the top. */
  async readPixels(
    instances: readonly AvatarInstance[],
    camera: Camera,
    background: readonly [number, number, number],
  ): Promise<Uint8Array> {
    const { width, height } = camera;
    const { device } = this.context;
    const usage = GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_SRC;
    const output = device.createTexture({ size: [width, height], format: OUTPUT_FORMAT, usage });
    const bytesPerRow = Math.ceil((4 * width) / 256) * 256;
    const copied = device.createBuffer({
      size: bytesPerRow * height,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const isNew = this.setScene(instances, camera);
    const encoder = device.createCommandEncoder();
    this.timer.start();
    if (isNew) this.encodeCompute(encoder);
    this.encodePlain(encoder, output.createView(), background);
    encoder.copyTextureToBuffer({ texture: output }, { buffer: copied, bytesPerRow }, [width, height]);
    this.submit(encoder);
    try {
      await copied.mapAsync(GPUMapMode.READ);
      const padded = new Uint8Array(copied.getMappedRange());
      const pixels = new Uint8Array(4 * width * height);
      for (let y = 0; y < height; y++) {
        pixels.set(padded.subarray(y * bytesPerRow, y * bytesPerRow + 4 * width), 4 * width * y);
      }
      return pixels;
    } finally {
      copied.destroy();
      output.destroy();
    }
  }

  /** Resolves when everything submitted so far is done, or when the device is gone. */
  finished(): Promise<void> {
    return this.context.device.queue.onSubmittedWorkDone().catch(() => undefined);
  }

  /** What the last picture took; waits for the GPU. */
  async stats(): Promise<Stats> {
    const models = new Set(this.drawn.map((instance) => instance.model));
    const owned = [...this.buffers.values(), this.stage].reduce((sum, buffer) => sum + buffer.size, 0);
    const shown = [...models, ...this.drawn].reduce((sum, { bytes }) => sum + bytes, 0);
    const { visibleSplats, fragments } = await this.readCounts();
    await this.timer.settled();
    return { splats: this.counts.splats, visibleSplats, fragments, bytes: owned + shown, partsMs: this.timer.latest };
  }

  /** Gives all graphics memory back that is not the models' and instances'. */
  dispose(): void {
    this.releaseScene();
    this.timer.dispose();
    this.stage.destroy();
  }

  private releaseScene(): void {
    for (const buffer of this.buffers.values()) buffer.destroy();
    this.buffers.clear();
    this.sortGroups.clear();
    this.instanceGroups = new WeakMap();
    this.sorted = undefined;
    this.capacity = -1;
  }

  private write(buffer: GPUBuffer, data: ArrayBuffer | Float32Array<ArrayBuffer>): void {
    this.context.device.queue.writeBuffer(buffer, 0, data);
  }

  /**
   * Uploads who is to be drawn and through which camera, and tells whether the scene's buffers hold something else and
   * the compute passes must run. Throws where they are too many.
   */
  private setScene(instances: readonly AvatarInstance[], camera: Camera): boolean {
    this.drawn = instances.filter(({ visible }) => visible);
    const numSplats = this.drawn.reduce((sum, instance) => sum + instance.numSplats, 0);
    checkScene(numSplats);
    this.counts = sceneDimensions(numSplats);
    this.reserve();
    const { T_cam_world, K, width, height } = camera;
    let first = 0;
    for (const { buffers, transform, numSplats: count, enlarge, model } of this.drawn) {
      const values = {
        model_to_camera: product(T_cam_world, transform),
        first_splat: first,
        num_splats: count,
        enlarge,
        training_blur: trainingBlur(model.avatar.header.pixels_per_metre, transform),
      };
      first += count;
      this.write(buffers.get("instance")!, structBytes("Instance", values));
    }
    const view = {
      world_to_camera: T_cam_world.slice(0, 12),
      focal: [K[0]!, K[4]!],
      principal: [K[2]!, K[5]!],
      viewport: [width, height],
      near_plane: NEAR_PLANE,
      blur: BLUR,
      pixel_filter: PIXEL_FILTER,
      num_splats: numSplats,
    };
    this.write(this.buffers.get("view")!, structBytes("View", view));
    const people = this.drawn.flatMap(({ poseNumber, numSplats, enlarge, transform }) => [poseNumber, numSplats, enlarge, ...transform]);
    const numbers = [...people, ...T_cam_world, ...K, width, height];
    const { sorted } = this;
    this.sorted = { instances: this.drawn, numbers };
    return !sorted || !isSame(sorted.instances, this.drawn) || !isSame(sorted.numbers, numbers);
  }

  /** Makes the scene's buffers where they are missing or too small. */
  private reserve(): void {
    if (this.counts.splats <= this.capacity) return;
    this.releaseScene();
    this.capacity = this.counts.splats;
    for (const buffer of BUFFERS) {
      if (buffer.scope !== "scene") continue;
      this.buffers.set(buffer.name, this.context.makeBuffer(buffer, this.counts[buffer.dimension]));
    }
  }

  private submit(encoder: GPUCommandEncoder): void {
    this.timer.resolve(encoder);
    this.context.device.queue.submit([encoder.finish()]);
    this.timer.collect();
  }

  private encodeCompute(encoder: GPUCommandEncoder): void {
    encoder.clearBuffer(this.buffers.get("frame_state")!);
    let compute: GPUComputePassEncoder | undefined;
    for (const pass of PASSES) {
      if (this.timer.isSplit) {
        compute?.end();
        compute = undefined;
      }
      compute ??= encoder.beginComputePass(this.timer.writes(this.timer.isSplit ? pass.name : "compute"));
      this.dispatch(compute, pass);
    }
    compute!.end();
    for (const instance of this.drawn) instance.isPosed = true;
  }

  /** A compute pass for everybody who needs it. */
  private dispatch(compute: GPUComputePassEncoder, pass: Pass): void {
    if (pass.stage === "sort") {
      this.dispatchSort(compute, pass);
      return;
    }
    for (const instance of this.drawn) {
      if (pass.stage === "project" || !instance.isPosed) this.dispatchInstance(compute, pass, instance);
    }
  }

  /** The page's backdrop and the splats over it, in one pass: the picture's pixels are written once. */
  private encodeStage(encoder: GPUCommandEncoder, view: GPUTextureView): void {
    const { pipeline, layout } = this.context.stage;
    const pass = this.beginPicture(encoder, view, [0, 0, 0, 0]);
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.context.bind(layout, STAGE_BINDINGS, new Map([...this.buffers, ["stage", this.stage]])));
    pass.draw(3);
    this.drawSplats(pass, this.context.draw);
    pass.end();
  }

  /** The splats over one colour. */
  private encodePlain(encoder: GPUCommandEncoder, view: GPUTextureView, background: readonly number[]): void {
    const pass = this.beginPicture(encoder, view, [...background, 1]);
    this.drawSplats(pass, this.context.drawOutput);
    pass.end();
  }

  private beginPicture(encoder: GPUCommandEncoder, view: GPUTextureView, clearValue: number[]): GPURenderPassEncoder {
    const colorAttachments = [{ view, clearValue, loadOp: "clear", storeOp: "store" } as const];
    return encoder.beginRenderPass({ colorAttachments, ...this.timer.writes("draw") });
  }

  private drawSplats(pass: GPURenderPassEncoder, { pipeline, layout }: GpuContext["draw"]): void {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.context.bind(layout, DRAW_BINDINGS, this.buffers));
    pass.setIndexBuffer(this.context.indices, "uint16");
    pass.drawIndexedIndirect(this.buffers.get("arguments")!, 0);
  }

  private dispatchSort(compute: GPUComputePassEncoder, pass: Extract<Pass, { stage: "sort" }>): void {
    const { pipeline, layout } = this.context.compute.get(pass.name)!;
    const group = this.sortGroups.get(pass.name) ?? this.context.bind(layout, pass.bindings, this.buffers);
    this.sortGroups.set(pass.name, group);
    compute.setPipeline(pipeline);
    compute.setBindGroup(0, group);
    if (pass.groups) compute.dispatchWorkgroups(this.counts[pass.groups]);
    else compute.dispatchWorkgroupsIndirect(this.buffers.get("arguments")!, DISPATCH_OFFSET);
  }

  private dispatchInstance(
    compute: GPUComputePassEncoder,
    pass: Exclude<Pass, { stage: "sort" }>,
    instance: AvatarInstance,
  ): void {
    const { pipeline, layout } = this.context.compute.get(pass.name)!;
    const groups = this.instanceGroups.get(instance) ?? new Map<Pass["name"], GPUBindGroup>();
    this.instanceGroups.set(instance, groups);
    const owned = () => new Map([...this.buffers, ...instance.model.buffers, ...instance.buffers]);
    const group = groups.get(pass.name) ?? this.context.bind(layout, pass.bindings, owned());
    groups.set(pass.name, group);
    compute.setPipeline(pipeline);
    compute.setBindGroup(0, group);
    const { counts } = instance.model;
    const isLeveled = pass.groups === "instance_groups";
    compute.dispatchWorkgroups(isLeveled ? Math.ceil(instance.numSplats / GROUP_SIZE) : counts[pass.groups]);
  }

  /** What `project` counted in the last picture that it was needed for. */
  private async readCounts(): Promise<Pick<Stats, "visibleSplats" | "fragments">> {
    const state = this.buffers.get("frame_state");
    if (!state) return { visibleSplats: 0, fragments: 0 };
    const { device } = this.context;
    const copied = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(state, 0, copied, 0, 16);
    device.queue.submit([encoder.finish()]);
    try {
      await copied.mapAsync(GPUMapMode.READ);
      const [visibleSplats, , , fragments] = new Uint32Array(copied.getMappedRange());
      return { visibleSplats: visibleSplats!, fragments: fragments! };
    } finally {
      copied.destroy();
    }
  }
}
