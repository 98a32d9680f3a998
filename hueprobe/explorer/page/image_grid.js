// An image with its cells: one to choose cells in, and a small one with a marked cell.

import { element, svg } from "./dom.js";
import { cellText } from "./data.js";

let made = 0;

function frame(className) {
  const image = element("img", { alt: "", decoding: "sync", draggable: "false" });
  const missing = element("span", { class: "missing", hidden: true }, "no thumbnail in this file");
  const root = element("div", { class: `picture ${className}` }, image, missing);
  const show = (address, alt) => {
    image.hidden = address === null;
    missing.hidden = address !== null;
    root.classList.toggle("blank", address === null);
    if (address === null) image.removeAttribute("src");
    else if (image.getAttribute("src") !== address) image.src = address;
    image.alt = alt;
  };
  return { root, show };
}

function layer(memory, attributes) {
  return svg("svg", {
    viewBox: `0 0 ${memory.width} ${memory.height}`,
    preserveAspectRatio: "none",
    ...attributes,
  });
}

export function outline(memory, className) {
  const halo = svg("rect", { class: "mark-halo", width: 1, height: 1 });
  const line = svg("rect", { class: "mark-line", width: 1, height: 1 });
  const group = svg("g", { class: className, "aria-hidden": "true" }, halo, line);
  const place = (cell) => {
    group.classList.toggle("hidden", cell === null || cell < 0);
    if (cell === null || cell < 0) return;
    for (const rect of [halo, line]) {
      rect.setAttribute("x", cell % memory.width);
      rect.setAttribute("y", Math.floor(cell / memory.width));
    }
  };
  place(null);
  return { group, place };
}

// A thumbnail with at most one marked cell.
export function markedImage(memory) {
  const { root, show } = frame("thumb");
  const mark = outline(memory, "mark");
  root.append(layer(memory, { "aria-hidden": "true" }, mark.group));
  root.lastChild.append(mark.group);
  return { root, show, mark: mark.place };
}

// A grid to choose cells in, with the mouse, a finger or the keyboard.
//
// `act` holds chosen(cell), hovered(cell or null), entered(cell), and key(event) for further keys.
export function imageGrid(memory, label, act) {
  made += 1;
  const prefix = `grid${made}`;
  const { root, show } = frame("large");
  const cells = [];
  const rows = [];
  for (let y = 0; y < memory.height; y++) {
    const row = svg("g", { role: "row" });
    for (let x = 0; x < memory.width; x++) {
      const cell = svg("rect", {
        role: "gridcell",
        id: `${prefix}c${cells.length}`,
        class: "cell",
        x,
        y,
        width: 1,
        height: 1,
        "data-cell": cells.length,
      });
      cells.push(cell);
      row.append(cell);
    }
    rows.push(row);
  }
  const overlay = svg("g", { class: "overlay", "aria-hidden": "true" });
  const chosen = outline(memory, "chosen");
  const hover = outline(memory, "hover");
  const board = layer(memory, { role: "grid", tabindex: 0, "aria-label": label, class: "board" });
  board.append(overlay, ...rows, hover.group, chosen.group);
  root.append(board);

  let current = 0;
  const cellOf = (event) => {
    const found = event.target.closest?.("[data-cell]");
    return found ? Number(found.dataset.cell) : null;
  };
  board.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    hover.place(cellOf(event));
    act.hovered(cellOf(event));
  });
  board.addEventListener("pointerleave", () => {
    hover.place(null);
    act.hovered(null);
  });
  board.addEventListener("click", (event) => {
    const cell = cellOf(event);
    if (cell !== null) act.chosen(cell);
  });
  board.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const to = moved(memory, current, event.key);
    if (to !== null) act.chosen(to);
    else if (event.key === "Enter") act.entered(current);
    else if (!act.key?.(event)) return;
    event.preventDefault();
  });

  return {
    root,
    show,
    board,
    choose(cell) {
      cells[current].setAttribute("aria-selected", "false");
      current = cell;
      cells[cell].setAttribute("aria-selected", "true");
      board.setAttribute("aria-activedescendant", cells[cell].id);
      chosen.place(cell);
    },
    label(describe) {
      cells.forEach((rect, cell) =>
        rect.setAttribute("aria-label", `${cellText(memory, cell)}${describe(cell)}`),
      );
    },
    out(off) {
      cells.forEach((rect, cell) => rect.classList.toggle("out", off.has(cell)));
    },
    // `paint(cell)` gives null, or {class, fill, side} of a square in the cell.
    overlay(paint) {
      overlay.replaceChildren();
      for (let cell = 0; cell < cells.length; cell++) {
        const square = paint(cell);
        if (square) overlay.append(squareIn(memory, cell, square));
      }
    },
  };
}

export function squareIn(memory, cell, square) {
  const side = square.side ?? 1;
  return svg("rect", {
    class: square.class,
    fill: square.fill,
    x: (cell % memory.width) + (1 - side) / 2,
    y: Math.floor(cell / memory.width) + (1 - side) / 2,
    width: side,
    height: side,
  });
}

// The cell that a key leads to, or null.
export function moved(memory, cell, key) {
  const { width, height } = memory;
  const [y, x] = [Math.floor(cell / width), cell % width];
  const to = {
    ArrowLeft: [y, x - 1],
    ArrowRight: [y, x + 1],
    ArrowUp: [y - 1, x],
    ArrowDown: [y + 1, x],
    Home: [y, 0],
    End: [y, width - 1],
  }[key];
  if (!to) return null;
  return Math.max(0, Math.min(height - 1, to[0])) * width + Math.max(0, Math.min(width - 1, to[1]));
}
