/* The river of a sentence, drawn and played in the page. model.js computes it, in a worker.

   Each <div class="river"> becomes one river; data-river="home" shows less of it than data-river="page".
   Without scripts, or where something fails, the still picture in that <div> stays. */
"use strict";

(() => {
  const HERE = document.currentScript.src.replace(/[^/]*$/, "");
  const START = "the value of the argum";
  const LAYERS = 4, GRID = 64, MOST = 64; // depth T; points of a drawn line; letters that fit the models
  const SECONDS = 9; // from one end of the river to the other
  const UNIT = 40; // pixels: places of labels are eased in units of about the size of heights
  const STEPS = [4, 8, 16, 32, 64];
  const TERMS = [["attention", "I · attention"], ["norm", "II · layer norm"], ["local", "III · feed-forward"]];
  const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  // ---------------------------------------------------------------------------------------------- files, worker

  /** A file beside this script, as bytes. A page from the file system may not fetch it: there it comes as a script. */
  async function read(file) {
    if (location.protocol !== "file:") {
      const answer = await fetch(HERE + file);
      if (!answer.ok) throw new Error(`${file} did not come (${answer.status})`);
      return answer.arrayBuffer();
    }
    await new Promise((done, fail) => {
      const script = document.createElement("script");
      script.src = `${HERE}offline/${file}.js`;
      script.onload = done;
      script.onerror = () => fail(new Error(`${file} did not come`));
      document.head.append(script);
    });
    const bytes = Uint8Array.from(atob(self.riverFiles[file]), (letter) => letter.charCodeAt(0));
    delete self.riverFiles[file];
    return bytes.buffer;
  }

  /** ask(message) -> what the worker answers to it. One worker for all rivers of the page. */
  async function hire() {
    const source = new Blob([await read("model.js")], { type: "text/javascript" });
    const worker = new Worker(URL.createObjectURL(source)), waiting = new Map();
    worker.onmessage = ({ data }) => {
      const { done, fail } = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error) fail(new Error(data.error));
      else done(data);
    };
    let id = 0;
    return (message, moved = []) => new Promise((done, fail) => {
      waiting.set(++id, { done, fail });
      worker.postMessage({ ...message, id }, moved);
    });
  }

  const once = (make) => { let made; return () => (made ??= make()); };
  const worker = once(hire);
  const models = once(async () => JSON.parse(new TextDecoder().decode(await read("models.json"))));
  const loaded = {};
  const model = (name) => (loaded[name] ??= (async () => {
    const [ask, known, buffer] = await Promise.all([worker(), models(), read(`${name}.safetensors`)]);
    await ask({ load: name, buffer, config: known[name].config }, [buffer]);
    return { ask, plane: known[name].plane };
  })());

  // ---------------------------------------------------------------------------------------------- letters

  const LETTERS = new TextEncoder();
  const show = (byte) => (byte === 32 ? "␣" : byte === 10 ? "↵" : byte > 32 && byte < 127 ? String.fromCharCode(byte) : "·");
  const call = (byte) => (byte === 32 ? "a space" : byte === 10 ? "a line end" : byte > 32 && byte < 127
    ? `“${String.fromCharCode(byte)}”` : `byte ${byte}`);

  /** What the model reads of a text: {bytes, names: how each is shown, words: what has to be said of it}. */
  function spell(text) {
    const said = [], strange = new Set();
    let bytes = [], names = [];
    for (const letter of text) {
      const its = [...LETTERS.encode(letter)];
      if (its.length > 1) strange.add(letter);
      bytes.push(...its);
      names.push(...its.map((byte, i) => (its.length === 1 ? show(byte) : i ? "·" : letter)));
    }
    if (bytes.length > MOST) {
      const lost = bytes.length - MOST;
      said.push(`${MOST} letters fit this model: the last ${lost === 1 ? "one is" : `${lost} are`} left out.`);
      [bytes, names] = [bytes.slice(0, MOST), names.slice(0, MOST)];
    }
    if (strange.size) {
      const list = [...strange].slice(0, 6).map((letter) => `“${letter}”`).join(", ");
      const [are, flow] = strange.size > 1 ? ["are", "they flow"] : ["is", "it flows"];
      said.push(`The model's letters are bytes, and ${list} ${are} not among them: ${flow} as several bytes, `
        + "which the model has hardly ever seen.");
    }
    return { bytes, names, words: said.join(" ") };
  }

  // ---------------------------------------------------------------------------------------------- colours

  const hex = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

  /** One colour a letter, in the order of the text; on a dark page the light end of the same scale. */
  function shade(i, n, dark) {
    const [from, to] = dark ? [0.36, 1] : [0, 0.85], place = (from + (to - from) * (i / Math.max(n - 1, 1))) * 8;
    const k = Math.min(Math.floor(place), 7), a = hex(VIRIDIS[k]), b = hex(VIRIDIS[k + 1]);
    return a.map((c, j) => Math.round(c + (place - k) * (b[j] - c)));
  }
  const rgb = (colour, alpha = 1) => `rgb(${colour.join(" ")} / ${alpha})`;
  const on = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 135 ? "#10181f" : "#ffffff");

  /** Places for labels at the sorted heights y, moved so that neighbours are `gap` apart. */
  function spread(y, gap) {
    const order = y.map((_, i) => i).sort((a, b) => y[a] - y[b]), z = order.map((i) => y[i]);
    for (let pass = 0; pass < 60; pass++) {
      for (let i = 1; i < z.length; i++) {
        const push = (gap - (z[i] - z[i - 1])) / 2;
        if (push > 0) { z[i - 1] -= push; z[i] += push; }
      }
    }
    const places = [];
    order.forEach((i, k) => { places[i] = z[k]; });
    return places;
  }

  // ---------------------------------------------------------------------------------------------- one river

  let count = 0;

  const form = (id, whole) => `
    <form class="river-ask">
      <label for="${id}-text">Your sentence</label>
      <input id="${id}-text" name="text" type="text" autocomplete="off" autocapitalize="off" spellcheck="false"
        value="${START}" aria-describedby="${id}-words">
      <button type="submit">Pour it in</button>
      <p id="${id}-words" class="river-words" aria-live="polite"></p>
    </form>
    <fieldset class="river-letters">
      <legend>Each letter, and below it what the model would say comes next. <span>Choose one.</span></legend>
      <div></div>
    </fieldset>
    <div class="river-scene"><canvas role="img"></canvas></div>
    <div class="river-bar">
      <button type="button" class="river-play">Play</button>
      <label>depth <input type="range" name="depth" min="0" max="${LAYERS}" step="0.0625" value="0"></label>
      <output class="river-depth">0.00</output>
    </div>
    <div class="river-settings">
      <label>step <input type="range" name="steps" min="0" max="${STEPS.length - 1}" step="1" value="4">
        <output class="river-steps"></output></label>
      ${whole ? `<label>order <select name="order">
        <option value="attention,local">attention first</option>
        <option value="local,attention">feed-forward first</option></select></label>
      <label>model <select name="model"><option>tiny-elastic</option><option>tiny</option></select></label>` : ""}
    </div>
    <p class="river-status" role="status"></p>
    ${whole ? `<div class="river-panels">
      <section><h2>What would it say next?</h2><p class="river-after"></p><ol class="river-bars river-next"></ol></section>
      <section><h2>Which term pushes?</h2><p>How far each term moves this letter, per unit of depth.</p>
        <ol class="river-bars river-pushes"></ol></section>
      <section class="river-ears"><h2>Who hears whom?</h2>
        <label>head <select name="head"><option value="-1">all four, on average</option>
        ${[0, 1, 2, 3].map((h) => `<option value="${h}">${h + 1}</option>`).join("")}</select></label>
        <canvas aria-hidden="true"></canvas><p class="river-heard"></p></section>
    </div>` : ""}`;

  class River {
    constructor(place) {
      this.place = place;
      this.whole = place.dataset.river === "page";
      this.box = document.createElement("div");
      this.box.className = "river-live";
      this.box.innerHTML = form(`river-${++count}`, this.whole);
      const find = (selector) => this.box.querySelector(selector);
      this.find = find;
      this.canvas = find(".river-scene canvas");
      this.text = find("[name=text]");
      this.depth = find("[name=depth]");
      this.play = find(".river-play");
      this.t = 0;
      this.playing = false;
      this.chosen = -1; // the last one
      this.shown = []; // heights of each letter's line at GRID + 1 depths, on their way to this.target
      this.labels = []; // where the letters at the front are drawn, on their way to where they belong
      this.listen();
    }

    get steps() { return STEPS[this.find("[name=steps]").value]; }
    get order() { return (this.find("[name=order]")?.value ?? "attention,local").split(","); }
    get name() { return this.find("[name=model]")?.value ?? "tiny-elastic"; }
    get head() { return Number(this.find("[name=head]")?.value ?? -1); }
    get letter() { return this.chosen < 0 || this.chosen >= this.n ? this.n - 1 : this.chosen; }
    get n() { return this.run.bytes.length; }

    listen() {
      this.find("form").addEventListener("submit", (event) => {
        event.preventDefault();
        this.ask().then((came) => came && this.begin());
      });
      this.text.addEventListener("input", () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => { this.chosen = -1; this.ask(); }, 120);
      });
      this.play.addEventListener("click", () => (this.playing ? this.pause() : this.begin(this.t >= LAYERS ? 0 : this.t)));
      this.depth.addEventListener("input", () => { this.pause(); this.moveTo(Number(this.depth.value)); });
      for (const name of ["steps", "order", "model"]) {
        this.find(`[name=${name}]`)?.addEventListener("input", () => { this.sayStep(); this.ask(); });
      }
      this.find("[name=head]")?.addEventListener("input", () => this.tell());
      this.find(".river-letters").addEventListener("change", (event) => {
        this.chosen = Number(event.target.value);
        this.tell();
      });
      this.canvas.addEventListener("pointerdown", (event) => this.touch(event, true));
      this.canvas.addEventListener("pointermove", (event) => event.buttons && this.touch(event, false));
      new ResizeObserver(() => this.paint()).observe(this.canvas);
      const repaint = () => this.run && this.tell();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
      new MutationObserver(repaint).observe(document.body, { attributeFilter: ["data-theme"] });
      this.sayStep();
    }

    sayStep() {
      const steps = this.steps, dt = steps === LAYERS ? "1" : `1/${steps / LAYERS}`;
      const words = `Δt = ${dt}, ${steps} steps`;
      this.find(".river-steps").textContent = words;
      this.find("[name=steps]").setAttribute("aria-valuetext", words);
    }

    // ------------------------------------------------------------------------------------------ what is computed

    /** Compute what the controls ask for: one run at a time, and of those that wait only the newest. True when shown. */
    async ask() {
      const mine = (this.newest = Symbol("run"));
      const { bytes, names, words } = spell(this.text.value);
      this.find(".river-words").textContent = bytes.length ? words : "Write at least one letter.";
      this.text.setAttribute("aria-invalid", String(!bytes.length));
      if (!bytes.length) return false;
      while (this.busy) await this.busy;
      if (mine !== this.newest) return false;
      this.busy = this.compute(bytes, names).finally(() => { this.busy = null; });
      return this.busy;
    }

    async compute(bytes, names) {
      const settings = { model: this.name, letters: Uint8Array.from(bytes), order: this.order }, steps = this.steps;
      try {
        const { ask, plane } = await model(settings.model);
        const layers = await ask({ ...settings, plane, steps: LAYERS });
        if (!this.run) this.take({ ...layers, bytes, names, steps: LAYERS, dots: layers.heights });
        const flow = steps === LAYERS ? layers : await ask({ ...settings, plane, steps });
        this.take({ ...flow, bytes, names, steps, dots: layers.heights });
        return true;
      } catch (error) {
        const words = this.run ? this.find(".river-status") : this.place.appendChild(document.createElement("p"));
        words.textContent = `The model cannot run here: ${error.message}.`;
        return false;
      }
    }

    take(run) {
      const first = !this.run, before = this.shown;
      this.run = run;
      this.canvas.dataset.steps = run.steps;
      this.target = run.bytes.map((_, x) => Array.from({ length: GRID + 1 }, (_, g) => {
        const place = (g / GRID) * run.steps, k = Math.min(Math.floor(place), run.steps - 1);
        return run.heights[k][x] + (place - k) * (run.heights[k + 1][x] - run.heights[k][x]);
      }));
      this.shown = this.target.map((line, x) => (before[x] && !still.matches ? before[x] : line).slice());
      this.labels.length = Math.min(this.labels.length, this.n);
      this.limits ??= this.wanted();
      this.letters();
      if (first) {
        this.place.replaceChildren(this.box);
        this.place.dataset.alive = "";
        if (still.matches) this.moveTo(LAYERS);
        else this.begin();
      }
      this.tell();
      this.tick();
    }

    /** From where to where the drawing reaches. */
    wanted() {
      const all = [...this.target.flat(), ...this.run.dots.flatMap((row) => [...row])];
      const low = all.reduce((a, b) => Math.min(a, b)), high = all.reduce((a, b) => Math.max(a, b));
      return [low - 0.04 * (high - low) - 0.1, high + 0.04 * (high - low) + 0.1];
    }

    // ------------------------------------------------------------------------------------------ what moves

    begin(from = 0) {
      if (!this.run) return;
      this.playing = true;
      this.play.textContent = "Pause";
      this.moveTo(from);
      this.tick();
    }

    pause() {
      this.playing = false;
      this.play.textContent = this.t >= LAYERS ? "Play again" : "Play";
      this.announce();
    }

    moveTo(t) {
      this.t = Math.min(Math.max(t, 0), LAYERS);
      this.depth.value = this.t;
      this.depth.setAttribute("aria-valuetext", `depth ${this.t.toFixed(2)} of ${LAYERS}`);
      this.find(".river-depth").textContent = this.t.toFixed(2);
      this.play.textContent = this.playing ? "Pause" : this.t >= LAYERS ? "Play again" : "Play";
      this.tell();
    }

    /** One frame after the other, while anything moves. */
    tick() {
      if (this.frame) return;
      let before = performance.now();
      const go = (now) => {
        this.frame = 0;
        const passed = Math.min((now - before) / 1000, 0.1);
        before = now;
        if (this.playing) {
          const t = this.t + (passed * LAYERS) / SECONDS;
          if (t >= LAYERS) { this.moveTo(LAYERS); this.pause(); } else this.moveTo(t);
        }
        if (this.ease(still.matches ? 1 : 1 - Math.exp(-passed * 9)) || this.playing) this.frame = requestAnimationFrame(go);
        this.paint();
      };
      this.frame = requestAnimationFrame(go);
    }

    /** Bring what is drawn nearer to where it belongs; whether it is still on its way. */
    ease(share) {
      let far = 0;
      const nearer = (list, goal) => goal.forEach((z, i) => {
        far = Math.max(far, Math.abs(z - list[i]));
        list[i] += share * (z - list[i]);
      });
      this.shown.forEach((line, x) => nearer(line, this.target[x]));
      nearer(this.limits, this.wanted());
      const places = this.places();
      if (places && this.labels.length === places.length) nearer(this.labels, places.map((y) => y / UNIT));
      return far > 0.004;
    }

    /** A letter at the front is chosen; anywhere else, the river goes to that depth. */
    touch(event, down) {
      const { x0, x1 } = this.frameOf(), box = this.canvas.getBoundingClientRect();
      const x = event.clientX - box.left, far = this.labels.map((y) => Math.abs(y * UNIT - event.clientY + box.top));
      const beside = x - this.xOf(this.t), nearest = far.indexOf(Math.min(...far));
      if (down && beside > 4 && beside < 44 && far[nearest] < 12) {
        this.chosen = nearest;
        this.letters();
        this.tell();
        return;
      }
      if (down) this.canvas.setPointerCapture(event.pointerId);
      this.pause();
      this.moveTo(((x - x0) / (x1 - x0)) * LAYERS);
    }

    // ------------------------------------------------------------------------------------------ words and bars

    /** The step that is under way at depth t, and the last field that was reached. */
    get now() {
      const place = (this.t / LAYERS) * this.run.steps;
      return { step: Math.min(Math.floor(place + 1e-9), this.run.steps - 1), field: Math.floor(place + 1e-9) };
    }

    letters() {
      const list = this.find(".river-letters > div"), { bytes, names } = this.run, key = JSON.stringify([bytes, names]);
      if (list.dataset.key !== key) {
        list.dataset.key = key;
        list.style.setProperty("--n", bytes.length);
        list.replaceChildren(...names.map((name, x) => {
          const label = document.createElement("label");
          label.innerHTML = `<input type="radio" name="${this.text.id}-letter" value="${x}"><b></b><i aria-hidden="true"></i>`;
          label.querySelector("input").setAttribute("aria-label", `letter ${x + 1}: ${call(bytes[x])}`);
          label.querySelector("b").textContent = name;
          return label;
        }));
      }
      list.children[this.letter].querySelector("input").checked = true;
    }

    /** Say in words, letters and bars what is so at this depth; and draw it. */
    tell() {
      if (!this.run) return;
      const { said, bytes, names } = this.run, { step, field } = this.now, x = this.letter;
      const list = this.find(".river-letters > div").children;
      said[field].forEach(([[guess, share]], i) => {
        const sign = list[i].lastElementChild, right = i + 1 < bytes.length && guess === bytes[i + 1];
        if (sign.textContent !== show(guess)) sign.textContent = show(guess);
        sign.style.opacity = 0.7 + 0.3 * share;
        list[i].classList.toggle("right", right);
      });
      if (this.whole) this.panels(said[field][x], step, x, names);
      if (!this.playing) this.announce();
      this.paint();
    }

    announce() {
      clearTimeout(this.speaking);
      this.speaking = setTimeout(() => {
        const { said, bytes, pushes } = this.run, { step, field } = this.now, x = this.letter;
        const [guess, share] = said[field][x][0], n = this.n;
        const most = [0, 1, 2].reduce((a, b) => (pushes[step][b * n + x] > pushes[step][a * n + x] ? b : a));
        this.find(".river-status").textContent = `Depth ${this.t.toFixed(2)} of ${LAYERS}: after ${call(bytes[x])}, `
          + `letter ${x + 1} of ${n}, the model would say ${call(guess)} (${Math.round(100 * share)} %). `
          + `Here ${TERMS[most][1].split(" · ")[1]} pushes it most.`;
      }, 150);
    }

    panels(best, step, x, names) {
      const { kernels, pushes, bytes } = this.run, n = this.n;
      this.find(".river-after").textContent = `After ${call(bytes[x])}, letter ${x + 1} of ${n}, at this depth:`;
      bars(this.find(".river-next"), best.map(([guess, share]) => [show(guess), share, `${Math.round(100 * share)} %`, "river"]));
      const push = TERMS.map((_, i) => pushes[step][i * n + x]), largest = Math.max(...pushes.map((p) => Math.max(...[0, 1, 2].map((i) => p[i * n + x]))));
      bars(this.find(".river-pushes"), TERMS.map(([kind, name], i) => [name, push[i] / largest, push[i].toFixed(1), kind]));
      const heard = hears(kernels[step], n, x, this.head);
      const order = heard.map((_, i) => i).sort((a, b) => heard[b] - heard[a]).slice(0, 3);
      this.find(".river-heard").textContent = `${call(bytes[x])} hears `
        + order.map((i) => `${i === x ? "itself" : `${call(bytes[i])} (letter ${i + 1})`} ${Math.round(100 * heard[i])} %`).join(", ") + " …";
      this.arcs(heard, names, x);
    }

    // ------------------------------------------------------------------------------------------ drawing

    /** A canvas as large as it is on the page, sharp on dense screens. */
    pen(canvas) {
      const { clientWidth: width, clientHeight: height } = canvas, dense = self.devicePixelRatio || 1;
      if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
        canvas.width = Math.round(width * dense);
        canvas.height = Math.round(height * dense);
      }
      const pen = canvas.getContext("2d");
      pen.setTransform(dense, 0, 0, dense, 0, 0);
      pen.clearRect(0, 0, width, height);
      const style = getComputedStyle(this.box), colour = (name) => style.getPropertyValue(`--${name}`).trim();
      return { pen, width, height, colour, dark: colour("dark") === "1" };
    }

    frameOf() {
      const { clientWidth: width, clientHeight: height } = this.canvas, narrow = width < 520;
      return { x0: narrow ? 26 : 40, x1: width - (narrow ? 46 : 76), y0: 12, y1: height - 34, narrow };
    }
    xOf(t) { const { x0, x1 } = this.frameOf(); return x0 + (t / LAYERS) * (x1 - x0); }
    yOf(z) { const { y0, y1 } = this.frameOf(), [low, high] = this.limits; return y1 - ((z - low) / (high - low)) * (y1 - y0); }
    at(line, t) {
      const place = (t / LAYERS) * GRID, k = Math.min(Math.floor(place), GRID - 1);
      return line[k] + (place - k) * (line[k + 1] - line[k]);
    }

    /** Where the letters at the front belong, in pixels. */
    places() {
      if (!this.canvas.clientHeight) return null;
      const { y0, y1 } = this.frameOf(), gap = Math.min(17, (y1 - y0) / this.n);
      const places = spread(this.shown.map((line) => this.yOf(this.at(line, this.t))), gap);
      const below = Math.max(0, Math.max(...places) - y1), above = Math.max(0, y0 - Math.min(...places));
      return places.map((y) => y - below + above);
    }

    paint() {
      if (!this.run || !this.canvas.clientWidth) return;
      const places = this.places();
      if (this.labels.length !== places.length) this.labels = places.map((y) => y / UNIT);
      const { pen, height, colour, dark } = this.pen(this.canvas), { x0, x1, y0, y1, narrow } = this.frameOf();
      const X = this.xOf.bind(this), Y = this.yOf.bind(this), { shown, t } = this, n = this.n, x = this.letter;
      const end = (t / LAYERS) * GRID, colours = shown.map((_, i) => shade(i, n, dark));
      this.canvas.setAttribute("aria-label", `The river: ${n} letters as lines along the depth, from 0 at the left to `
        + `${LAYERS} at the right. They have come to depth ${t.toFixed(1)}.`);

      // the depths, and the water
      pen.font = `12px ${colour("sans")}`;
      pen.textBaseline = "middle";
      pen.textAlign = "center";
      for (let d = 0; d <= LAYERS; d++) {
        pen.fillStyle = colour("line");
        pen.fillRect(Math.round(X(d)), y0 - 6, 1, y1 - y0 + 12);
        pen.fillStyle = colour("quiet");
        pen.fillText(d, X(d), y1 + 16);
      }
      pen.fillText("depth t →", X(0.5), y1 + 16);
      const bank = (upTo, edge) => Array.from({ length: Math.floor(upTo) + 1 }, (_, g) => [X((g / GRID) * LAYERS), Y(edge(...shown.map((line) => line[g])))])
        .concat([[X((upTo / GRID) * LAYERS), Y(edge(...shown.map((line) => this.at(line, (upTo / GRID) * LAYERS))))]]);
      for (const [upTo, name] of [[GRID, "ahead"], [end, "water"]]) {
        pen.fillStyle = colour(name);
        pen.beginPath();
        [...bank(upTo, Math.max), ...bank(upTo, Math.min).reverse()].forEach(([a, b]) => pen.lineTo(a, b));
        pen.fill();
      }

      // where each letter came in
      const size = Math.max(8, Math.min(16, (y1 - y0) / n));
      pen.font = `${Math.min(12, size)}px ${colour("mono")}`;
      pen.fillStyle = colour("quiet");
      spread(shown.map((line) => Y(line[0])), Math.min(11, (y1 - y0) / n)).forEach((y, i) => {
        pen.fillText(this.run.names[i], x0 - (narrow ? 14 : 22), y);
        pen.strokeStyle = rgb(colours[i], 0.45);
        pen.lineWidth = 1;
        pen.beginPath();
        pen.moveTo(x0 - (narrow ? 9 : 16), y);
        pen.lineTo(x0, Y(shown[i][0]));
        pen.stroke();
      });

      // the lines: faint ahead, full where they have come
      pen.lineJoin = pen.lineCap = "round";
      const stroke = (line, from, to) => {
        pen.beginPath();
        pen.moveTo(X((from / GRID) * LAYERS), Y(this.at(line, (from / GRID) * LAYERS)));
        for (let g = Math.floor(from) + 1; g < to; g++) pen.lineTo(X((g / GRID) * LAYERS), Y(line[g]));
        pen.lineTo(X((to / GRID) * LAYERS), Y(this.at(line, (to / GRID) * LAYERS)));
        pen.stroke();
      };
      const inOrder = shown.map((_, i) => i).sort((a, b) => (a === x) - (b === x)); // the chosen one on top
      for (const i of inOrder) {
        pen.lineWidth = i === x ? 2 : 1.2;
        pen.strokeStyle = rgb(colours[i], i === x ? 0.45 : 0.2);
        stroke(shown[i], end, GRID);
        pen.strokeStyle = rgb(colours[i], i === x ? 1 : 0.8);
        pen.lineWidth = i === x ? 4 : 1.8;
        stroke(shown[i], 0, end);
      }
      // the dots: the same model as a Transformer of four layers
      if (this.run.steps !== LAYERS) {
        this.run.dots.forEach((row, d) => row.forEach((z, i) => {
          if (i >= n || d === 0) return;
          pen.globalAlpha = d <= t ? 1 : 0.25;
          pen.fillStyle = rgb(colours[i]);
          pen.strokeStyle = colour("paper");
          pen.lineWidth = 1;
          pen.beginPath();
          pen.arc(X(d), Y(z), i === x ? 4.5 : 3, 0, 7);
          pen.fill();
          pen.stroke();
        }));
        pen.globalAlpha = 1;
      }

      // who hears whom, at the front
      const front = X(t), { step, field } = this.now, heard = hears(this.run.kernels[step], n, x, this.head);
      const ys = shown.map((line) => Y(this.at(line, t)));
      heard.forEach((share, i) => {
        if (i === x || share < 0.02) return;
        pen.strokeStyle = colour("attention");
        pen.globalAlpha = Math.min(1, 0.15 + share);
        pen.lineWidth = 1 + 5 * share;
        pen.beginPath();
        pen.moveTo(front, ys[i]);
        pen.quadraticCurveTo(front - 14 - 0.35 * Math.abs(ys[i] - ys[x]), (ys[i] + ys[x]) / 2, front, ys[x]);
        pen.stroke();
      });
      pen.globalAlpha = 1;

      // the front: the letters themselves
      const radius = Math.min(9, size * 0.54);
      pen.textAlign = "center";
      for (const i of inOrder) {
        const y = this.labels[i] * UNIT, at = front + (narrow ? 14 : 20);
        pen.strokeStyle = rgb(colours[i], 0.6);
        pen.lineWidth = 1;
        pen.beginPath();
        pen.moveTo(front, ys[i]);
        pen.lineTo(at - radius, y);
        pen.stroke();
        pen.fillStyle = rgb(colours[i]);
        pen.beginPath();
        pen.arc(front, ys[i], i === x ? 5 : 3, 0, 7);
        pen.fill();
        pen.beginPath();
        pen.arc(at, y, i === x ? radius + 2 : radius, 0, 7);
        pen.fill();
        if (i === x) { pen.strokeStyle = colour("ink"); pen.lineWidth = 1.5; pen.stroke(); }
        pen.fillStyle = on(colours[i]);
        pen.font = `600 ${Math.min(13, size)}px ${colour("mono")}`;
        pen.fillText(this.run.names[i], at, y + 0.5);
        if (i === x) {
          const next = show(this.run.said[field][x][0][0]);
          pen.font = `600 14px ${colour("mono")}`;
          pen.textAlign = "left";
          pen.lineWidth = 4;
          pen.strokeStyle = colour("paper");
          pen.strokeText(`→ ${next}`, at + radius + 4, y);
          pen.fillStyle = colour("ink");
          pen.fillText(`→ ${next}`, at + radius + 4, y);
          pen.textAlign = "center";
        }
      }
    }

    /** The sentence in one row, and arcs from the chosen letter to those that it hears: thick where it hears much. */
    arcs(heard, names, x) {
      const canvas = this.find(".river-ears canvas");
      if (!canvas.clientWidth) return;
      const { pen, width, height, colour, dark } = this.pen(canvas), n = names.length;
      const apart = Math.min(26, (width - 12) / n), left = (width - apart * n) / 2, X = (i) => left + apart * (i + 0.5), base = height - 22;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.font = `${Math.min(15, apart * 1.5)}px ${colour("mono")}`;
      names.forEach((name, i) => {
        pen.fillStyle = i === x ? rgb(shade(i, n, dark)) : colour("attention-wash");
        pen.globalAlpha = i === x ? 1 : Math.min(1, heard[i] * 2);
        pen.fillRect(X(i) - apart / 2 + 0.5, base + 3, apart - 1, 19);
        pen.globalAlpha = 1;
        pen.fillStyle = i === x ? on(shade(i, n, dark)) : i < x ? colour("ink") : colour("quiet");
        pen.fillText(name, X(i), base + 13);
      });
      const most = Math.max(...heard);
      pen.strokeStyle = colour("attention");
      pen.lineCap = "round";
      heard.forEach((share, i) => {
        if (share < 0.01) return;
        pen.globalAlpha = 0.25 + 0.75 * (share / most);
        pen.lineWidth = 0.6 + 8 * share;
        pen.beginPath();
        if (i === x) pen.arc(X(x), base - 7, 7, 0, 7);
        else {
          const wide = (X(x) - X(i)) / 2;
          pen.ellipse(X(i) + wide, base, wide, Math.min(base - 8, 10 + wide * 0.8), 0, Math.PI, 2 * Math.PI);
        }
        pen.stroke();
      });
      pen.globalAlpha = 1;
    }
  }

  /** γ(x, ·) of one head, or the mean of all: how much letter x hears of each. */
  function hears(kernel, n, x, head) {
    const heads = kernel.length / (n * n), which = head < 0 ? [...Array(heads).keys()] : [head];
    return Array.from({ length: n }, (_, i) => which.reduce((sum, h) => sum + kernel[(h * n + x) * n + i], 0) / which.length);
  }

  /** A list of bars: [name, share of the whole width, its number in words, colour]. */
  function bars(list, rows) {
    while (list.children.length < rows.length) {
      const row = document.createElement("li");
      row.innerHTML = "<b></b><span><i></i></span><em></em>";
      list.append(row);
    }
    rows.forEach(([name, share, words, kind], i) => {
      const row = list.children[i];
      row.className = `river-${kind}`;
      row.children[0].textContent = name;
      row.querySelector("i").style.width = `${Math.max(0, Math.min(100, 100 * share)).toFixed(1)}%`;
      row.children[2].textContent = words;
    });
  }

  const rivers = [...document.querySelectorAll(".river")].map((place) => new River(place));
  rivers.forEach((river) => river.ask());
})();
