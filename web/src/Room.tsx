import { RoomContext } from "@livekit/components-react";
import { DisconnectReason, Room as LiveKitRoom, VideoPresets } from "livekit-client";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import type { Goodbye } from "./App";
import { Boundary } from "./Boundary";
import { Class } from "./Class";
import { type Kind, type Wishes, whyNot } from "./devices";
import type { Ticket } from "./portal";
import type { Language, Texts } from "./texts";

export type RoomProps = {
  text: Texts;
  language: Language;
  switcher: ReactNode;
  ticket: Ticket;
  wishes: Wishes;
  onWishes: (wishes: Wishes) => void;
  onEnd: (why: Goodbye) => void;
};
export type Problems = Partial<Record<Kind, keyof Texts>>;

function newRoom(wishes: Wishes): LiveKitRoom {
  return new LiveKitRoom({
    adaptiveStream: true,
    dynacast: true,
    audioCaptureDefaults: { deviceId: wishes.microphoneId || undefined, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    videoCaptureDefaults: { deviceId: wishes.cameraId || undefined, resolution: VideoPresets.h540.resolution },
    stopLocalTrackOnUnpublish: true,
  });
}

function whyOver(reason?: DisconnectReason): Goodbye {
  switch (reason) {
    case DisconnectReason.PARTICIPANT_REMOVED:
      return "removed";
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return "ended";
    case DisconnectReason.CLIENT_INITIATED:
      return "bye";
    case DisconnectReason.DUPLICATE_IDENTITY:
      return "elsewhere";
    default:
      return "lost";
  }
}

// Turn on what was wished for, and return why a device did not start.
async function start(room: LiveKitRoom, wishes: Wishes): Promise<Problems> {
  const me = room.localParticipant;
  if (wishes.camera && wishes.microphone) {
    try {
      await me.enableCameraAndMicrophone(); // one question of the browser for both
      return {};
    } catch {
      // one by one, so that what works is used and the other is named
    }
  }
  const problems: Problems = {};
  if (wishes.microphone) await me.setMicrophoneEnabled(true).catch((error: unknown) => void (problems.microphone = whyNot("microphone", error)));
  if (wishes.camera) await me.setCameraEnabled(true).catch((error: unknown) => void (problems.camera = whyNot("camera", error)));
  return problems;
}

export default function Room(props: RoomProps) {
  const { ticket, wishes, onEnd } = props;
  const room = useMemo(() => newRoom(wishes), []);
  const [problems, setProblems] = useState<Problems>({});

  useEffect(() => {
    let over = false;
    const end = (why: Goodbye) => {
      if (!over) onEnd(why);
      over = true;
    };
    const enter = async () => {
      try {
        await room.connect(ticket.url, ticket.token);
      } catch {
        return end("lost");
      }
      if (over) return void room.disconnect();
      room.on("disconnected", (reason) => end(whyOver(reason)));
      const found = await start(room, wishes);
      if (!over) setProblems(found);
    };
    // In development React mounts everything twice: the delay lets the first, short-lived one pass.
    const timer = setTimeout(() => void enter(), 0);
    const leaving = () => void room.disconnect();
    addEventListener("pagehide", leaving);
    return () => {
      over = true;
      clearTimeout(timer);
      removeEventListener("pagehide", leaving);
      void room.disconnect();
    };
    // What was wished for at the start counts; a change of language must not leave and enter again.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [room, ticket]);

  return (
    <RoomContext.Provider value={room}>
      {/* The connection is held above, so that an error in the class itself ends nothing either. */}
      <Boundary text={props.text} frame={(message) => <main className="waiting">{message}</main>}>
        <Class {...props} room={room} problems={problems} />
      </Boundary>
    </RoomContext.Provider>
  );
}
