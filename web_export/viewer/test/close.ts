import assert from "node:assert/strict";

/** Every number within `tolerance` of its twin. */
export function close(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(found.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(found[i]! - expected[i]!);
    assert.ok(difference <= tolerance, `item ${i}: found ${found[i]}, expected ${expected[i]}`);
  }
}
