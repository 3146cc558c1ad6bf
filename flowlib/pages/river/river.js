/* The river of a sentence, computed (model.js, in a worker), drawn (drawing.js) and played in the page.

   Each <div class="river"> becomes one river; data-river="home" shows less of it than data-river="page".
   Without scripts, or where something fails, the still picture in that <div> stays. */
"use strict";

(() => {
  const { LAYERS, Drawing, hears, paintArcs, show } = self.riverDrawing;
  const HERE = document.currentScript.src.replace(/[^/]*$/, "");
  const START = "the value of the argum";
  const MOST = 64; // letters that fit the models
  const SECONDS = 9; // from one end of the river to the other
  const STEPS = [4, 8, 16, 32, 64];
  const TERMS = [["attention", "I · attention"], ["norm", "II · layer norm"], ["local", "III · feed-forward"]];
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

  /** A letter in words. */
  const call = (byte) => {
    if (byte === 32) return "a space";
    if (byte === 10) return "a line end";
    return byte > 32 && byte < 127 ? `“${show(byte)}”` : `byte ${byte}`;
  };

  /** What the model reads of a text: {bytes, names: how each is shown, words: what has to be said of it}. */
  function spell(text) {
    const said = [], strange = new Set(), encoder = new TextEncoder();
    let bytes = [], names = [];
    for (const letter of text) {
      const its = [...encoder.encode(letter)];
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

  const percent = (share) => `${Math.round(100 * share)} %`;

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

  // ---------------------------------------------------------------------------------------------- one river

  const heads = [1, 2, 3, 4].map((head) => `<option value="${head - 1}">${head}</option>`).join("");
  const controls = `
    <label>order <select name="order">
      <option value="attention,local">attention first</option>
      <option value="local,attention">feed-forward first</option></select></label>
    <label>model <select name="model"><option>tiny-elastic</option><option>tiny</option></select></label>`;
  const panels = `
    <div class="river-panels">
      <section><h2>What would it say next?</h2><p class="river-after"></p>
        <ol class="river-bars river-next"></ol></section>
      <section><h2>Which term pushes?</h2><p>How far each term moves this letter, per unit of depth.</p>
        <ol class="river-bars river-pushes"></ol></section>
      <section class="river-ears"><h2>Who hears whom?</h2>
        <label>head <select name="head"><option value="-1">all four, on average</option>${heads}</select></label>
        <canvas aria-hidden="true"></canvas><p class="river-heard"></p></section>
    </div>`;
  const form = (id, whole) => `
    <form class="river-ask">
      <label for="${id}-text">Your sentence</label>
      <input id="${id}-text" name="text" type="text" autocomplete="off" autocapitalize="off" spellcheck="false"
        value="${START}" aria-describedby="${id}-words">
      <button type="submit">Pour it in</button>
      <p id="${id}-words" class="river-words" aria-live="polite"></p>
    </form>
    <fieldset class="river-letters">
      <legend>Each letter, and below it what the model would say comes next. Choose one.</legend>
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
        <output class="river-steps"></output></label>${whole ? controls : ""}
    </div>
    <p class="river-status" role="status"></p>${whole ? panels : ""}`;

  class River {
    constructor(place, id) {
      this.place = place;
      this.whole = place.dataset.river === "page";
      this.box = document.createElement("div");
      this.box.className = "river-live";
      this.box.innerHTML = form(id, this.whole);
      this.find = (selector) => this.box.querySelector(selector);
      this.canvas = this.find(".river-scene canvas");
      this.drawing = new Drawing(this.canvas);
      this.text = this.find("[name=text]");
      this.depth = this.find("[name=depth]");
      this.play = this.find(".river-play");
      this.t = 0;
      this.playing = false;
      this.chosen = -1; // the last one
      this.listen();
      this.sayStep();
    }

    get steps() { return STEPS[this.find("[name=steps]").value]; }
    get order() { return (this.find("[name=order]")?.value ?? "attention,local").split(","); }
    get name() { return this.find("[name=model]")?.value ?? "tiny-elastic"; }
    get head() { return Number(this.find("[name=head]")?.value ?? -1); }
    get n() { return this.run.bytes.length; }
    get letter() { return this.chosen < 0 || this.chosen >= this.n ? this.n - 1 : this.chosen; }

    listen() {
      this.find("form").addEventListener("submit", (event) => {
        event.preventDefault();
        this.ask().then((came) => came && this.begin());
      });
      this.text.addEventListener("input", () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => { this.chosen = -1; this.ask(); }, 120);
      });
      this.play.addEventListener("click", () => {
        if (this.playing) this.stopAt(this.t);
        else this.begin(this.t >= LAYERS ? 0 : this.t);
      });
      this.depth.addEventListener("input", () => this.stopAt(Number(this.depth.value)));
      for (const name of ["steps", "order", "model"]) {
        this.find(`[name=${name}]`)?.addEventListener("input", () => { this.sayStep(); this.ask(); });
      }
      this.find("[name=head]")?.addEventListener("input", () => this.tell());
      this.find(".river-letters").addEventListener("change", ({ target }) => this.choose(Number(target.value)));
      this.canvas.addEventListener("pointerdown", (event) => this.touch(event, true));
      this.canvas.addEventListener("pointermove", (event) => event.buttons && this.touch(event, false));
      const again = () => this.tell();
      new ResizeObserver(again).observe(this.canvas);
      new MutationObserver(again).observe(document.body, { attributeFilter: ["data-theme"] });
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    }

    // ------------------------------------------------------------------------------------------ what is computed

    /** Compute what the controls ask for: one run at a time, and of those that wait only the newest.
        -> whether it was this one. */
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
      const asked = { model: this.name, letters: Uint8Array.from(bytes), order: this.order }, steps = this.steps;
      try {
        const { ask, plane } = await model(asked.model);
        const layers = await ask({ ...asked, plane, steps: LAYERS }), dots = layers.heights;
        if (!this.run) this.take({ ...layers, bytes, names, dots, steps: LAYERS }); // something to see at once
        const flow = steps === LAYERS ? layers : await ask({ ...asked, plane, steps });
        this.take({ ...flow, bytes, names, dots, steps });
        return true;
      } catch (error) {
        const words = this.run ? this.find(".river-status") : this.place.appendChild(document.createElement("p"));
        words.textContent = `The model cannot run here: ${error.message}.`;
        return false;
      }
    }

    take(run) {
      const first = !this.run;
      this.run = run;
      this.canvas.dataset.steps = run.steps;
      this.drawing.mean(run, still.matches);
      this.listLetters();
      if (first) {
        this.place.replaceChildren(this.box);
        this.place.dataset.alive = "";
        if (still.matches) this.stopAt(LAYERS);
        else this.begin();
      }
      this.tell();
      this.tick();
    }

    // ------------------------------------------------------------------------------------------ what moves

    begin(from = 0) {
      this.playing = true;
      this.moveTo(from);
      this.tick();
    }

    stopAt(t) {
      this.playing = false;
      this.moveTo(t);
      this.tick(); // the letters at the front find their places
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
        const passed = Math.min(Math.max(now - before, 0) / 1000, 0.1);
        before = now;
        if (this.playing) {
          this.playing = this.t < LAYERS;
          this.moveTo(this.t + (passed * LAYERS) / SECONDS);
        }
        const moves = this.drawing.ease(still.matches ? 1 : 1 - Math.exp(-9 * passed), this.t);
        this.paint();
        this.frame = moves || this.playing ? requestAnimationFrame(go) : 0;
      };
      this.frame = requestAnimationFrame(go);
    }

    /** A letter at the front is chosen; anywhere else, the river goes to that depth. */
    touch(event, down) {
      const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      const letter = down ? this.drawing.letterAt(x, y, this.t) : -1;
      if (letter >= 0) return this.choose(letter);
      if (down) this.canvas.setPointerCapture(event.pointerId);
      this.stopAt(this.drawing.depthAt(x));
    }

    choose(letter) {
      this.chosen = letter;
      this.listLetters();
      this.tell();
    }

    // ------------------------------------------------------------------------------------------ words and bars

    sayStep() {
      const steps = this.steps, words = `Δt = ${steps === LAYERS ? "1" : `1/${steps / LAYERS}`}, ${steps} steps`;
      this.find(".river-steps").textContent = words;
      this.find("[name=steps]").setAttribute("aria-valuetext", words);
    }

    /** The step that is under way at depth t, and the last field that was reached. */
    get now() {
      const field = Math.floor((this.t / LAYERS) * this.run.steps + 1e-9);
      return { step: Math.min(field, this.run.steps - 1), field };
    }

    get heard() { return hears(this.run.kernels[this.now.step], this.n, this.letter, this.head); }

    /** How far the three terms push letter x in that step, per unit of depth. */
    pushOf(step, x) { return TERMS.map((_, i) => this.run.pushes[step][i * this.n + x]); }

    listLetters() {
      const list = this.find(".river-letters > div"), { bytes, names } = this.run;
      const key = JSON.stringify([bytes, names]);
      if (list.dataset.key !== key) {
        list.dataset.key = key;
        list.style.setProperty("--n", bytes.length);
        list.replaceChildren(...names.map((name, x) => {
          const label = document.createElement("label");
          label.innerHTML = `<input type="radio" name="letter" value="${x}"><b></b><i aria-hidden="true"></i>`;
          label.firstElementChild.setAttribute("aria-label", `letter ${x + 1}: ${call(bytes[x])}`);
          label.children[1].textContent = name;
          return label;
        }));
      }
      list.children[this.letter].firstElementChild.checked = true;
    }

    /** Say in letters, bars and words what is so at this depth; and draw it. */
    tell() {
      if (!this.run) return;
      const { said, bytes } = this.run, list = this.find(".river-letters > div").children;
      said[this.now.field].forEach(([[guess, share]], i) => {
        list[i].lastElementChild.textContent = show(guess);
        list[i].lastElementChild.style.opacity = 0.7 + 0.3 * share;
        list[i].classList.toggle("right", guess === bytes[i + 1]);
      });
      if (this.whole) this.fillPanels();
      this.paint();
      clearTimeout(this.speaking);
      if (!this.playing) this.speaking = setTimeout(() => this.announce(), 150); // once, when it has come to rest
    }

    announce() {
      const { said, bytes } = this.run, { step, field } = this.now, x = this.letter, push = this.pushOf(step, x);
      const [guess, share] = said[field][x][0], most = TERMS[push.indexOf(Math.max(...push))][1].split(" · ")[1];
      this.find(".river-status").textContent = `Depth ${this.t.toFixed(2)} of ${LAYERS}: after ${call(bytes[x])}, `
        + `letter ${x + 1} of ${this.n}, the model would say ${call(guess)} (${percent(share)}). `
        + `Here ${most} pushes it most.`;
    }

    fillPanels() {
      const { said, bytes, names, pushes } = this.run, { step, field } = this.now, x = this.letter, heard = this.heard;
      this.find(".river-after").textContent = `After ${call(bytes[x])}, letter ${x + 1} of ${this.n}, at this depth:`;
      const next = said[field][x].map(([guess, share]) => [show(guess), share, percent(share), "river"]);
      bars(this.find(".river-next"), next);
      const push = this.pushOf(step, x), largest = Math.max(...pushes.flatMap((_, k) => this.pushOf(k, x)));
      const rows = TERMS.map(([kind, name], i) => [name, push[i] / largest, push[i].toFixed(1), kind]);
      bars(this.find(".river-pushes"), rows);
      const loudest = heard.map((_, i) => i).sort((a, b) => heard[b] - heard[a]).slice(0, 3);
      const name = (i) => (i === x ? "itself" : `${call(bytes[i])} (letter ${i + 1})`);
      const words = loudest.map((i) => `${name(i)} ${percent(heard[i])}`).join(", ");
      this.find(".river-heard").textContent = `${call(bytes[x])} hears ${words} …`;
      paintArcs(this.find(".river-ears canvas"), names, x, heard);
    }

    paint() {
      if (!this.run) return;
      const x = this.letter, next = show(this.run.said[this.now.field][x][0][0]);
      this.canvas.setAttribute("aria-label", `The river: ${this.n} letters as lines along the depth, from 0 at the `
        + `left to ${LAYERS} at the right. They have come to depth ${this.t.toFixed(1)}.`);
      this.drawing.paint(this.t, x, this.heard, next);
    }
  }

  const rivers = [...document.querySelectorAll(".river")].map((place, i) => new River(place, `river-${i}`));
  rivers.forEach((river) => river.ask());
})();
