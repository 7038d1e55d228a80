/**
 * Time and error of the page's inverse kinematics in Node; driven by pose_page.py. `node ik.mjs SKELETON.json REACHES`:
 * hands and feet are dragged in STEPS moves to where a random pose inside the ranges has them. Prints one line of JSON.
 */
import { readFile } from "node:fs/promises";
import { jointsOf, type EditedPose } from "../../web_export/viewer/src/posing/edited";
import { reach } from "../../web_export/viewer/src/posing/ik";
import { fromAngles, length, subtract } from "../../web_export/viewer/src/posing/limits";
import { type LimbName, LIMBS, LIMITS } from "../../web_export/viewer/src/posing/table";
import { quaternionToAxisAngle, type Vector } from "../../web_export/viewer/src/rotation";

const STEPS = 20;
/** Of the range to both sides: a pose at the very edge is one that people do not take. */
const USED = 0.8;

let state = 1;
/** Park and Miller 1988. */
const random = () => (state = (state * 48271) % 2147483647) / 2147483647;

function randomPose(): EditedPose {
  const pose = LIMITS.map(({ bone, low, high }, joint): Vector => {
    if (joint === 0 || joint > 21) return [0, 0, 0];
    const degrees = [0, 1, 2].map((k) => USED * (low[k]! + random() * (high[k]! - low[k]!))) as unknown as Vector;
    return quaternionToAxisAngle(fromAngles(degrees, bone));
  });
  return { pose, transl: [0, 0, 0], expression: [] };
}

const percentile = (sorted: readonly number[], share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;

async function main(): Promise<void> {
  const { rest, parent } = JSON.parse(await readFile(process.argv[2]!, "utf8")) as { rest: number[]; parent: number[] };
  const skeleton = { rest: Float32Array.from(rest), parent: Int32Array.from(parent) };
  const reaches = Number(process.argv[3]);
  const [milliseconds, misses]: [number[], number[]] = [[], []];
  const names = Object.keys(LIMBS) as LimbName[];
  /** The limb of one random pose put on the trunk of another, and the first pose's place of its end: it can be reached. */
  const drag = (name: LimbName) => {
    const { upper, lower, end } = LIMBS[name];
    const moved: readonly number[] = [upper, lower, end];
    let pose = randomPose();
    const limb = randomPose();
    const goal = jointsOf(skeleton, { ...pose, pose: pose.pose.map((v, j) => (moved.includes(j) ? limb.pose[j]! : v)) }).at[end]!;
    const from = jointsOf(skeleton, pose).at[end]!;
    for (let step = 1; step <= STEPS; step++) {
      const target = from.map((x, k) => x + (step / STEPS) * (goal[k]! - x)) as unknown as Vector;
      const start = performance.now();
      pose = reach(skeleton, pose, name, target);
      milliseconds.push(performance.now() - start);
    }
    misses.push(1000 * length(subtract(jointsOf(skeleton, pose).at[end]!, goal)));
  };
  for (let i = 0; i < 100; i++) drag(names[i % names.length]!);
  milliseconds.length = misses.length = 0;
  for (let i = 0; milliseconds.length < reaches; i++) drag(names[i % names.length]!);
  milliseconds.sort((a, b) => a - b);
  misses.sort((a, b) => a - b);
  console.log(
    JSON.stringify({
      ik_ms_p99: percentile(milliseconds, 0.99),
      ik_ms_median: percentile(milliseconds, 0.5),
      page_ik_error_mm_p99: percentile(misses, 0.99),
      page_ik_error_mm_median: percentile(misses, 0.5),
      reaches: milliseconds.length,
    }),
  );
}

await main();
