// Explorers: the controls of a figure whose pictures were drawn when the book was made (flowlib/pages/stills.py).
// Without this script the first picture and its caption stand there.
"use strict";

for (const place of document.querySelectorAll("[data-explorer]")) {
  begin(place, JSON.parse(place.dataset.explorer));
}

// moves: { controls: [{ name, label, kind, texts, start }], frames: { "0,3": [picture, words] }, words: [[alt, caption]], folder }
function begin(place, moves) {
  const figure = [...place.closest(".cell_output, details, article").querySelectorAll("figure.flowlib-figure")]
    .filter((one) => one.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_FOLLOWING).pop();
  if (!figure) return;
  const image = figure.querySelector("img"), caption = figure.querySelector("figcaption");
  const first = { src: image.src, alt: image.alt, caption: caption.textContent };
  const start = moves.controls.map((control) => control.start);
  const said = make("p", { role: "status" });
  const parts = moves.controls.map((control, i) => makeControl(control, () => move(i)));
  const back = make("button", { type: "button", textContent: "Back to start" });
  let asked = 0;

  back.addEventListener("click", () => { put(start); move(-1); });
  place.className = "explorer";
  place.append(...parts.map((part) => part.element), back, said);

  const read = () => parts.map((part) => part.read());
  const put = (key) => parts.forEach((part, i) => part.put(key[i]));

  function move(moved) {
    let key = read();
    said.textContent = "";
    if (!(key.join() in moves.frames)) {  // only one control at a time was drawn away from the start
      key = start.map((value, i) => (i === moved ? key[i] : value));
      put(key);
      said.textContent = "This combination was not drawn for the book, so the other controls went back to their start. " +
        "The notebook draws them all.";
    }
    show(key);
  }

  async function show(key) {
    const mine = ++asked, [picture, words] = moves.frames[key.join()];
    const atStart = key.join() === start.join();
    const next = { src: atStart ? first.src : `${moves.folder}${picture}.webp`, alt: moves.words[words][0], caption: moves.words[words][1] };
    const loader = new Image();
    loader.src = next.src;
    try {
      await loader.decode();
    } catch {
      if (mine === asked) said.textContent = "This picture could not be loaded; the last one stays.";
      return;
    }
    if (mine !== asked) return;  // a newer one is on its way
    image.src = next.src;
    image.alt = next.alt;
    caption.textContent = next.caption;
    figure.dataset.at = key.join();
  }
}

// An input, what it says, and how to read and set its place among the control's values.
function makeControl(control, moved) {
  if (control.kind === "switch") {
    const input = make("input", { type: "checkbox", checked: control.start === 1 });
    input.addEventListener("input", moved);
    const element = make("label", { className: "switch" }, input, ` ${control.label}`);
    return { element, read: () => Number(input.checked), put: (k) => { input.checked = k === 1; } };
  }
  if (control.kind === "buttons") {
    const group = `explorer-${++makeControl.groups}`;
    const inputs = control.texts.map((text, k) => make("input", { type: "radio", name: group, checked: k === control.start }));
    inputs.forEach((input) => input.addEventListener("input", moved));
    const labels = inputs.map((input, k) => make("label", {}, input, ` ${control.texts[k]}`));
    const element = make("fieldset", {}, make("legend", { textContent: control.label }), ...labels);
    return { element, read: () => inputs.findIndex((one) => one.checked), put: (k) => { inputs[k].checked = true; } };
  }
  const input = make("input", { type: "range", min: 0, max: control.texts.length - 1, step: 1, value: control.start });
  const output = make("output");
  const tell = () => {
    output.textContent = control.texts[input.value];
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.value = control.start;  // once more: the end came after the value
  tell();
  input.addEventListener("input", () => { tell(); moved(); });
  const element = make("label", { className: "slider" }, make("span", { textContent: control.label }), input, output);
  return { element, read: () => Number(input.value), put: (k) => { input.value = k; tell(); } };
}
makeControl.groups = 0;
