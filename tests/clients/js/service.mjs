// The servers under test and what to expect of them; see ../python/support/service.py, which reads the same.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const LEAST_COSINE = 0.9999;
const SCORE_TOLERANCE = 1e-3;

const expected = JSON.parse(readFileSync(process.env.EXPECTATIONS, "utf8"));

export const url = process.env.EMBEDDING_URL;
export const rerankUrl = process.env.RERANK_URL;
export const guardedUrl = process.env.GUARDED_URL;
export const key = process.env.GUARDED_KEY;
export const names = expected.names;
export const texts = expected.texts;
export const scripts = texts.slice(0, expected.scripts); // the texts that are not Latin
export const query = expected.query;
export const documents = expected.documents;
export const scores = expected.scores;

const bytes = Buffer.from(expected.vectors, "base64");
const dimensions = bytes.length / 4 / texts.length;

/** The reference's vector of a text, of length 1. */
export function referenceVector(index) {
  return Array.from({ length: dimensions }, (_, place) => bytes.readFloatLE(4 * (index * dimensions + place)));
}

export function dot(one, other) {
  return one.reduce((sum, value, place) => sum + value * other[place], 0);
}

export function cosine(one, other) {
  return dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other));
}

/** These are the vectors of the texts from `start` on, in their order; their length is not looked at. */
export function assertVectors(found, { count = texts.length, start = 0 } = {}) {
  assert.equal(found.length, count);
  found.forEach((vector, row) => {
    assert.equal(vector.length, dimensions);
    const likeness = cosine(Array.from(vector), referenceVector(start + row));
    assert.ok(likeness >= LEAST_COSINE, `text ${start + row} has a cosine of ${likeness}`);
  });
}

/** Results with index and relevanceScore, the best first: all of the documents, or the best `count`. */
export function assertRanking(found, { count = documents.length } = {}) {
  const wanted = scores.map((score, index) => ({ index, score })).sort((a, b) => b.score - a.score);
  assert.deepEqual(
    found.map((result) => result.index),
    wanted.slice(0, count).map(({ index }) => index),
  );
  found.forEach((result, place) => {
    assert.ok(Math.abs(result.relevanceScore - wanted[place].score) <= SCORE_TOLERANCE);
  });
}
