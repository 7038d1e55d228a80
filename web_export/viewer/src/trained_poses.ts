/** How far a pose is from those of training, and network inputs that stay sane there. Twin: trained_poses.py. */

/** What training saw of some joints (FORMAT.md). Axis-angle numbers, radians. */
export interface TrainedRegion {
  readonly name: string;
  /** Of 1..21. */
  readonly joints: readonly number[];
  readonly mean: readonly number[];
  readonly poses: readonly (readonly number[])[];
  readonly radius: number;
  readonly softness: number;
}

export interface Trained {
  /** Smallest and largest network inputs. */
  readonly input_range?: readonly (readonly number[])[] | undefined;
  readonly trained_regions?: readonly TrainedRegion[] | undefined;
}

const MAX_REGIONS = 32;
const MAX_PROTOTYPES = 256;
const MAX_ANGLE = 1_000_000;

const isAngle = (x: unknown) => Number.isFinite(x) && Math.abs(x as number) <= MAX_ANGLE;
const areAngles = (row: unknown, count: number) => Array.isArray(row) && row.length === count && row.every(isAngle);

/** What is wrong with the regions of a header, or nothing. */
export function regionsFault(regions: unknown, poseInputs: number): string | undefined {
  if (!Array.isArray(regions) || regions.length > MAX_REGIONS) return `trained_regions must be a list of at most ${MAX_REGIONS} regions`;
  const isJoint = (j: unknown) => Number.isInteger(j) && (j as number) >= 1 && 3 * (j as number) <= poseInputs;
  const isFine = (region: Partial<TrainedRegion> | null) => {
    const { name, joints, mean, poses, radius, softness } = region ?? {};
    if (typeof name !== "string" || !Array.isArray(joints) || joints.length === 0 || !joints.every(isJoint)) return false;
    if (!Array.isArray(poses) || poses.length === 0 || poses.length > MAX_PROTOTYPES) return false;
    return [mean, ...poses].every((row) => areAngles(row, 3 * joints.length)) && areAngles([radius, softness], 2) && radius! >= 0 && softness! > 0;
  };
  const bad = regions.findIndex((region) => !isFine(region));
  return bad < 0 ? undefined : `trained_regions[${bad}] needs name, joints, mean, poses, radius and softness`;
}

/** Radians by which a pose (`x`: numbers of joints from 1 on) is further than the radius from every pose of training. */
function excess(x: ArrayLike<number>, { joints, poses, radius }: TrainedRegion): number {
  let nearest = Number.POSITIVE_INFINITY;
  for (const row of poses) {
    let largest = 0;
    for (let j = 0; j < joints.length; j++) {
      const at = 3 * (joints[j]! - 1);
      largest = Math.max(largest, Math.hypot(x[at]! - row[3 * j]!, x[at + 1]! - row[3 * j + 1]!, x[at + 2]! - row[3 * j + 2]!));
    }
    nearest = Math.min(nearest, largest);
  }
  return Math.max(nearest - radius, 0);
}

/** Network inputs as they are used: clamped to their range, then regions unlike training drawn towards their mean. */
export function safeInputs(x: Float32Array<ArrayBuffer>, { input_range, trained_regions }: Trained): Float32Array<ArrayBuffer> {
  const out = x.slice();
  if (input_range) out.forEach((value, i) => (out[i] = Math.min(Math.max(value, input_range[0]![i]!), input_range[1]![i]!)));
  for (const region of trained_regions ?? []) {
    const beyond = excess(x, region);
    if (beyond === 0) continue;
    const keep = Math.exp(-0.5 * (beyond / region.softness) ** 2);
    region.joints.forEach((joint, j) => {
      for (let k = 0; k < 3; k++) {
        const [at, mean] = [3 * (joint - 1) + k, region.mean[3 * j + k]!];
        out[at] = mean + keep * (out[at]! - mean);
      }
    });
  }
  return out;
}

/** By region: radians beyond what training saw, 0 inside. */
export function poseDistance(x: Float32Array, { input_range, trained_regions }: Trained): Map<string, number> {
  const past = (i: number) => (input_range ? Math.max(input_range[0]![i]! - x[i]!, x[i]! - input_range[1]![i]!, 0) : 0);
  const beyond = (joint: number) => Math.hypot(...[0, 1, 2].map((k) => past(3 * (joint - 1) + k)));
  return new Map((trained_regions ?? []).map((region) => [region.name, Math.max(excess(x, region), ...region.joints.map(beyond))]));
}
