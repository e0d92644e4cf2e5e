// What everybody in the class may know: the room's metadata, written by the join service alone.
export type ChatMode = "all" | "teacher" | "off";
export type RoomState = { locked: boolean; chat: ChatMode; waitingRoom: boolean; teacher: boolean };

export const CHAT_MODES: readonly ChatMode[] = ["all", "teacher", "off"];

export function readRoomState(metadata?: string): RoomState {
  let found: Record<string, unknown> = {};
  try {
    found = Object(JSON.parse(metadata || "{}")) as Record<string, unknown>;
  } catch {
    // not yet written
  }
  return {
    locked: found.locked === true,
    chat: CHAT_MODES.find((mode) => mode === found.chat) ?? "all",
    waitingRoom: found.waiting_room === true,
    teacher: found.teacher !== false,
  };
}
