import { type DataPacket_Kind, type Encryption_Type, type RemoteParticipant, type Room, RoomEvent } from "livekit-client";
import { useEffect, useRef, useState } from "react";
import { type Chat, type Deletion, isFromServer, type Message, NO_CHAT, readMessage, TOPIC, withMessage } from "./messages";

// The chat so far, from data that the server itself sent; data of participants are ignored.
export function useMessages(room: Room, onNext: (next: Message | Deletion) => void): Message[] {
  const [messages, setMessages] = useState<Message[]>([]);
  const latest = useRef(onNext);
  latest.current = onNext;
  useEffect(() => {
    let chat: Chat = NO_CHAT;
    const arrived = (payload: Uint8Array, sender?: RemoteParticipant, _kind?: DataPacket_Kind, topic?: string, _encryption?: Encryption_Type, identity?: string) => {
      if (topic !== TOPIC || !isFromServer(sender, identity)) return;
      const next = readMessage(payload);
      const changed = next ? withMessage(chat, next) : chat;
      if (!next || changed === chat) return;
      chat = changed;
      setMessages(chat.messages);
      latest.current(next);
    };
    room.on(RoomEvent.DataReceived, arrived);
    return () => void room.off(RoomEvent.DataReceived, arrived);
  }, [room]);
  return messages;
}
