/** The panel that opens over the bar: motions, speed, background, files, picture. */
import type { Background } from "../api";
import { check, choice } from "./choice";
import { h, type ICONS, icon } from "./dom";
import type { Host } from "./host";

export const SPEEDS = [0.25, 0.5, 1, 1.5, 2] as const;
export const BACKGROUNDS: readonly (readonly [string, Background])[] = [
  ["Room", "stage"],
  ["White", "#ffffff"],
  ["Grey", "#808080"],
  ["Black", "#000000"],
  ["None", "transparent"],
];
const KEYS = "Space play · ← → frame · , . speed · W A S D turn · + − zoom · R reset · M motion · B background · I statistics · P picture · E pose · F full screen";

export class Menu {
  readonly root = h("div", { id: "menu", role: "dialog", "aria-label": "Settings", tabindex: -1, hidden: true });
  private motions = h("fieldset");
  private readonly speeds: HTMLFieldSetElement;
  private readonly backgrounds: HTMLFieldSetElement;
  private readonly files = h("input", { type: "file", accept: ".mobavatar,.json,.bin", multiple: true, tabindex: -1, hidden: true });
  private shownMotions = "";

  constructor(
    private readonly host: Host,
    private readonly opener: HTMLButtonElement,
    toggleStatistics: () => void,
  ) {
    const speeds = SPEEDS.map((speed) => [`${speed}×`, String(speed)] as const);
    this.speeds = choice("speed", "Speed", speeds, (value) => {
      host.speed = Number(value);
    });
    this.backgrounds = choice("background", "Background", BACKGROUNDS, (value) => {
      host.background = value;
    });
    this.files.addEventListener("change", () => {
      host.openFiles(this.files.files ?? []);
      this.files.value = "";
    });
    const actions = h("div", { class: "actions" });
    const action = (id: string, name: keyof typeof ICONS, text: string, run: () => void) => {
      const button = h("button", { id, type: "button" }, icon(name), text);
      button.addEventListener("click", run);
      actions.append(button);
    };
    action("picture", "camera", "Picture", () => host.takePicture());
    action("open", "open", "Open file", () => this.files.click());
    action("reset", "reset", "First view", () => host.resetView());
    action("fullscreen", "expand", "Full screen", () => host.toggleFullscreen());
    action("statistics", "menu", "Statistics", toggleStatistics);
    this.root.append(this.motions, this.speeds, this.backgrounds, actions, this.files, h("p", { class: "keys" }, KEYS));
    opener.addEventListener("click", () => this.toggle());
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.toggle(false);
    });
  }

  get isOpen(): boolean {
    return !this.root.hidden;
  }

  toggle(open = !this.isOpen): void {
    if (open === this.isOpen) return;
    this.root.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    if (open) {
      this.show();
      this.root.focus();
    } else this.opener.focus();
  }

  /** Checks what is chosen now. */
  show(): void {
    const { motionList, motionIndex, speed, background } = this.host;
    const names = JSON.stringify(motionList);
    if (names !== this.shownMotions) {
      this.shownMotions = names;
      const options = motionList.map(({ name }, i) => [name, String(i)] as const);
      const list = choice("motion", "Motion", options, (value) => this.host.chooseMotion(Number(value)));
      list.hidden = motionList.length < 2;
      this.motions.replaceWith(list);
      this.motions = list;
    }
    check(this.motions, String(motionIndex));
    check(this.speeds, String(speed));
    check(this.backgrounds, background);
  }
}
