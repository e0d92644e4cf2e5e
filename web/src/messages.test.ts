// Bytes that are not a message: each is refused without an error, and complete messages still pass.
import assert from "node:assert/strict";
import test from "node:test";
import { isFromServer, KEPT, type Message, NO_CHAT, readMessage, withMessage } from "./messages.ts";

const good: Message = { id: "m1", identity: "t-1", name: "Mme Martin", role: "teacher", at: 1_700_000_000_000, text: "Bonjour" };
const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

test("a complete message is read without unknown fields", () => {
  assert.deepEqual(readMessage(bytes(good)), good);
  assert.deepEqual(readMessage(bytes({ ...good, html: "<b>" })), good);
  assert.ok(readMessage(bytes({ ...good, text: "\u{1f600}".repeat(1000) })));
});

test("what is not a message is refused", () => {
  for (const [key, values] of Object.entries({
    id: ["", 7, null, {}, "x".repeat(201)],
    identity: ["", 7, null, []],
    name: ["", 7, { toString: 1 }, "x".repeat(201)],
    role: ["admin", "", null, ["teacher"], true],
    at: [9e15, -1, 1.5, "1700000000000", null, 1e400],
    text: ["", 7, {}, { $$typeof: "x" }, [good], null, "x".repeat(2001)],
  })) {
    for (const value of values) assert.equal(readMessage(bytes({ ...good, [key]: value })), null, `${key} ${JSON.stringify(value)}`);
    assert.equal(readMessage(bytes({ ...good, [key]: undefined })), null, `no ${key}`);
  }
});

test("what is not a JSON object is refused", () => {
  for (const text of ["", "no JSON", "null", "7", '"text"', "[]", "[".repeat(8000), "{", `{"id":${"1".repeat(5000)}}`]) assert.equal(readMessage(bytes(text)), null, text.slice(0, 20));
  for (const odd of [[], [0xff, 0xfe], [0xed, 0xa0, 0xbd], [0]]) assert.equal(readMessage(Uint8Array.from(odd)), null);
  assert.equal(readMessage(bytes({ ...good, padding: "x".repeat(60_000) })), null);
});

test("a message never replaces another, and the list has an end", () => {
  const one = withMessage(NO_CHAT, good);
  assert.equal(withMessage(one, { ...good, text: "forged" }), one);
  let many = one;
  for (let n = 0; n < KEPT + 20; n++) many = withMessage(many, { ...good, id: `m-${n}` });
  assert.equal(many.messages.length, KEPT);
  assert.equal(many.messages.at(-1)?.id, `m-${KEPT + 19}`);
});

test("a deleted message is gone, and does not come back", () => {
  const other = { ...good, id: "m2" };
  const both = withMessage(withMessage(NO_CHAT, good), other);
  const deletion = readMessage(bytes({ delete: "m1" }));
  assert.deepEqual(deletion, { delete: "m1" });
  const less = withMessage(both, { delete: "m1" });
  assert.deepEqual(less.messages, [other]);
  assert.equal(withMessage(less, good), less);
  for (const odd of [7, "", null, {}, ["m2"], "x".repeat(201)]) assert.equal(readMessage(bytes({ delete: odd })), null);
});

test("only a packet without a sender is the server's", () => {
  assert.ok(isFromServer(undefined, ""));
  assert.ok(!isFromServer(undefined, "p-unknown"), "a sender whom the page does not know yet");
  assert.ok(!isFromServer({ identity: "p-known" }, "p-known"));
  assert.ok(!isFromServer({ identity: "p-known" }, ""));
  assert.ok(!isFromServer(undefined, undefined));
});
