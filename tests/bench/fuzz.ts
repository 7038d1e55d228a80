/** Reads damaged avatar files for tests/bench/fuzz_bundle.py: a file of `uint32 length, bytes` rows in, a JSON list out. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { AvatarFile } from "../../web_export/viewer/src/avatar_file";
import { asViewerError, ViewerError } from "../../web_export/viewer/src/errors";
import { ARRAYS, type ArrayName } from "../../web_export/viewer/src/generated";
import { isMotionFile, readMotionFile } from "../../web_export/viewer/src/motion_file";

const collect = (globalThis as { gc?: () => void }).gc;
if (!collect) throw new Error("run with node --expose-gc");
const [source, target] = process.argv.slice(2) as [string, string];
const all = new Uint8Array(readFileSync(source));
const lengths = new DataView(all.buffer, all.byteOffset);
const found: object[] = [];
for (let at = 0; at < all.length; ) {
  const length = lengths.getUint32(at, true);
  const bytes = all.slice(at + 4, at + 4 + length);
  at += 4 + length;
  const started = performance.now();
  try {
    const hash = createHash("sha256");
    if (isMotionFile(bytes)) {
      const { fps, poses } = await readMotionFile(bytes).catch((error: unknown) => {
        throw asViewerError(error);
      });
      hash.update(new Uint8Array(Float64Array.of(fps).buffer));
      for (const { pose, Rh, Th, expression } of poses) for (const x of [pose, Rh, Th, expression]) hash.update(x);
    } else {
      const { sections } = await new AvatarFile(bytes.buffer).whole;
      for (const name of Object.keys(ARRAYS) as ArrayName[]) hash.update(sections[name]);
    }
    found.push({ sum: hash.digest("hex"), ms: performance.now() - started });
  } catch (error) {
    const isOurs = error instanceof ViewerError && error.code !== "internal";
    found.push({ error: (error as Error).message, is_ours: isOurs, ms: performance.now() - started });
  }
  collect(); // the peak is to be one file's, not that of garbage which nobody was in a hurry to collect
}
// not resourceUsage().maxRSS: Linux hands a child the peak of the process that started it
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
writeFileSync(target, JSON.stringify({ files: found, peak_kb: Number(peak) }));
