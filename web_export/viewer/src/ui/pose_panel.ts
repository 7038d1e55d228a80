/** The panel of sliders: the chosen joint, hands, face, and the pose as a file or a link. */
import { jointIndex, type Side } from "../posing/edit";
import { GROUPS, LIMITS } from "../posing/table";
import type { Vector } from "../rotation";
import { check, choice } from "./choice";
import { h, type ICONS, icon } from "./dom";
import type { PoseEditor } from "./pose_editor";
import { nameOf } from "./pose_overlay";

const TABS = ["Joint", "Hands", "Face", "File"] as const;
type Tab = (typeof TABS)[number];
/** What turning about x, y, z is called, by the axis along the bone. */
const AXES = [
  ["Twist", "Forward, back", "Up, down"],
  ["Forward, back", "Twist", "Sideways"],
  ["Forward, back", "Sideways", "Twist"],
] as const;
const PELVIS_AXES = ["Lean", "Turn", "Tilt"] as const;
const EYES = [jointIndex("left_eye"), jointIndex("right_eye")] as const;
const JAW = jointIndex("jaw");
/** A slider with its name and its number. One drag is one gesture: all its values are one step back. */
class Slider {
  readonly root: HTMLElement;
  private readonly name = h("span");
  private readonly input: HTMLInputElement;
  private readonly output = h("output");
  private gesture = {};

  constructor(
    name: string,
    [min, max]: readonly [number, number],
    step: number,
    private readonly text: (value: number) => string,
    moved: (value: number, gesture: object) => void,
  ) {
    this.input = h("input", { type: "range", min, max, step });
    this.root = h("div", { class: "slider" }, this.name, this.output, this.input);
    this.rename(name);
    this.input.addEventListener("input", () => moved(this.input.valueAsNumber, this.gesture));
    this.input.addEventListener("change", () => (this.gesture = {}));
  }

  rename(name: string): void {
    this.name.textContent = name;
    this.input.setAttribute("aria-label", name);
  }

  setRange([min, max]: readonly [number, number]): void {
    this.input.min = String(Math.floor(min));
    this.input.max = String(Math.ceil(max));
  }

  show(value: number): void {
    const { input } = this;
    const [min, max] = [Number(input.min), Number(input.max)];
    const text = this.text(value);
    if (input.getRootNode() instanceof ShadowRoot && (input.getRootNode() as ShadowRoot).activeElement !== input) input.valueAsNumber = value;
    else if (Math.abs(input.valueAsNumber - value) > Number(input.step)) input.valueAsNumber = value; // a limit held it back
    this.output.textContent = text;
    input.setAttribute("aria-valuetext", text);
    const share = (x: number) => `${(100 * (x - min)) / (max - min)}%`;
    const zero = Math.min(Math.max(0, min), max);
    input.style.setProperty("--from", share(Math.min(zero, value)));
    input.style.setProperty("--done", share(Math.max(zero, value)));
  }
}

const degrees = (value: number) => `${Math.round(value) || 0}°`;
const percent = (value: number) => `${Math.round(100 * value)} %`;
const plain = (value: number) => value.toFixed(1).replace("-0.0", "0.0");

/** What the buttons of the panel do. */
export interface PoseActions {
  save(): void;
  open(): void;
  /** Absent where the page's address carries no pose. */
  copyLink?: (() => Promise<boolean>) | undefined;
}

export class PosePanel {
  readonly root = h("div", { id: "pose-panel", role: "region", "aria-label": "Pose" });
  private readonly tabs = choice("pose-tab", "", TABS.map((tab) => [tab, tab]), (tab) => this.openTab(tab as Tab));
  private readonly pages: Readonly<Record<Tab, HTMLElement>>;
  private readonly list = h("select", { "aria-label": "Joint" });
  private readonly axes: readonly Slider[];
  /** How far the pose is from those of training; empty where the file does not say. */
  private readonly distance = h("p", { id: "pose-distance", hidden: true });
  private readonly values: (readonly [Slider, () => number])[] = [];
  private shownJoint = -1;
  private tab: Tab = "Joint";

  constructor(
    private readonly editor: PoseEditor,
    expressions: readonly (readonly [number, number])[],
    actions: PoseActions,
    chosen: (joint: number) => void,
  ) {
    for (const [group, names] of Object.entries(GROUPS)) {
      const options = names.map((name) => h("option", { value: jointIndex(name) }, nameOf(jointIndex(name))));
      this.list.append(h("optgroup", { label: group[0]!.toUpperCase() + group.slice(1) }, ...options));
    }
    this.list.addEventListener("change", () => chosen(Number(this.list.value)));
    this.axes = [0, 1, 2].map(
      (axis) => new Slider("", [-180, 180], 1, degrees, (value, gesture) => this.rotate(axis, value, gesture)),
    );
    this.pages = {
      Joint: h("div", { class: "page" }, this.list, ...this.axes.map(({ root }) => root)),
      Hands: h("div", { class: "page" }, this.curl("left"), this.curl("right")),
      Face: h("div", { class: "page" }, ...this.face(), ...expressions.map((range, i) => this.expression(i, range))),
      File: h("div", { class: "page actions" }, ...this.buttons(actions)),
    };
    this.root.append(this.tabs, ...Object.values(this.pages), this.distance);
    this.openTab(this.tab);
  }

  private openTab(tab: Tab): void {
    this.tab = tab;
    for (const name of TABS) this.pages[name].hidden = name !== tab;
    check(this.tabs, tab);
  }

  private rotate(axis: number, value: number, gesture: object): void {
    const { joint } = this.editor;
    const wanted = [...this.editor.degrees(joint)] as [number, number, number];
    wanted[axis] = value;
    this.editor.rotate(joint, wanted, gesture);
  }

  private slider(name: string, range: readonly [number, number], step: number, text: (value: number) => string, get: () => number, set: (value: number, gesture: object) => void): HTMLElement {
    const slider = new Slider(name, range, step, text, set);
    this.values.push([slider, get]);
    return slider.root;
  }

  private curl(side: Side): HTMLElement {
    const name = side === "left" ? "Left fist" : "Right fist";
    return this.slider(name, [0, 1], 0.01, percent, () => this.editor.curl(side), (share, gesture) => this.editor.setCurl(side, share, gesture));
  }

  /** One angle of some joints together. */
  private angle(name: string, joints: readonly number[], axis: number): HTMLElement {
    const { editor } = this;
    const { low, high } = LIMITS[joints[0]!]!;
    const set = (value: number, gesture: object) => {
      for (const joint of joints) {
        const wanted = editor.degrees(joint).map((x, i) => (i === axis ? value : x)) as unknown as Vector;
        editor.rotate(joint, wanted, gesture);
      }
    };
    return this.slider(name, [low[axis]!, high[axis]!], 1, degrees, () => editor.degrees(joints[0]!)[axis]!, set);
  }

  private face(): HTMLElement[] {
    return [this.angle("Jaw", [JAW], 0), this.angle("Eyes up, down", EYES, 0), this.angle("Eyes left, right", EYES, 1)];
  }

  /** As far as training went: beyond it the avatar makes no new faces. */
  private expression(i: number, range: readonly [number, number]): HTMLElement {
    const get = () => this.editor.pose.expression[i] ?? 0;
    return this.slider(`Expression ${i + 1}`, range, 0.1, plain, get, (value, gesture) => this.editor.setExpression(i, value, gesture));
  }

  private buttons({ save, open, copyLink }: PoseActions): HTMLElement[] {
    const button = (id: string, name: keyof typeof ICONS, text: string, run: (words: Text) => void) => {
      const words = new Text(text);
      const element = h("button", { id, type: "button" }, icon(name), words);
      element.addEventListener("click", () => run(words));
      return element;
    };
    const buttons = [button("save-pose", "save", "Save pose", save), button("open-pose", "open", "Open pose", open)];
    if (!copyLink) return buttons;
    const copy = async (words: Text) => {
      words.data = (await copyLink()) ? "Copied" : "In the address bar";
      setTimeout(() => (words.data = "Copy link"), 2000);
    };
    return [...buttons, button("copy-link", "link", "Copy link", (words) => void copy(words))];
  }

  /** A joint was chosen: its sliders come to the front. */
  openJoint(): void {
    this.openTab("Joint");
  }

  /** After every change; `distance` is said below the sliders. */
  show(distance: string): void {
    this.distance.hidden = distance === "";
    this.distance.textContent = distance;
    const { joint } = this.editor;
    if (joint !== this.shownJoint) {
      this.shownJoint = joint;
      this.list.value = String(joint);
      const [low, high] = this.editor.range(joint);
      const names = joint === 0 ? PELVIS_AXES : AXES[LIMITS[joint]!.bone]!;
      this.axes.forEach((slider, axis) => {
        slider.rename(names[axis]!);
        slider.setRange([low[axis]!, high[axis]!]);
      });
    }
    const now = this.editor.degrees(joint);
    this.axes.forEach((slider, axis) => slider.show(now[axis]!));
    for (const [slider, get] of this.values) slider.show(get());
  }
}
