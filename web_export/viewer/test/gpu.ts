/** The drawing part of the page by itself, for tests that drive it in Chromium (tests/test_viewer_gpu.py). */
import { AvatarFile } from "../src/avatar_file";
import type { Camera } from "../src/camera";
import { GpuContext } from "../src/context";
import { AvatarInstance } from "../src/instance";
import { AvatarModel } from "../src/model";
import { parsePoses, type Pose } from "../src/pose";
import { Renderer, STAGE_FLOATS } from "../src/renderer";
import { SHADERS, type ShaderName } from "../src/shaders";

export interface Scene {
  readonly context: GpuContext;
  readonly model: AvatarModel;
  readonly renderer: Renderer;
  readonly canvas: GPUTexture;
  readonly poses: readonly Pose[];
  readonly camera: Camera;
}

const fetched = async (name: string) => new Uint8Array(await (await fetch(name)).arrayBuffer());

/** A device with what WebGPU promises and no more, and the shaders, one of them changed. */
export async function makeContext(change?: { shader: ShaderName; from: string; to: string }): Promise<GpuContext> {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const requiredFeatures: GPUFeatureName[] = adapter.features.has("timestamp-query") ? ["timestamp-query"] : [];
  const device = await adapter.requestDevice({ requiredFeatures });
  device.addEventListener("uncapturederror", ({ error }) => console.error(error.message));
  if (!change) return GpuContext.create(device, "rgba8unorm");
  const { shader, from, to } = change;
  const sound = SHADERS[shader];
  if (sound.split(from).length !== 2) throw new Error(`${shader} does not hold '${from}' once`);
  SHADERS[shader] = sound.replace(from, to);
  try {
    return await GpuContext.create(device, "rgba8unorm");
  } finally {
    SHADERS[shader] = sound;
  }
}

/** The avatar and the poses beside the page, seen by a camera. */
export async function makeScene(camera: Camera): Promise<Scene> {
  const context = await makeContext();
  const model = await AvatarModel.upload(context, await new AvatarFile((await fetched("avatar.mobavatar")).buffer).whole);
  const poses = parsePoses(new TextDecoder().decode(await fetched("motion.pose.json")));
  const size = [camera.width, camera.height];
  const usage = GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_SRC;
  const canvas = context.device.createTexture({ size, format: "rgba8unorm", usage });
  return { context, model, renderer: new Renderer(context), canvas, poses, camera };
}

/** Presents people and tells which parts of the picture the GPU had to make, by their times. */
export async function present(scene: Scene, people: readonly AvatarInstance[], camera = scene.camera): Promise<string[]> {
  const { renderer, canvas } = scene;
  renderer.timing = "parts";
  renderer.present(canvas, people, camera, new Float32Array(STAGE_FLOATS));
  return Object.keys((await renderer.stats()).partsMs);
}

export { AvatarInstance };
