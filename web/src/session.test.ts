// The session's behaviour on a WebSocket that the test controls: requests, reconnection, and the end.
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { ANSWER_WITHIN, type Events, LONGEST_RETRY, PING_EVERY, Session } from "./session.ts";

class Socket {
  sent: Record<string, unknown>[] = [];
  closed = false;
  onopen = () => {};
  onmessage = (_: { data: unknown }) => {};
  onclose = (_: { code: number }) => {};
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  gets(frame: unknown) {
    this.onmessage({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }
  fails(code = 1006) {
    this.onclose({ code });
  }
}

function begin(t: TestContext, handback?: string) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const sockets: Socket[] = [];
  const seen: unknown[][] = [];
  const note =
    (kind: string) =>
    (...rest: unknown[]) =>
      void seen.push([kind, ...rest]);
  const events = Object.fromEntries(["waiting", "enter", "guests", "handback", "over", "online"].map((kind) => [kind, note(kind)])) as unknown as Events;
  const session = new Session("a-ticket", events, handback, () => {
    sockets.push(new Socket());
    return sockets.at(-1) as unknown as WebSocket;
  });
  session.start();
  const last = () => sockets.at(-1) as Socket;
  return { session, sockets, seen, last, wait: (ms: number) => t.mock.timers.tick(ms) };
}

const enter = { type: "enter", token: "t", url: "wss://class", identity: "p-1", name: "Ada" };

test("the ticket is shown first, and waiting leads to entering", (t) => {
  const { last, seen } = begin(t);
  assert.deepEqual(last().sent, []);
  last().onopen();
  assert.deepEqual(last().sent, [{ type: "hello", ticket: "a-ticket" }]);
  last().gets({ type: "waiting", why: "teacher" });
  last().gets({ type: "waiting", why: "teacher" });
  last().gets(enter);
  assert.deepEqual(seen, [["online", true], ["waiting", "teacher"], ["waiting", "teacher"], ["enter", enter]]);
});

test("odd frames change nothing", (t) => {
  const { last, seen } = begin(t);
  last().onopen();
  for (const odd of ["no JSON", "null", "[]", "7", { type: "enter" }, { type: "waiting", why: "fun" }, { type: "waiting_list" }, { type: "handback", sealed: 7 }, { type: "answer", re: 99 }, {}])
    last().gets(odd);
  assert.deepEqual(seen.filter(([kind]) => kind !== "online"), []);
  last().gets({ type: "waiting_list", people: [null, 7, {}, { identity: "p-1", name: "Ada", since: 1 }] });
  assert.deepEqual(seen.at(-1), ["guests", [{ identity: "p-1", name: "Ada", since: 1 }]]);
});

test("each request gets its own answer", async (t) => {
  const { session, last } = begin(t);
  assert.deepEqual(await session.request("chat"), { ok: false, error: "unreachable" });
  last().onopen();
  last().gets(enter);
  const [one, two] = [session.request("chat", { text: "Bonjour" }), session.request("mute_all")];
  const [first, second] = last().sent.slice(1);
  assert.deepEqual({ ...first, re: 0 }, { type: "chat", re: 0, text: "Bonjour" });
  assert.notEqual(first?.re, second?.re);
  last().gets({ type: "answer", re: second?.re, ok: true, muted: 3 });
  last().gets({ type: "answer", re: first?.re, error: "too_many" });
  assert.deepEqual(await one, { ok: false, error: "too_many" });
  assert.equal(((await two) as { muted?: number }).muted, 3);
});

test("a request without an answer ends, as do those of a lost connection", async (t) => {
  const { session, last, wait } = begin(t);
  last().onopen();
  last().gets(enter);
  const late = session.request("hand", { raised: true });
  wait(ANSWER_WITHIN);
  assert.deepEqual(await late, { ok: false, error: "unreachable" });
  const lost = session.request("hand", { raised: true });
  last().fails();
  assert.deepEqual(await lost, { ok: false, error: "unreachable" });
});

test("a lost connection comes back, later and later, with the newest handback", (t) => {
  const { sockets, last, seen, wait } = begin(t, "kept");
  last().onopen();
  assert.equal(last().sent[0]?.handback, "kept");
  last().gets(enter);
  last().gets({ type: "handback", sealed: "newer" });
  last().fails(1012);
  assert.deepEqual(seen.at(-1), ["online", false]);
  for (let n = 2; n < 12; n++) {
    assert.equal(sockets.length, n - 1);
    wait(LONGEST_RETRY);
    assert.equal(sockets.length, n);
    last().fails();
  }
  wait(LONGEST_RETRY);
  last().onopen();
  assert.deepEqual(last().sent[0], { type: "hello", ticket: "a-ticket", handback: "newer" });
  assert.deepEqual(seen.filter(([kind]) => kind === "over"), []);
});

test("a connection that no longer answers is replaced", async (t) => {
  const { sockets, last, wait } = begin(t);
  last().onopen();
  last().gets(enter);
  wait(PING_EVERY);
  const ping = last().sent.at(-1);
  assert.equal(ping?.type, "ping");
  last().gets({ type: "answer", re: ping?.re, ok: true });
  await Promise.resolve();
  wait(PING_EVERY);
  assert.equal(sockets.length, 1);
  wait(ANSWER_WITHIN);
  for (let n = 0; n < 5; n++) await Promise.resolve();
  wait(LONGEST_RETRY);
  assert.equal(sockets.length, 2);
  assert.ok(sockets[0]?.closed);
});

test("the end is final, with its reason", (t) => {
  for (const [close, reason] of [
    [{ type: "over", why: "removed" }, "removed"],
    [{ type: "over", why: "full" }, "full"],
    [{ type: "over", why: "anything" }, "lost"],
    [4001, "lost"],
    [4002, "elsewhere"],
    [4003, "lost"],
  ] as const) {
    const { sockets, last, seen, wait } = begin(t);
    last().onopen();
    last().gets(enter);
    if (typeof close === "number") last().fails(close);
    else {
      last().gets(close);
      last().fails(4003);
    }
    wait(10 * LONGEST_RETRY);
    assert.equal(sockets.length, 1);
    assert.deepEqual(seen.filter(([kind]) => kind === "over"), [["over", reason]]);
    t.mock.timers.reset();
  }
});

test("who leaves says so and does not reconnect", async (t) => {
  const { session, sockets, last, seen, wait } = begin(t);
  last().onopen();
  last().gets(enter);
  const left = session.leave();
  const request = last().sent.at(-1);
  assert.equal(request?.type, "leave");
  last().gets({ type: "answer", re: request?.re, ok: true });
  last().fails(4003);
  wait(10 * LONGEST_RETRY);
  await left;
  assert.equal(sockets.length, 1);
  assert.deepEqual(seen.filter(([kind]) => kind === "over"), []);
});
