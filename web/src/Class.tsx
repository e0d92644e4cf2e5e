import { useConnectionState, useLocalParticipant, useLocalParticipantPermissions, useParticipants, useRoomInfo, useTracks } from "@livekit/components-react";
import { ConnectionState, type LocalParticipant, type LocalTrackPublication, type Participant, type Room as LiveKitRoom, RoomEvent, Track, type TrackPublication } from "livekit-client";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { Boundary } from "./Boundary";
import { Chat, type Written } from "./Chat";
import { Controls, type Panel } from "./Controls";
import { Devices } from "./Devices";
import { whyNot } from "./devices";
import { EndRaid } from "./EndRaid";
import { Icon } from "./Icon";
import { GuestsNotice } from "./GuestsNotice";
import { listed, type Notice, useGathered, useNotices } from "./notices";
import { PanelFrame } from "./PanelFrame";
import { People } from "./People";
import type { Problems, RoomProps } from "./Room";
import { type ChatMode, readRoomState } from "./roomState";
import { Sound } from "./Sound";
import { Stage } from "./Stage";
import { isolated } from "./texts";
import { useMessages } from "./useMessages";
import { useStaysAwake } from "./useStaysAwake";
import { WaitingRoom } from "./WaitingRoom";

type Props = RoomProps & { room: LiveKitRoom; problems: Problems };

// Constants, as the hooks start again whenever they are given another object.
const PICTURES = [
  { source: Track.Source.Camera, withPlaceholder: true },
  { source: Track.Source.ScreenShare, withPlaceholder: false },
];
const SOUNDS = [Track.Source.Microphone, Track.Source.ScreenShareAudio];

export function Class({ text, language, switcher, role, session, guests, online, wishes, onWishes, onLeave, room, problems }: Props) {
  const state = useConnectionState();
  const people = useParticipants();
  const { localParticipant } = useLocalParticipant();
  const mayPublish = useLocalParticipantPermissions()?.canPublish ?? true;
  const { metadata } = useRoomInfo();
  const videos = useTracks(PICTURES);
  const sounds = useTracks(SOUNDS);
  const [panel, setPanel] = useState<Panel | null>(null);
  const [raid, setRaid] = useState(false);
  const [unread, setUnread] = useState(0);
  const [canPlay, setCanPlay] = useState(true);
  const { notice, urgent, say, retract } = useNotices();
  const heading = useRef<HTMLHeadingElement>(null);
  const teacher = role === "teacher";
  const { locked, chat, waitingRoom, teacher: teacherHere } = readRoomState(metadata);
  const paused = !teacher && !teacherHere;
  const handUp = !!localParticipant.attributes.hand;
  const connected = state !== ConnectionState.Disconnected && state !== ConnectionState.Connecting;

  const ask = async (type: string, content: Record<string, unknown>, done?: Notice) => {
    const answer = await session.request(type, content);
    if (!answer.ok) say({ text: text.failed, urgent: true });
    else if (done) say(done);
    return answer.ok;
  };
  const remove = async (identity: string, name: string) => {
    if (!(await ask("remove", { identity }, { text: text.removed1(isolated(name)) }))) return;
    // The button that had the focus disappears with the person.
    document.querySelector<HTMLElement>("[data-testid=panel-close]")?.focus();
  };
  const write = async (message: string): Promise<Written> => {
    const answer = await session.request("chat", { text: message });
    return answer.ok ? "sent" : answer.error === "too_many" ? "tooFast" : "failed";
  };
  const open = (wanted: Panel | null) => {
    setPanel(wanted);
    if (wanted === "chat") setUnread(0);
  };
  const close = () => {
    document.querySelector<HTMLElement>(`[aria-controls="panel-${panel}"]`)?.focus();
    setPanel(null);
  };

  const arrived = useGathered((names) => say({ text: text.arrived(listed(names, language, text), names.length) }));
  const left = useGathered((names) => say({ text: text.left(listed(names, language, text), names.length) }));

  const messages = useMessages(room, (next) => {
    if ("delete" in next) return retract(next.delete);
    if (panel === "chat" || next.identity === localParticipant.identity) return;
    setUnread((now) => now + 1);
    say({ text: text.messageFrom(isolated(next.name), isolated(next.text)), about: next.id });
  });

  // Events of the room are reported in the current language.
  const reports = useRef({ text, say, arrived, left, onWishes });
  reports.current = { text, say, arrived, left, onWishes };
  useEffect(() => {
    const now = () => reports.current;
    const came = (person: Participant) => now().arrived(person.name ?? "");
    const went = (person: Participant) => now().left(person.name ?? "");
    const changed = (attributes: Record<string, string>, person: Participant) => {
      if (attributes.hand && !person.isLocal) now().say({ text: now().text.raised(isolated(person.name ?? "")) });
    };
    const sound = () => setCanPlay(room.canPlaybackAudio);
    const back = () => now().say({ text: now().text.reconnected });
    const muted = (publication: TrackPublication, person: Participant) => {
      // A microphone that its owner mutes is marked by the button's own handler.
      const own = person.isLocal && publication.source === Track.Source.Microphone;
      if (!own || (publication as LocalTrackPublication & { byOwner?: boolean }).byOwner) return;
      now().onWishes({ microphone: false });
      now().say({ text: now().text.mutedByTeacher });
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

  useChanges(connected && metadata ? locked : null, (now) => say({ text: now ? text.nowLocked : text.nowOpen }));
  useChanges(connected && metadata ? chat : null, (now) => say({ text: chatState(now) }));
  usePause(paused, mayPublish, localParticipant, {
    cameraWished: wishes.camera,
    onWishes,
    onResumed: () => say({ text: text.resumed }),
    onProblem: (why) => say({ text: why, urgent: true }),
    cameraProblem: (error) => text[whyNot("camera", error)] as string,
  });

  useEffect(() => {
    const why = [problems.microphone, problems.camera].filter((problem) => problem !== undefined);
    if (why.length) say({ text: why.map((problem) => text[problem] as string).join(" "), urgent: true });
    // Reported once, not again in another language.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [problems]);

  useEffect(() => heading.current?.focus(), []);
  useStaysAwake();
  const wasConnected = useRef(false);
  if (connected) wasConnected.current = true;

  function chatState(mode: ChatMode): string {
    return { all: text.nowChatAll, teacher: text.nowChatTeacher, off: text.nowChatOff }[mode];
  }
  // A panel that failed keeps its title and its close button.
  const framed = (id: Panel, title: string) => (message: ReactNode) => (
    <PanelFrame text={text} id={id} title={title} onClose={close}>
      {message}
    </PanelFrame>
  );
  const mayWrite = !paused && (chat === "all" || (chat === "teacher" && teacher));
  const closedChat = paused ? text.paused : mayWrite ? null : chatState(chat);
  const trouble = !online || state !== ConnectionState.Connected;
  const status = !wasConnected.current ? text.joining : trouble ? text.reconnecting : notice?.text;
  return (
    <div
      className="class"
      onKeyDown={(event) => {
        if (event.key === "Escape" && panel && !raid) close();
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
        <div role="status" className="notice lasting" data-testid="paused">
          {paused && (
            <>
              <Icon name="away" />
              <span>{text.paused}</span>
            </>
          )}
        </div>
        <div role="status" className="notice" data-testid="notice">
          {status}
        </div>
        <div role="alert" className="notice urgent" data-testid="urgent">
          {urgent?.text}
        </div>
        {teacher && (
          <GuestsNotice
            text={text}
            language={language}
            guests={panel === "people" ? NO_GUESTS : guests}
            onAdmitAll={() => void ask("admit", { all: true })}
            onSee={() => open("people")}
          />
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
            <Chat
              text={text}
              language={language}
              messages={messages}
              me={localParticipant.identity}
              teacher={teacher}
              mode={chat}
              closed={closedChat}
              write={write}
              onMode={(mode) => ask("chat_mode", { mode })}
              onDelete={(message) => void ask("delete", { message: message.id }, { text: text.deleted })}
              onClose={close}
            />
          </Boundary>
        )}
        {panel === "people" && (
          <Boundary text={text} frame={framed("people", text.people)}>
            <People
              text={text}
              people={people}
              teacher={teacher}
              above={
                teacher && (
                  <WaitingRoom
                    text={text}
                    on={waitingRoom}
                    guests={guests}
                    onSwitch={(on) => ask("waiting_room", { on })}
                    onAdmit={({ identity }) => void ask("admit", { identity })}
                    onAdmitAll={() => void ask("admit", { all: true })}
                    onRefuse={({ identity }) => void ask("refuse", { identity })}
                  />
                )
              }
              onClose={close}
              onRemove={remove}
              onLowerHand={(identity) => void ask("hand", { raised: false, identity })}
            />
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
          mayPublish={mayPublish}
          handUp={handUp}
          unread={unread}
          hands={people.filter((person) => person.attributes.hand).length}
          waiting={guests.length}
          panel={panel}
          onPanel={(wanted) => open(panel === wanted ? null : wanted)}
          onHand={() => void ask("hand", { raised: !handUp })}
          onMuteAll={() => void ask("mute_all", {}, { text: text.mutedAll })}
          onLock={() => void ask("lock", { locked: !locked })}
          onRaid={() => setRaid(true)}
          onWishes={onWishes}
          onLeave={onLeave}
          onProblem={(why) => say({ text: text[why] as string, urgent: true })}
        />
      </Boundary>
      {raid && (
        <EndRaid
          text={text}
          people={people}
          onEnd={(keep) => void ask("end_raid", { keep }, { text: text.raidDone })}
          onClose={() => {
            setRaid(false);
            document.querySelector<HTMLElement>("[data-testid=raid]")?.focus();
          }}
        />
      )}
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

const NO_GUESTS: RoomProps["guests"] = [];

// Report a change of a value, once the first one is known.
function useChanges<Value>(value: Value | null, report: (value: Value) => void) {
  const before = useRef<Value | null>(null);
  useEffect(() => {
    if (value !== null && before.current !== null && before.current !== value) report(value);
    if (value !== null) before.current = value;
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [value]);
}

type Pause = {
  cameraWished: boolean;
  onWishes: RoomProps["onWishes"];
  onResumed: () => void;
  onProblem: (why: string) => void;
  cameraProblem: (error: unknown) => string;
};

// While the teacher is away the server stops all publishing. Afterwards the microphone stays off, and the camera comes back if it was on.
function usePause(paused: boolean, mayPublish: boolean, me: LocalParticipant, pause: Pause) {
  const latest = useRef(pause);
  latest.current = pause;
  const before = useRef(mayPublish);
  useChanges(paused, (now) => {
    if (now) latest.current.onWishes({ microphone: false });
    else latest.current.onResumed();
  });
  useEffect(() => {
    if (mayPublish && !before.current && latest.current.cameraWished)
      me.setCameraEnabled(true).catch((error: unknown) => latest.current.onProblem(latest.current.cameraProblem(error)));
    before.current = mayPublish;
  }, [mayPublish, me]);
}
