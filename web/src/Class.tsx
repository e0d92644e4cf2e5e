import { useConnectionState, useLocalParticipant, useParticipants, useRoomInfo, useTracks } from "@livekit/components-react";
import { ConnectionState, type LocalTrackPublication, type Participant, type Room as LiveKitRoom, RoomEvent, Track, type TrackPublication } from "livekit-client";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { Boundary } from "./Boundary";
import { Chat } from "./Chat";
import { Controls, type Panel } from "./Controls";
import { Devices } from "./Devices";
import { Icon } from "./Icon";
import { listed, type Notice, useGathered, useNotices } from "./notices";
import { PanelFrame } from "./PanelFrame";
import { People } from "./People";
import { type Action, act, write } from "./portal";
import type { Problems, RoomProps } from "./Room";
import { Sound } from "./Sound";
import { Stage } from "./Stage";
import { useMessages } from "./useMessages";

type Props = RoomProps & { room: LiveKitRoom; problems: Problems };

// The hooks take the room from their context, and begin anew whenever they are given another object.
const PICTURES = [
  { source: Track.Source.Camera, withPlaceholder: true },
  { source: Track.Source.ScreenShare, withPlaceholder: false },
];
const SOUNDS = [Track.Source.Microphone, Track.Source.ScreenShareAudio];

function isLocked(metadata?: string): boolean {
  try {
    return JSON.parse(metadata || "{}").locked === true;
  } catch {
    return false;
  }
}

export function Class({ text, language, switcher, ticket, wishes, onWishes, room, problems }: Props) {
  const state = useConnectionState();
  const people = useParticipants();
  const { localParticipant } = useLocalParticipant();
  const { metadata } = useRoomInfo();
  const videos = useTracks(PICTURES);
  const sounds = useTracks(SOUNDS);
  const [panel, setPanel] = useState<Panel | null>(null);
  const [unread, setUnread] = useState(0);
  const [canPlay, setCanPlay] = useState(true);
  const [notice, urgent, say] = useNotices();
  const heading = useRef<HTMLHeadingElement>(null);
  const teacher = ticket.role === "teacher";
  const locked = isLocked(metadata);
  const handUp = !!localParticipant.attributes.hand;
  const connected = state !== ConnectionState.Disconnected && state !== ConnectionState.Connecting;

  const ask = async (action: Action, body: unknown, done?: Notice) => {
    const worked = await act(action, body, ticket.token);
    if (!worked) say({ text: text.failed, urgent: true });
    else if (done) say(done);
    return worked;
  };
  const lock = (wanted: boolean) => void ask("lock", { locked: wanted });
  const remove = async (identity: string, name: string) => {
    if (!(await ask("remove", { identity }))) return;
    // The button that had the focus goes with the person.
    document.querySelector<HTMLElement>("[data-testid=panel-close]")?.focus();
    const doing = { label: text.lockToo, act: () => lock(true) };
    say(locked ? { text: text.removed1(name) } : { text: text.removed1(name), doing });
  };
  const toggle = (wanted: Panel) => {
    setPanel(panel === wanted ? null : wanted);
    if (wanted === "chat") setUnread(0);
  };
  const close = () => {
    document.querySelector<HTMLElement>(`[aria-controls="panel-${panel}"]`)?.focus();
    setPanel(null);
  };

  const arrived = useGathered((names) => say({ text: text.arrived(listed(names, language, text), names.length) }));
  const left = useGathered((names) => say({ text: text.left(listed(names, language, text), names.length) }));

  const messages = useMessages(room, (message) => {
    if (panel === "chat" || message.identity === localParticipant.identity) return;
    setUnread((now) => now + 1);
    say({ text: text.messageFrom(message.name, message.text) });
  });

  // What the room reports, in the words of the language of now.
  const reports = useRef({ text, say, arrived, left });
  reports.current = { text, say, arrived, left };
  useEffect(() => {
    const now = () => reports.current;
    const came = (person: Participant) => now().arrived(person.name ?? "");
    const went = (person: Participant) => now().left(person.name ?? "");
    const changed = (attributes: Record<string, string>, person: Participant) => {
      if (attributes.hand && !person.isLocal) now().say({ text: now().text.raised(person.name ?? "") });
    };
    const sound = () => setCanPlay(room.canPlaybackAudio);
    const back = () => now().say({ text: now().text.reconnected });
    const muted = (publication: TrackPublication, person: Participant) => {
      // A microphone that its owner mutes is stopped by the button's own handler, which says so beforehand.
      const own = person.isLocal && publication.source === Track.Source.Microphone;
      if (own && !(publication as LocalTrackPublication & { byOwner?: boolean }).byOwner) now().say({ text: now().text.mutedByTeacher });
    };
    room
      .on(RoomEvent.ParticipantConnected, came)
      .on(RoomEvent.ParticipantDisconnected, went)
      .on(RoomEvent.ParticipantAttributesChanged, changed)
      .on(RoomEvent.AudioPlaybackStatusChanged, sound)
      .on(RoomEvent.Reconnected, back)
      .on(RoomEvent.TrackMuted, muted);
    return () => {
      room
        .off(RoomEvent.ParticipantConnected, came)
        .off(RoomEvent.ParticipantDisconnected, went)
        .off(RoomEvent.ParticipantAttributesChanged, changed)
        .off(RoomEvent.AudioPlaybackStatusChanged, sound)
        .off(RoomEvent.Reconnected, back)
        .off(RoomEvent.TrackMuted, muted);
    };
  }, [room]);

  const lockedBefore = useRef(locked);
  useEffect(() => {
    if (lockedBefore.current !== locked) say({ text: locked ? text.nowLocked : text.nowOpen });
    lockedBefore.current = locked;
  }, [locked, say, text]);

  useEffect(() => {
    const why = [problems.microphone, problems.camera].filter((problem) => problem !== undefined);
    if (why.length) say({ text: why.map((problem) => text[problem] as string).join(" "), urgent: true });
    // Said when it happens, not again in another language.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [problems]);

  useEffect(() => heading.current?.focus(), []);
  useStaysAwake();

  // A panel that failed still says which one it is, and closes.
  const framed = (id: Panel, title: string) => (message: ReactNode) => (
    <PanelFrame text={text} id={id} title={title} onClose={close}>
      {message}
    </PanelFrame>
  );
  const status = state === ConnectionState.Connecting ? text.joining : connected && state !== ConnectionState.Connected ? text.reconnecting : notice?.text;
  return (
    <div
      className="class"
      onKeyDown={(event) => {
        if (event.key === "Escape" && panel) close();
      }}
    >
      <header className="bar">
        <h1 ref={heading} tabIndex={-1}>
          {text.title}
        </h1>
        <p className="count" data-testid="count">
          <Icon name="people" />
          {text.here(people.length)}
        </p>
        {locked && (
          <p className="locked" data-testid="locked">
            <Icon name="lock" />
            <span>{text.locked}</span>
          </p>
        )}
        {switcher}
      </header>
      <div className="notices">
        <div role="status" className="notice" data-testid="notice">
          {status}
        </div>
        <div role="alert" className="notice urgent" data-testid="urgent">
          {urgent?.text}
        </div>
        {notice?.doing && !locked && (
          <button
            type="button"
            className="second"
            data-testid="notice-action"
            onClick={() => {
              notice.doing?.act();
              say(null);
            }}
          >
            {notice.doing.label}
          </button>
        )}
        {!canPlay && (
          <button type="button" className="main" data-testid="allow-sound" onClick={() => void room.startAudio()}>
            {text.allowSound}
          </button>
        )}
      </div>
      <div className={panel ? "middle with-panel" : "middle"}>
        <Boundary text={text} frame={(message) => <main className="stage">{message}</main>}>
          <Stage text={text} videos={videos} alone={connected && people.length === 1} />
        </Boundary>
        {panel === "chat" && (
          <Boundary text={text} frame={framed("chat", text.chat)}>
            <Chat text={text} language={language} messages={messages} me={localParticipant.identity} write={(message) => write(message, ticket.token)} onClose={close} />
          </Boundary>
        )}
        {panel === "people" && (
          <Boundary text={text} frame={framed("people", text.people)}>
            <People text={text} people={people} teacher={teacher} onClose={close} onRemove={remove} onLowerHand={(identity) => void ask("hand", { raised: false, identity })} />
          </Boundary>
        )}
        {panel === "settings" && (
          <Boundary text={text} frame={framed("settings", text.settings)}>
            <Devices text={text} wishes={wishes} onWishes={onWishes} room={room} onClose={close} />
          </Boundary>
        )}
      </div>
      <Boundary
        text={text}
        frame={(message) => (
          <nav className="controls" aria-label={text.controls}>
            {message}
          </nav>
        )}
      >
        <Controls
          text={text}
          teacher={teacher}
          locked={locked}
          handUp={handUp}
          unread={unread}
          hands={people.filter((person) => person.attributes.hand).length}
          panel={panel}
          onPanel={toggle}
          onHand={() => void ask("hand", { raised: !handUp })}
          onMuteAll={() => void ask("mute-all", {}, { text: text.mutedAll })}
          onLock={() => lock(!locked)}
          onLeave={() => void room.disconnect()}
          onProblem={(why) => say({ text: text[why] as string, urgent: true })}
        />
      </Boundary>
      {sounds
        .filter((sound) => !sound.participant.isLocal)
        .map((sound) => (
          <Boundary key={`${sound.participant.identity}/${sound.source}`} text={text} frame={(message) => message}>
            <Sound sound={sound} />
          </Boundary>
        ))}
    </div>
  );
}

// A tablet must not go dark in the middle of a lesson.
function useStaysAwake() {
  useEffect(() => {
    let lock: WakeLockSentinel | undefined;
    const hold = () => {
      if (document.visibilityState === "visible") void navigator.wakeLock?.request("screen").then((held) => (lock = held), () => undefined);
    };
    hold();
    document.addEventListener("visibilitychange", hold);
    return () => {
      document.removeEventListener("visibilitychange", hold);
      void lock?.release();
    };
  }, []);
}
