import { RoomContext, useConnectionState, useLocalParticipant, useParticipants, useRoomInfo, useTracks } from "@livekit/components-react";
import { ConnectionState, DisconnectReason, type Participant, Room as LiveKitRoom, RoomEvent, Track, VideoPresets } from "livekit-client";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import type { Goodbye } from "./App";
import { Chat } from "./Chat";
import { Icon } from "./Icon";
import type { Wishes } from "./Join";
import { People } from "./People";
import { type Ticket, teach } from "./portal";
import type { Texts } from "./texts";
import { Sound, Tile } from "./Tile";

type Props = { text: Texts; switcher: ReactNode; ticket: Ticket; wishes: Wishes; onEnd: (why: Goodbye) => void };

function newRoom(): LiveKitRoom {
  return new LiveKitRoom({
    adaptiveStream: true,
    dynacast: true,
    audioCaptureDefaults: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    videoCaptureDefaults: { resolution: VideoPresets.h540.resolution },
    stopLocalTrackOnUnpublish: true,
  });
}

function whyOver(reason?: DisconnectReason): Goodbye {
  if (reason === DisconnectReason.PARTICIPANT_REMOVED) return "removed";
  if (reason === DisconnectReason.ROOM_DELETED) return "ended";
  if (reason === DisconnectReason.CLIENT_INITIATED) return "bye";
  return "lost";
}

export default function Room({ text, switcher, ticket, wishes, onEnd }: Props) {
  const room = useMemo(newRoom, []);
  const [notice, setNotice] = useState("");

  useEffect(() => {
    let over = false;
    const end = (reason?: DisconnectReason) => {
      if (!over) onEnd(whyOver(reason));
      over = true;
    };
    const arrived = (person: Participant) => setNotice(text.arrived(person.name ?? ""));
    const left = (person: Participant) => setNotice(text.left(person.name ?? ""));
    const enter = async () => {
      try {
        await room.connect(ticket.url, ticket.token);
      } catch {
        if (!over) onEnd("lost");
        over = true;
        return;
      }
      room.on(RoomEvent.Disconnected, end).on(RoomEvent.ParticipantConnected, arrived).on(RoomEvent.ParticipantDisconnected, left);
      const me = room.localParticipant;
      const tries = [wishes.microphone && me.setMicrophoneEnabled(true), wishes.camera && me.setCameraEnabled(true)];
      const results = await Promise.allSettled(tries);
      if (results.some((result) => result.status === "rejected")) setNotice(text.noDevice);
    };
    // In development React mounts everything twice: the delay lets the first, short-lived one pass.
    const timer = setTimeout(enter, 0);
    const leaving = () => void room.disconnect();
    addEventListener("pagehide", leaving);
    return () => {
      over = true;
      clearTimeout(timer);
      removeEventListener("pagehide", leaving);
      void room.disconnect();
    };
    // A change of language must not leave and enter again.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [room, ticket, wishes]);

  return (
    <RoomContext.Provider value={room}>
      <Class text={text} switcher={switcher} ticket={ticket} notice={notice} say={setNotice} room={room} />
    </RoomContext.Provider>
  );
}

type ClassProps = { text: Texts; switcher: ReactNode; ticket: Ticket; notice: string; say: (text: string) => void; room: LiveKitRoom };

function Class({ text, switcher, ticket, notice, say, room }: ClassProps) {
  const state = useConnectionState(room);
  const people = useParticipants({ room });
  const { metadata } = useRoomInfo({ room });
  const videos = useTracks([{ source: Track.Source.Camera, withPlaceholder: true }, { source: Track.Source.ScreenShare, withPlaceholder: false }], { room });
  const sounds = useTracks([Track.Source.Microphone, Track.Source.ScreenShareAudio], { room });
  const [panel, setPanel] = useState<"chat" | "people" | null>(null);
  const [canPlay, setCanPlay] = useState(true);
  const stage = useRef<HTMLElement>(null);
  const locked = metadata?.includes('"locked": true') ?? false;
  const teacher = ticket.role === "teacher";
  const sharing = videos.some((video) => video.source === Track.Source.ScreenShare);

  useEffect(() => {
    const changed = () => setCanPlay(room.canPlaybackAudio);
    room.on(RoomEvent.AudioPlaybackStatusChanged, changed);
    return () => void room.off(RoomEvent.AudioPlaybackStatusChanged, changed);
  }, [room]);

  const act = async (action: "mute-all" | "remove" | "lock", body: unknown, done?: string) => {
    const worked = await teach(action, body, ticket.token);
    say(worked ? (done ?? "") : text.failed);
  };

  return (
    <div className="class">
      <header className="bar">
        <h1>{text.title}</h1>
        <p className="count" data-testid="count">
          {text.here(people.length)}
        </p>
        {locked && <p className="locked">{text.locked}</p>}
        {switcher}
      </header>
      <p role="status" className="notice" data-testid="notice">
        {state === ConnectionState.Connecting ? text.joining : state === ConnectionState.Reconnecting ? text.reconnecting : notice}
      </p>
      {!canPlay && (
        <button type="button" className="main" onClick={() => void room.startAudio()}>
          {text.allowSound}
        </button>
      )}
      <div className={panel ? "middle with-panel" : "middle"}>
        <main ref={stage} className={sharing ? "stage sharing" : "stage"} aria-label={text.videos} data-count={videos.length}>
          {videos.map((video) => (
            <Tile key={`${video.participant.identity}/${video.source}`} text={text} video={video} />
          ))}
        </main>
        {panel === "chat" && <Chat text={text} />}
        {panel === "people" && <People text={text} people={people} teacher={teacher} onRemove={(identity) => void act("remove", { identity })} />}
      </div>
      <Controls
        text={text}
        teacher={teacher}
        locked={locked}
        panel={panel}
        onPanel={(next) => setPanel(panel === next ? null : next)}
        onMuteAll={() => void act("mute-all", {}, text.mutedAll)}
        onLock={() => void act("lock", { locked: !locked })}
        onLeave={() => void room.disconnect()}
        onProblem={() => say(text.noDevice)}
      />
      {sounds
        .filter((sound) => !sound.participant.isLocal)
        .map((sound) => (
          <Sound key={`${sound.participant.identity}/${sound.source}`} sound={sound} />
        ))}
    </div>
  );
}

type ControlsProps = {
  text: Texts;
  teacher: boolean;
  locked: boolean;
  panel: "chat" | "people" | null;
  onPanel: (panel: "chat" | "people") => void;
  onMuteAll: () => void;
  onLock: () => void;
  onLeave: () => void;
  onProblem: () => void;
};

function Controls({ text, teacher, locked, panel, onPanel, onMuteAll, onLock, onLeave, onProblem }: ControlsProps) {
  const { localParticipant, isMicrophoneEnabled, isCameraEnabled, isScreenShareEnabled } = useLocalParticipant();
  const attempt = (work: Promise<unknown>) => void work.catch((error: Error) => error.name !== "NotAllowedError" || onProblem());
  const toggle = (id: string, icon: string, on: boolean, label: string, click: () => void) => (
    <button type="button" data-testid={id} className={on ? "control on" : "control"} aria-pressed={on} onClick={click}>
      <Icon name={icon} off={!on && (id === "mic" || id === "camera")} />
      <span>{label}</span>
    </button>
  );
  return (
    <nav className="controls" aria-label={text.controls}>
      {toggle("mic", "microphone", isMicrophoneEnabled, isMicrophoneEnabled ? text.microphoneOff : text.microphoneOn, () =>
        attempt(localParticipant.setMicrophoneEnabled(!isMicrophoneEnabled)),
      )}
      {toggle("camera", "camera", isCameraEnabled, isCameraEnabled ? text.cameraOff : text.cameraOn, () =>
        attempt(localParticipant.setCameraEnabled(!isCameraEnabled)),
      )}
      {teacher &&
        toggle("screen", "screen", isScreenShareEnabled, isScreenShareEnabled ? text.shareOff : text.shareOn, () =>
          attempt(localParticipant.setScreenShareEnabled(!isScreenShareEnabled, { audio: true, selfBrowserSurface: "include" })),
        )}
      {toggle("chat-toggle", "chat", panel === "chat", text.chat, () => onPanel("chat"))}
      {toggle("people-toggle", "people", panel === "people", text.people, () => onPanel("people"))}
      {teacher && (
        <button type="button" data-testid="mute-all" className="control" onClick={onMuteAll}>
          <Icon name="microphone" off />
          <span>{text.muteAll}</span>
        </button>
      )}
      {teacher && toggle("lock", "lock", locked, locked ? text.unlock : text.lock, onLock)}
      <button type="button" data-testid="leave" className="control leave" onClick={onLeave}>
        <Icon name="leave" />
        <span>{text.leave}</span>
      </button>
    </nav>
  );
}
