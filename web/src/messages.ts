// Messages of the chat, as the join service sends them. Received bytes may be anything: what is not a complete message is not shown.
import type { Role } from "./portal";

export type Message = { id: string; identity: string; name: string; role: Role; at: number; text: string };
export type Deletion = { delete: string };
export type Chat = { messages: Message[]; deleted: ReadonlySet<string> };

export const TOPIC = "chat";
export const KEPT = 500;
export const NO_CHAT: Chat = { messages: [], deleted: new Set() };
const MOST_BYTES = 8192;
const MOST_TEXT = 2000; // 1000 characters, of two units each at most
const MOST_NAME = 200;
const LAST_MOMENT = 8.64e15; // the last that a Date can represent

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

export function readMessage(bytes: Uint8Array): Message | Deletion | null {
  const found = parsed(bytes);
  if (typeof found !== "object" || found === null) return null;
  const { id, identity, name, role, at, text, delete: gone } = found as Record<string, unknown>;
  if (isText(gone, MOST_NAME)) return { delete: gone };
  if (!isText(id, MOST_NAME) || !isText(identity, MOST_NAME) || !isText(name, MOST_NAME) || !isText(text, MOST_TEXT)) return null;
  if (!isMoment(at) || (role !== "teacher" && role !== "pupil")) return null;
  return { id, identity, name, role, at, text };
}

// The server itself sends packets without a sender. The packet decides and not the list of participants: a page may receive
// data of somebody whom it does not know yet.
export function isFromServer(sender: { identity: string } | undefined, identityInPacket: string | undefined): boolean {
  return !sender && identityInPacket === "";
}

// Add a message, unless its id is known or deleted, or delete one; the oldest messages are dropped.
export function withMessage(chat: Chat, next: Message | Deletion): Chat {
  if ("delete" in next) {
    const deleted = new Set([...chat.deleted, next.delete].slice(-KEPT));
    return { messages: chat.messages.filter((message) => message.id !== next.delete), deleted };
  }
  if (chat.deleted.has(next.id) || chat.messages.some((message) => message.id === next.id)) return chat;
  return { ...chat, messages: [...chat.messages, next].slice(-KEPT) };
}
