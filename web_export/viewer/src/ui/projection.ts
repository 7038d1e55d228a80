/** Between places in an avatar's world and pixels (CSS) of the canvas that shows it. */
import type { Camera } from "../camera";
import type { Vector } from "../rotation";

export class Projection {
  /** 3 x 4, avatar's world -> camera. */
  private readonly T: readonly number[];
  private readonly scale: number;
  private readonly left: number;
  private readonly top: number;

  /** `T_world_avatar` has 16 numbers row by row, a rigid motion; the picture is fitted into `width` x `height` pixels. */
  constructor(
    private readonly camera: Camera,
    T_world_avatar: readonly number[],
    width: number,
    height: number,
  ) {
    const A = camera.T_cam_world;
    this.T = [0, 4, 8].flatMap((r) =>
      [0, 1, 2, 3].map((c) => [0, 1, 2].reduce((sum, k) => sum + A[r + k]! * T_world_avatar[4 * k + c]!, c === 3 ? A[r + 3]! : 0)),
    );
    this.scale = Math.min(width / camera.width, height / camera.height);
    this.left = (width - this.scale * camera.width) / 2;
    this.top = (height - this.scale * camera.height) / 2;
  }

  /** x and y in pixels, and the depth in metres; behind the camera the depth is not above 0. */
  pixel(p: Vector): Vector {
    const { T, scale } = this;
    const K = this.camera.K;
    const [x, y, z] = [0, 4, 8].map((r) => T[r]! * p[0] + T[r + 1]! * p[1] + T[r + 2]! * p[2] + T[r + 3]!) as unknown as Vector;
    const [u, v] = [(K[0]! * x + K[1]! * y) / z + K[2]!, (K[4]! * y) / z + K[5]!];
    return [this.left + scale * u, this.top + scale * v, z];
  }

  /** Inverse of `pixel`. */
  point([x, y, z]: Vector): Vector {
    const { T, scale } = this;
    const K = this.camera.K;
    const v = ((y - this.top) / scale - K[5]!) / K[4]!;
    const u = ((x - this.left) / scale - K[2]! - K[1]! * v) / K[0]!;
    const local = [u * z - T[3]!, v * z - T[7]!, z - T[11]!];
    return [0, 1, 2].map((c) => T[c]! * local[0]! + T[4 + c]! * local[1]! + T[8 + c]! * local[2]!) as unknown as Vector;
  }

  /** A direction of the picture (x right, y down, z away) in the avatar's world. */
  direction([x, y, z]: Vector): Vector {
    return [0, 1, 2].map((c) => this.T[c]! * x + this.T[4 + c]! * y + this.T[8 + c]! * z) as unknown as Vector;
  }
}
