// Asks the service; waits and asks again when it is busy.

let key = "";
export function useKey(value) { key = value; }

export class Refused extends Error {
  constructor(status, code, message) { super(message); this.status = status; this.code = code; }
}

const pause = (seconds, signal) => new Promise((done, failed) => {
  const timer = setTimeout(done, seconds * 1000);
  signal?.addEventListener("abort", () => { clearTimeout(timer); failed(signal.reason); }, { once: true });
});

async function ask(path, options = {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refused(0, "unreachable", "The service cannot be reached. Is it still running?");
  }
  if (answer.ok) return answer.json();
  const body = await answer.json().catch(() => ({}));
  const refused = new Refused(answer.status, body.error?.code ?? "http_error", body.error?.message ?? `status ${answer.status}`);
  refused.wait = Number(answer.headers.get("Retry-After")) || 0;
  throw refused;
}

async function patiently(path, options, tries) {
  for (let turn = 1; ; turn += 1) {
    try {
      return await ask(path, options);
    } catch (error) {
      const again = error instanceof Refused && (error.status === 429 || error.status === 503) && error.wait;
      if (!again || turn >= tries) throw error;
      await pause(Math.min(error.wait, 15) * (0.8 + 0.4 * Math.random()), options.signal);
    }
  }
}

export function models() { return patiently("v1/models", {}, 60); }

export async function predict(file, name, signal) {
  const body = new FormData();
  body.append("files", file, name);
  const answer = await patiently("v1/predict?distribution=true", { method: "POST", body, signal }, 20);
  return answer.pictures[0];
}
