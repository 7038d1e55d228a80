/** GaussianSplats3D, on three.js. */
import { LogLevel, SceneRevealMode, Viewer } from "@mkkellogg/gaussian-splats-3d";
import { makeScene } from "./three_scene.js";

export async function open(canvas, view) {
  const { renderer, camera, setSize, look, finish } = makeScene(canvas, view);
  const viewer = new Viewer({
    selfDrivenMode: false,
    renderer,
    camera,
    useBuiltInControls: false,
    rootElement: canvas.parentElement,
    sceneRevealMode: SceneRevealMode.Instant,
    logLevel: LogLevel.None,
    gpuAcceleratedSort: false, // reading distances back from a software driver costs more than computing them
  });
  await viewer.addSplatScene("splats.ply", { showLoadingUI: false, progressiveLoad: false });
  return {
    setSize,
    async frame(eye) {
      look(eye);
      viewer.update();
      viewer.render();
      finish();
    },
  };
}
