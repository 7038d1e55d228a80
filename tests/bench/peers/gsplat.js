/** gsplat.js. Its cameras have OpenCV axes, its quaternions are (x, y, z, w). */
import * as SPLAT from "gsplat";

/** From camera to world: a turn about the world's y, after one about x that makes the camera upright and look down. */
function orientation(eye, target) {
  const [x, y, z] = eye.map((value, i) => value - target[i]);
  const turn = Math.atan2(x, z) / 2;
  const tilt = (Math.PI - Math.atan2(y, Math.hypot(x, z))) / 2;
  const [c, s] = [Math.cos(turn), Math.sin(turn)];
  return new SPLAT.Quaternion(c * Math.sin(tilt), s * Math.cos(tilt), -s * Math.sin(tilt), c * Math.cos(tilt));
}

export async function open(canvas, view) {
  const scene = new SPLAT.Scene();
  const camera = new SPLAT.Camera();
  const renderer = new SPLAT.WebGLRenderer(canvas);
  await SPLAT.PLYLoader.LoadAsync("splats.ply", scene, () => {});
  const { gl } = renderer;
  const pixel = new Uint8Array(4);
  return {
    setSize(pixels) {
      const focal = pixels / 2 / Math.tan(view.fov / 2);
      camera.data.fx = camera.data.fy = focal;
      renderer.setSize(pixels, pixels);
      const { program } = renderer.renderProgram; // told only once, by the first picture: splats would keep that one's size
      gl.useProgram(program);
      gl.uniform2f(gl.getUniformLocation(program, "focal"), focal, focal);
    },
    async frame(eye) {
      camera.position = new SPLAT.Vector3(...eye);
      camera.rotation = orientation(eye, view.target);
      renderer.render(scene, camera);
      gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    },
  };
}
