/** Rings around the chosen joint, one for each of its axes: dragging along a ring turns the joint about it. */
import { add, dot, scale, subtract } from "../posing/limits";
import type { Vector } from "../rotation";
import { s } from "./dom";
import type { PoseEditor } from "./pose_editor";
import type { Projection } from "./projection";

/** Pixels. */
const RADIUS = 40;
const STEPS = 48;
/** Pixels a radian; a ring seen from its edge would turn the joint wildly. */
const LEAST_SPEED = 0.4 * RADIUS;

type Spot = readonly [number, number];

export class PoseRings {
  readonly root = s("g", { class: "rings" });
  private readonly rings = [0, 1, 2].map((axis) => {
    const ring = s("path", { class: "ring" });
    ring.dataset["axis"] = "xyz"[axis]!;
    return ring;
  });

  constructor(private readonly editor: PoseEditor) {
    this.root.append(...this.rings);
  }

  /** The axis whose ring an event is on, or -1. */
  axisOf(target: EventTarget | null): number {
    return this.rings.indexOf(target as SVGPathElement);
  }

  /** Points of a ring, and the way along it there, in the world for a ring of one metre. */
  private around(axis: number, angle: number): { readonly out: Vector; readonly along: Vector } {
    const axes = this.editor.axes(this.editor.joint);
    const [u, v] = [axes[(axis + 1) % 3]!, axes[(axis + 2) % 3]!];
    const [c, n] = [Math.cos(angle), Math.sin(angle)];
    return { out: add(scale(u, c), scale(v, n)), along: add(scale(u, -n), scale(v, c)) };
  }

  /** Metres that are RADIUS pixels at a place. */
  private radius(projection: Projection, at: Vector): number {
    const [x] = projection.pixel(at);
    const [right] = projection.pixel(add(at, projection.direction([0.1, 0, 0])));
    return (0.1 * RADIUS) / Math.max(Math.abs(right - x), 1e-6);
  }

  /** What dragging from a spot of a ring does from now on: a function of the way in pixels. */
  drag(axis: number, projection: Projection, [x, y]: Spot): (way: Spot) => void {
    const { editor } = this;
    const at = editor.joints()[editor.joint]!;
    const radius = this.radius(projection, at);
    const normal = editor.axes(editor.joint)[axis]!;
    const angles = Array.from({ length: STEPS }, (_, i) => (2 * Math.PI * i) / STEPS);
    const distance = (angle: number) => {
      const [px, py] = projection.pixel(add(at, scale(this.around(axis, angle).out, radius)));
      return Math.hypot(px - x, py - y);
    };
    const nearest = angles.reduce((best, angle) => (distance(angle) < distance(best) ? angle : best));
    const { out, along } = this.around(axis, nearest);
    const place = add(at, scale(out, radius));
    const small = 0.01;
    const speed = scale(subtract(projection.pixel(add(place, scale(along, small * radius))), projection.pixel(place)), 1 / small);
    const [vx, vy] = [speed[0], speed[1]];
    const squared = Math.max(vx * vx + vy * vy, LEAST_SPEED * LEAST_SPEED);
    const spin = editor.spin(editor.joint);
    return ([dx, dy]) => spin(scale(normal, (dx * vx + dy * vy) / squared));
  }

  /** After a picture or a change. */
  show(projection: Projection): void {
    const { editor } = this;
    const at = editor.joints()[editor.joint]!;
    const isBehind = projection.pixel(at)[2] <= 0;
    this.root.toggleAttribute("hidden", isBehind);
    if (isBehind) return;
    const radius = this.radius(projection, at);
    const axes = editor.axes(editor.joint);
    this.rings.forEach((ring, axis) => {
      const [u, v] = [axes[(axis + 1) % 3]!, axes[(axis + 2) % 3]!];
      const points = Array.from({ length: STEPS }, (_, i) => {
        const angle = (2 * Math.PI * i) / STEPS;
        const [x, y] = projection.pixel(add(at, add(scale(u, radius * Math.cos(angle)), scale(v, radius * Math.sin(angle)))));
        return `${x.toFixed(1)} ${y.toFixed(1)}`;
      });
      ring.setAttribute("d", `M${points.join("L")}Z`);
      // one that faces the viewer is easier to turn by
      ring.style.opacity = String(0.35 + 0.55 * Math.abs(dot(axes[axis]!, projection.direction([0, 0, 1]))));
    });
  }
}
