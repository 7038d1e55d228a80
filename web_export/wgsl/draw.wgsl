// Draws the sorted splats as quads, 128 quads per instance, blended by hardware with premultiplied alpha.
// Reads:  view, splats, order (nearest first), frame_state.x (visible count)
// Writes: the colour target
// One vertex invocation per corner (indexed: corners 0 1 2, 2 1 3 of quad v / 4), one fragment per covered pixel.
// Twin: nerfstudio_mobavatar.render.rasterize(backend="torch")

struct View {
  world_to_camera: array<vec4f, 3>,
  focal: vec2f,
  principal: vec2f,
  viewport: vec2f,
  near_plane: f32,
  blur: f32,
  pixel_filter: f32,
  num_splats: u32,
}

struct Corner {
  @builtin(position) position: vec4f,
  @location(0) @interpolate(flat) color: vec4f,
  @location(1) @interpolate(flat) axes: vec4f,  // px -> sigmas along the major and the minor axis
  @location(2) @interpolate(flat) center: vec2f,
}

const QUADS_PER_INSTANCE = 128u;
const MAX_ALPHA = 0.999;
const MIN_ALPHA = 1.0 / 255.0;

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> splats: array<vec4u>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> frame_state: vec4u;

@vertex
fn vertex(@builtin(vertex_index) index: u32, @builtin(instance_index) instance: u32) -> Corner {
  let rank = instance * QUADS_PER_INSTANCE + index / 4u;
  if (rank >= frame_state.x) {
    return Corner(vec4f(2.0, 2.0, 2.0, 1.0), vec4f(0.0), vec4f(0.0), vec2f(0.0));  // outside of the clip volume
  }
  let splat = order[frame_state.x - 1u - rank];  // farthest first
  let a = bitcast<vec4f>(splats[2u * splat]);
  let b = splats[2u * splat + 1u];
  let size = bitcast<vec2f>(b.xy);  // minor axis, radius
  let side = vec2f(f32(index % 2u), f32((index / 2u) % 2u)) * 2.0 - 1.0;
  let offset = side * size.y;
  let minor_axis = normalize(vec2f(-a.w, a.z)) * size.x;
  let pixel = a.xy + offset.x * a.zw + offset.y * minor_axis;
  let clip = pixel / view.viewport * vec2f(2.0, -2.0) + vec2f(-1.0, 1.0);
  let color = vec4f(unpack2x16float(b.z), unpack2x16float(b.w & 0xffffu).x, f32(b.w >> 16u) / 65535.0);
  let axes = vec4f(a.zw / dot(a.zw, a.zw), minor_axis / (size.x * size.x));
  return Corner(vec4f(clip, 0.0, 1.0), color, axes, a.xy);
}

@fragment
fn fragment(corner: Corner) -> @location(0) vec4f {
  // from the pixel and not interpolated: SwiftShader snaps corners to 1/16 px, a tenth of a sigma of the smallest splats
  let pixel = corner.position.xy - corner.center;
  let offset = vec2f(dot(pixel, corner.axes.xy), dot(pixel, corner.axes.zw));
  let alpha = min(MAX_ALPHA, corner.color.a * exp(-0.5 * dot(offset, offset)));
  if (alpha < MIN_ALPHA) {
    discard;
  }
  return vec4f(corner.color.rgb * alpha, alpha);
}
