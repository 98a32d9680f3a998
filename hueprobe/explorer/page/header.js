// The bar on top: where one is, where one can go, light or dark, keys.

import { element, button, nameElement, shown, replaceChildren } from "./dom.js";
import { state, go, adjust, back, canGoBack } from "./state.js";

const KEYS = [
  ["Arrow keys", "choose an image on the wall, or a cell in a grid or map"],
  ["Enter", "open the image; in the grid: the match of the chosen rank becomes the query"],
  ["1 … 9, 0", "choose the rank of the match that Enter walks to"],
  ["x", "take the chosen cell out, or put it back"],
  ["Space", "brush a cell of a map; Shift with arrow keys brushes on"],
  ["Esc", "back"],
  ["g, m", "to the grid, to its matches"],
  ["?", "these keys"],
];

// Storage is not there in some frames and private windows.
export function remembered(name) {
  try {
    return localStorage.getItem(`hueprobe-explore ${name}`);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`hueprobe-explore ${name}`, value);
  } catch {
    // the choice then holds until the page is closed
  }
}

export function keysDialog() {
  const dialog = element(
    "dialog",
    { class: "keys", "aria-labelledby": "keys-title" },
    element("h2", { id: "keys-title" }, "Keys"),
    element(
      "dl",
      {},
      KEYS.map(([key, what]) =>
        element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, what)),
      ),
    ),
    button("Close", () => dialog.close()),
  );
  return dialog;
}

export function introduction(memory) {
  const grid = `${memory.height} × ${memory.width}`;
  const line = element(
    "aside",
    { class: "intro", "aria-label": "introduction" },
    element(
      "p",
      {},
      `A network cuts each image into ${grid} cells and describes each cell by an activation vector. ` +
        `Open an image and choose a cell: you see the ${memory.k} cells of the memory with the nearest vectors, ` +
        "and how they vote for a class.",
    ),
    button(
      "Got it",
      () => {
        remember("introduced", "yes");
        line.remove();
      },
      { class: "quiet" },
    ),
  );
  return remembered("introduced") ? null : line;
}

function themeButton() {
  const themes = ["auto", "light", "dark"];
  const apply = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    change.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[theme];
    change.setAttribute("aria-label", `colors: ${theme}; change`);
    remember("theme", theme);
  };
  let now = themes.includes(remembered("theme")) ? remembered("theme") : "auto";
  const change = button(
    "",
    () => {
      now = themes[(themes.indexOf(now) + 1) % themes.length];
      apply(now);
    },
    { class: "quiet", title: "light or dark colors" },
  );
  apply(now);
  return change;
}

function factsOf(memory) {
  const excluded = {
    image: "an image does not match itself",
    group: "an image does not match its group",
    none: "nothing is excluded",
  };
  return [
    shown(memory.network),
    `layer ${shown(memory.layer)}`,
    `${memory.height} × ${memory.width} cells`,
    `K = ${memory.k}`,
    `search ${shown(memory.searcher)}${memory.certified ? ", certified" : ""}`,
    excluded[memory.exclude],
  ].join(" · ");
}

export function header(opened, menu, upload, dialog) {
  const facts = document.getElementById("facts");
  const nav = element("nav", { "aria-label": "views" });
  const backButton = button("← Back", back, { class: "quiet" });
  const which = element("div", { class: "which", role: "group", "aria-label": "memory" });
  const bar = [
    element(
      "div",
      { class: "brand" },
      element("span", { class: "logo", "aria-hidden": "true" }),
      element("strong", {}, "hueprobe"),
      element("span", { class: "wide" }, "explore"),
    ),
    backButton,
    nav,
    which,
    element(
      "div",
      { class: "tools" },
      upload,
      menu,
      themeButton(),
      button("?", () => dialog.showModal(), { class: "quiet", "aria-label": "keys" }),
    ),
  ];

  function tab(view, label, changes, enabled = true) {
    const current = state().view === view;
    return button(label, () => go({ view, ...changes }), {
      "aria-current": current ? "page" : null,
      disabled: !enabled,
      class: "tab",
    });
  }

  return {
    bar,
    update() {
      const now = state();
      backButton.disabled = !canGoBack() && now.view === "wall";
      replaceChildren(
        nav,
        tab("wall", "Images", { kind: "", row: -1 }),
        now.kind ? tab("image", "Image", {}) : null,
        tab("reverse", "Reverse", {}),
        opened.memories.length > 1 ? tab("compare", "Compare", {}, now.kind !== "") : null,
        opened.verdicts?.length ? tab("verdicts", "Verdicts", {}) : null,
      );
      const memory = opened.memories[now.m];
      replaceChildren(
        which,
        opened.memories.length > 1 && now.view !== "compare"
          ? opened.memories.map((other) =>
              button(
                nameElement(other.name),
                () =>
                  now.kind === "i"
                    ? go({ m: other.number, view: "wall", kind: "", row: -1, v: -1 })
                    : adjust({ m: other.number, c: 0, r: 1, v: -1, off: [], no: [], brush: "", of: "" }),
                { "aria-pressed": String(other === memory), class: "tab" },
              ),
            )
          : null,
      );
      replaceChildren(
        facts,
        now.view === "compare" ? "" : [nameElement(memory.name), ` · ${factsOf(memory)}`],
      );
    },
  };
}
