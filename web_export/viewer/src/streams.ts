/** Integers as sections: differences along the rows, zigzag, byte planes. Twin: streams.py, which says how they lie. */
import type { Slices } from "./slices";

export interface StreamShape {
  readonly rows: number;
  readonly columns: number;
  readonly signed: boolean;
}

/** A table of integers, column after column; four-byte ones are the bits of floats, as signed numbers. */
export interface Stream extends StreamShape {
  readonly values: Int32Array<ArrayBuffer>;
}

export async function decodeStream(raw: Uint8Array, shape: StreamShape, coding: string, planes: number, slices: Slices): Promise<Stream> {
  const { rows, columns, signed } = shape;
  const values = new Int32Array(rows * columns);
  const shift = 32 - 8 * planes;
  for (let column = 0; column < columns; column++) {
    const out = values.subarray(column * rows, (column + 1) * rows);
    for (let plane = 0; plane < planes; plane++) {
      const bytes = raw.subarray((column * planes + plane) * rows, (column * planes + plane + 1) * rows);
      const up = 8 * plane;
      if (plane === 0) out.set(bytes);
      else for (let i = 0; i < rows; i++) out[i]! |= bytes[i]! << up;
    }
    if (coding === "zigzag") for (let i = 0; i < rows; i++) out[i] = (out[i]! >>> 1) ^ -(out[i]! & 1);
    if (coding === "delta") {
      let sum = 0;
      for (let i = 0; i < rows; i++) {
        sum = (sum + ((out[i]! >>> 1) ^ -(out[i]! & 1))) | 0;
        out[i] = sum;
      }
    }
    if (shift > 0) {
      if (signed) for (let i = 0; i < rows; i++) out[i] = (out[i]! << shift) >> shift;
      else if (coding !== "plain") for (let i = 0; i < rows; i++) out[i] = (out[i]! << shift) >>> shift;
    }
    await slices.breathe();
  }
  return { ...shape, values };
}

/** One column. */
export function column(stream: Stream, index: number): Int32Array<ArrayBuffer> {
  return stream.values.subarray(index * stream.rows, (index + 1) * stream.rows);
}
