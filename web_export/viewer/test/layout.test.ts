import assert from "node:assert/strict";
import test from "node:test";
import golden from "../../../tests/goldens/layout.json";
import type { Header } from "../src/format";
import { checkHeader, dimensions, keptTable, modelStruct, sceneDimensions, structBytes } from "../src/layout";

const headerOf = (header: object) => ({ ...header, meta: {}, payload_bytes: 0 }) as unknown as Header;

for (const { name, header, dimensions: counts, scene_dimensions, model, kept, kept_table } of golden.cases) {
  test(`sizes, Model and kept table equal layout.py: ${name}`, () => {
    assert.deepEqual(dimensions(headerOf(header)), counts);
    assert.deepEqual(sceneDimensions(3 * header.num_gaussians + 1), scene_dimensions);
    assert.equal(Buffer.from(modelStruct(headerOf(header))).toString("hex"), model);
    const lists = kept.map((list) => Uint32Array.from(list));
    if (kept_table.length > 0) assert.deepEqual([...keptTable(header.num_gaussians, lists)], kept_table);
    checkHeader(headerOf(header));
  });
}

for (const { name, header, message } of golden.bad) {
  test(`what does not fit is refused in layout.py's words: ${name}`, () => {
    // lists are printed with other brackets
    const found = (() => {
      try {
        checkHeader(headerOf(header));
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    })();
    const plain = (text: string) => text.replace(/[[\] ]/g, "");
    assert.equal(plain(found), plain(message));
  });
}

test("a struct's short array is filled with zeros", () => {
  const joints = Float32Array.from({ length: 660 }, (_, i) => i);
  const bytes = new Float32Array(structBytes("PoseInput", { joints, inputs: [7, 8] }));
  assert.deepEqual([...bytes.subarray(659, 664)], [659, 7, 8, 0, 0]);
});
