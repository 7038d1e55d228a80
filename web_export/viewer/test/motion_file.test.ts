import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";
import golden from "../../../tests/goldens/motion.json";
import { crc32 } from "../src/format";
import { loadMotion } from "../src/motion";
import { readMotionFile } from "../src/motion_file";
import { PoseError } from "../src/pose";

const NAME = "walk.pose.bin";
const bytes = () => new Uint8Array(readFileSync(`../../tests/goldens/${NAME}`)); // tests run in the viewer's folder

test("every number equals what pose_binary.py reads, bit for bit", async () => {
  const { fps, poses } = await readMotionFile(bytes());
  const hash = createHash("sha256").update(new Uint8Array(Float64Array.of(fps).buffer));
  for (const { pose, Rh, Th, expression } of poses) for (const x of [pose, Rh, Th, expression]) hash.update(x);
  assert.equal(hash.digest("hex"), golden[NAME]);
});

test("a motion's own rate is taken unless another is given, whatever the file is called", async () => {
  const found = await loadMotion(new File([bytes()], "dance.bin"));
  assert.deepEqual([found.name, found.frames, Math.fround(29.97)], ["dance", 40, found.fps]);
  assert.equal((await loadMotion(new File([bytes()], "dance.pose.bin"), 12)).fps, 12);
});

test("a changed byte anywhere is an error of the motion, which names the file", async () => {
  for (const place of [9, 13, 17, 21, 25, 30, 200, bytes().length - 2]) {
    const damaged = bytes();
    damaged[place]! ^= 4;
    await assert.rejects(loadMotion(new File([damaged], NAME)), { code: "bad-motion", message: /^walk\.pose\.bin: / }, `byte ${place}`);
  }
});

test("numbers that lie are refused although their checksum is right", async () => {
  const lies: [RegExp, (view: DataView) => void][] = [
    [/made by another version \(format 2/, (v) => v.setUint32(8, 2, true)],
    [/found 0 of 10 expressions/, (v) => v.setUint32(12, 0, true)],
    [/expands to/, (v) => v.setUint32(12, 39, true)],
    [/more than \d+ stored bytes can hold/, (v) => v.setUint32(12, 150_000, true)],
    [/of 401 expressions/, (v) => v.setUint32(16, 401, true)],
    [/at NaN a second/, (v) => v.setFloat32(20, Number.NaN, true)],
  ];
  for (const [words, lie] of lies) {
    const file = bytes();
    const view = new DataView(file.buffer, file.byteOffset);
    lie(view);
    view.setUint32(24, crc32(file.subarray(28), crc32(file.subarray(0, 24))), true);
    await assert.rejects(readMotionFile(file), (error: Error) => error instanceof PoseError && words.test(error.message), String(words));
  }
});
