/**
 * GPU time of the viewer's own passes through Dawn in Node, without a browser; driven by runtime.py.
 * `node dawn.mjs JOB.json`: reads a Job, prints one line of JSON. Built by `npm run bench` in web_export/viewer.
 */
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { AvatarFile } from "../../web_export/viewer/src/avatar_file";
import type { Camera } from "../../web_export/viewer/src/camera";
import { GpuContext } from "../../web_export/viewer/src/context";
import { AvatarInstance } from "../../web_export/viewer/src/instance";
import { AvatarModel } from "../../web_export/viewer/src/model";
import type { Timing } from "../../web_export/viewer/src/pass_timer";
import { parsePoses, type Pose } from "../../web_export/viewer/src/pose";
import { Renderer } from "../../web_export/viewer/src/renderer";

interface Job {
  /** index.js of the npm package `webgpu`. */
  readonly dawn: string;
  readonly flags: readonly string[];
  readonly poses: string;
  readonly camera: Camera;
  readonly repeats: number;
  /** The card runs frames for so long before anything is timed: it raises its clock slowly. */
  readonly warmup_ms: number;
  /** Frames before each timed one without waiting, so that it keeps the clock. */
  readonly burst: number;
  readonly cases: readonly { readonly name: string; readonly file: string; readonly instances: number }[];
}

interface Dawn {
  create(flags: readonly string[]): GPU;
  readonly globals: object;
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Medians of every part over `repeats` timed frames, each with a new pose. */
async function measure(renderer: Renderer, people: readonly AvatarInstance[], poses: readonly Pose[], job: Job, timing: Timing) {
  const times = new Map<string, number[]>();
  let at = 0;
  const frame = () => {
    for (const person of people) person.setPose(poses[at++ % poses.length]!);
    renderer.compute(people, job.camera);
  };
  for (const start = performance.now(); performance.now() - start < job.warmup_ms; await renderer.finished()) {
    for (let k = 0; k < job.burst; k++) frame();
  }
  for (let i = 0; i < job.repeats; i++) {
    renderer.timing = "off";
    for (let k = 0; k < job.burst; k++) frame();
    renderer.timing = timing;
    frame();
    const { partsMs } = await renderer.stats();
    for (const [name, ms] of Object.entries(partsMs)) times.set(name, [...(times.get(name) ?? []), ms]);
  }
  return Object.fromEntries([...times].map(([name, values]) => [name, median(values)]));
}

async function run(job: Job) {
  const dawn = (await import(pathToFileURL(job.dawn).href)) as Dawn;
  const gpu = dawn.create(job.flags);
  Object.assign(globalThis, dawn.globals, { gpu }); // whatever is collected takes its device along
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("Dawn finds no adapter: expected a Vulkan driver");
  const device = await adapter.requestDevice({ requiredFeatures: ["timestamp-query"] });
  device.addEventListener("uncapturederror", ({ error }) => {
    console.error(error.message);
    process.exit(1);
  });
  const poses = parsePoses(await readFile(job.poses, "utf8"));
  const context = await GpuContext.create(device, "rgba8unorm");
  const cases: Record<string, object> = {};
  for (const { name, file, instances } of job.cases) {
    const avatar = await new AvatarFile(new Uint8Array(await readFile(file)).buffer).whole;
    const model = await AvatarModel.upload(context, avatar);
    const renderer = new Renderer(context);
    const people = Array.from({ length: instances }, (_, i) => {
      const person = new AvatarInstance(model);
      const x = 0.25 * (i - (instances - 1) / 2); // side by side, all in the picture
      person.transform = [1, 0, 0, x, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
      return person;
    });
    const { compute } = await measure(renderer, people, poses, job, "parts");
    const passes = await measure(renderer, people, poses, job, "passes");
    renderer.timing = "parts";
    await renderer.readPixels(people, job.camera, [1, 1, 1]);
    const { splats, visibleSplats, fragments, bytes, partsMs } = await renderer.stats();
    const target = 4 * job.camera.width * job.camera.height; // what a canvas of this size takes while it is drawn
    cases[name] = { computeMs: compute, passesMs: passes, drawMs: partsMs.draw, splats, visibleSplats, fragments, bytes: bytes + target };
    for (const person of people) person.dispose();
    renderer.dispose();
    model.dispose();
  }
  const { vendor, architecture, device: card, description } = adapter.info;
  return { adapter: [vendor, architecture, card, description].filter(Boolean).join(" "), cases };
}

const path = process.argv[2];
if (path === undefined) throw new Error("usage: node dawn.mjs JOB.json");
console.log(JSON.stringify(await run(JSON.parse(await readFile(path, "utf8")) as Job)));
process.exit(0); // Dawn keeps its threads
