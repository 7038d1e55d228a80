/** The skeleton over the picture: joints to drag, to choose, to move by arrow keys. */
import { scale, subtract } from "../posing/limits";
import { JOINT_NAMES } from "../posing/table";
import type { Vector } from "../rotation";
import { h, s } from "./dom";
import { HANDLES, isEnd, type PoseEditor } from "./pose_editor";
import { PoseRings } from "./pose_rings";
import type { Projection } from "./projection";

type Spot = readonly [number, number];

/** A shorter way is a click. */
const CLICK_PIXELS = 4;
const RADIANS_PER_PIXEL = Math.PI / 360;
/** Metres by an arrow key, with and without Shift. */
const STEP = { true: 0.05, false: 0.01 } as const;
/** How much nearer (pixels) the pointer seems to a joint that can be dragged. */
const ADVANTAGE = 6;
/** Small joints are shown where their bones are long enough on the screen to be told apart: joint before, joint after, pixels. */
const DETAILS = [
  { joints: [22, 23, 24], from: 12, to: 15, pixels: 60 },
  { joints: range(25, 40), from: 20, to: 28, pixels: 60 },
  { joints: range(40, 55), from: 21, to: 43, pixels: 60 },
] as const;
const BODY = 22;
const KEYS: Readonly<Record<string, Vector>> = {
  ArrowRight: [1, 0, 0],
  ArrowLeft: [-1, 0, 0],
  ArrowDown: [0, 1, 0],
  ArrowUp: [0, -1, 0],
  PageUp: [0, 0, 1],
  PageDown: [0, 0, -1],
};

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** "left_index1" as people read it. */
export function nameOf(joint: number): string {
  const name = JOINT_NAMES[joint]!.replace("_", " ").replace(/(\d)$/, " $1");
  return name[0]!.toUpperCase() + name.slice(1);
}

export class PoseOverlay {
  readonly root = s("svg", { id: "skeleton", role: "group", "aria-label": "Skeleton" });
  private readonly halo = s("path", { class: "halo" });
  private readonly bones = s("path", { class: "bones" });
  private readonly rings: PoseRings;
  private readonly dots: readonly SVGGElement[];
  private readonly label = h("div", { id: "joint-label", "aria-hidden": "true", hidden: true });
  private at: readonly Vector[] = [];
  private hovered = -1;
  /** The pointer that drags, and what its moves do. */
  private dragging: { readonly id: number; readonly move: (event: PointerEvent) => void } | undefined;

  constructor(
    private readonly editor: PoseEditor,
    private readonly canvas: HTMLCanvasElement,
    private readonly projection: () => Projection | undefined,
    private readonly chosen: (joint: number) => void,
  ) {
    this.dots = JOINT_NAMES.map((_, joint) => this.dot(joint));
    // handles lie above joints that only turn, hands and feet above all
    const order = [...this.dots.keys()].sort((a, b) => Number(HANDLES.includes(a)) - Number(HANDLES.includes(b)) || Number(isEnd(a)) - Number(isEnd(b)));
    this.rings = new PoseRings(editor);
    this.root.append(this.halo, this.bones, this.rings.root, ...order.map((joint) => this.dots[joint]!));
    this.root.addEventListener("pointerdown", (event) => this.down(event));
    this.root.addEventListener("pointermove", (event) => this.move(event));
    this.root.addEventListener("pointerleave", () => this.hover(-1));
    for (const type of ["pointerup", "pointercancel"] as const) this.root.addEventListener(type, (event) => this.up(event));
    this.root.addEventListener("wheel", (event) => {
      event.preventDefault();
      canvas.dispatchEvent(new WheelEvent("wheel", event));
    }, { passive: false });
  }

  get parts(): readonly Element[] {
    return [this.root, this.label];
  }

  private dot(joint: number): SVGGElement {
    const isHandle = HANDLES.includes(joint);
    const kind = isEnd(joint) ? "end" : isHandle ? "middle" : "turning";
    const group = s("g", { class: `joint ${kind}` }, s("circle", { class: "hit" }), s("circle", { class: "dot" }));
    group.dataset["joint"] = JOINT_NAMES[joint]!;
    if (!isHandle) return group;
    group.setAttribute("tabindex", "0");
    group.setAttribute("role", "button");
    group.setAttribute("aria-label", `${nameOf(joint)}: drag, or arrow keys, page up and page down move it`);
    group.addEventListener("focus", () => this.chosen(joint));
    group.addEventListener("keydown", (event) => this.key(event, joint));
    return group;
  }

  private key(event: KeyboardEvent, joint: number): void {
    const step = KEYS[event.key];
    const projection = this.projection();
    if (!step || !projection || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const way = projection.direction(scale(step, STEP[`${event.shiftKey}`]));
    const from = this.editor.joints()[joint]!;
    this.editor.drag(joint)([from[0] + way[0], from[1] + way[1], from[2] + way[2]]);
  }

  /** Where on the element the pointer is. */
  private spot(event: PointerEvent): readonly [number, number] {
    const box = this.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** The joint that is meant: circles overlap where the person is small. */
  private nearest([x, y]: readonly [number, number]): number {
    const distance = (joint: number) =>
      Math.hypot(this.at[joint]![0] - x, this.at[joint]![1] - y) - (isEnd(joint) ? ADVANTAGE : HANDLES.includes(joint) ? ADVANTAGE / 2 : 0);
    return this.shown().reduce((best, joint) => (distance(joint) < distance(best) ? joint : best));
  }

  private shown(): number[] {
    return [...this.dots.keys()].filter((joint) => !this.dots[joint]!.hasAttribute("hidden"));
  }

  private down(event: PointerEvent): void {
    const projection = this.projection();
    if (!projection || this.dragging || event.button !== 0) return;
    const [x, y] = this.spot(event);
    const axis = this.rings.axisOf(event.target);
    if (axis >= 0) return this.grab(event, this.rings.drag(axis, projection, [x, y]));
    const joint = this.nearest([x, y]);
    const [jointX, jointY, depth] = this.at[joint]!;
    this.dots[joint]!.focus({ preventScroll: true });
    this.chosen(joint);
    const turnOrMove = HANDLES.includes(joint) ? this.moving(joint, projection, [jointX - x, jointY - y, depth]) : this.turning(joint, projection);
    this.grab(event, turnOrMove);
    this.hover(joint);
  }

  /** The pointer drags from now on; `run` gets its way so far and where it is. */
  private grab(event: PointerEvent, run: (way: Spot, spot: Spot) => void): void {
    event.preventDefault(); // no selection, no second event of the mouse
    this.root.setPointerCapture(event.pointerId);
    const [x, y] = this.spot(event);
    let isClick = true;
    this.dragging = {
      id: event.pointerId,
      move: (moved) => {
        const [toX, toY] = this.spot(moved);
        isClick &&= Math.hypot(toX - x, toY - y) < CLICK_PIXELS;
        if (!isClick) run([toX - x, toY - y], [toX, toY]);
      },
    };
    this.root.classList.add("dragging");
  }

  /** The joint follows the pointer in the plane of the picture in which it was grabbed. */
  private moving(joint: number, projection: Projection, [offsetX, offsetY, depth]: Vector) {
    const drag = this.editor.drag(joint);
    return (_: unknown, [x, y]: readonly [number, number]) => drag(projection.point([x + offsetX, y + offsetY, depth]));
  }

  /** Across the picture turns about its vertical, down about its horizontal. */
  private turning(joint: number, projection: Projection) {
    const spin = this.editor.spin(joint);
    return ([dx, dy]: readonly [number, number]) => spin(projection.direction([dy * RADIANS_PER_PIXEL, -dx * RADIANS_PER_PIXEL, 0]));
  }

  private move(event: PointerEvent): void {
    if (this.dragging?.id === event.pointerId) this.dragging.move(event);
    else if (!this.dragging && event.pointerType !== "touch") this.hover(this.rings.axisOf(event.target) < 0 ? this.nearest(this.spot(event)) : -1);
  }

  private up(event: PointerEvent): void {
    if (this.dragging?.id !== event.pointerId) return;
    this.dragging = undefined;
    this.root.classList.remove("dragging");
    if (event.pointerType === "touch") this.hover(-1);
  }

  private hover(joint: number): void {
    if (this.dragging && joint < 0) return;
    this.dots[this.hovered]?.classList.remove("hover");
    this.hovered = joint;
    this.dots[joint]?.classList.add("hover");
    this.showLabel();
  }

  private showLabel(): void {
    const spot = this.at[this.hovered];
    this.label.hidden = !spot || this.canvas.hidden;
    if (!spot) return;
    this.label.textContent = nameOf(this.hovered);
    this.label.style.transform = `translate(${spot[0].toFixed(1)}px, ${spot[1].toFixed(1)}px) translate(-50%, -210%)`;
  }

  /** After a picture or a change. */
  show(): void {
    const projection = this.projection();
    if (!projection) return;
    this.at = this.editor.joints().map((p) => projection.pixel(p));
    const { at, editor } = this;
    const apart = (a: number, b: number) => Math.hypot(...subtract(at[a]!, at[b]!).slice(0, 2));
    const hidden = new Set(DETAILS.filter(({ from, to, pixels }) => apart(from, to) < pixels).flatMap(({ joints }) => joints));
    this.dots.forEach((dot, joint) => {
      const [x, y, depth] = at[joint]!;
      const isHidden = depth <= 0 || (hidden.has(joint) && joint !== editor.joint);
      dot.toggleAttribute("hidden", isHidden);
      dot.classList.toggle("chosen", joint === editor.joint);
      if (!isHidden) dot.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    });
    const lines = [...this.dots.keys()].filter((joint) => joint > 0 && (joint < BODY || joint > 24) && (joint < BODY || !hidden.has(joint)));
    const point = ([x, y]: Vector) => `${x.toFixed(1)} ${y.toFixed(1)}`;
    const path = lines.map((joint) => `M${point(at[editor.skeleton.parent[joint]!]!)}L${point(at[joint]!)}`).join("");
    for (const bones of [this.halo, this.bones]) bones.setAttribute("d", path);
    this.rings.show(projection);
    this.showLabel();
  }
}
