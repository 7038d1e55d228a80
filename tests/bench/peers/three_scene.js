/** What the two viewers on three.js share. */
import * as THREE from "three";

export function makeScene(canvas, view) {
  const renderer = new THREE.WebGLRenderer({ canvas, antialias: false });
  renderer.setPixelRatio(1);
  renderer.setClearColor(0xf0f0f0);
  const camera = new THREE.PerspectiveCamera((180 / Math.PI) * view.fov, 1, 0.01, 100);
  const pixel = new Uint8Array(4);
  const gl = renderer.getContext();
  return {
    renderer,
    camera,
    setSize: (pixels) => renderer.setSize(pixels, pixels, false),
    look(eye) {
      camera.position.set(...eye);
      camera.lookAt(...view.target);
      camera.updateMatrixWorld();
    },
    /** Reading a pixel waits for the GPU; WebGL has nothing else that does. */
    finish: () => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel),
  };
}
