// Requests to the local server, in server mode only. Addresses are relative to the page's own.

export async function fetchJson(address, options = {}) {
  let reply;
  try {
    reply = await fetch(address, { cache: "no-store", ...options });
  } catch {
    throw new Error("the server does not answer; is `hueprobe explore` still running?");
  }
  let body = null;
  try {
    body = await reply.json();
  } catch {
    throw new Error(`the server answered ${reply.status} without JSON`);
  }
  if (!reply.ok) throw new Error(body?.error ?? `the server answered ${reply.status}`);
  return body;
}
