import { RoomContext } from "@livekit/components-react";
import { ConnectionState, Room as LiveKitRoom, RoomEvent, VideoPresets } from "livekit-client";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { Boundary } from "./Boundary";
import { Class } from "./Class";
import { type Kind, type Wishes, whyNot } from "./devices";
import type { Role } from "./portal";
import type { Entrance, Guest, Session } from "./session";
import type { Language, Texts } from "./texts";

export type RoomProps = {
  text: Texts;
  language: Language;
  switcher: ReactNode;
  role: Role;
  session: Session;
  entrance: Entrance;
  guests: Guest[];
  online: boolean;
  wishes: Wishes;
  onWishes: (change: Partial<Wishes>) => void;
  onLeave: () => void;
};
export type Problems = Partial<Record<Kind, keyof Texts>>;

const RETRY_SECONDS = [0.5, 1, 2, 4, 5];

function newRoom(wishes: Wishes): LiveKitRoom {
  return new LiveKitRoom({
    adaptiveStream: true,
    dynacast: true,
    audioCaptureDefaults: { deviceId: wishes.microphoneId || undefined, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    videoCaptureDefaults: { deviceId: wishes.cameraId || undefined, resolution: VideoPresets.h540.resolution },
    stopLocalTrackOnUnpublish: true,
  });
}

// Turn on what is wished for, and return why a device did not start.
async function start(room: LiveKitRoom, wishes: Wishes): Promise<Problems> {
  const me = room.localParticipant;
  // While the teacher is away nothing can be published; Class turns the camera on later.
  if (me.permissions?.canPublish === false) return {};
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

// Connect to the media server with each entrance that is needed. A lost connection asks for another token: the join service decides
// whether one is still in the class.
function useMedia(room: LiveKitRoom, { session, entrance, wishes }: RoomProps): Problems {
  const [problems, setProblems] = useState<Problems>({});
  const wished = useRef(wishes);
  wished.current = wishes;
  const failures = useRef(0);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const lost = () => {
      clearTimeout(timer);
      const seconds = RETRY_SECONDS[Math.min(failures.current++, RETRY_SECONDS.length - 1)] ?? 0;
      // The answer brings a new entrance; without one, ask again.
      timer = setTimeout(() => void session.request("token").then((answer) => answer.ok || room.state !== ConnectionState.Disconnected || lost()), seconds * 1000);
    };
    const leaving = () => void room.disconnect();
    room.on(RoomEvent.Disconnected, lost);
    addEventListener("pagehide", leaving);
    return () => {
      room.off(RoomEvent.Disconnected, lost);
      removeEventListener("pagehide", leaving);
      clearTimeout(timer);
      void room.disconnect();
    };
  }, [room, session]);

  useEffect(() => {
    // A service that was restarted sends everybody an entrance: a working connection stays.
    if (room.state !== ConnectionState.Disconnected) return;
    const enter = async () => {
      await room.connect(entrance.url, entrance.token);
      failures.current = 0;
      setProblems(await start(room, wished.current));
    };
    void enter().catch(() => undefined); // the room reports a failure as a lost connection
  }, [room, entrance]);
  return problems;
}

export default function Room(props: RoomProps) {
  const room = useMemo(() => newRoom(props.wishes), []);
  const problems = useMedia(room, props);
  return (
    <RoomContext.Provider value={room}>
      {/* The connection belongs to this component, so that an error in the class itself does not end it. */}
      <Boundary text={props.text} frame={(message) => <main className="waiting">{message}</main>}>
        <Class {...props} room={room} problems={problems} />
      </Boundary>
    </RoomContext.Provider>
  );
}
