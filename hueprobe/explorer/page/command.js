// The `hueprobe` command that gives what is on screen.

const PLAIN = /^[\w@%+=:,./-]+$/;

// POSIX shell quoting. Control characters go into $'...', so that a pasted name runs nothing.
export function quotedForShell(text) {
  if (text !== "" && PLAIN.test(text)) return text;
  if (!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = text.replace(/[\\']/g, "\\$&").replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const bytes = new TextEncoder().encode(character);
    return Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  });
  return `$'${escaped}'`;
}

export function queryCommand(memory, answer) {
  const relative = answer.root && !/^([/\\]|[A-Za-z]:[/\\])/.test(answer.path);
  const path = relative ? `${answer.root.replace(/\/$/, "")}/${answer.path}` : answer.path;
  const parts = [
    "hueprobe",
    "query",
    quotedForShell(memory.path),
    quotedForShell(path.startsWith("-") ? `./${path}` : path),
  ];
  if (memory.k !== 10) parts.push("--k", String(memory.k));
  if (memory.searcher !== "exact") parts.push("--searcher", quotedForShell(memory.searcher));
  if (memory.exclude !== "image") parts.push("--exclude", memory.exclude);
  return parts.join(" ");
}

export function exploreCommand(memories) {
  return ["hueprobe", "explore", ...memories.map((memory) => quotedForShell(memory.path))].join(" ");
}
