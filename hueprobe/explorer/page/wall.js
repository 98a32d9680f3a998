// The wall: all query images, filtered and sorted.

import { element, nameElement, shown, baseName, fixed } from "./dom.js";
import { percent, count, replaceChildren, button } from "./dom.js";
import { middle, pictureOf } from "./data.js";
import { selected, trueName } from "./selection.js";
import { standing, verdictOf, follow, PENDING } from "./standing.js";
import { state, adjust, go, writeFragment } from "./state.js";

const CARDS_AT_ONCE = 120; // cards made at a time

const SORTS = {
  order: "as listed",
  "margin-up": "margin, smallest first",
  "margin-down": "margin, largest first",
  class: "class, then margin",
};
const ONLY = { "": "right and wrong", right: "right", wrong: "wrong", unjudged: "not judged" };

export function wallView(memory) {
  const list = element("ul", { class: "wall", "aria-label": "query images" });
  const summary = element("p", { class: "summary", "aria-live": "polite" });
  const more = element("p", { class: "more" });
  const search = element("input", {
    type: "search",
    id: "find",
    placeholder: "part of a path or class",
    oninput: () => adjust({ find: search.value }),
  });
  const classes = choice("of", [
    ["", "all classes"],
    ...memory.classes.map((name, c) => [String(c), shown(name)]),
  ]);
  const only = choice("only", Object.entries(ONLY));
  const sort = choice("sort", Object.entries(SORTS));
  const controls = element(
    "form",
    {
      class: "filters no-export",
      role: "search",
      "aria-label": "filter the images",
      onsubmit: (e) => e.preventDefault(),
    },
    labeled("Find", search),
    labeled("Class", classes),
    labeled("Show", only),
    labeled("Sort by", sort),
  );
  const heading = element("h1", {}, "Images");
  const root = element(
    "section",
    { class: "wall-view" },
    element("div", { class: "wall-head" }, heading, summary),
    controls,
    list,
    more,
  );

  let rows = [];
  let made = 0;
  let current = 0; // the card that Tab reaches
  let shownFor = "";
  const sentinel = new IntersectionObserver(
    (entries) => {
      if (entries.some((entry) => entry.isIntersecting)) append();
    },
    { rootMargin: "600px" },
  );
  sentinel.observe(more);

  function append() {
    const upTo = Math.min(rows.length, made + CARDS_AT_ONCE);
    const cards = [];
    for (; made < upTo; made++) cards.push(card(memory, rows[made], made, made === current));
    list.append(...cards);
    replaceChildren(
      more,
      made < rows.length
        ? button(`Show more of ${count(rows.length, "image")}`, append, { class: "quiet" })
        : null,
    );
    if (made < rows.length) {
      sentinel.unobserve(more);
      sentinel.observe(more);
    }
  }

  function fill() {
    current = 0;
    redraw(0);
  }

  // New cards, at least `atLeast`; the card with the focus keeps it.
  function redraw(atLeast) {
    const focused = document.activeElement?.closest?.(".card")?.dataset.row;
    rows = selected(memory, state());
    made = 0;
    list.replaceChildren();
    do append();
    while (made < Math.min(atLeast, rows.length));
    if (focused !== undefined) list.querySelector(`[data-row="${focused}"]`)?.focus({ preventScroll: true });
    replaceChildren(summary, ...summaryOf(memory, rows));
    if (!rows.length)
      replaceChildren(more, element("span", { class: "muted" }, "No image fits this filter."));
  }

  function reach(to) {
    const links = list.querySelectorAll("a");
    if (links[current]) links[current].tabIndex = -1;
    links[to].tabIndex = 0;
    current = to;
  }

  list.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const at = links.indexOf(event.target.closest("a"));
    if (at < 0) return;
    const wide = columns(links);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? links.length - 1 : step ? at + step : null;
    if (to === null || !links[to]) return;
    reach(to);
    links[to].focus();
    event.preventDefault();
  });
  list.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    reach([...list.querySelectorAll("a")].indexOf(link));
    go({ view: "image", kind: "q", row: Number(link.dataset.row), c: middle(memory), r: 1 });
  });

  return {
    root,
    update() {
      const wanted = state();
      if (search.value !== wanted.find) search.value = wanted.find;
      classes.value = wanted.of;
      only.value = wanted.only;
      sort.value = wanted.sort;
      const key = [wanted.find, wanted.of, wanted.only, wanted.sort].join("\n");
      if (key !== shownFor || !made) {
        shownFor = key;
        fill();
      }
      follow(memory, () => redraw(made));
    },
    focus: () => (list.querySelectorAll("a")[current] ?? search).focus({ preventScroll: true }),
  };
}

function columns(links) {
  const top = links[0].getBoundingClientRect().top;
  const second = links.findIndex((link) => link.getBoundingClientRect().top > top + 1);
  return second < 0 ? links.length : second;
}

function choice(field, options) {
  const found = element(
    "select",
    { id: field, onchange: () => adjust({ [field]: found.value }) },
    options.map(([value, text]) => element("option", { value }, text)),
  );
  return found;
}

function labeled(text, control) {
  return element("label", { class: "field" }, element("span", {}, text), control);
}

function summaryOf(memory, rows) {
  const known = standing(memory);
  const all = memory.n_asked ?? memory.nQueries;
  let [right, judged] = [0, 0];
  for (const row of rows) {
    const verdict = verdictOf(memory, row);
    if (verdict === "right") right += 1;
    if (verdict === "right" || verdict === "wrong") judged += 1;
  }
  const parts = [
    rows.length === all
      ? count(all, "image")
      : `${count(rows.length, "image")} of ${all.toLocaleString("en-US")}`,
  ];
  if (judged) {
    parts.push(
      `${right} of ${judged} right (${percent(right / judged)}; a random class: ${percent(1 / memory.classes.length)})`,
    );
  }
  if (memory.sample)
    parts.push(`drawn at random from ${count(memory.sample.of, "image")}, seed ${memory.sample.seed}`);
  if (known.done < known.total) parts.push(`${known.done} of ${known.total} classified`);
  if (known.error) parts.push(known.error);
  return [parts.join(" · ")];
}

function card(memory, row, place, reachable) {
  const known = standing(memory);
  const verdict = verdictOf(memory, row);
  const path = memory.queries.paths[row];
  const name = trueName(memory, row);
  const predicted = known.predicted[row] === PENDING ? null : memory.className(known.predicted[row]);
  const wanted = { ...state(), view: "image", kind: "q", row, c: middle(memory), r: 1 };
  const mark = { right: "✓", wrong: "✗", pending: "…", "": "·" }[verdict];
  const address = pictureOf(memory, "query", row);
  const told = {
    right: "right",
    wrong: `wrong: ${predicted === null ? "no class" : shown(predicted)}`,
    pending: "not classified yet",
    "": predicted === null ? "no prediction" : `predicted ${shown(predicted)}`,
  }[verdict];
  const link = element(
    "a",
    {
      href: `#${writeFragment(wanted)}`,
      "data-row": row,
      tabindex: reachable ? 0 : -1,
      class: `card ${verdict || "unjudged"}`,
      "aria-label": `${shown(baseName(path))}, ${name === null ? "no class" : `class ${shown(name)}`}, ${told}, margin ${fixed(known.margins[row])}`,
      title: shown(path),
    },
    element(
      "span",
      { class: "card-picture" },
      address
        ? element("img", {
            src: address,
            alt: "",
            loading: "lazy",
            decoding: "async",
            width: 112,
            height: 112,
          })
        : element("span", { class: "missing" }, "no thumbnail"),
    ),
    element(
      "span",
      { class: "card-text" },
      element(
        "span",
        { class: "card-class" },
        element("span", { class: "mark-sign" }, mark),
        name === null ? element("span", { class: "muted" }, shown(baseName(path))) : nameElement(name),
      ),
      element(
        "span",
        { class: "card-told" },
        verdict === "wrong" || (verdict === "" && predicted !== null)
          ? ["→ ", predicted === null ? "no class" : nameElement(predicted)]
          : element("bdi", { class: "name" }, shown(baseName(path))),
      ),
      element(
        "span",
        { class: "card-margin" },
        meter(known.margins[row]),
        element("span", { class: "figure" }, verdict === "pending" ? "" : fixed(known.margins[row])),
      ),
    ),
  );
  return element("li", { "data-place": place }, link);
}

function meter(share) {
  const fill = element("span", { class: "meter-fill" });
  fill.style.width = `${Math.round(100 * Math.max(0, Math.min(1, share)))}%`;
  return element("span", { class: "meter", "aria-hidden": "true" }, fill);
}
