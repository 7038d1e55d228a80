/** The graphics device, or a reason for a person why there is none. */

/** Why the page cannot draw: a headline and what to do about it. */
export class GpuError extends Error {
  override name = "GpuError";
  constructor(
    readonly title: string,
    message: string,
  ) {
    super(message);
  }
}

const NEWER = "Use a current version of Chrome, Edge, Safari or Firefox.";

/** Throws GpuError where this page, as it was opened, cannot use WebGPU at all. */
function requireWebGpu(): GPU {
  if (location.protocol === "file:") {
    throw new GpuError(
      "This page needs a web server",
      "It was opened from disk, where browsers do not let it load its files.\n" +
        "Run “python3 -m http.server” in its folder and open http://localhost:8000.",
    );
  }
  if (!window.isSecureContext) {
    throw new GpuError(
      "This address is not secure",
      `Browsers offer WebGPU only over https or on localhost, and this is ${location.origin}. ` +
        "Serve the folder over https, or open it on the machine that serves it.",
    );
  }
  // The type says that it is always there; older browsers do not know it
  const gpu = navigator.gpu as GPU | undefined;
  if (!gpu) throw new GpuError("This browser has no WebGPU", `The avatar is drawn with WebGPU. ${NEWER}`);
  return gpu;
}

export async function requestAdapter(): Promise<GPUAdapter> {
  const adapter = await requireWebGpu().requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new GpuError(
      "No graphics adapter",
      "This browser knows WebGPU but found no graphics device that it may use. " +
        `Turn on hardware acceleration in its settings or update the graphics driver. ${NEWER}`,
    );
  }
  return adapter;
}

/** A device with WebGPU's default limits, which every adapter has. */
export async function requestDevice(): Promise<{ device: GPUDevice; adapter: GPUAdapterInfo; format: GPUTextureFormat }> {
  const adapter = await requestAdapter();
  try {
    const device = await adapter.requestDevice();
    return { device, adapter: adapter.info, format: navigator.gpu.getPreferredCanvasFormat() };
  } catch (error) {
    throw new GpuError("The graphics device could not be opened", `${(error as Error).message}\nClose other pages and load this one again.`);
  }
}
