// @huggingface/inference, which speaks as text-embeddings-inference is spoken to.

import assert from "node:assert/strict";
import { test } from "node:test";

import { InferenceClient } from "@huggingface/inference";

import { withFullQueue } from "./full_queue.mjs";
import { assertVectors, dot, guardedUrl, key, referenceVector, scripts, texts, url } from "./service.mjs";

const COUNT = 40;
const batch = texts.slice(0, COUNT);

const connect = (base, token) => new InferenceClient(token).endpoint(base);

const refusedWith = (status) => (error) => {
  assert.equal(error.httpResponse.status, status);
  assert.ok(error.message.length > 10);
  return true;
};

test("1500 texts in one call keep their order", async () => {
  assertVectors(await connect(url).featureExtraction({ inputs: texts }));
});

test("one text alone is the same as among others", async () => {
  const client = connect(`${url}/embed`);
  for (const [start, inputs] of scripts.entries()) {
    assertVectors(await client.featureExtraction({ inputs }), { count: 1, start });
  }
});

test("sentences are compared", async () => {
  const [source, ...others] = batch;
  const found = await connect(`${url}/similarity`).sentenceSimilarity({
    inputs: { source_sentence: source, sentences: others },
  });
  assert.equal(found.length, others.length);
  found.forEach((likeness, place) => {
    assert.ok(Math.abs(likeness - dot(referenceVector(0), referenceVector(place + 1))) < 1e-3);
  });
});

test("a request that makes no sense is refused in words", async () => {
  await assert.rejects(connect(url).featureExtraction({ inputs: Array(3000).fill("hello") }), (error) => {
    assert.ok([400, 413, 422].includes(error.httpResponse.status));
    return true;
  });
});

test("a server with keys takes the right one only", async () => {
  assertVectors(await connect(guardedUrl, key).featureExtraction({ inputs: batch }), { count: COUNT });
  await assert.rejects(connect(guardedUrl, "wrong").featureExtraction({ inputs: batch }), refusedWith(401));
  await assert.rejects(connect(guardedUrl).featureExtraction({ inputs: batch }), refusedWith(401));
});

test("a full queue is refused at once", async () => {
  await withFullQueue(url, async () => {
    await assert.rejects(connect(url).featureExtraction({ inputs: "hello" }), refusedWith(429));
  });
});
