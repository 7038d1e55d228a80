/** The parts of the page around the canvas: poster, progress, message, controls. Holds no avatar state. */
import type { Player } from "./player";

const PLAY_ICON = "M8 5v14l11-7z";
const PAUSE_ICON = "M7 5h4v14H7zM13 5h4v14h-4z";

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element '${id}'; it does not belong to this viewer.js`);
  return found as T;
}

function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export class Page {
  readonly canvas = element<HTMLCanvasElement>("canvas");
  private readonly poster = element<HTMLImageElement>("poster");
  private readonly controls = element("controls");
  private readonly scrub = element<HTMLInputElement>("scrub");
  private readonly play = element<HTMLButtonElement>("play");
  private readonly readoutBox = element("readout");

  constructor() {
    const fallback = () => {
      if (this.poster.src.endsWith("poster.jpg")) this.poster.src = "poster.png";
      else this.poster.hidden = true; // a folder without a poster starts on the plain background
    };
    this.poster.addEventListener("error", fallback);
    if (this.poster.complete && this.poster.naturalWidth === 0) fallback();
  }

  progress(text: string, share: number): void {
    element("progress-text").textContent = text;
    element("progress-bar").style.width = `${Number.isNaN(share) ? 100 : Math.round(100 * share)}%`;
  }

  /** The first frame is on the canvas: the poster and the progress bar go. */
  revealed(player: Player): void {
    element("progress").hidden = true;
    this.poster.classList.add("gone");
    this.readoutBox.hidden = false;
    this.controls.hidden = player.last === 0;
    this.scrub.max = String(player.last);
  }

  /** Says why nothing can be drawn; the poster stays or comes back. */
  message(title: string, text: string): void {
    element("progress").hidden = true;
    this.controls.hidden = true;
    this.readoutBox.hidden = true;
    this.canvas.hidden = true;
    this.poster.classList.remove("gone");
    element("message-title").textContent = title;
    element("message-text").textContent = text;
    element("message").hidden = false;
  }

  readout(text: string, details: string): void {
    this.readoutBox.textContent = text;
    this.readoutBox.title = details;
  }

  showTime(player: Player): void {
    this.scrub.value = String(player.position);
    this.scrub.style.setProperty("--done", `${player.last > 0 ? (100 * player.position) / player.last : 0}%`);
    const text = `${clock(player.position / player.fps)} / ${clock(player.last / player.fps)}`;
    const label = element("clock");
    if (label.textContent !== text) label.textContent = text;
  }

  private showPlaying(player: Player): void {
    element("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
    document.getElementById("play-icon")?.setAttribute("d", player.playing ? PAUSE_ICON : PLAY_ICON);
  }

  /** Connects buttons and keys to the player; `changed` asks for a new picture. */
  connect(player: Player, changed: () => void, resetView: () => void): void {
    const toggle = () => {
      player.playing = !player.playing;
      this.showPlaying(player);
      changed();
    };
    const pauseAt = (frame: number) => {
      player.playing = false;
      player.seek(frame);
      this.showPlaying(player);
      changed();
    };
    this.play.addEventListener("click", toggle);
    this.scrub.addEventListener("input", () => pauseAt(Number(this.scrub.value)));
    window.addEventListener("keydown", (event) => {
      if (event.target instanceof HTMLButtonElement || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " ") toggle();
      else if (event.key === "ArrowRight" && event.target !== this.scrub) pauseAt(Math.floor(player.position) + 1);
      else if (event.key === "ArrowLeft" && event.target !== this.scrub) pauseAt(Math.ceil(player.position) - 1);
      else if (event.key === "r") resetView();
      else return;
      event.preventDefault();
    });
    this.showPlaying(player);
  }
}
