/** What surrounds the canvas even without controls: poster, progress, and a message where nothing can be drawn. */
import type { AvatarError, Progress } from "../api";
import { h } from "./dom";

const DETAILS = "Animated avatar. Drag or use W A S D to turn, wheel, pinch or + − to zoom, R for the first view, Space to play or pause.";
const PHASES = { loading: "Loading the avatar", preparing: "Preparing the graphics device", detail: "", done: "" } as const;
/** Errors that another try may get over. */
const RETRIED: readonly string[] = ["network", "not-found", "truncated", "damaged", "device-lost", "out-of-memory", "no-device", "bad-motion"];

export class Frame {
  readonly canvas = h("canvas", { id: "canvas", role: "img", "aria-label": DETAILS, tabindex: 0 });
  private readonly poster = h("img", { id: "poster", alt: "", hidden: true });
  private readonly text = h("div", { id: "progress-text" });
  private readonly bar = h("div", { id: "progress-bar" });
  private readonly progressBox = h("div", { id: "progress", hidden: true }, this.text, h("div", { id: "progress-track" }, this.bar));
  private readonly title = h("h2", { id: "message-title" });
  private readonly words = h("p", { id: "message-text" });
  private readonly retry = h("button", { id: "retry", type: "button" }, "Try again");
  private readonly back = h("button", { id: "dismiss", type: "button" }, "Close");
  private readonly message = h("div", { id: "message", role: "alert", hidden: true }, this.title, this.words, this.retry, this.back);
  /** For screen readers: what has just happened. */
  private readonly status = h("div", { id: "status", role: "status" });

  constructor(root: ShadowRoot, retry: () => void) {
    this.poster.addEventListener("error", () => {
      this.poster.hidden = true; // without a poster the plain background is shown
    });
    this.retry.addEventListener("click", retry);
    this.back.addEventListener("click", () => this.dismiss());
    root.append(this.canvas, this.poster, this.progressBox, this.message, this.status);
  }

  setPoster(address: string): void {
    this.poster.hidden = address === "";
    if (address !== "") this.poster.src = address;
    else this.poster.removeAttribute("src");
  }

  progress({ phase, loaded, total }: Progress): void {
    const text = PHASES[phase];
    this.progressBox.hidden = text === "";
    if (this.text.textContent !== text) this.text.textContent = text;
    const share = phase === "loading" ? loaded / total : 1;
    this.bar.style.width = `${Number.isFinite(share) ? Math.round(100 * Math.min(1, share)) : 100}%`;
  }

  /** The first picture is on the canvas: the poster goes. */
  reveal(): void {
    this.progressBox.hidden = true;
    this.message.hidden = true;
    this.canvas.hidden = false;
    this.poster.classList.add("gone");
  }

  /** Back to the poster. */
  cover(): void {
    this.message.hidden = true;
    this.poster.classList.remove("gone");
  }

  /** Says why nothing can be drawn, over the poster; or (`isPassing`) what did not work, over the picture. */
  fail({ title, message, code }: AvatarError, isPassing: boolean): void {
    this.progressBox.hidden = true;
    this.title.textContent = title;
    this.words.textContent = message;
    this.retry.hidden = isPassing || !RETRIED.includes(code);
    this.back.hidden = !isPassing;
    this.message.hidden = false;
    if (isPassing) return;
    this.canvas.hidden = true;
    this.poster.classList.remove("gone");
  }

  dismiss(): void {
    this.message.hidden = true;
    this.canvas.focus();
  }

  announce(text: string): void {
    this.status.textContent = text;
  }
}
