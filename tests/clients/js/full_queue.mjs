// A queue that is full: a request as large as the queue, until it hangs up; see ../python/support/full_queue.py.

import assert from "node:assert/strict";

const QUEUE_TOKENS = 262144; // the runtime's default
const TEXT_TOKENS = 256; // as much as MiniLM takes
const WORD = "cat "; // one token, and as long as the runtime reckons one to be before it has counted
const DEADLINE_MS = 60_000;

const post = (url, inputs, signal) =>
  fetch(`${url}/embed`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs, truncate: true }),
    signal,
  });

async function waitUntil(url, { full }) {
  const deadline = Date.now() + DEADLINE_MS;
  while (((await post(url, "cat")).status === 429) !== full) {
    assert.ok(Date.now() < deadline, `the queue was never ${full ? "full" : "free again"}`);
  }
}

/** Run `inside` while the server admits nobody else; its argument lets go earlier. Then it admits the next one. */
export async function withFullQueue(url, inside) {
  const large = new AbortController();
  const texts = Array(QUEUE_TOKENS / TEXT_TOKENS + 1).fill(WORD.repeat(TEXT_TOKENS - 2));
  const ended = post(url, texts, large.signal).then(
    (response) => response.status,
    () => "hung up",
  );
  try {
    await waitUntil(url, { full: true });
    await inside(() => large.abort());
  } finally {
    large.abort();
    await ended;
    // The server hears of it later: else the next one would take this full queue for its own.
    await waitUntil(url, { full: false });
  }
}

/** A fetch for SDKs that keeps what was answered, and calls `onRefusal` at each 429. */
export function recordingFetch(onRefusal) {
  const answers = [];
  const record = async (...request) => {
    const asked = Date.now();
    const response = await fetch(...request);
    const { status, headers } = response;
    answers.push({ asked, answered: Date.now(), status, retryAfter: Number(headers.get("retry-after")) });
    if (status === 429) onRefusal();
    return response;
  };
  return { record, answers };
}

/** The first request was refused, and the last, not sooner than the refusal said, answered. */
export function assertRetried(answers) {
  const [first, last] = [answers[0], answers.at(-1)];
  assert.deepEqual([first.status, last.status], [429, 200]);
  assert.ok(first.retryAfter >= 1);
  assert.ok(last.asked - first.answered >= 1000 * first.retryAfter - 50);
}
