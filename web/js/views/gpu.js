/**
 * The one WebGL 2 context of all nodes, because browsers give only a few: programs that fill its canvas, and textures for them.
 *
 * What it paints is copied to each node's own canvas.
 */

const VERTEX = `#version 300 es
in vec2 corner;
void main() { gl_Position = vec4(corner, 0.0, 1.0); }`;

export const BACKGROUND = 24; // where no picture is
// How many pixels of a picture, in each direction, stand for one of the canvas: by WebGL, and by hand.
export const MOST_SAMPLES = 4;
export const HAND_SAMPLES = 2;

/** The same for a `step` of so many pixels of the picture. */
export const samplesFor = (step, most) => Math.min(most, Math.max(1, Math.ceil(step - 1e-6)));

const shared = {};

/** The context, or null: none where WebGL would be computed by the processor, which by hand is many times faster; `alsoSlow` takes it. */
export function gpuOf(alsoSlow) {
  const kind = alsoSlow ? "any" : "fast";
  if (shared[kind] === undefined || shared[kind]?.gl.isContextLost()) {
    try {
      shared[kind] = new Gpu(alsoSlow);
    } catch {
      shared[kind] = null;
    }
  }
  return shared[kind];
}

class Gpu {
  constructor(alsoSlow) {
    this.canvas = document.createElement("canvas");
    const gl = this.canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, failIfMajorPerformanceCaveat: !alsoSlow });
    if (!gl) throw new Error("no WebGL 2");
    // The flag above is not heeded everywhere, so the name is looked at too.
    const names = gl.getExtension("WEBGL_debug_renderer_info");
    const renderer = names ? gl.getParameter(names.UNMASKED_RENDERER_WEBGL) : "";
    if (!alsoSlow && /swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer)) throw new Error("WebGL by the processor");
    this.gl = gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    this.largest = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this.made = new Map();
    this.textures = new WeakMap();
  }

  /** Begin to paint with the fragment shader `source` on a canvas of [width, height]; the places of its uniforms, by name. */
  begin(source, width, height) {
    const { gl, canvas } = this;
    if (Math.max(width, height) > this.largest) throw new Error("too large");
    if (!this.made.has(source)) this.made.set(source, this.program(source));
    const { program, uniforms } = this.made.get(source);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.useProgram(program);
    gl.viewport(0, 0, width, height);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    return uniforms;
  }

  /** Paint it; the canvas. */
  finish() {
    this.gl.drawArrays(this.gl.TRIANGLES, 0, 3);
    return this.canvas;
  }

  program(source) {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, source]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "corner");
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "no shader");
    const uniforms = {};
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const { name } = gl.getActiveUniform(program, i);
      uniforms[name.replace("[0]", "")] = gl.getUniformLocation(program, name);
    }
    return { program, uniforms };
  }

  /** A texture that is read by places, texel by texel. */
  texture(target = this.gl.TEXTURE_2D) {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.bindTexture(target, texture);
    for (const [name, value] of [["MIN_FILTER", gl.NEAREST], ["MAG_FILTER", gl.NEAREST], ["WRAP_S", gl.CLAMP_TO_EDGE], ["WRAP_T", gl.CLAMP_TO_EDGE]]) {
      gl.texParameteri(target, gl[`TEXTURE_${name}`], value);
    }
    return texture;
  }

  /** Put the texture `key` of `owner` into a unit, made by `fill` the first time. The browser frees it with its owner, or `forget` does. */
  bind(unit, owner, key, fill, target = this.gl.TEXTURE_2D) {
    const { gl } = this;
    if (!this.textures.has(owner)) this.textures.set(owner, new Map());
    const own = this.textures.get(owner);
    gl.activeTexture(gl.TEXTURE0 + unit);
    if (own.has(key)) {
      gl.bindTexture(target, own.get(key));
      return;
    }
    const texture = this.texture(target);
    fill(gl);
    if (gl.getError() !== gl.NO_ERROR) {
      gl.deleteTexture(texture);
      throw new Error("no room for it");
    }
    own.set(key, texture);
  }
}

/** Free the textures of `owner` now: large ones should not wait for the browser. */
export function forget(owner) {
  for (const gpu of Object.values(shared)) {
    for (const texture of gpu?.textures.get(owner)?.values() ?? []) gpu.gl.deleteTexture(texture);
    gpu?.textures.delete(owner);
  }
}
