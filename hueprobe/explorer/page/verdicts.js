// Cards of the verdicts of `hueprobe observe`.

import { element, number, fixed, shown, nameElement } from "./dom.js";

const SIGNS = { holds: "✓", "does not hold": "✗", "too small to speak of": "✗" };

export function verdictsView(verdicts) {
  const root = element(
    "section",
    { class: "verdicts-view" },
    element("h1", {}, "Verdicts"),
    element(
      "p",
      { class: "note" },
      "What hueprobe observe measured, with the numbers that decide. A claim holds if its effect lies on the claimed side of the null with p < 0.05, and not within its margin.",
    ),
    element("ul", { class: "verdicts" }, verdicts.map(verdictCard)),
  );
  return { root, update() {}, focus: () => root.closest("main")?.focus({ preventScroll: true }) };
}

function verdictCard(verdict) {
  const effect = verdict.effect === null ? "not measurable" : number(verdict.effect);
  const interval = verdict.ci95
    ? `95 % [${number(verdict.ci95[0])}, ${number(verdict.ci95[1])}]`
    : "no interval";
  const rows = [
    ["effect", `${effect} ${verdict.unit ? shown(verdict.unit) : ""}`.trim()],
    ["interval", interval],
    ["null (base rate)", number(verdict.null ?? NaN)],
    ["p", verdict.p === null ? "–" : verdict.p < 0.001 ? verdict.p.toExponential(1) : fixed(verdict.p, 3)],
    ["n", verdict.n === null ? "–" : verdict.n.toLocaleString("en-US")],
  ];
  const controls = Object.entries(verdict.controls ?? {});
  const slug =
    { holds: "holds", "does not hold": "fails", "too small to speak of": "fails" }[verdict.verdict] ?? "open";
  return element(
    "li",
    { class: `panel verdict ${slug}` },
    element("h2", {}, nameElement(verdict.id)),
    verdict.memory ? element("p", { class: "muted" }, nameElement(verdict.memory)) : null,
    element(
      "p",
      { class: "verdict-word" },
      element("span", { "aria-hidden": "true" }, `${SIGNS[verdict.verdict] ?? "?"} `),
      shown(verdict.verdict),
    ),
    element("p", { class: "claim" }, shown(verdict.claim)),
    element(
      "dl",
      { class: "numbers" },
      rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
    ),
    controls.length
      ? element(
          "details",
          { class: "controls" },
          element(
            "summary",
            {},
            `survives ${controls.filter(([, survives]) => survives).length} of ${controls.length} controls`,
          ),
          element(
            "ul",
            {},
            controls.map(([name, survives]) =>
              element(
                "li",
                { class: survives ? "" : "verdict-wrong" },
                `${survives ? "✓" : "✗"} ${shown(name)}`,
              ),
            ),
          ),
        )
      : null,
  );
}
