/** The WGSL sources, inlined by the build. The type makes a pass without its shader a compile error. */
import draw from "../../wgsl/draw.wgsl";
import features from "../../wgsl/features.wgsl";
import nodes from "../../wgsl/nodes.wgsl";
import project from "../../wgsl/project.wgsl";
import sortHistogram from "../../wgsl/sort_histogram.wgsl";
import sortScan from "../../wgsl/sort_scan.wgsl";
import sortScatter from "../../wgsl/sort_scatter.wgsl";
import stage from "./stage.wgsl";
import type { PASSES } from "./generated";

export type ShaderName = (typeof PASSES)[number]["shader"] | "draw.wgsl" | "stage.wgsl";

export const SHADERS: Record<ShaderName, string> = {
  "draw.wgsl": draw,
  "features.wgsl": features,
  "nodes.wgsl": nodes,
  "project.wgsl": project,
  "sort_histogram.wgsl": sortHistogram,
  "sort_scan.wgsl": sortScan,
  "sort_scatter.wgsl": sortScatter,
  "stage.wgsl": stage,
};
