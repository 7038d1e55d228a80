/** Levels of detail: prefixes of an avatar's Gaussians, drawn larger where the person is small. Twin of detail.py. */

export interface Level {
  /** The first so many Gaussians are drawn. */
  readonly count: number;
  /** Factor of all their standard deviations. */
  readonly enlarge: number;
  /** Up to so many pixels per metre nothing is lost; 0: nowhere. */
  readonly pixels_per_metre: number;
}

const MAX_ENLARGE = 16;
/** A coarser level is taken only where the person is smaller than it needs to be by this factor: no swinging to and fro. */
const MARGIN = 1.15;

/** Whether a file's levels make sense: counts and pixels ascend, nothing reaches the whole avatar. */
export function areLevels(levels: unknown, numGaussians: number): levels is readonly Level[] {
  if (!Array.isArray(levels)) return false;
  const before = { count: 0, pixels_per_metre: 0 };
  return levels.every((level: Partial<Level> | null, i) => {
    const { count, enlarge, pixels_per_metre: pixels } = level ?? {};
    const last: { count: number; pixels_per_metre: number } = i > 0 ? levels[i - 1] : before;
    return (
      Number.isInteger(count) && Number.isFinite(enlarge) && Number.isFinite(pixels) &&
      count! > last.count && count! < numGaussians && enlarge! > 0 && enlarge! <= MAX_ENLARGE && pixels! >= last.pixels_per_metre
    );
  });
}

/** All that can be drawn, coarsest first; the last is the whole avatar. */
export function allLevels({ num_gaussians: count, levels = [] }: { readonly num_gaussians: number; readonly levels?: readonly Level[] }): readonly Level[] {
  return [...levels, { count, enlarge: 1, pixels_per_metre: Number.POSITIVE_INFINITY }];
}

/**
 * How many steps below the whole avatar (the last of `levels`) a person may be drawn at so many pixels per metre: the coarsest
 * that loses nothing. What is shown now (`current` steps) is kept within the margin.
 */
export function chooseLevel(levels: readonly Level[], pixelsPerMetre: number, current: number): number {
  const last = levels.length - 1;
  return last - levels.findIndex((level, i) => pixelsPerMetre * (last - i > current ? MARGIN : 1) <= level.pixels_per_metre);
}
