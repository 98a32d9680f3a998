// The menu that saves what is on screen.

import { element, button, announce, shown, baseName } from "./dom.js";
import { state } from "./state.js";
import { viewAsSvg, svgText, svgAsPng } from "./svg_export.js";
import { saveBlob, saveText, copyText } from "./saving.js";
import { queryCommand, exploreCommand } from "./command.js";

// `screen()` gives {root, name, csv, answer, memory, memories} of what is on screen.
export function exportMenu(screen) {
  const command = element("textarea", {
    class: "command",
    readonly: true,
    rows: 3,
    hidden: true,
    "aria-label": "command",
  });
  const failing = (action) => async () => {
    try {
      await action();
    } catch (error) {
      announce(`Error: ${error.message}`);
    }
  };
  const drawn = () => {
    const { root, memory, answer } = screen();
    const parts = [
      answer ? shown(answer.path) : null,
      `${shown(memory.name)}: ${shown(memory.network)}, layer ${shown(memory.layer)}, K = ${memory.k}`,
    ];
    return viewAsSvg(root, parts.filter(Boolean).join(" · "));
  };
  const fileStem = () => `${baseName(screen().name).replace(/\.\w{1,5}$/, "")}-${state().view}`;
  const csv = button("Selected matches as CSV", () => screen().csv?.());
  const buttons = [
    csv,
    button(
      "This view as PNG",
      failing(async () => saveBlob(await svgAsPng(await drawn()), `${fileStem()}.png`)),
    ),
    button(
      "This view as SVG",
      failing(async () => saveText(svgText(await drawn()), "image/svg+xml", `${fileStem()}.svg`)),
    ),
    button(
      "Copy command",
      failing(() => {
        const { answer, memory, memories } = screen();
        return copyText(answer ? queryCommand(memory, answer) : exploreCommand(memories), command);
      }),
    ),
  ];
  const menu = element(
    "details",
    { class: "menu" },
    element("summary", {}, "Export"),
    element("div", { class: "menu-body" }, buttons, command),
  );
  menu.addEventListener("toggle", () => {
    const now = screen();
    for (const choice of buttons) choice.disabled = now === null;
    csv.disabled = !now?.csv;
    if (!menu.open) command.hidden = true;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
    event.stopPropagation();
  });
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  return menu;
}
