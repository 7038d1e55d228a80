/** One person: a model, a pose, a place. Twin: AvatarInstance in wgpu_renderer.py. */
import type { Level } from "./detail";
import { BUFFERS } from "./generated";
import { jointTransforms, mlpInputs } from "./kinematics";
import { structBytes } from "./layout";
import type { AvatarModel } from "./model";
import type { Pose } from "./pose";

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] as const;

export class AvatarInstance {
  readonly buffers = new Map<string, GPUBuffer>();
  /** Not drawn while false. */
  visible = true;
  /** Index into the model's `levels`: how many Gaussians are drawn. */
  level: number;
  /** Whether the passes of stage `pose` have run since the last `setPose`. */
  isPosed = false;
  /** How often `setPose` was called: tells a renderer whether it has drawn the newest pose. */
  poseNumber = 0;
  private place: readonly number[] = IDENTITY;

  constructor(readonly model: AvatarModel) {
    this.level = model.levels.length - 1;
    for (const buffer of BUFFERS) {
      if (buffer.scope !== "instance") continue;
      this.buffers.set(buffer.name, model.context.makeBuffer(buffer, model.counts[buffer.dimension]));
    }
  }

  /** Where the avatar's own world lies in the scene: 16 numbers row by row, rigid or with one scale for all axes. */
  get transform(): readonly number[] {
    return this.place;
  }

  set transform(T_world_avatar: readonly number[]) {
    if (T_world_avatar.length !== 16 || !T_world_avatar.every(Number.isFinite)) {
      throw new Error(`transform must be 16 finite numbers row by row, found ${T_world_avatar.length}`);
    }
    this.place = [...T_world_avatar];
  }

  /** Gaussians that are drawn. */
  get numSplats(): number {
    return this.shown.count;
  }

  /** Factor of their standard deviations. */
  get enlarge(): number {
    return this.shown.enlarge;
  }

  private get shown(): Level {
    const { levels } = this.model;
    return levels[Math.min(Math.max(this.level, 0), levels.length - 1)]!;
  }

  /** Uploads joint transforms and network inputs of a pose. */
  setPose(pose: Pose): void {
    const { avatar, skeleton, context } = this.model;
    const { layer_sizes, num_pose_inputs } = avatar.header;
    const values = {
      joints: jointTransforms(skeleton, pose),
      inputs: mlpInputs(pose, layer_sizes[0]!, num_pose_inputs, avatar.header),
    };
    context.device.queue.writeBuffer(this.buffers.get("pose_input")!, 0, structBytes("PoseInput", values));
    this.isPosed = false;
    this.poseNumber++;
  }

  /** Graphics memory of this instance alone, in bytes. */
  get bytes(): number {
    return [...this.buffers.values()].reduce((sum, buffer) => sum + buffer.size, 0);
  }

  /** Gives its graphics memory back. */
  dispose(): void {
    for (const buffer of this.buffers.values()) buffer.destroy();
    this.buffers.clear();
  }
}
