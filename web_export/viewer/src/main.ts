/** The exported page: its one `<mobile-avatar>` fills the window, and scripts reach it as `window.mobavatar`. */
import type { AvatarInfo, CameraView, OrbitView, PoseFrame } from "./api";
import { define, MobileAvatar } from "./ui/element";

/** What scripts (benchmarks, tests, an embedding page) may do with the page. */
export interface MobavatarApi {
  /** Resolves when the whole avatar is drawn; rejects with what the page says when it cannot draw. */
  readonly ready: Promise<void>;
  /** Shows a frame of the motion (its index) or one frame as in `.pose.json`, and stops playing; null plays on. */
  setPose(pose: number | PoseFrame | null): void;
  /** Looks through one camera (nested or flat row-by-row matrices, OpenCV axes, pixels); null goes back to the orbit. */
  setCamera(camera: CameraView | OrbitView | null): void;
  /** Plays the motion, whatever was held. */
  play(): void;
  /** Draws on the canvas now and waits for the GPU. */
  renderOnce(): Promise<void>;
  /** rgba bytes (rows from the top) of the person over a plain background, at the size of the current camera. */
  readPixels(background?: readonly [number, number, number]): Promise<Uint8Array>;
  /** What is shown and by which graphics adapter. */
  readonly info: AvatarInfo;
}

declare global {
  interface Window {
    mobavatar: MobavatarApi;
  }
}

const NOT_THERE = "the avatar is not there yet: await mobavatar.ready first";

function there<T>(value: T | null): T {
  if (value === null) throw new Error(NOT_THERE);
  return value;
}

function main(): void {
  define();
  const element = document.querySelector("mobile-avatar");
  if (!(element instanceof MobileAvatar)) throw new Error("index.html has no <mobile-avatar>; it does not belong to this viewer.js");
  // Keys work wherever the focus is: the page has nothing else. The element handles those that reach it.
  document.addEventListener("keydown", (event) => {
    if (!event.composedPath().includes(element)) element.handleKey(event);
  });
  window.mobavatar = {
    get ready() {
      return element.complete;
    },
    setPose: (pose) => element.setPose(pose),
    setCamera: (camera) => element.setCamera(camera),
    play: () => element.play(),
    renderOnce: async () => there(element.scene).render(),
    readPixels: async (background) => there(element.scene).readPixels(background),
    get info() {
      return there(element.info);
    },
  };
}

main();
