/* How the river is drawn: letters as lines along the depth, the letters themselves at the front, arcs of hearing. */
"use strict";

self.riverDrawing = (() => {
  const LAYERS = 4; // the depth T
  const GRID = 64; // a line is drawn through GRID + 1 points
  const UNIT = 40; // pixels: places of letters are eased in units about as large as those of heights
  const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];

  /** A letter as one can see it. */
  const show = (byte) => {
    if (byte === 32) return "␣";
    if (byte === 10) return "↵";
    return byte > 32 && byte < 127 ? String.fromCharCode(byte) : "·";
  };

  /** One colour a letter, in the order of the text: from dark to light, and on a dark page the light end alone. */
  function shade(i, n, dark) {
    const [from, to] = dark ? [0.36, 1] : [0, 0.85], place = (from + (to - from) * (i / Math.max(n - 1, 1))) * 8;
    const k = Math.min(Math.floor(place), 7);
    const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    const a = parse(VIRIDIS[k]), b = parse(VIRIDIS[k + 1]);
    return a.map((c, j) => Math.round(c + (place - k) * (b[j] - c)));
  }
  const rgb = (colour, alpha = 1) => `rgb(${colour.join(" ")} / ${alpha})`;
  const inkOn = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 135 ? "#10181f" : "#ffffff");

  /** Places for letters that belong at the heights y, moved so that neighbours are `gap` apart. */
  function moveApart(y, gap) {
    const order = y.map((_, i) => i).sort((a, b) => y[a] - y[b]), z = order.map((i) => y[i]), places = [];
    for (let pass = 0; pass < 60; pass++) {
      for (let i = 1; i < z.length; i++) {
        const push = (gap - (z[i] - z[i - 1])) / 2;
        if (push > 0) { z[i - 1] -= push; z[i] += push; }
      }
    }
    order.forEach((i, k) => { places[i] = z[k]; });
    return places;
  }

  /** γ(x, ·) of one head, or the mean of all (head < 0): how much letter x hears of each. */
  function hears(kernel, n, x, head) {
    const heads = kernel.length / (n * n), which = head < 0 ? [...Array(heads).keys()] : [head];
    const one = (i) => which.reduce((sum, h) => sum + kernel[(h * n + x) * n + i], 0) / which.length;
    return Array.from({ length: n }, (_, i) => one(i));
  }

  /** The height of a line at depth t. */
  function heightAt(line, t) {
    const place = (t / LAYERS) * GRID, k = Math.min(Math.floor(place), GRID - 1);
    return line[k] + (place - k) * (line[k + 1] - line[k]);
  }

  /** A canvas as large as it is on the page and sharp on dense screens, with the colours of the style sheet. */
  function prepare(canvas) {
    const { clientWidth: width, clientHeight: height } = canvas, dense = self.devicePixelRatio || 1;
    const [w, h] = [width, height].map((length) => Math.round(length * dense));
    if (canvas.width !== w) canvas.width = w;
    if (canvas.height !== h) canvas.height = h;
    const pen = canvas.getContext("2d"), style = getComputedStyle(canvas);
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, width, height);
    Object.assign(pen, { textBaseline: "middle", textAlign: "center", lineJoin: "round", lineCap: "round" });
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    return { pen, width, height, colour, dark: colour("dark") === "1" };
  }

  const disc = (pen, x, y, radius) => { pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.fill(); };
  const trace = (pen, points) => { pen.beginPath(); points.forEach(([x, y]) => pen.lineTo(x, y)); };

  /** The river on its canvas. What is shown is on its way to what is meant: lines, letters and the frame move there. */
  class Drawing {
    constructor(canvas) {
      this.canvas = canvas;
      this.shown = []; // heights of each letter's line
      this.places = []; // of the letters at the front, in UNITs
    }

    /** From now on mean this run: its lines, and the dots of the same model in LAYERS steps. */
    mean(run, atOnce) {
      this.run = run;
      const { steps, heights } = run;
      const height = (x, place, k = Math.min(Math.floor(place), steps - 1)) =>
        heights[k][x] + (place - k) * (heights[k + 1][x] - heights[k][x]);
      this.meant = run.bytes.map((_, x) => Array.from({ length: GRID + 1 }, (_, g) => height(x, (g / GRID) * steps)));
      this.shown = this.meant.map((line, x) => (atOnce ? line : this.shown[x] ?? line).slice());
      const all = [...this.meant, ...run.dots.map((row) => [...row])].flat();
      const low = all.reduce((a, b) => Math.min(a, b)), high = all.reduce((a, b) => Math.max(a, b));
      const margin = 0.04 * (high - low) + 0.1;
      this.limitsMeant = [low - margin, high + margin];
      this.limits ??= this.limitsMeant.slice();
    }

    get frame() {
      const { clientWidth: width, clientHeight: height } = this.canvas, narrow = width < 520;
      return { x0: narrow ? 26 : 40, x1: width - (narrow ? 46 : 76), y0: 12, y1: height - 34, narrow };
    }
    get visible() { return this.canvas.clientWidth > 0; }
    x(t) { const { x0, x1 } = this.frame; return x0 + (t / LAYERS) * (x1 - x0); }
    y(height) {
      const { y0, y1 } = this.frame, [low, high] = this.limits;
      return y1 - ((height - low) / (high - low)) * (y1 - y0);
    }
    depthAt(x) { const { x0, x1 } = this.frame; return ((x - x0) / (x1 - x0)) * LAYERS; }

    /** The letter that is drawn at this place of the canvas, or -1. */
    letterAt(x, y, t) {
      const beside = x - this.x(t), far = this.places.map((place) => Math.abs(place * UNIT - y));
      const nearest = far.indexOf(Math.min(...far));
      return beside > 4 && beside < 44 && far[nearest] < 12 ? nearest : -1;
    }

    /** Where the letters at the front belong: beside their lines, apart from each other, inside of the frame. */
    placesAt(t) {
      const { y0, y1 } = this.frame, gap = Math.min(17, (y1 - y0) / this.shown.length);
      const places = moveApart(this.shown.map((line) => this.y(heightAt(line, t))), gap);
      const shift = Math.max(0, y0 - Math.min(...places)) - Math.max(0, Math.max(...places) - y1);
      return places.map((y) => (y + shift) / UNIT);
    }

    /** Bring what is shown nearer to what is meant, by this share of the way. True while it is still on its way. */
    ease(share, t) {
      let far = 0;
      const nearer = (shown, meant) => meant.forEach((z, i) => {
        far = Math.max(far, Math.abs(z - shown[i]));
        shown[i] += share * (z - shown[i]);
      });
      this.shown.forEach((line, x) => nearer(line, this.meant[x]));
      nearer(this.limits, this.limitsMeant);
      if (this.visible && this.places.length === this.shown.length) nearer(this.places, this.placesAt(t));
      return far > 0.004;
    }

    /** The river at depth t; letter x stands out, with what it hears and what the model would say after it. */
    paint(t, x, heard, next) {
      if (!this.visible) return;
      if (this.places.length !== this.shown.length) this.places = this.placesAt(t);
      const n = this.shown.length, kit = prepare(this.canvas);
      kit.colours = this.shown.map((_, i) => shade(i, n, kit.dark));
      kit.size = Math.max(8, Math.min(16, (this.frame.y1 - this.frame.y0) / n));
      kit.order = this.shown.map((_, i) => i).sort((a, b) => (a === x) - (b === x)); // the chosen one on top
      this.paintWater(kit, t);
      this.paintSources(kit);
      this.paintLines(kit, t, x);
      if (this.run.steps !== LAYERS) this.paintDots(kit, t, x);
      this.paintHearing(kit, t, x, heard);
      this.paintFront(kit, t, x, next);
    }

    paintWater({ pen, colour }, t) {
      const { y0, y1 } = this.frame;
      pen.font = `12px ${colour("sans")}`;
      for (let d = 0; d <= LAYERS; d++) {
        pen.fillStyle = colour("line");
        pen.fillRect(Math.round(this.x(d)), y0 - 6, 1, y1 - y0 + 12);
        pen.fillStyle = colour("quiet");
        pen.fillText(d, this.x(d), y1 + 16);
      }
      pen.fillText("depth t →", this.x(0.5), y1 + 16);
      const bank = (until, edge) => [...Array(GRID + 1).keys()].map((g) => (g / GRID) * LAYERS)
        .filter((depth) => depth < until).concat(until)
        .map((depth) => [this.x(depth), this.y(edge(...this.shown.map((line) => heightAt(line, depth))))]);
      for (const [until, name] of [[LAYERS, "ahead"], [t, "water"]]) {
        pen.fillStyle = colour(name);
        trace(pen, [...bank(until, Math.max), ...bank(until, Math.min).reverse()]);
        pen.fill();
      }
    }

    /** The letters where they come in. */
    paintSources({ pen, colour, colours, size }) {
      const { x0, y0, y1, narrow } = this.frame, n = this.shown.length;
      const places = moveApart(this.shown.map((line) => this.y(line[0])), Math.min(11, (y1 - y0) / n));
      pen.font = `${Math.min(12, size)}px ${colour("mono")}`;
      pen.fillStyle = colour("quiet");
      pen.lineWidth = 1;
      places.forEach((y, i) => {
        pen.fillText(this.run.names[i], x0 - (narrow ? 14 : 22), y);
        pen.strokeStyle = rgb(colours[i], 0.45);
        trace(pen, [[x0 - (narrow ? 9 : 16), y], [x0, this.y(this.shown[i][0])]]);
        pen.stroke();
      });
    }

    /** Faint ahead, full where they have come. */
    paintLines({ pen, colours, order }, t, x) {
      const stroke = (line, from, to) => {
        const depths = [...Array(GRID + 1).keys()].map((g) => (g / GRID) * LAYERS).filter((d) => d > from && d < to);
        trace(pen, [from, ...depths, to].map((depth) => [this.x(depth), this.y(heightAt(line, depth))]));
        pen.stroke();
      };
      for (const i of order) {
        pen.lineWidth = i === x ? 2 : 1.2;
        pen.strokeStyle = rgb(colours[i], i === x ? 0.45 : 0.2);
        stroke(this.shown[i], t, LAYERS);
        pen.lineWidth = i === x ? 4 : 1.8;
        pen.strokeStyle = rgb(colours[i], i === x ? 1 : 0.8);
        stroke(this.shown[i], 0, t);
      }
    }

    /** The same model as a Transformer of LAYERS layers. */
    paintDots({ pen, colour, colours }, t, x) {
      pen.lineWidth = 1;
      pen.strokeStyle = colour("paper");
      for (let d = 1; d <= LAYERS; d++) {
        pen.globalAlpha = d <= t ? 1 : 0.25;
        this.run.dots[d].forEach((height, i) => {
          pen.fillStyle = rgb(colours[i]);
          disc(pen, this.x(d), this.y(height), i === x ? 4.5 : 3);
          pen.stroke();
        });
      }
      pen.globalAlpha = 1;
    }

    paintHearing({ pen, colour }, t, x, heard) {
      const front = this.x(t), ys = this.shown.map((line) => this.y(heightAt(line, t)));
      pen.strokeStyle = colour("attention");
      heard.forEach((share, i) => {
        if (i === x || share < 0.02) return;
        pen.globalAlpha = Math.min(1, 0.15 + share);
        pen.lineWidth = 1 + 5 * share;
        pen.beginPath();
        pen.moveTo(front, ys[i]);
        pen.quadraticCurveTo(front - 14 - 0.35 * Math.abs(ys[i] - ys[x]), (ys[i] + ys[x]) / 2, front, ys[x]);
        pen.stroke();
      });
      pen.globalAlpha = 1;
    }

    /** The letters themselves, at the depth that they have come to. */
    paintFront({ pen, colour, colours, size, order }, t, x, next) {
      const front = this.x(t), at = front + (this.frame.narrow ? 14 : 20), radius = Math.min(9, size * 0.54);
      for (const i of order) {
        const y = this.places[i] * UNIT, height = this.y(heightAt(this.shown[i], t));
        pen.lineWidth = 1;
        pen.strokeStyle = rgb(colours[i], 0.6);
        trace(pen, [[front, height], [at - radius, y]]);
        pen.stroke();
        pen.fillStyle = rgb(colours[i]);
        disc(pen, front, height, i === x ? 5 : 3);
        disc(pen, at, y, i === x ? radius + 2 : radius);
        if (i === x) Object.assign(pen, { strokeStyle: colour("ink"), lineWidth: 1.5 }).stroke();
        pen.fillStyle = inkOn(colours[i]);
        pen.font = `600 ${Math.min(13, size)}px ${colour("mono")}`;
        pen.fillText(this.run.names[i], at, y + 0.5);
      }
      Object.assign(pen, { font: `600 14px ${colour("mono")}`, textAlign: "left", lineWidth: 4 });
      Object.assign(pen, { strokeStyle: colour("paper"), fillStyle: colour("ink") });
      for (const write of ["strokeText", "fillText"]) pen[write](`→ ${next}`, at + radius + 4, this.places[x] * UNIT);
    }
  }

  /** The sentence in one row, and arcs from letter x to those that it hears: thick where it hears much. */
  function paintArcs(canvas, names, x, heard) {
    if (!canvas.clientWidth) return;
    const { pen, width, height, colour, dark } = prepare(canvas), n = names.length, base = height - 22;
    const apart = Math.min(26, (width - 12) / n), left = (width - apart * n) / 2, most = Math.max(...heard);
    const X = (i) => left + apart * (i + 0.5), own = shade(x, n, dark);
    pen.font = `${Math.min(15, apart * 1.5)}px ${colour("mono")}`;
    names.forEach((name, i) => {
      pen.fillStyle = i === x ? rgb(own) : colour("attention-wash");
      pen.globalAlpha = i === x ? 1 : Math.min(1, heard[i] * 2);
      pen.fillRect(X(i) - apart / 2 + 0.5, base + 3, apart - 1, 19);
      pen.globalAlpha = 1;
      pen.fillStyle = i === x ? inkOn(own) : colour(i < x ? "ink" : "quiet");
      pen.fillText(name, X(i), base + 13);
    });
    pen.strokeStyle = colour("attention");
    heard.forEach((share, i) => {
      if (share < 0.01) return;
      const wide = (X(x) - X(i)) / 2;
      pen.globalAlpha = 0.25 + 0.75 * (share / most);
      pen.lineWidth = 0.6 + 8 * share;
      pen.beginPath();
      if (i === x) pen.arc(X(x), base - 7, 7, 0, 7);
      else pen.ellipse(X(i) + wide, base, wide, Math.min(base - 8, 10 + wide * 0.8), 0, Math.PI, 2 * Math.PI);
      pen.stroke();
    });
    pen.globalAlpha = 1;
  }

  return { LAYERS, Drawing, hears, paintArcs, show };
})();
