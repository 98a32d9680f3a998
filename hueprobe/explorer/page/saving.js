// Files that the browser saves, and text that it copies.

import { announce, element } from "./dom.js";

export function saveBlob(blob, name) {
  const address = URL.createObjectURL(blob);
  const safe = name.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(-100);
  const link = element("a", { href: address, download: safe, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  announce(`Saved ${safe}.`);
}

export function saveText(text, type, name) {
  saveBlob(new Blob([text], { type: `${type};charset=utf-8` }), name);
}

// The clipboard, or a selected field where the browser does not allow it (file://, frames).
export async function copyText(text, field) {
  field.value = text;
  field.hidden = false;
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied.");
  } catch {
    field.focus();
    field.select();
    announce("The browser does not let this page copy; the command is selected, press Ctrl+C.");
  }
}
