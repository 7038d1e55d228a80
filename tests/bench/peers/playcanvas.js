/** PlayCanvas, WebGL2 (its default) or WebGPU. */
import * as pc from "playcanvas";

async function openWith(type, canvas, view) {
  const device = await pc.createGraphicsDevice(canvas, { deviceTypes: [type], antialias: false });
  if (device.deviceType !== type) throw new Error(`PlayCanvas opened ${device.deviceType}, expected ${type}`);
  const options = new pc.AppOptions();
  options.graphicsDevice = device;
  options.componentSystems = [pc.CameraComponentSystem, pc.GSplatComponentSystem];
  options.resourceHandlers = [pc.GSplatHandler];
  const app = new pc.AppBase(canvas);
  app.init(options);
  app.setCanvasResolution(pc.RESOLUTION_FIXED, canvas.width, canvas.height);
  app.autoRender = false;
  app.start();
  const asset = new pc.Asset("splats", "gsplat", { url: "splats.ply" });
  await new Promise((resolve, reject) => {
    asset.once("load", resolve);
    asset.once("error", (error) => reject(new Error(String(error))));
    app.assets.add(asset);
    app.assets.load(asset);
  });
  const person = new pc.Entity();
  person.addComponent("gsplat", { asset });
  const camera = new pc.Entity();
  camera.addComponent("camera", { fov: (180 / Math.PI) * view.fov, clearColor: new pc.Color(0.94, 0.94, 0.94), nearClip: 0.01, farClip: 100 });
  app.root.addChild(person);
  app.root.addChild(camera);
  const pixel = new Uint8Array(4);
  return {
    setSize: (pixels) => app.setCanvasResolution(pc.RESOLUTION_FIXED, pixels, pixels),
    async frame(eye) {
      camera.setPosition(...eye);
      camera.lookAt(...view.target);
      const drawn = new Promise((done) => app.once("frameend", done));
      app.renderNextFrame = true;
      await drawn;
      if (type === "webgpu") await device.wgpu.queue.onSubmittedWorkDone();
      else device.gl.readPixels(0, 0, 1, 1, device.gl.RGBA, device.gl.UNSIGNED_BYTE, pixel);
    },
  };
}

export const openWebgl2 = (canvas, view) => openWith("webgl2", canvas, view);
export const openWebgpu = (canvas, view) => openWith("webgpu", canvas, view);
