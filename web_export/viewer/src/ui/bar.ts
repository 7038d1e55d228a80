/** The bar at the bottom: play, scrub, clock, and the button that opens the menu. */
import { h, iconButton, setIcon } from "./dom";
import type { Host } from "./host";

export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export class Bar {
  readonly menuButton = iconButton("menu-button", "menu", "Settings");
  private readonly play = iconButton("play", "pause", "Pause");
  private readonly scrub = h("input", { id: "scrub", type: "range", min: 0, max: 0, step: "any", value: 0, "aria-label": "Frame" });
  private readonly clock = h("span", { id: "clock" });
  readonly root = h("div", { id: "controls", role: "group", "aria-label": "Player", hidden: true });

  /** `pose`: what the button does that starts posing by hand. */
  constructor(
    private readonly host: Host,
    pose: () => void,
  ) {
    const poseButton = iconButton("pose-button", "figure", "Pose (E)");
    poseButton.addEventListener("click", pose);
    this.menuButton.setAttribute("aria-haspopup", "dialog");
    this.menuButton.setAttribute("aria-expanded", "false");
    this.root.append(this.play, this.scrub, this.clock, poseButton, this.menuButton);
    this.play.addEventListener("click", () => host.toggle());
    this.scrub.addEventListener("input", () => {
      const frame = Number(this.scrub.value); // before `pause` has the bar shown anew
      host.pause();
      host.seek(frame);
    });
  }

  /** What the player does now. */
  show(): void {
    const { frame, last, fps, paused } = this.host;
    const isStill = last === 0;
    this.play.hidden = this.scrub.hidden = this.clock.hidden = isStill;
    this.root.classList.toggle("still", isStill);
    setIcon(this.play, paused ? "play" : "pause", paused ? "Play" : "Pause");
    this.scrub.max = String(last);
    this.scrub.value = String(frame);
    this.scrub.style.setProperty("--done", `${last > 0 ? (100 * frame) / last : 0}%`);
    const text = `${clock(frame / fps)} / ${clock(last / fps)}`;
    if (this.clock.textContent === text) return;
    this.clock.textContent = text;
    this.scrub.setAttribute("aria-valuetext", `${text}, frame ${Math.round(frame)} of ${last}`);
  }
}
