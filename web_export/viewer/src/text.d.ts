declare module "*.wgsl" {
  const source: string;
  export default source;
}

declare module "*.css" {
  const text: string;
  export default text;
}
