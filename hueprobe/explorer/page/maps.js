// A map of cells with its color bar, and a brush. Values are given; nothing is measured here.

import { element, svg, number, replaceChildren } from "./dom.js";
import { cellText } from "./data.js";
import { colorAt } from "./colors.js";
import { moved, outline, squareIn } from "./image_grid.js";

let boards = 0;

// `scale` names the colors: "viridis" from 0, "magma" from 0, "ratio" with white at 1; null: `paint` draws.
export function mapPanel(memory, { title, scale, unit, brushed, second }) {
  boards += 1;
  const prefix = `map${boards}`;
  const heading = element("h3", {}, title);
  const board = svg("svg", {
    viewBox: `0 0 ${memory.width} ${memory.height}`,
    class: "map-board",
    role: "grid",
    tabindex: 0,
    "aria-multiselectable": "true",
  });
  const marks = svg("g", { "aria-hidden": "true" });
  const brush = svg("g", { "aria-hidden": "true" });
  const here = outline(memory, "cursor");
  const cells = [];
  for (let y = 0; y < memory.height; y++) {
    const row = svg("g", { role: "row" });
    for (let x = 0; x < memory.width; x++) {
      const cell = svg("rect", {
        role: "gridcell",
        id: `${prefix}c${cells.length}`,
        class: "map-cell",
        x,
        y,
        width: 1,
        height: 1,
        "data-cell": cells.length,
      });
      cells.push(cell);
      row.append(cell);
    }
    board.append(row);
  }
  board.append(marks, brush, here.group);
  const bar = element("div", { class: "color-bar" });
  const readout = element("p", { class: "readout" });
  const blank = element("p", { class: "muted empty", hidden: true });
  const root = element(
    "section",
    { class: "map panel", "aria-label": typeof second === "string" ? `${title}, ${second}` : title },
    element(
      "div",
      { class: "map-head" },
      heading,
      typeof second === "string" ? element("p", { class: "note" }, second) : second,
    ),
    board,
    bar,
    blank,
    readout,
  );

  let given = null;
  let selection = new Set();
  let cursor = 0;
  let dragFrom = null;

  const cellOf = (event) => {
    const found = document.elementFromPoint(event.clientX, event.clientY)?.closest?.("[data-cell]");
    return found && board.contains(found) ? Number(found.dataset.cell) : null;
  };
  const tell = (cell) => {
    if (given)
      readout.textContent = cell === null ? given.summary : given.tell([cell], cellText(memory, cell));
    if (given && cell === null && selection.size)
      readout.textContent = given.tell([...selection], `${selection.size} brushed`);
  };
  const select = (found) => brushed([...new Set(found)].sort((a, b) => a - b));
  board.addEventListener("pointerdown", (event) => {
    dragFrom = cellOf(event);
    if (event.pointerType !== "touch") board.setPointerCapture(event.pointerId);
  });
  board.addEventListener("pointermove", (event) => {
    const cell = cellOf(event);
    tell(cell);
    if (dragFrom !== null && cell !== null && event.buttons) paintSelection(between(memory, dragFrom, cell));
  });
  board.addEventListener("pointerup", (event) => {
    const cell = cellOf(event);
    if (dragFrom !== null && cell !== null) {
      cursor = cell;
      const area = between(memory, dragFrom, cell);
      if (area.size === 1 && selection.has(cell)) select(without(selection, cell));
      else if (area.size === 1 && (event.shiftKey || event.ctrlKey || event.metaKey))
        select([...selection, cell]);
      else select(area);
    }
    dragFrom = null;
  });
  board.addEventListener("pointercancel", () => (dragFrom = null));
  board.addEventListener("pointerleave", () => tell(null));
  board.addEventListener("focus", () => point(cursor));
  board.addEventListener("blur", () => {
    here.place(null);
    tell(null);
  });
  board.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const to = moved(memory, cursor, event.key);
    if (to !== null) {
      if (event.shiftKey) select([...selection, cursor, to]);
      point(to);
    } else if (event.key === " " || event.key === "Enter") {
      select(selection.has(cursor) ? without(selection, cursor) : [...selection, cursor]);
    } else if (event.key === "Escape" && selection.size) {
      select([]);
      event.stopPropagation();
    } else return;
    event.preventDefault();
  });
  function point(cell) {
    cursor = cell;
    here.place(cell);
    board.setAttribute("aria-activedescendant", cells[cell].id);
    tell(cell);
  }
  function paintSelection(wanted) {
    brush.replaceChildren();
    cells.forEach((rect, cell) => rect.setAttribute("aria-selected", String(wanted.has(cell))));
    for (const className of ["mark-halo", "mark-line"]) {
      for (const cell of wanted) brush.append(squareIn(memory, cell, { class: className, side: 0.9 }));
    }
  }

  return {
    root,
    // `data`: {title, values, high, summary, tell(cells, name), describe(cell), paint(cell), outline, selection} or {blank}.
    update(data) {
      const nothing = data.blank !== undefined;
      board.classList.toggle("hidden", nothing);
      bar.hidden = nothing || scale === null;
      blank.hidden = !nothing;
      blank.textContent = data.blank ?? "";
      readout.textContent = "";
      given = null;
      if (nothing) return;
      given = data;
      board.setAttribute("aria-label", `${data.title ?? title}; arrow keys move, Space brushes`);
      selection = new Set(data.selection);
      const share = sharer(scale, data.high);
      cells.forEach((rect, cell) => {
        const value = data.values?.[cell];
        const known = Number.isFinite(value);
        rect.classList.toggle("no-value", scale !== null && !known);
        if (scale !== null && known) rect.setAttribute("fill", colorAt(scale, share(value)));
        else rect.removeAttribute("fill");
        rect.setAttribute("aria-label", `${cellText(memory, cell)}: ${data.describe(cell)}`);
      });
      marks.replaceChildren();
      if (data.paint) {
        for (let cell = 0; cell < cells.length; cell++) {
          const square = data.paint(cell);
          if (square) marks.append(squareIn(memory, cell, square));
        }
      }
      if (data.outline >= 0) {
        for (const className of ["mark-halo", "mark-line"])
          marks.append(squareIn(memory, data.outline, { class: className }));
      }
      paintSelection(selection);
      if (scale !== null) replaceChildren(bar, ...colorBar(scale, share, data.high, unit));
      tell(document.activeElement === board ? cursor : null);
    },
  };
}

function without(selection, cell) {
  return [...selection].filter((other) => other !== cell);
}

function between(memory, from, to) {
  const w = memory.width;
  const [ys, xs] = [
    [Math.floor(from / w), Math.floor(to / w)],
    [from % w, to % w],
  ];
  const found = new Set();
  for (let y = Math.min(...ys); y <= Math.max(...ys); y++)
    for (let x = Math.min(...xs); x <= Math.max(...xs); x++) found.add(y * w + x);
  return found;
}

function sharer(scale, high) {
  if (scale === "ratio") return (value) => (value <= 1 ? value / 2 : 0.5 + (value - 1) / (high - 1) / 2);
  return (value) => value / high;
}

export function colorBar(scale, share, high, unit) {
  const steps = 48;
  const strip = svg("svg", {
    viewBox: `0 0 ${steps} 1`,
    preserveAspectRatio: "none",
    class: "color-strip",
    "aria-hidden": "true",
  });
  for (let i = 0; i < steps; i++)
    strip.append(svg("rect", { x: i, y: 0, width: 1.02, height: 1, fill: colorAt(scale, i / (steps - 1)) }));
  const ticks = scale === "ratio" ? [0, 1, high] : [0, high / 2, high];
  return [
    strip,
    element(
      "p",
      { class: "color-ticks" },
      ticks.map((tick) => element("span", {}, number(tick))),
    ),
    element("p", { class: "color-unit" }, unit),
  ];
}

export function largest(values, least) {
  let found = least;
  for (const value of values) if (Number.isFinite(value) && value > found) found = value;
  return found;
}
