/** MediaPipe Tasks Vision from a folder beside the page: pictures of a camera in, landmarks out. Nothing is sent anywhere. */
import type { Landmarks } from "../posing/landmarks";
import { type FaceResult, type HandResult, marksOf, type PoseResult } from "../posing/mediapipe";

/** What is used of the package `@mediapipe/tasks-vision`. */
interface Landmarker<Result> {
  detectForVideo(video: HTMLVideoElement, milliseconds: number): Result;
  close(): void;
}
interface Kind<Result> {
  createFromOptions(files: unknown, options: object): Promise<Landmarker<Result>>;
}
interface Vision {
  readonly FilesetResolver: { forVisionTasks(folder: string): Promise<unknown> };
  readonly PoseLandmarker: Kind<PoseResult>;
  readonly HandLandmarker: Kind<HandResult>;
  readonly FaceLandmarker: Kind<FaceResult>;
}

const BUNDLE = "vision_bundle.mjs";
const [POSE, HAND, FACE] = ["pose_landmarker.task", "hand_landmarker.task", "face_landmarker.task"] as const;
const HELP = "'mobavatar webcam' puts the files there; docs/webcam.md says where they come from";

export class TrackerError extends Error {
  override name = "TrackerError";
}

async function isThere(address: URL): Promise<boolean> {
  return (await fetch(address, { method: "HEAD" })).ok;
}

export class Tracker {
  private constructor(
    private readonly pose: Landmarker<PoseResult>,
    private readonly hand: Landmarker<HandResult> | undefined,
    private readonly face: Landmarker<FaceResult> | undefined,
  ) {}

  /** With the models that are in the folder: the body's must be, hands and face may be. Throws TrackerError. */
  static async open(folder: URL): Promise<Tracker> {
    const [hasBundle, hasPose, hasHand, hasFace] = await Promise.all(
      [BUNDLE, POSE, HAND, FACE].map((name) => isThere(new URL(name, folder))),
    );
    for (const [name, is] of [[BUNDLE, hasBundle], [POSE, hasPose]] as const) {
      if (!is) throw new TrackerError(`expected ${name} in ${folder.pathname}, found none; ${HELP}`);
    }
    const opened: Landmarker<unknown>[] = [];
    try {
      const vision = (await import(new URL(BUNDLE, folder).href)) as Vision;
      const files = await vision.FilesetResolver.forVisionTasks(new URL("wasm", folder).href);
      const make = async <Result>(kind: Kind<Result>, name: string, options: object = {}) => {
        const baseOptions = { modelAssetPath: new URL(name, folder).href, delegate: "GPU" };
        const landmarker = await kind.createFromOptions(files, { baseOptions, runningMode: "VIDEO", ...options });
        opened.push(landmarker);
        return landmarker;
      };
      return new Tracker(
        await make(vision.PoseLandmarker, POSE),
        hasHand ? await make(vision.HandLandmarker, HAND, { numHands: 2 }) : undefined,
        hasFace ? await make(vision.FaceLandmarker, FACE, { outputFaceBlendshapes: true }) : undefined,
      );
    } catch (error) {
      for (const landmarker of opened) landmarker.close();
      const [reason] = String((error as Error).message ?? error).split("===");
      throw new TrackerError(`MediaPipe does not start: ${reason!.trim()}; ${HELP}`);
    }
  }

  /** What is tracked, for people. */
  get parts(): string {
    return ["body", ...(this.hand ? ["hands"] : []), ...(this.face ? ["face"] : [])].join(", ");
  }

  /** Landmarks of the picture that the video shows; null where there is nobody. Times must rise. */
  look(video: HTMLVideoElement, milliseconds: number): Landmarks | null {
    const hand = this.hand?.detectForVideo(video, milliseconds);
    const face = this.face?.detectForVideo(video, milliseconds);
    return marksOf(this.pose.detectForVideo(video, milliseconds), hand, face, video.videoWidth / video.videoHeight);
  }

  close(): void {
    for (const landmarker of [this.pose, this.hand, this.face]) landmarker?.close();
  }
}
