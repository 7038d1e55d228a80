/** Half precision numbers, rounded as numpy rounds them: to float32 first, then to nearest even. Twin: records.py. */

const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);
/** Adding and taking it away rounds a number below 2^51 to an integer, to nearest even. */
const ROUNDER = 1.5 * 2 ** 52;

/** Bits of the half next to `x`; beyond 65504 those of infinity. */
export function halfBits(x: number): number {
  single[0] = x;
  const b = bits[0]!;
  const sign = (b >>> 16) & 0x8000;
  const magnitude = b & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude < 0x38800000) {
    bits[0] = magnitude;
    return sign | (single[0]! * 2 ** 24 + ROUNDER - ROUNDER); // a subnormal half counts in steps of 2^-24
  }
  const rebased = magnitude - 0x38000000;
  return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
}

export function fromHalf(half: number): number {
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  const magnitude =
    exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? Number.NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return half & 0x8000 ? -magnitude : magnitude;
}
