/** The graphics device, or a reason for a person why there is none. */
import { ViewerError } from "./errors";

const NEWER = "Use a current version of Chrome, Edge, Safari or Firefox.";

/** Throws ViewerError where this page, as it was opened, cannot use WebGPU at all. */
function requireWebGpu(): GPU {
  if (location.protocol === "file:") {
    throw new ViewerError(
      "opened-from-disk",
      "It was opened from disk, where browsers do not let it load its files.\n" +
        "Run “python3 -m http.server” in its folder and open http://localhost:8000.",
    );
  }
  if (!window.isSecureContext) {
    throw new ViewerError(
      "insecure-origin",
      `Browsers offer WebGPU only over https or on localhost, and this is ${location.origin}. ` +
        "Serve the folder over https, or open it on the machine that serves it.",
    );
  }
  // The type says that it is always there; older browsers do not know it
  const gpu = navigator.gpu as GPU | undefined;
  if (!gpu) throw new ViewerError("no-webgpu", `The avatar is drawn with WebGPU. ${NEWER}`);
  return gpu;
}

export async function requestAdapter(): Promise<GPUAdapter> {
  const adapter = await requireWebGpu().requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new ViewerError(
      "no-adapter",
      "This browser knows WebGPU but found no graphics device that it may use. " +
        `Turn on hardware acceleration in its settings or update the graphics driver. ${NEWER}`,
    );
  }
  return adapter;
}

/** The adapter in its driver's words; browsers may hide some or all of them. */
export function describe({ vendor, architecture, description }: GPUAdapterInfo): string {
  return [vendor, architecture, description].filter(Boolean).join(" ");
}
