import assert from "node:assert/strict";
import test from "node:test";
import { Slices } from "../src/slices";
import { decodeStream } from "../src/streams";

const CODINGS = ["plain", "zigzag", "delta"] as const;

/** One integer after the other, as FORMAT.md has it: the slow twin. */
function slowly(raw: Uint8Array, rows: number, columns: number, signed: boolean, coding: string, planes: number): number[] {
  const [whole, half] = [2 ** (8 * planes), 2 ** (8 * planes - 1)];
  const wrap = (x: number) => {
    const y = ((x % whole) + whole) % whole;
    return (signed || planes === 4) && y >= half ? y - whole : y; // four bytes are handed out as signed numbers
  };
  const out: number[] = [];
  for (let c = 0; c < columns; c++) {
    let above = 0;
    for (let i = 0; i < rows; i++) {
      let u = 0;
      for (let k = 0; k < planes; k++) u += raw[(c * planes + k) * rows + i]! * 2 ** (8 * k);
      const folded = u % 2 === 0 ? u / 2 : -(u + 1) / 2;
      const value = coding === "plain" ? u : coding === "zigzag" ? folded : above + folded;
      above = wrap(value);
      out.push(above);
    }
  }
  return out;
}

test("integers of every width, sign and coding are what the slow twin makes of them, wrapping included", async () => {
  const [rows, columns] = [23, 3];
  for (const planes of [1, 2, 3, 4]) {
    for (const signed of [false, true]) {
      for (const coding of CODINGS) {
        const raw = Uint8Array.from({ length: rows * columns * planes }, (_, i) => (i * 151 + (i >> 3) * 77) & 255);
        const expected = slowly(raw, rows, columns, signed, coding, planes);
        const { values } = await decodeStream(raw, { rows, columns, signed }, coding, planes, new Slices());
        assert.deepEqual([...values], expected, `${planes} bytes, ${signed ? "signed" : "unsigned"}, ${coding}`);
      }
    }
  }
});
