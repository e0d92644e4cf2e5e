// What the compiler does not see: empty texts, texts forgotten in translation, texts that nothing shows.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { preferred, texts } from "./texts.ts";

const said = (text: unknown): string => (typeof text === "function" ? String(text("Ada", "Ada")) + String(text(1, 1)) + String(text(2, 2)) : String(text));
const sources = readdirSync(import.meta.dirname)
  .filter((file) => /\.tsx?$/.test(file) && !file.startsWith("texts"))
  .map((file) => readFileSync(`${import.meta.dirname}/${file}`, "utf8"))
  .join("\n");

test("both languages say the same things", () => {
  assert.deepEqual(Object.keys(texts.en).sort(), Object.keys(texts.fr).sort());
  for (const [key, french] of Object.entries(texts.fr)) {
    const english = texts.en[key as keyof typeof texts.en];
    assert.equal(typeof english, typeof french, key);
    assert.ok(said(french).trim() && said(english).trim(), `${key} says nothing`);
  }
});

test("texts are translated", () => {
  const same = Object.keys(texts.fr).filter((key) => said(texts.fr[key as keyof typeof texts.fr]) === said(texts.en[key as keyof typeof texts.en]));
  assert.deepEqual(same, []);
});

test("French has non-breaking spaces before its tall punctuation", () => {
  const wrong = Object.keys(texts.fr).filter((key) => /\S [:;!?»]|« /.test(said(texts.fr[key as keyof typeof texts.fr])));
  assert.deepEqual(wrong, []);
});

test("every text is shown somewhere", () => {
  const unused = Object.keys(texts.fr).filter((key) => !new RegExp(`\\b${key}\\b`).test(sources));
  assert.deepEqual(unused, []);
});

test("the browser's languages decide, French otherwise", () => {
  assert.equal(preferred(["de-DE", "en-GB", "fr"]), "en");
  assert.equal(preferred(["fr-CA"]), "fr");
  assert.equal(preferred(["de"]), "fr");
});
