/** Our side of browser.mjs: a scene as other pages use it, with an avatar that moves in every frame. Built by `npm run bench`. */
import { createScene } from "../../web_export/viewer/src/core";

type Vector = readonly [number, number, number];

/** What every viewer of the comparison offers to browser.mjs. */
interface Subject {
  setSize(pixels: number): void;
  /** Draws one picture from `eye` and waits until the GPU has finished it. */
  frame(eye: Vector): Promise<void>;
}

interface View {
  readonly target: Vector;
  /** Vertical field of view, radians. */
  readonly fov: number;
}

const minus = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const dot = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a: Vector, b: Vector): Vector => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a: Vector): Vector => [a[0] / Math.hypot(...a), a[1] / Math.hypot(...a), a[2] / Math.hypot(...a)];

function lookAt(eye: Vector, target: Vector): number[] {
  const z = unit(minus(target, eye));
  const x = unit(cross(z, [0, 1, 0]));
  return [x, cross(z, x), z].flatMap((row) => [...row, -dot(row, eye)]).concat(0, 0, 0, 1);
}

export async function open(canvas: HTMLCanvasElement, view: View): Promise<Subject> {
  // the governor must not make the picture smaller, and nothing but `render` may draw
  const scene = await createScene(canvas, { targetFps: 1, maxPixelRatio: 1, pointer: false });
  const person = await scene.add("avatar.mobavatar", { motion: "motion.pose.json", autoplay: false });
  let size = canvas.width;
  let at = 0;
  return {
    setSize(pixels) {
      size = pixels;
    },
    async frame(eye) {
      const focal = size / 2 / Math.tan(view.fov / 2);
      const K = [focal, 0, size / 2, 0, focal, size / 2, 0, 0, 1];
      person.setPose(at++ % person.info.frames);
      scene.setCamera({ T_cam_world: lookAt(eye, view.target), K, width: size, height: size });
      await scene.render();
      if (canvas.width !== size) throw new Error(`the picture is ${canvas.width} pixels wide, expected ${size}`);
    },
  };
}
