/* The flow transformer of flowlib, in a worker: embed -> flow -> read out.

       u_t ∈ A(u) + L(u) - N_S(u),     u(0) = P(E[letters] + position),     p(next letter) = softmax(E u(T))

   The names are the library's: flowlib/operators/attention.py (attend), local.py, projection.py (project),
   flowlib/flow/depth.py (terms at a depth), equation.py (step, flow), flowlib/models/language.py (the rest).
   A field is a Float32Array of (token, feature), one token after the other. Sums are taken in double precision. */
"use strict";

// ------------------------------------------------------------------------------------------------ the file

/** The tensors of a safetensors file, name -> {shape, data}: 8 bytes say how long the header is; then the header, as
    JSON; then the numbers. */
function parse(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const tensors = {};
  delete header.__metadata__;  // the model's settings, as the library writes them
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    if (dtype !== "F32") throw new Error(`${name} is stored as ${dtype}; this page reads F32`);
    tensors[name] = { shape, data: new Float32Array(buffer.slice(8 + length + from, 8 + length + to)) };
  }
  return tensors;
}

/** {config, embed, position, layers: one {attention, local} for each layer or knot}. */
function load(buffer, config) {
  const known = { norm: "post", scheme: "lie", activation: "gelu", bias: false };
  for (const [name, value] of Object.entries(known)) {
    if (config[name] !== value) throw new Error(`this page knows models with ${name} ${value}, not ${config[name]}`);
  }
  const tensors = parse(buffer);
  const at = (k, i, name) => tensors[`flow.depth.layers.${k}.${i}.${name}.weight`];
  const layers = Array.from({ length: config.layers }, (_, k) => ({
    attention: { qkv: at(k, 0, "qkv"), out: at(k, 0, "out") },
    local: { up: at(k, 1, "up"), down: at(k, 1, "down") },
  }));
  return { config, embed: tensors["embed.weight"], position: tensors["position.weight"], layers };
}

// ------------------------------------------------------------------------------------------------ the three terms

/** W u(x) at every token x: (token, in) -> (token, out). Four tokens at a time, so that W is read once for the four. */
function linear(W, u) {
  const [out, width] = W.shape, n = u.length / width, w = W.data, z = new Float32Array(n * out);
  for (let x = 0; x < n; x += 4) {
    const [x1, x2, x3] = [x + 1, x + 2, x + 3].map((one) => Math.min(one, n - 1)); // the last ones may come twice
    const [p, p1, p2, p3] = [x, x1, x2, x3].map((one) => one * width);
    for (let y = 0; y < out; y++) {
      let s = 0, s1 = 0, s2 = 0, s3 = 0;
      for (let i = 0, j = y * width; i < width; i++, j++) {
        const c = w[j];
        s += c * u[p + i]; s1 += c * u[p1 + i]; s2 += c * u[p2 + i]; s3 += c * u[p3 + i];
      }
      z[x3 * out + y] = s3; z[x2 * out + y] = s2; z[x1 * out + y] = s1; z[x * out + y] = s;
    }
  }
  return z;
}

/** I.  A(u)(x) = W^O · concat_heads Σ_{x̃ ≤ x} γ(x, x̃) V(x̃),   γ = exp(⟨Q(x), K(x̃)⟩ / √d) / Σ_{x̃ ≤ x} exp(…).
    `kernel` (head, x, x̃) takes γ down: who hears whom. */
function attend({ qkv, out }, u, heads, kernel) {
  const width = out.shape[0], d = width / heads, n = u.length / width, z = linear(qkv, u);
  const heard = new Float32Array(n * width), gamma = new Float64Array(n);
  for (let head = 0; head < heads; head++) {
    for (let x = 0; x < n; x++) {
      const q = x * 3 * width + head * d;
      let largest = -Infinity, total = 0;
      for (let other = 0; other <= x; other++) {
        const k = other * 3 * width + width + head * d;
        let score = 0;
        for (let i = 0; i < d; i++) score += z[q + i] * z[k + i];
        gamma[other] = score / Math.sqrt(d);
        largest = Math.max(largest, gamma[other]);
      }
      for (let other = 0; other <= x; other++) total += gamma[other] = Math.exp(gamma[other] - largest);
      for (let other = 0; other <= x; other++) {
        const share = gamma[other] / total, v = other * 3 * width + 2 * width + head * d;
        if (kernel) kernel[(head * n + x) * n + other] = share;
        for (let i = 0; i < d; i++) heard[x * width + head * d + i] += share * z[v + i];
      }
    }
  }
  return linear(out, heard);
}

/** II.  P_S(u)(x) = (u(x) - m) / √(s² + ε): the nearest point with mean 0 and spread 1 over the features. ε = 10⁻⁵. */
function project(u, width) {
  const z = new Float32Array(u.length);
  for (let x = 0; x < u.length; x += width) {
    let mean = 0, square = 0;
    for (let y = 0; y < width; y++) mean += u[x + y] / width;
    for (let y = 0; y < width; y++) square += (u[x + y] - mean) ** 2 / width;
    const gain = 1 / Math.sqrt(square + 1e-5);
    for (let y = 0; y < width; y++) z[x + y] = (u[x + y] - mean) * gain;
  }
  return z;
}

/** III.  L(u)(x) = W_2 σ(W_1 u(x)),   σ(z) = z Φ(z): the sieve. Each token for itself. */
function local({ up, down }, u) {
  return linear(down, linear(up, u).map(gelu));
}

/** z Φ(z), with Φ the normal distribution. Error: 10⁻⁷ |z| (Abramowitz and Stegun, 7.1.26). */
function gelu(z) {
  const a = Math.abs(z) / Math.SQRT2, t = 1 / (1 + 0.3275911 * a);
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const half = (tail * Math.exp(-a * a)) / 2; // Φ(-|z|)
  return z * (z < 0 ? half : 1 - half);
}

// ------------------------------------------------------------------------------------------------ the flow

/** θ(s): the parameters at the depth s = t/T. Free layers: θ_k for k ≤ t < k + 1. Elastic ones: linear between knots
    that stand in the middles of the layers, and constant beyond the first and the last. */
function termsAt({ config, layers }, s) {
  const last = layers.length - 1;
  if (config.depth === "per_step") return layers[Math.min(Math.floor(s * layers.length), last)];
  if (config.depth !== "elastic") throw new Error(`this page knows no parameters that are ${config.depth} in depth`);
  const inset = 0.5 / config.layers;
  const place = Math.min(Math.max(((s - inset) / (1 - 2 * inset)) * last, 0), last);
  if (Math.abs(place - Math.round(place)) < 1e-9) return layers[Math.round(place)];
  return between(layers[Math.floor(place)], layers[Math.floor(place) + 1], place % 1);
}

/** (1 - share) θ_first + share θ_second, through terms and maps alike. */
function between(first, second, share) {
  if (first.data) return { shape: first.shape, data: first.data.map((p, i) => p + share * (second.data[i] - p)) };
  return Object.fromEntries(Object.keys(first).map((name) => [name, between(first[name], second[name], share)]));
}

/** One step of Lie's splitting, for each term in turn:   u <- P_S(u + Δt A_i(u)).   `pushed` (3, token) takes down how
    far attention, layer norm and the feed-forward term moved each token, per unit of depth. */
function step(terms, u, dt, { order, heads, width, kernel, pushed }) {
  const n = u.length / width;
  for (const name of order) {
    const velocity = name === "attention" ? attend(terms.attention, u, heads, kernel) : local(terms.local, u);
    const moved = u.map((z, i) => z + dt * velocity[i]), after = project(moved, width);
    for (let x = 0; pushed && x < n; x++) {
      pushed[(name === "attention" ? 0 : 2) * n + x] += apart(u, moved, x * width, width) / dt;
      pushed[n + x] += apart(moved, after, x * width, width) / dt;
    }
    u = after;
  }
  return u;
}

/** |b(x) - a(x)|, over the features from `start`. */
function apart(a, b, start, width) {
  let square = 0;
  for (let i = start; i < start + width; i++) square += (b[i] - a[i]) ** 2;
  return Math.sqrt(square);
}

/** u(0) = P(E[letters] + position). Letters are bytes. */
function initialField({ config, embed, position }, letters) {
  const width = config.width, u = new Float32Array(letters.length * width);
  letters.forEach((letter, x) => {
    for (let y = 0; y < width; y++) u[x * width + y] = embed.data[letter * width + y] + position.data[x * width + y];
  });
  return project(u, width);
}

/** u at t = 0, Δt, …, T, with Δt = T / steps and T the number of layers; a step uses the parameters of its middle.
    -> {fields: steps + 1 of them, kernels (step)(head, x, x̃), pushes (step)(3, token)} */
function flow(model, letters, steps, order = ["attention", "local"]) {
  const { width, heads, layers } = model.config, n = letters.length;
  const fields = [initialField(model, letters)], kernels = [], pushes = [];
  for (let k = 0; k < steps; k++) {
    const kernel = new Float32Array(heads * n * n), pushed = new Float32Array(3 * n);
    const terms = termsAt(model, (k + 0.5) / steps);
    fields.push(step(terms, fields[k], layers / steps, { order, heads, width, kernel, pushed }));
    kernels.push(kernel);
    pushes.push(pushed);
  }
  return { fields, kernels, pushes };
}

/** softmax(E u): for each token the likeliest next letters with their shares, best first, [[letter, share], …]. */
function readOut({ embed }, u, most = 5) {
  const all = linear(embed, u), letters = embed.shape[0], said = [];
  for (let x = 0; x < all.length; x += letters) {
    const logits = all.subarray(x, x + letters), largest = logits.reduce((a, b) => Math.max(a, b));
    const total = logits.reduce((sum, z) => sum + Math.exp(z - largest), 0), best = [];
    for (let i = 0; i < letters; i++) {
      if (best.length === most && logits[i] <= logits[best[most - 1]]) continue;
      const place = best.findIndex((other) => logits[other] < logits[i]);
      best.splice(place < 0 ? best.length : place, 0, i);
      best.length = Math.min(best.length, most);
    }
    said.push(best.map((i) => [i, Math.exp(logits[i] - largest) / total]));
  }
  return said;
}

/** ⟨u(x) - centre, axis⟩: how high a token is drawn. */
function heights(u, { centre, axis }) {
  const width = axis.length;
  return Float32Array.from({ length: u.length / width }, (_, x) =>
    axis.reduce((sum, e, y) => sum + e * (u[x * width + y] - centre[y]), 0));
}

// ------------------------------------------------------------------------------------------------ the worker's door

const models = {};

/** {load: name, buffer, config}  or  {model, letters, steps, order, plane, whole: whether fields are wanted, too}. */
self.onmessage = ({ data: asked }) => {
  try {
    if (asked.load) models[asked.load] = load(asked.buffer, asked.config);
    const model = models[asked.load || asked.model];
    if (!asked.letters) return self.postMessage({ id: asked.id, loaded: asked.load });
    const start = performance.now();
    const { fields, kernels, pushes } = flow(model, asked.letters, asked.steps, asked.order);
    const took = performance.now() - start;
    const answer = { id: asked.id, kernels, pushes, took, said: fields.map((u) => readOut(model, u)) };
    if (asked.plane) answer.heights = fields.map((u) => heights(u, asked.plane));
    self.postMessage(asked.whole ? { ...answer, fields } : answer);
  } catch (error) {
    self.postMessage({ id: asked.id, error: String(error.message || error) });
  }
};
