/** A graphics device and everything that is compiled for it once, whatever it draws. Twin: wgpu_device.py. */
import { BUFFERS, DRAW_BINDINGS, PASSES, QUADS_PER_INSTANCE } from "./generated";
import { ViewerError } from "./errors";
import { checkSort } from "./selftest";
import { SHADERS, type ShaderName } from "./shaders";

export const OUTPUT_FORMAT = "rgba8unorm";
export const STAGE_BINDINGS = ["uniform:view", "uniform:stage"] as const;

export type PassName = (typeof PASSES)[number]["name"];
/** Buffers by name, with or without those that belong to somebody else. */
export type Buffers = ReadonlyMap<string, GPUBuffer>;

interface Compiled<P> {
  readonly pipeline: P;
  readonly layout: GPUBindGroupLayout;
}

/** One index list for every instance: corners 0 1 2, 2 1 3 of each quad. */
function quadIndices(): Uint16Array<ArrayBuffer> {
  const corners = [0, 1, 2, 2, 1, 3];
  return Uint16Array.from({ length: 6 * QUADS_PER_INSTANCE }, (_, i) => 4 * Math.floor(i / 6) + corners[i % 6]!);
}

export class GpuContext {
  readonly indices: GPUBuffer;
  readonly compute = new Map<PassName, Compiled<GPUComputePipeline>>();
  /** The splats, onto the canvas and into a picture that is read back. */
  draw!: Compiled<GPURenderPipeline>;
  drawOutput!: Compiled<GPURenderPipeline>;
  stage!: Compiled<GPURenderPipeline>;
  private readonly modules = new Map<string, GPUShaderModule>();
  private readonly layouts = new Map<string, GPUBindGroupLayout>();

  private constructor(readonly device: GPUDevice) {
    this.indices = this.allocate("indices", 12 * QUADS_PER_INSTANCE, GPUBufferUsage.INDEX);
    device.queue.writeBuffer(this.indices, 0, quadIndices());
  }

  /** Compiles every shader and tries the sort; throws with the driver's words, or with what it computed instead. */
  static async create(device: GPUDevice, canvasFormat: GPUTextureFormat): Promise<GpuContext> {
    const context = await guarded(device, "the graphics driver refused the shaders", async () => {
      const made = new GpuContext(device);
      await made.compile(canvasFormat);
      return made;
    });
    const problem = await checkSort(context);
    if (problem) throw new ViewerError("broken-gpu", `It was asked to sort: ${problem}.\nUpdate the graphics driver or try another browser.`);
    return context;
  }

  /** Gives its graphics memory back; whatever was made with it must be gone before. */
  dispose(): void {
    this.indices.destroy();
  }

  /** A buffer of at least `bytes` bytes that can be written. */
  allocate(label: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16); // empty bindings are not allowed
    return this.device.createBuffer({ label, size, usage: usage | GPUBufferUsage.COPY_DST });
  }

  /** A buffer of the schema for `dimension` items or for `bytes`, whichever is more; `usage` beyond the passes' own. */
  makeBuffer({ name, fill, stride }: (typeof BUFFERS)[number], dimension: number, bytes = 0, usage = 0): GPUBuffer {
    const kind = fill === "uniform" ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE;
    const extra = name === "arguments" ? GPUBufferUsage.INDIRECT : name === "frame_state" ? GPUBufferUsage.COPY_SRC : 0;
    return this.allocate(name, Math.max(bytes, stride * dimension), kind | extra | usage);
  }

  /** A bind group of the buffers that `bindings` name. */
  bind(layout: GPUBindGroupLayout, bindings: readonly string[], buffers: Buffers): GPUBindGroup {
    const entries = bindings.map((text, binding): GPUBindGroupEntry => {
      return { binding, resource: { buffer: buffers.get(text.split(":")[1]!)! } };
    });
    return this.device.createBindGroup({ layout, entries });
  }

  private async compile(canvasFormat: GPUTextureFormat): Promise<void> {
    const compute = PASSES.map(async (pass) => {
      const layout = this.bindLayout(pass.bindings, GPUShaderStage.COMPUTE);
      const pipeline = await this.device.createComputePipelineAsync({
        label: pass.name,
        layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: {
          module: this.module(pass.shader),
          entryPoint: "main",
          ...(pass.digit >= 0 && { constants: { DIGIT: pass.digit } }),
        },
      });
      return [pass.name, { pipeline, layout }] as const;
    });
    const drawn = [
      this.renderPipeline("draw.wgsl", DRAW_BINDINGS, canvasFormat, true),
      this.renderPipeline("draw.wgsl", DRAW_BINDINGS, OUTPUT_FORMAT, true),
      this.renderPipeline("stage.wgsl", STAGE_BINDINGS, canvasFormat, false),
    ] as const;
    [this.draw, this.drawOutput, this.stage] = await Promise.all(drawn);
    for (const [name, compiled] of await Promise.all(compute)) this.compute.set(name, compiled);
  }

  private module(shader: ShaderName): GPUShaderModule {
    const made = this.modules.get(shader) ?? this.device.createShaderModule({ label: shader, code: SHADERS[shader] });
    this.modules.set(shader, made);
    return made;
  }

  private async renderPipeline(
    shader: ShaderName,
    bindings: readonly string[],
    format: GPUTextureFormat,
    isBlended: boolean,
  ): Promise<Compiled<GPURenderPipeline>> {
    const over = { srcFactor: "one", dstFactor: "one-minus-src-alpha", operation: "add" } as const;
    const target: GPUColorTargetState = isBlended ? { format, blend: { color: over, alpha: over } } : { format };
    const module = this.module(shader);
    const layout = this.bindLayout(bindings, GPUShaderStage.VERTEX | GPUShaderStage.FRAGMENT);
    const pipeline = await this.device.createRenderPipelineAsync({
      label: shader,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      vertex: { module, entryPoint: "vertex" },
      fragment: { module, entryPoint: "fragment", targets: [target] },
      primitive: { topology: "triangle-list" },
    });
    return { pipeline, layout };
  }

  private bindLayout(bindings: readonly string[], visibility: number): GPUBindGroupLayout {
    const kinds = bindings.map((binding) => binding.split(":")[0]);
    const key = `${visibility}:${kinds.join()}`;
    const types = { uniform: "uniform", read: "read-only-storage", write: "storage" } as const;
    const entries = kinds.map((kind, binding): GPUBindGroupLayoutEntry => {
      return { binding, visibility, buffer: { type: types[kind as keyof typeof types] } };
    });
    const made = this.layouts.get(key) ?? this.device.createBindGroupLayout({ entries });
    this.layouts.set(key, made);
    return made;
  }
}

/** Runs `make` and throws what the device has to say about it, memory before everything else. */
export async function guarded<T>(device: GPUDevice, refusal: string, make: () => Promise<T> | T): Promise<T> {
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  const made = (async () => make())(); // calls the device at once, so that the scopes hold it, and throws later
  made.catch(() => undefined); // reported below, after the scopes have told of what came first
  const [memory, validation] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
  if (memory) throw new ViewerError("out-of-memory", `The driver says: ${memory.message}\nClose other pages and load this one again.`);
  if (validation) throw new Error(`${refusal}: ${validation.message}`);
  return made;
}
