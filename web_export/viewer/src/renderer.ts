/**
 * Draws an avatar with WebGPU: buffers, pipelines and passes as layout.py lists them. Host twin: wgpu_renderer.py.
 * A frame: passes of rate `pose` if the pose changed, passes of rate `view`, blended quads, composition.
 */
import type { Camera } from "./camera";
import type { Avatar } from "./format";
import {
  ACCUMULATION_FORMAT,
  BLUR,
  BUFFERS,
  COMPOSITE_BINDINGS,
  DIGIT_BITS,
  DRAW_BINDINGS,
  NEAR_PLANE,
  PASSES,
  QUADS_PER_INSTANCE,
  STRUCTS,
  UNIFORM_ALIGN,
} from "./generated";
import { jointTransforms, mlpInputs, type Skeleton, skeletonOf } from "./kinematics";
import { checkHeader, type Dimension, dimensions, keptTable, modelStruct, structBytes } from "./layout";
import type { Pose } from "./pose";
import { SHADERS } from "./shaders";

type BufferName = (typeof BUFFERS)[number]["name"];
const OUTPUT_FORMAT = "rgba8unorm";
/** `Stage` in stage.wgsl: five vec4f. */
export const STAGE_FLOATS = 20;
const STAGE_BINDINGS = [...COMPOSITE_BINDINGS, "uniform:stage"] as const;

interface ComputeStep {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly dispatch: number;
  readonly rate: "pose" | "view";
}

interface Target {
  readonly width: number;
  readonly height: number;
  readonly accumulation: GPUTexture;
  readonly composite: GPUBindGroup;
  readonly stage: GPUBindGroup;
}

/** Clear to transparent black and keep the result. */
function attachment(view: GPUTextureView): GPURenderPassColorAttachment {
  return { view, loadOp: "clear", storeOp: "store", clearValue: [0, 0, 0, 0] };
}

/** One index list for every instance: corners 0 1 2, 2 1 3 of each quad. */
function quadIndices(): Uint16Array<ArrayBuffer> {
  const corners = [0, 1, 2, 2, 1, 3];
  return Uint16Array.from({ length: 6 * QUADS_PER_INSTANCE }, (_, i) => 4 * Math.floor(i / 6) + corners[i % 6]!);
}

export class Renderer {
  private readonly buffers = new Map<string, GPUBuffer>();
  private readonly skeleton: Skeleton;
  private readonly counts: Record<Dimension, number>;
  private readonly indices: GPUBuffer;
  private readonly modules = new Map<string, GPUShaderModule>();
  private readonly layouts = new Map<string, GPUBindGroupLayout>();
  private steps: readonly ComputeStep[] = [];
  private draw!: GPURenderPipeline;
  private drawGroup!: GPUBindGroup;
  private composite!: GPURenderPipeline;
  private stage!: GPURenderPipeline;
  private target: Target | undefined;
  private isPoseNew = false;

  private constructor(
    private readonly device: GPUDevice,
    private readonly avatar: Avatar,
  ) {
    checkHeader(avatar.header, avatar.sections);
    this.skeleton = skeletonOf(avatar);
    this.counts = dimensions(avatar.header);
    for (const buffer of BUFFERS) this.buffers.set(buffer.name, this.makeBuffer(buffer));
    this.buffers.set("stage", this.allocate("stage", STAGE_FLOATS * 4, GPUBufferUsage.UNIFORM));
    this.indices = this.allocate("indices", 12 * QUADS_PER_INSTANCE, GPUBufferUsage.INDEX);
    device.queue.writeBuffer(this.indices, 0, quadIndices());
    device.queue.writeBuffer(this.buffer("model"), 0, modelStruct(avatar.header));
    for (let digit = 0; digit < this.counts.digits; digit++) {
      const values = { shift: digit * DIGIT_BITS, num_groups: this.counts.sort_groups };
      device.queue.writeBuffer(this.buffer("sort_digit"), digit * UNIFORM_ALIGN, structBytes("SortDigit", values));
    }
  }

  /** Uploads the avatar and compiles the shaders; throws with the driver's words where it cannot. */
  static async create(device: GPUDevice, avatar: Avatar, canvasFormat: GPUTextureFormat): Promise<Renderer> {
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    const renderer = new Renderer(device, avatar);
    const compiled = renderer.compile(canvasFormat);
    compiled.catch(() => undefined); // reported below, after the scopes have told of what came first
    const [memory, validation] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    if (memory) throw new Error(`not enough graphics memory for this avatar (${memory.message}); close other pages`);
    if (validation) throw new Error(`the graphics driver refused the avatar: ${validation.message}`);
    await compiled;
    return renderer;
  }

  /** Uploads joint transforms and network inputs of a pose. */
  setPose(pose: Pose): void {
    const { layer_sizes, num_pose_inputs } = this.avatar.header;
    const values = {
      joints: jointTransforms(this.skeleton, pose),
      inputs: mlpInputs(pose, layer_sizes[0]!, num_pose_inputs),
    };
    this.device.queue.writeBuffer(this.buffer("pose_input"), 0, structBytes("PoseInput", values));
    this.isPoseNew = true;
  }

  /** Draws onto the page's canvas, over its backdrop (`stage`: five vec4f, see stage.wgsl). */
  present(canvas: GPUTexture, camera: Camera, stage: Float32Array<ArrayBuffer>): void {
    this.device.queue.writeBuffer(this.buffer("stage"), 0, stage);
    this.writeView(camera, [0, 0, 0]);
    const encoder = this.device.createCommandEncoder();
    const target = this.targetOf(camera.width, camera.height);
    this.encodeSplats(encoder, target);
    this.encodeCover(encoder, canvas.createView(), this.stage, target.stage);
    this.device.queue.submit([encoder.finish()]);
  }

  /** The person over a plain background (0..1): width x height x 4 bytes rgba, rows from the top. */
  async readPixels(camera: Camera, background: readonly [number, number, number]): Promise<Uint8Array> {
    const { width, height } = camera;
    const usage = GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_SRC;
    const output = this.device.createTexture({ size: [width, height], format: OUTPUT_FORMAT, usage });
    const bytesPerRow = Math.ceil((4 * width) / 256) * 256;
    const copied = this.device.createBuffer({
      size: bytesPerRow * height,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    this.writeView(camera, background);
    const encoder = this.device.createCommandEncoder();
    const target = this.makeTarget(width, height);
    this.encodeSplats(encoder, target);
    this.encodeCover(encoder, output.createView(), this.composite, target.composite);
    encoder.copyTextureToBuffer({ texture: output }, { buffer: copied, bytesPerRow }, [width, height]);
    this.device.queue.submit([encoder.finish()]);
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
      target.accumulation.destroy();
    }
  }

  /** Resolves when everything submitted so far is done, or when the device is gone. */
  finished(): Promise<void> {
    return this.device.queue.onSubmittedWorkDone().catch(() => undefined);
  }

  /** Gives all graphics memory back. */
  dispose(): void {
    for (const buffer of this.buffers.values()) buffer.destroy();
    this.indices.destroy();
    this.target?.accumulation.destroy();
    this.target = undefined;
  }

  private buffer(name: BufferName | "stage"): GPUBuffer {
    return this.buffers.get(name)!;
  }

  private allocate(label: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16); // empty bindings are not allowed
    return this.device.createBuffer({ label, size, usage: usage | GPUBufferUsage.COPY_DST });
  }

  private makeBuffer({ name, fill, stride, dimension }: (typeof BUFFERS)[number]): GPUBuffer {
    const { sections, header } = this.avatar;
    let data: Uint8Array<ArrayBuffer> | undefined;
    if (fill === "section") data = sections[name];
    if (fill === "table") {
      const { rotation_index, scale_index, color_index } = sections;
      const lists = [rotation_index, scale_index, color_index].map((s) => new Uint32Array(s.buffer));
      data = new Uint8Array(keptTable(header.num_gaussians, lists).buffer);
    }
    const kind = fill === "uniform" ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE;
    const extra = name === "draw_arguments" ? GPUBufferUsage.INDIRECT : 0;
    const buffer = this.allocate(name, Math.max(data?.length ?? 0, stride * this.counts[dimension]), kind | extra);
    if (data) {
      const whole = data.length - (data.length % 4);
      this.device.queue.writeBuffer(buffer, 0, data, 0, whole);
      if (whole < data.length) {
        const rest = new Uint8Array(4); // a section of an odd number of halves
        rest.set(data.subarray(whole));
        this.device.queue.writeBuffer(buffer, whole, rest);
      }
    }
    return buffer;
  }

  private async compile(canvasFormat: GPUTextureFormat): Promise<void> {
    const pipelines = new Map<string, Promise<GPUComputePipeline>>();
    const steps = PASSES.map(async (pass): Promise<ComputeStep> => {
      const layout = this.bindLayout(pass.bindings, GPUShaderStage.COMPUTE);
      const key = pass.shader + pass.entry;
      const made = pipelines.get(key) ?? this.computePipeline(pass.shader, pass.entry, layout);
      pipelines.set(key, made);
      const group = this.bind(layout, pass.bindings, { digit: Math.max(0, pass.digit) });
      return { pipeline: await made, group, dispatch: this.counts[pass.groups], rate: pass.rate };
    });
    const [draw, composite, stage] = [
      this.renderPipeline("draw.wgsl", DRAW_BINDINGS, ACCUMULATION_FORMAT, true),
      this.renderPipeline("composite.wgsl", COMPOSITE_BINDINGS, OUTPUT_FORMAT, false),
      this.renderPipeline("stage.wgsl", STAGE_BINDINGS, canvasFormat, false),
    ];
    this.steps = await Promise.all(steps);
    [this.draw, this.composite, this.stage] = await Promise.all([draw, composite, stage]);
    this.drawGroup = this.bind(this.renderLayout(DRAW_BINDINGS), DRAW_BINDINGS);
  }

  private module(shader: keyof typeof SHADERS): GPUShaderModule {
    const made = this.modules.get(shader) ?? this.device.createShaderModule({ label: shader, code: SHADERS[shader] });
    this.modules.set(shader, made);
    return made;
  }

  private computePipeline(
    shader: keyof typeof SHADERS,
    entryPoint: string,
    layout: GPUBindGroupLayout,
  ): Promise<GPUComputePipeline> {
    return this.device.createComputePipelineAsync({
      label: shader,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: this.module(shader), entryPoint },
    });
  }

  private renderPipeline(
    shader: keyof typeof SHADERS,
    bindings: readonly string[],
    format: GPUTextureFormat,
    isBlended: boolean,
  ): Promise<GPURenderPipeline> {
    const over = { srcFactor: "one", dstFactor: "one-minus-src-alpha", operation: "add" } as const;
    const target: GPUColorTargetState = isBlended ? { format, blend: { color: over, alpha: over } } : { format };
    const module = this.module(shader);
    return this.device.createRenderPipelineAsync({
      label: shader,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [this.renderLayout(bindings)] }),
      vertex: { module, entryPoint: "vertex" },
      fragment: { module, entryPoint: "fragment", targets: [target] },
      primitive: { topology: "triangle-list" },
    });
  }

  private renderLayout(bindings: readonly string[]): GPUBindGroupLayout {
    return this.bindLayout(bindings, GPUShaderStage.VERTEX | GPUShaderStage.FRAGMENT);
  }

  private bindLayout(bindings: readonly string[], visibility: number): GPUBindGroupLayout {
    const kinds = bindings.map((binding) => binding.split(":")[0]);
    const key = `${visibility}:${kinds.join()}`;
    const types = { uniform: "uniform", read: "read-only-storage", write: "storage" } as const;
    const entries = kinds.map((kind, binding): GPUBindGroupLayoutEntry => {
      if (kind === "texture") return { binding, visibility, texture: { sampleType: "unfilterable-float" } };
      return { binding, visibility, buffer: { type: types[kind as keyof typeof types] } };
    });
    const made = this.layouts.get(key) ?? this.device.createBindGroupLayout({ entries });
    this.layouts.set(key, made);
    return made;
  }

  private bind(
    layout: GPUBindGroupLayout,
    bindings: readonly string[],
    { digit = 0, texture }: { digit?: number; texture?: GPUTexture } = {},
  ): GPUBindGroup {
    const entries = bindings.map((text, binding): GPUBindGroupEntry => {
      const name = text.split(":")[1] as BufferName;
      if (text.startsWith("texture:")) return { binding, resource: texture!.createView() };
      if (name !== "sort_digit") return { binding, resource: { buffer: this.buffer(name) } };
      const [offset, size] = [digit * UNIFORM_ALIGN, STRUCTS.SortDigit.size];
      return { binding, resource: { buffer: this.buffer(name), offset, size } };
    });
    return this.device.createBindGroup({ layout, entries });
  }

  private makeTarget(width: number, height: number): Target {
    const usage = GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.TEXTURE_BINDING;
    const texture = this.device.createTexture({ size: [width, height], format: ACCUMULATION_FORMAT, usage });
    const composite = this.bind(this.renderLayout(COMPOSITE_BINDINGS), COMPOSITE_BINDINGS, { texture });
    const stage = this.bind(this.renderLayout(STAGE_BINDINGS), STAGE_BINDINGS, { texture });
    return { width, height, accumulation: texture, composite, stage };
  }

  /** The target of the page's canvas, made anew when its size changes. */
  private targetOf(width: number, height: number): Target {
    if (this.target?.width !== width || this.target.height !== height) {
      this.target?.accumulation.destroy();
      this.target = this.makeTarget(width, height);
    }
    return this.target;
  }

  private writeView(camera: Camera, background: readonly [number, number, number]): void {
    const { T_cam_world, K, width, height } = camera;
    const values = {
      world_to_camera: T_cam_world.slice(0, 12),
      background: [...background, 1],
      focal: [K[0]!, K[4]!],
      principal: [K[2]!, K[5]!],
      viewport: [width, height],
      near_plane: NEAR_PLANE,
      blur: BLUR,
    };
    this.device.queue.writeBuffer(this.buffer("view"), 0, structBytes("View", values));
  }

  private encodeSplats(encoder: GPUCommandEncoder, target: Target): void {
    encoder.clearBuffer(this.buffer("frame_state"));
    const compute = encoder.beginComputePass();
    for (const { pipeline, group, dispatch, rate } of this.steps) {
      if (rate === "pose" && !this.isPoseNew) continue;
      compute.setPipeline(pipeline);
      compute.setBindGroup(0, group);
      compute.dispatchWorkgroups(dispatch);
    }
    compute.end();
    this.isPoseNew = false;
    const pass = encoder.beginRenderPass({ colorAttachments: [attachment(target.accumulation.createView())] });
    pass.setPipeline(this.draw);
    pass.setBindGroup(0, this.drawGroup);
    pass.setIndexBuffer(this.indices, "uint16");
    pass.drawIndexedIndirect(this.buffer("draw_arguments"), 0);
    pass.end();
  }

  private encodeCover(
    encoder: GPUCommandEncoder,
    view: GPUTextureView,
    pipeline: GPURenderPipeline,
    group: GPUBindGroup,
  ): void {
    const pass = encoder.beginRenderPass({ colorAttachments: [attachment(view)] });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.draw(3);
    pass.end();
  }
}
