/** Spark, on three.js. */
import { SparkRenderer, SplatMesh } from "@sparkjsdev/spark";
import * as THREE from "three";
import { makeScene } from "./three_scene.js";

export async function open(canvas, view) {
  const { renderer, camera, setSize, look, finish } = makeScene(canvas, view);
  const scene = new THREE.Scene();
  scene.add(new SparkRenderer({ renderer }));
  const person = new SplatMesh({ url: "splats.ply" });
  await person.initialized;
  scene.add(person);
  return {
    setSize,
    async frame(eye) {
      look(eye);
      renderer.render(scene, camera);
      finish();
    },
  };
}
