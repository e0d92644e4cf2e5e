import { type RemoteParticipant, type Room, RoomEvent } from "livekit-client";
import { useEffect, useRef, useState } from "react";
import { type Message, readMessage, TOPIC, withMessage } from "./messages";

// The chat so far. What the service sends has no sender in the room; data of participants is not looked at.
export function useMessages(room: Room, onMessage: (message: Message) => void): Message[] {
  const [messages, setMessages] = useState<Message[]>([]);
  const latest = useRef(onMessage);
  latest.current = onMessage;
  useEffect(() => {
    let all: Message[] = [];
    const arrived = (payload: Uint8Array, sender?: RemoteParticipant, _kind?: unknown, topic?: string) => {
      if (sender || topic !== TOPIC) return;
      const message = readMessage(payload);
      const more = message ? withMessage(all, message) : all;
      if (!message || more === all) return;
      all = more;
      setMessages(all);
      latest.current(message);
    };
    room.on(RoomEvent.DataReceived, arrived);
    return () => void room.off(RoomEvent.DataReceived, arrived);
  }, [room]);
  return messages;
}
