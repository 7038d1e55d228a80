// Lays the accumulated picture over the background colour.
// Reads:  view.background, accumulation (premultiplied)
// Writes: the colour target, opaque; linear rgb as it is, clamped by the target's format
// One fragment per pixel (one triangle that covers the screen).

struct View {
  world_to_camera: array<vec4f, 3>,
  background: vec4f,
  focal: vec2f,
  principal: vec2f,
  viewport: vec2f,
  near_plane: f32,
  blur: f32,
  num_splats: u32,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var accumulation: texture_2d<f32>;

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
  let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u));
  return vec4f(corner * 2.0 - 1.0, 0.0, 1.0);
}

@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
  let accumulated = textureLoad(accumulation, vec2i(position.xy), 0);
  return vec4f(accumulated.rgb + (1.0 - accumulated.a) * view.background.rgb, 1.0);
}
