// cohere-ai: versions 1 and 2 of its API, embeddings and rerank.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CohereClient, CohereClientV2, CohereError } from "cohere-ai";

import { assertRetried, recordingFetch, withFullQueue } from "./full_queue.mjs";
import {
  assertRanking, assertVectors, documents, guardedUrl, key, names, query, rerankUrl, scores, scripts, texts, url,
} from "./service.mjs";

const COUNT = 40;
const batch = texts.slice(0, COUNT);
const TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"];

const connect = (Client, base, options = {}) =>
  new Client({ baseUrl: base, token: "none", maxRetries: 0, ...options });
const asked = { model: names.cohere, inputType: "search_document" };

/** Eight signs to a byte, the first one highest. */
function packSigns(vector) {
  const packed = Array(vector.length / 8).fill(0);
  vector.forEach((value, place) => {
    if (value > 0) packed[place >> 3] |= 128 >> (place & 7);
  });
  return packed;
}

function assertNear(found, wanted) {
  assert.equal(found.length, wanted.length);
  found.forEach((value, place) => assert.ok(Math.abs(value - wanted[place]) <= 1, `place ${place}`));
}

test("version 2 embeds 1500 texts in one call, in order", async () => {
  const answer = await connect(CohereClientV2, url).embed({ ...asked, texts, embeddingTypes: ["float"] });
  assertVectors(answer.embeddings.float);
  assert.ok(answer.meta.billedUnits.inputTokens > texts.length);
});

test("version 2 without embedding types gives numbers", async () => {
  const answer = await connect(CohereClientV2, url).embed({ ...asked, texts: batch });
  assertVectors(answer.embeddings.float, { count: COUNT });
});

test("version 2 gives every embedding type", async () => {
  const { embeddings } = await connect(CohereClientV2, url).embed({ ...asked, texts: batch, embeddingTypes: TYPES });
  assertVectors(embeddings.float, { count: COUNT });
  embeddings.float.forEach((vector, row) => {
    assertNear(embeddings.int8[row], vector.map((value) => value * 127));
    assertNear(embeddings.uint8[row], vector.map((value) => value * 127 + 128));
    const signs = packSigns(vector);
    assert.deepEqual(embeddings.ubinary[row], signs);
    assert.deepEqual(embeddings.binary[row], signs.map((byte) => byte - 128));
    assert.equal(Buffer.from(embeddings.base64[row], "base64").readFloatLE(0), Math.fround(vector[0]));
  });
});

test("version 1 embeds 1500 texts, plain and by type", async () => {
  const client = connect(CohereClient, url);
  const plain = await client.embed({ ...asked, texts });
  assert.equal(plain.responseType, "embeddings_floats");
  assertVectors(plain.embeddings);
  const typed = await client.embed({ ...asked, texts: batch, embeddingTypes: ["float"] });
  assert.equal(typed.responseType, "embeddings_by_type");
  assertVectors(typed.embeddings.float, { count: COUNT });
});

test("one text alone is the same as among others", async () => {
  const client = connect(CohereClientV2, url);
  for (const [start, text] of scripts.entries()) {
    const answer = await client.embed({ ...asked, inputType: "search_query", texts: [text] });
    assertVectors(answer.embeddings.float, { count: 1, start });
  }
});

test("version 2 ranks documents, all and the best", async () => {
  const client = connect(CohereClientV2, rerankUrl);
  const all = await client.rerank({ model: names.cohere_reranker, query, documents });
  assertRanking(all.results);
  assert.equal(all.meta.billedUnits.searchUnits, 1);
  const best = await client.rerank({ model: names.reranker, query, documents, topN: 3, maxTokensPerDoc: 4096 });
  assertRanking(best.results, { count: 3 });
});

test("version 1 ranks texts and objects and repeats them", async () => {
  const client = connect(CohereClient, rerankUrl);
  const best = scores.indexOf(Math.max(...scores));
  for (const given of [documents, documents.map((text) => ({ text }))]) {
    const answer = await client.rerank({ model: names.reranker, query, documents: given, returnDocuments: true });
    assertRanking(answer.results);
    assert.equal(answer.results[0].document.text, documents[best]);
  }
});

test("errors come as the SDK's own, with words", async () => {
  for (const Client of [CohereClient, CohereClientV2]) {
    const client = connect(Client, url);
    const cases = [
      [404, { ...asked, model: "nobody-has", texts: ["hello"] }],
      [400, { ...asked, texts: [] }],
      [400, { ...asked, texts: ["word ".repeat(400)], truncate: "NONE" }],
    ];
    for (const [status, body] of cases) {
      await assert.rejects(client.embed(body), (error) => {
        assert.ok(error instanceof CohereError);
        assert.ok(error.statusCode === status || (status === 400 && error.statusCode === 422), `${error.statusCode}`);
        assert.ok(error.body.message.length > 10);
        return true;
      });
    }
  }
});

test("a server with keys takes the right one only", async () => {
  const body = { ...asked, texts: batch, embeddingTypes: ["float"] };
  for (const Client of [CohereClient, CohereClientV2]) {
    const answer = await connect(Client, guardedUrl, { token: key }).embed(body);
    assertVectors(answer.embeddings.float, { count: COUNT });
    await assert.rejects(connect(Client, guardedUrl, { token: "wrong" }).embed(body), { statusCode: 401 });
  }
});

test("a full queue is refused with a time to come back", async () => {
  await withFullQueue(url, async () => {
    await assert.rejects(connect(CohereClientV2, url).embed({ ...asked, texts: ["hello"] }), (error) => {
      assert.equal(error.statusCode, 429);
      assert.ok(Number(error.rawResponse.headers.get("retry-after")) >= 1);
      return true;
    });
  });
});

test("the SDK's own retry after a full queue succeeds", async () => {
  await withFullQueue(url, async (letGo) => {
    const { record, answers } = recordingFetch(letGo);
    const client = connect(CohereClientV2, url, { maxRetries: 4, fetch: record });
    const answer = await client.embed({ ...asked, texts: batch });
    assertVectors(answer.embeddings.float, { count: COUNT });
    assertRetried(answers);
  });
});
