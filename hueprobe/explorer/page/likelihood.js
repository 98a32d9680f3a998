// Class likelihoods, Eq. 2, with cells and classes taken out; and the decision, Eq. 1.

import { element, button, fixed, number, count, replaceChildren, shown } from "./dom.js";
import { cellText } from "./data.js";
import { analyzed, decidedWithout } from "./analysis.js";
import { margin } from "./equations.js";
import { classLabel, classText, colorClass, ranked } from "./colors.js";
import { state, adjust } from "./state.js";

const FIRST = 8; // bars without "all classes"

export function likelihoodPanel() {
  const decision = element("p", { class: "decision", "aria-live": "polite" });
  const bars = element("ul", { class: "bars", "aria-label": "class likelihoods" });
  const taken = element("div", { class: "taken" });
  let all = false;
  const more = button(
    "",
    () => {
      all = !all;
      update(answerShown);
    },
    { class: "quiet no-export" },
  );
  let answerShown = null;

  function update(answer) {
    answerShown = answer;
    const { memory } = answer;
    const { whole, colors, votes } = analyzed(answer);
    const { off, no } = state();
    const now = off.length || no.length ? decidedWithout(answer, off, no) : whole;
    const order = ranked(whole.normalized);
    const shownClasses = all ? order : order.slice(0, FIRST);
    for (const c of [answer.classId, now.predicted])
      if (c >= 0 && !shownClasses.includes(c)) shownClasses.push(c);
    const chance = 1 / memory.classes.length;
    const top = Math.max(chance, ...now.normalized, ...whole.normalized);
    replaceChildren(
      bars,
      shownClasses.map((c) => bar({ answer, c, now, whole, colors, votes, top, chance, no })),
    );
    more.textContent = all ? "fewer classes" : `all ${memory.classes.length} classes`;
    more.hidden = memory.classes.length <= FIRST;
    replaceChildren(decision, ...decisionText(answer, whole, now, off.length + no.length > 0));
    replaceChildren(taken, ...takenOut(memory, off, no));
  }

  const note = element("p", { class: "note" });
  return {
    root: element(
      "section",
      { class: "panel likelihoods", "aria-label": "Class likelihoods" },
      element("h2", {}, "Class likelihood"),
      decision,
      bars,
      more,
      taken,
      note,
    ),
    update(answer) {
      const n = answer.memory.classes.length;
      note.textContent = `Eq. 2, normalized over ${count(n, "class", "classes")}. The thin line is chance, 1/${n}.`;
      update(answer);
    },
  };
}

function bar({ answer, c, now, whole, colors, votes, top, chance, no }) {
  const { memory } = answer;
  const value = now.normalized[c];
  const out = no.includes(c);
  const fill = element("span", { class: `bar-fill ${colorClass(colors, c)}` });
  fill.style.width = `${(100 * value) / top}%`;
  const before = element("span", { class: "bar-before" });
  before.style.left = `${(100 * whole.normalized[c]) / top}%`;
  const line = element("span", { class: "bar-chance" });
  line.style.left = `${(100 * chance) / top}%`;
  const led = votes.leading.reduce((sum, leading) => sum + (leading === c), 0);
  const marks = [];
  if (c === now.predicted) marks.push(now.tie ? "predicted (tie)" : "predicted");
  if (c === answer.classId) marks.push("true");
  const name = classText(memory, c);
  return element(
    "li",
    { class: out ? "bar out" : "bar", "data-class": c, "data-likelihood": value },
    element(
      "span",
      { class: "bar-row" },
      classLabel(memory, colors, c),
      element("span", { class: "bar-track" }, fill, line, value !== whole.normalized[c] ? before : null),
      element(
        "span",
        {
          class: "figure",
          title: `leads ${count(led, "cell")}; likelihood of all votes ${fixed(whole.normalized[c], 4)}`,
        },
        fixed(value, 3),
      ),
      element(
        "button",
        {
          type: "button",
          class: "icon no-export",
          "aria-pressed": String(out),
          "aria-label": `${out ? "put back" : "take out"} the votes for ${name}`,
          title: out ? "put this class back" : "take this class out",
          onclick: (event) => {
            const again = `[data-class="${c}"] .icon`;
            const list = event.currentTarget.closest("ul");
            adjust({ no: toggled(state().no, c) });
            list.querySelector(again)?.focus();
          },
        },
        out ? "+" : "×",
      ),
    ),
    marks.length ? element("span", { class: "tag" }, marks.join(", ")) : null,
  );
}

export function toggled(list, item) {
  return list.includes(item) ? list.filter((other) => other !== item) : [...list, item];
}

function decisionText(answer, whole, now, changed) {
  const { memory } = answer;
  const name = (decision) =>
    decision.predicted < 0
      ? "no class"
      : `${classText(memory, decision.predicted)}${decision.tie ? " (tie)" : ""}`;
  const told = (decision) => `${name(decision)}, margin ${number(margin(decision.normalized))}`;
  if (!changed)
    return [element("strong", {}, name(whole)), ` by a margin of ${number(margin(whole.normalized))}`];
  return [
    element("strong", {}, name(now)),
    ` by a margin of ${number(margin(now.normalized))}. With all votes: ${told(whole)}.`,
  ];
}

function takenOut(memory, off, no) {
  if (!off.length && !no.length) {
    return [
      element(
        "p",
        { class: "note" },
        "Take out a class with ×, or the chosen cell with the key x: the decision follows at once.",
      ),
    ];
  }
  const chip = (label, changes) =>
    button([label, " ", element("span", { "aria-hidden": "true" }, "×")], () => adjust(changes), {
      class: "chip",
      "aria-label": `put back ${label}`,
    });
  return [
    element("p", { class: "note" }, "Taken out:"),
    element(
      "p",
      { class: "chips" },
      off.map((cell) => chip(cellText(memory, cell), { off: off.filter((other) => other !== cell) })),
      no.map((c) => chip(shown(memory.classes[c] ?? "?"), { no: no.filter((other) => other !== c) })),
      button("put all back", () => adjust({ off: [], no: [] }), { class: "quiet no-export" }),
    ),
  ];
}
