// Questions that answer on the page, and remember in this browser alone what was answered.
// Without this script each question has its choices, and its answer with all reasons folded away below them.
"use strict";

{
  const KEPT = "flowlib.answers";  // { "Q3.1": { tries: 2, right: true } }

  const recall = () => {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) ?? {};
    } catch {  // a browser that keeps nothing
      return {};
    }
  };

  const note = (id, right) => {
    const known = recall(), before = known[id] ?? { tries: 0, right: false };
    if (!before.right) known[id] = { tries: before.tries + 1, right };
    try {
      localStorage.setItem(KEPT, JSON.stringify(known));
    } catch { /* it counts until the page is left */ }
    tell();
  };

  // The folded answer: what is said of the right one, and of each wrong one, as the page shows it.
  const readAnswer = (details) => ({
    right: details.querySelector("p"),
    reasons: [...details.querySelectorAll("ul > li")],
  });

  // A number as a reader types it: 0.25, 0,25, 1/4 or 1e-3; NaN where it is none.
  const readNumber = (text) => {
    const parts = text.trim().replaceAll(" ", "").replace("−", "-").replaceAll(",", ".").split("/");
    const numbers = parts.map((part) => (part === "" ? NaN : Number(part)));
    return numbers.length === 1 ? numbers[0] : numbers.length === 2 ? numbers[0] / numbers[1] : NaN;
  };

  const follows = (some, order) => [...some].every((letter, i) => i === 0 || order.indexOf(some[i - 1]) < order.indexOf(letter));

  // Each kind: given what the reader said -> { right, node | text }, or a text where that is no answer at all.
  const judge = {
    choice(facts, said, answer) {
      const right = said === facts.answer;
      return { right, node: right ? answer.right : answer.reasons.find((one) => one.textContent.trim().startsWith(`${said}:`)) };
    },
    number(facts, said, answer) {
      const value = readNumber(said), [target, tolerance] = facts.answer;
      if (!Number.isFinite(value)) return "Type a number such as 0.25, 1/4 or 1e-3.";
      if (Math.abs(value - target) <= tolerance) return { right: true, node: answer.right };
      const known = facts.wrong.findIndex(([wrong, near]) => Math.abs(value - wrong) <= near);
      if (known >= 0) return { right: false, node: answer.reasons[known] };
      if (value * target < 0) return { right: false, text: "The sign is the other one." };
      const hint = Math.abs(value) < Math.abs(target) ? "larger" : "smaller";
      return { right: false, text: `It is ${hint} in size. Write down the formula first, then put the numbers in.` };
    },
    order(facts, said, answer) {
      const given = said.toUpperCase().replace(/[\s,.;<>→-]/g, ""), letters = [...facts.answer].sort().join("");
      if ([...given].sort().join("") !== letters) return `Type each of the letters ${letters} once, in your order.`;
      if (given === facts.answer) return { right: true, node: answer.right };
      const known = facts.wrong.findIndex((wrong) => follows(wrong, given));
      if (known >= 0) return { right: false, node: answer.reasons[known] };
      const good = [...given].findIndex((letter, i) => letter !== facts.answer[i]);
      return { right: false, text: good === 0 ? "Something else comes first." : `The first ${good} ${good === 1 ? "is" : "are"} right. Then comes something else.` };
    },
  };

  const questions = [...document.querySelectorAll("[data-question]")].map((place) => ({ place, facts: JSON.parse(place.dataset.question) }));

  for (const { place, facts } of questions) {
    const details = place.querySelector("details");
    if (!details) continue;
    const answer = readAnswer(details), verdict = make("div", { role: "status", className: "verdict" });

    const reply = (said) => {
      const met = judge[facts.kind](facts, said, answer);
      if (typeof met === "string") { verdict.className = "verdict"; verdict.replaceChildren(met); return; }
      verdict.className = `verdict ${met.right ? "right" : "wrong"}`;
      const told = met.node ? [...met.node.cloneNode(true).childNodes] : [met.text ?? ""];
      verdict.replaceChildren(make("strong", { textContent: met.right ? "✓ Right. " : "✗ Not so. " }), ...told);
      if (facts.id) note(facts.id, met.right);
      openAnswers(facts.id);
    };

    if (facts.kind === "choice") {
      const list = place.querySelector("ul");
      list.className = "choices";
      [...list.children].forEach((item, i) => {
        const letter = String.fromCharCode(65 + i);
        const input = make("input", { type: "radio", name: `question-${facts.id}`, value: letter });
        input.addEventListener("change", () => reply(letter));
        item.replaceChildren(make("label", {}, input, " ", make("span", {}, ...item.childNodes)));
      });
    } else {
      const words = facts.kind === "number" ? "a number" : `the letters ${[...facts.answer].sort().join("")} in order`;
      const input = make("input", { type: "text", placeholder: words, autocomplete: "off" });
      input.setAttribute("aria-label", `Your prediction: ${words}`);
      const form = make("form", { className: "answer" }, input, make("button", { textContent: "Answer" }));
      form.addEventListener("submit", (event) => { event.preventDefault(); reply(input.value); });
      details.before(form);
    }
    details.before(verdict);
  }

  // What answers a question lies folded below it, until the reader has chosen.
  function openAnswers(id) {
    for (const summary of id ? document.querySelectorAll("article details > summary") : []) {
      if (new RegExp(`\\b${id.replace(".", "\\.")}\\b(?!\\.?\\d)`).test(summary.textContent)) summary.parentElement.open = true;
    }
  }

  const tally = make("p", { role: "status", className: "tally" });
  questions.at(-1)?.place.after(tally);

  function tell() {
    const known = recall(), asked = questions.filter(({ facts }) => facts.id);
    const right = asked.filter(({ facts }) => known[facts.id]?.right);
    const first = right.filter(({ facts }) => known[facts.id].tries === 1);
    if (asked.some(({ facts }) => known[facts.id])) {
      tally.textContent = `Of ${asked.length} questions on this page you have answered ${right.length} right, ` +
        `${first.length} of them at the first attempt. That is kept in this browser, and goes nowhere else.`;
    }
    for (const { place, facts } of asked) place.classList.toggle("known", Boolean(known[facts.id]?.right));
  }
  tell();
}
