/** Integers as sections: differences along the rows, zigzag, byte planes. Twin: integer_tables.py, which says how they lie. */
import type { Slices } from "./slices";

export interface StreamShape {
  readonly rows: number;
  readonly columns: number;
  readonly signed: boolean;
}

type Of<Array> = Array & { readonly buffer: ArrayBuffer };
/** As narrow as the file has them: most are bytes, which are read where they were expanded to. */
export type Integers = Of<Int8Array> | Of<Uint8Array> | Of<Int16Array> | Of<Uint16Array> | Of<Int32Array>;

/** A table of integers, column after column; four-byte ones are the bits of floats, as signed numbers. */
export interface Stream extends StreamShape {
  readonly values: Integers;
  /** Bytes of an integer. */
  readonly planes: number;
}

/** Takes `raw` over: bytes are decoded in place. */
export async function decodeStream(raw: Uint8Array<ArrayBuffer>, shape: StreamShape, coding: string, planes: number, slices: Slices): Promise<Stream> {
  const { rows, columns, signed } = shape;
  const values = room(raw, rows * columns, signed, planes);
  for (let column = 0; column < columns; column++) {
    const out = values.subarray(column * rows, (column + 1) * rows) as Integers;
    const bytes = raw.subarray(column * planes * rows, (column + 1) * planes * rows);
    if (planes === 2) joinTwo(out, bytes);
    else if (planes > 2) joinMore(out, bytes, planes);
    // what is stored wraps at the width of `out`, except that of three bytes
    if (coding === "zigzag") unzigzag(out, 8 * planes);
    if (coding === "delta") accumulate(out, 8 * planes);
    if (planes === 3) wrapThree(out, signed);
    await slices.breathe();
  }
  return { ...shape, values, planes };
}

function room(raw: Uint8Array<ArrayBuffer>, items: number, signed: boolean, planes: number): Integers {
  if (planes === 1) return signed ? new Int8Array(raw.buffer, raw.byteOffset, items) : raw;
  if (planes === 2) return signed ? new Int16Array(items) : new Uint16Array(items);
  return new Int32Array(items);
}

function joinTwo(out: Integers, bytes: Uint8Array): void {
  const rows = out.length;
  for (let i = 0; i < rows; i++) out[i] = bytes[i]! | (bytes[rows + i]! << 8);
}

function joinMore(out: Integers, bytes: Uint8Array, planes: number): void {
  const rows = out.length;
  out.set(bytes.subarray(0, rows));
  for (let plane = 1; plane < planes; plane++) {
    const from = plane * rows;
    for (let i = 0; i < rows; i++) out[i]! |= bytes[from + i]! << (8 * plane);
  }
}

function unzigzag(out: Integers, bits: number): void {
  const mask = -1 >>> (32 - bits);
  for (let i = 0; i < out.length; i++) {
    const u = out[i]! & mask;
    out[i] = (u >>> 1) ^ -(u & 1);
  }
}

function accumulate(out: Integers, bits: number): void {
  const mask = -1 >>> (32 - bits);
  let sum = 0;
  for (let i = 0; i < out.length; i++) {
    const u = out[i]! & mask;
    sum = (sum + ((u >>> 1) ^ -(u & 1))) | 0;
    out[i] = sum;
  }
}

function wrapThree(out: Integers, signed: boolean): void {
  for (let i = 0; i < out.length; i++) out[i] = signed ? (out[i]! << 8) >> 8 : out[i]! & 0xffffff;
}

/** One column. */
export function column(stream: Stream, index: number): Integers {
  return stream.values.subarray(index * stream.rows, (index + 1) * stream.rows) as Integers;
}

/** All of them. */
export function columns(stream: Stream): Integers[] {
  return Array.from({ length: stream.columns }, (_, index) => column(stream, index));
}
