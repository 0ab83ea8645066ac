// openai for JavaScript, against a live server.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

import { assertRetried, recordingFetch, withFullQueue } from "./full_queue.mjs";
import { assertVectors, guardedUrl, key, names, scripts, texts, url } from "./service.mjs";

const COUNT = 40;
const batch = texts.slice(0, COUNT);

const connect = (base, options = {}) => new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0, ...options });
const vectors = (answer) => answer.data.map((row) => row.embedding);

test("1500 texts in one call keep their order", async () => {
  const answer = await connect(url).embeddings.create({ model: names.model, input: texts });
  assertVectors(vectors(answer));
  assert.deepEqual(answer.data.map((row) => row.index), texts.map((_, index) => index));
  assert.ok(answer.usage.total_tokens > texts.length);
});

test("one text alone is the same as among others", async () => {
  const client = connect(url);
  for (const [start, input] of scripts.entries()) {
    const answer = await client.embeddings.create({ model: names.openai, input });
    assertVectors(vectors(answer), { count: 1, start });
  }
});

test("numbers in place of base64 are the same numbers", async () => {
  const client = connect(url);
  const asked = { model: names.model, input: batch };
  const numbers = await client.embeddings.create({ ...asked, encoding_format: "float" });
  assertVectors(vectors(numbers), { count: COUNT });
  const decoded = await client.embeddings.create(asked);
  vectors(decoded).forEach((vector, row) =>
    vector.forEach((value, place) => assert.ok(Math.abs(value - numbers.data[row].embedding[place]) < 1e-6)),
  );
  const text = await client.embeddings.create({ ...asked, encoding_format: "base64" });
  const wire = text.data[0].embedding;
  assert.equal(typeof wire, "string");
  assert.equal(Buffer.from(wire, "base64").readFloatLE(0), Math.fround(decoded.data[0].embedding[0]));
});

test("sixteen calls at once get their own vectors", async () => {
  const client = connect(url);
  const starts = Array.from({ length: 16 }, (_, number) => 50 * number);
  const answers = await Promise.all(
    starts.map((start) => client.embeddings.create({ model: names.model, input: texts.slice(start, start + 50) })),
  );
  assertVectors(answers.flatMap(vectors), { count: 800 });
});

test("the models are listed and an unknown one is not found", async () => {
  const client = connect(url);
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  assert.ok([names.model, names.openai].every((name) => listed.includes(name)));
  await assert.rejects(client.embeddings.create({ model: "nobody-has", input: "hello" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, new RegExp(names.openai));
    return true;
  });
});

test("a request that makes no sense is a bad request in words", async () => {
  const client = connect(url);
  for (const body of [{ input: [] }, { input: "hello", dimensions: 0 }, { input: [[15339, 1917]] }, { input: [null] }]) {
    await assert.rejects(client.embeddings.create({ model: names.model, ...body }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError || error instanceof OpenAI.UnprocessableEntityError);
      assert.equal(error.type, "invalid_request_error");
      return true;
    });
  }
});

test("a server with keys takes the right one only", async () => {
  const asked = { model: names.model, input: batch };
  assertVectors(vectors(await connect(guardedUrl, { apiKey: key }).embeddings.create(asked)), { count: COUNT });
  await assert.rejects(connect(guardedUrl, { apiKey: "wrong" }).embeddings.create(asked), OpenAI.AuthenticationError);
});

test("a full queue is a rate limit that says when to come back", async () => {
  await withFullQueue(url, async () => {
    await assert.rejects(connect(url).embeddings.create({ model: names.model, input: "hello" }), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.ok(Number(error.headers.get("retry-after")) >= 1);
      return true;
    });
  });
});

test("the SDK's own retry after a full queue succeeds", async () => {
  await withFullQueue(url, async (letGo) => {
    const { record, answers } = recordingFetch(letGo);
    const client = connect(url, { maxRetries: 4, fetch: record });
    const answer = await client.embeddings.create({ model: names.model, input: batch });
    assertVectors(vectors(answer), { count: COUNT });
    assertRetried(answers);
  });
});
