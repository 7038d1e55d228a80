/** The page that a webcam drives, when its visitor says so. The avatar is index.html's; its script is viewer.js. */
import type { MobileAvatarElement } from "../api";
import { Driver } from "./driver";
import { Tracker } from "./tracker";

const FOLDER = new URL("mediapipe/", document.baseURI);
const CAMERA = { audio: false, video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } } } as const;

function part<T extends Element>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`webcam.html has no #${id}; it does not belong to this webcam.js`);
  return found as unknown as T;
}

class Webcam {
  private readonly avatar = document.querySelector("mobile-avatar") as MobileAvatarElement;
  private readonly button = part<HTMLButtonElement>("webcam-button");
  private readonly mirror = part<HTMLInputElement>("webcam-mirror");
  private readonly video = part<HTMLVideoElement>("webcam-video");
  private readonly status = part<HTMLElement>("webcam-status");
  /** Ends what runs. */
  private running: AbortController | undefined;

  constructor() {
    this.button.addEventListener("click", () => {
      if (this.running) this.stop("The camera is off.");
      else void this.start();
    });
  }

  private say(words: string): void {
    if (this.status.textContent !== words) this.status.textContent = words;
  }

  private async start(): Promise<void> {
    const running = new AbortController();
    this.running = running;
    this.button.textContent = "Stop";
    this.say("Starting …");
    try {
      await this.avatar.complete;
      const stream = await navigator.mediaDevices.getUserMedia(CAMERA);
      running.signal.addEventListener("abort", () => stream.getTracks().forEach((track) => track.stop()));
      stream.getVideoTracks()[0]?.addEventListener("ended", () => this.stop("The camera was taken away."));
      if (running.signal.aborted) return stream.getTracks().forEach((track) => track.stop());
      const tracker = await Tracker.open(FOLDER);
      running.signal.addEventListener("abort", () => tracker.close());
      if (running.signal.aborted) return tracker.close();
      this.video.srcObject = stream;
      await this.video.play();
      this.video.hidden = false;
      this.follow(tracker, running.signal);
    } catch (error) {
      if (!running.signal.aborted) this.stop(reasonOf(error as Error));
    }
  }

  private follow(tracker: Tracker, signal: AbortSignal): void {
    const { avatar, video } = this;
    const [person] = avatar.scene!.avatars;
    const driver = new Driver(person!.skeleton, avatar.getPose());
    let last = 0;
    const next = () => video.requestVideoFrameCallback((now) => {
      if (signal.aborted) return;
      last = Math.max(now, last + 1); // MediaPipe wants times that rise
      try {
        const marks = tracker.look(video, last);
        if (marks) avatar.setPose(driver.next(marks, last / 1000, this.mirror.checked));
        this.say(marks ? `Following: ${tracker.parts}. The pictures stay on this device.` : "Nobody is to be seen: step back a little.");
        next();
      } catch (error) {
        this.stop(reasonOf(error as Error));
      }
    });
    next();
  }

  private stop(words: string): void {
    this.running?.abort();
    this.running = undefined;
    this.video.hidden = true;
    this.video.srcObject = null;
    this.button.textContent = "Use my camera";
    this.say(words);
  }
}

function reasonOf(error: Error): string {
  if (error.name === "NotAllowedError") return "The browser does not allow the camera: allow it for this page, then try again.";
  if (error.name === "NotFoundError") return "There is no camera: connect one, then try again.";
  return error.message;
}

new Webcam();
