// Messages of the chat, as the join service has them delivered. Bytes that arrive may be anything: what is no whole message is not shown.
import type { Role } from "./portal";

export type Message = { id: string; identity: string; name: string; role: Role; at: number; text: string };

export const TOPIC = "chat";
export const KEPT = 500;
const MOST_BYTES = 8192;
const MOST_TEXT = 2000; // 1000 characters, of two units each at most
const MOST_NAME = 200;
const LAST_MOMENT = 8.64e15; // of which a Date can be made

const isText = (value: unknown, most: number): value is string => typeof value === "string" && value.length > 0 && value.length <= most;
const isMoment = (value: unknown): value is number => typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= LAST_MOMENT;

function parsed(bytes: Uint8Array): unknown {
  if (bytes.length > MOST_BYTES) return null;
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
}

export function readMessage(bytes: Uint8Array): Message | null {
  const found = parsed(bytes);
  if (typeof found !== "object" || found === null) return null;
  const { id, identity, name, role, at, text } = found as Record<string, unknown>;
  if (!isText(id, MOST_NAME) || !isText(identity, MOST_NAME) || !isText(name, MOST_NAME) || !isText(text, MOST_TEXT)) return null;
  if (!isMoment(at) || (role !== "teacher" && role !== "pupil")) return null;
  return { id, identity, name, role, at, text };
}

// The first message with an id stays; the oldest messages go.
export function withMessage(messages: Message[], next: Message): Message[] {
  return messages.some((message) => message.id === next.id) ? messages : [...messages, next].slice(-KEPT);
}
