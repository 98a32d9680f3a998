// Server mode: drop, paste or choose an image; it is read and classified as any query.

import { element, button, announce } from "./dom.js";
import { keepAnswer, middle } from "./data.js";
import { fetchJson } from "./requests.js";
import { go, state } from "./state.js";

export function uploadControl(memories, limit) {
  const picker = element("input", {
    type: "file",
    accept: "image/*",
    hidden: true,
    "aria-label": "image file",
    onchange: () => send(memories, picker.files[0], limit),
  });
  listen(memories, limit);
  return element(
    "span",
    { class: "upload" },
    button("Open an image", () => picker.click(), { title: "or drop or paste one anywhere" }),
    picker,
  );
}

function listen(memories, limit) {
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    send(memories, event.dataTransfer.files[0], limit);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((found) => found.type.startsWith("image/"));
    if (file) send(memories, file, limit);
  });
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

async function send(memories, file, limit) {
  if (!file) return announce("Drop an image file.");
  const memory = memories[state().m] ?? memories[0];
  if (limit && file.size > limit)
    return announce(`This file has ${megabytes(file.size)}; the server takes at most ${megabytes(limit)}.`);
  announce(`Reading and classifying ${file.name || "the image"} …`);
  try {
    const reply = await fetchJson(
      `upload?memory=${memory.number}&name=${encodeURIComponent(file.name || "pasted image")}`,
      {
        method: "POST",
        body: file,
        headers: { "Content-Type": file.type || "application/octet-stream" },
      },
    );
    keepAnswer(memory, { kind: "upload", row: reply.row }, reply.queries);
    go({ view: "image", kind: "u", row: reply.row, m: memory.number, c: middle(memory), r: 1 });
  } catch (error) {
    announce(`Error: ${error.message}`);
  }
  return undefined;
}
