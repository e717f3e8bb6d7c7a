// Joins colour and alpha, which arrive one above the other in one video, to a transparent picture on a canvas.
//
// The colour is straight: multiplied by alpha here, at alpha's full resolution, it gives the exact blend. Colour that is
// already multiplied loses saturation at edges, because video halves the resolution of hues.

const VERTEX = `
  attribute vec2 corner;
  varying vec2 at;
  void main() {
    at = vec2(corner.x, 1.0 - corner.y);
    gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
  }`;
const RESTORED_MS = 10_000; // a lost context that is not restored by then never is
const TRACE = 3; // lower levels of alpha are traces that the encoder left where it is 0
// Half a texel from the seam: filtering never mixes the two halves.
const FRAGMENT = `
  precision highp float;
  varying vec2 at;
  uniform sampler2D stack;
  uniform float rows;
  void main() {
    float y = clamp(at.y, 0.5 / rows, 1.0 - 0.5 / rows) * 0.5;
    float alpha = texture2D(stack, vec2(at.x, y + 0.5)).g;
    alpha *= step(${TRACE - 0.5} / 255.0, alpha);
    gl_FragColor = vec4(texture2D(stack, vec2(at.x, y)).rgb * alpha, alpha);
  }`;

/** Shows joined pictures on the canvas, by WebGL where the browser has it: OBS has none without a GPU. */
export function joinOn(canvas) {
  const options = { alpha: true, premultipliedAlpha: true, antialias: false, depth: false };
  const gl = canvas.getContext("webgl", options);
  return gl ? new JoinedByWebGl(canvas, gl) : new JoinedByProcessor(canvas);
}

class JoinedByWebGl {
  constructor(canvas, gl) {
    Object.assign(this, { canvas, gl });
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // then it is restored
      canvas.style.visibility = "hidden"; // otherwise the last picture stands still
      setTimeout(() => gl.isContextLost() && location.reload(), RESTORED_MS);
    });
    canvas.addEventListener("webglcontextrestored", () => {
      this.#prepare();
      canvas.style.visibility = "visible";
    });
    this.#prepare();
  }

  /** Draw the video's current picture. */
  draw(video) {
    const { canvas, gl } = this;
    const [width, height] = [video.videoWidth, video.videoHeight / 2];
    if (!width || gl.isContextLost()) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, video);
    gl.uniform1f(this.rows, height);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /** Show nothing. */
  clear() {
    this.gl.clear(this.gl.COLOR_BUFFER_BIT);
  }

  #prepare() {
    const { gl } = this;
    const program = gl.createProgram();
    gl.attachShader(program, this.#shader(gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, this.#shader(gl.FRAGMENT_SHADER, FRAGMENT));
    gl.bindAttribLocation(program, 0, "corner");
    gl.linkProgram(program);
    gl.useProgram(program);
    this.rows = gl.getUniformLocation(program, "rows");
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.LINEAR);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    gl.clearColor(0, 0, 0, 0);
  }

  #shader(kind, source) {
    const shader = this.gl.createShader(kind);
    this.gl.shaderSource(shader, source);
    this.gl.compileShader(shader);
    return shader;
  }
}

class JoinedByProcessor {
  constructor(canvas) {
    Object.assign(this, { canvas, out: canvas.getContext("2d") });
    this.stack = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  }

  /** As with WebGL. The canvas multiplies the colour by alpha itself. */
  draw(video) {
    const [width, height] = [video.videoWidth, video.videoHeight / 2];
    if (!width) return;
    for (const [canvas, rows] of [[this.canvas, height], [this.stack.canvas, 2 * height]]) {
      if (canvas.width !== width || canvas.height !== rows) Object.assign(canvas, { width, height: rows });
    }
    this.stack.drawImage(video, 0, 0);
    const picture = this.stack.getImageData(0, 0, width, height);
    const { data: alpha } = this.stack.getImageData(0, height, width, height);
    for (let at = 3; at < alpha.length; at += 4) picture.data[at] = alpha[at - 2] < TRACE ? 0 : alpha[at - 2];
    this.out.putImageData(picture, 0, 0);
  }

  clear() {
    this.out.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }
}
