import { lazy, type ReactNode, Suspense, useEffect, useMemo, useRef, useState } from "react";
import type { Goodbye } from "./App";
import type { Wishes } from "./devices";
import type { Role } from "./portal";
import { type Entrance, type Guest, Session, type WaitReason } from "./session";
import type { Language, Texts } from "./texts";
import { Waiting } from "./Waiting";

// The media client is large: it is fetched while people fill in the form.
export const loadRoom = () => import("./Room");
const Room = lazy(loadRoom);

export type AttendanceProps = {
  text: Texts;
  language: Language;
  switcher: ReactNode;
  ticket: string;
  role: Role;
  handback?: string;
  wishes: Wishes;
  onWishes: (change: Partial<Wishes>) => void;
  onHandback: (sealed: string) => void;
  onEnd: (why: Goodbye) => void;
};

const OFFLINE_SECONDS = 3;

// From the ticket to the goodbye: the connection to the join service decides whether one waits or is in the class.
export function Attendance(props: AttendanceProps) {
  const { text, language, switcher, ticket, role, wishes, onWishes } = props;
  const [waits, setWaits] = useState<WaitReason | null>(null);
  const [entrance, setEntrance] = useState<Entrance | null>(null);
  const [guests, setGuests] = useState<Guest[]>([]);
  const [connected, setConnected] = useState(true);
  const latest = useRef(props);
  latest.current = props;

  const session = useMemo(
    () =>
      new Session(
        ticket,
        {
          waiting: (why) => {
            setWaits(why);
            setEntrance(null);
          },
          enter: setEntrance,
          guests: setGuests,
          handback: (sealed) => latest.current.onHandback(sealed),
          over: (why) => latest.current.onEnd(why),
          online: setConnected,
        },
        latest.current.handback,
      ),
    [ticket],
  );
  useEffect(() => {
    // After sleep or a change of network, without waiting for the next try.
    const wake = () => {
      if (document.visibilityState === "visible") void session.check();
    };
    session.start();
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    return () => {
      removeEventListener("online", wake);
      document.removeEventListener("visibilitychange", wake);
      session.stop();
    };
  }, [session]);

  const online = !useLasts(!connected, OFFLINE_SECONDS);
  // The goodbye removes this component, which closes the connection: the place is given up before that.
  const leave = () => void session.leave().then(() => props.onEnd("bye"));
  const waiting = <Waiting text={text} switcher={switcher} why={entrance ? null : waits} online={online} onLeave={leave} />;
  if (!entrance) return waiting;
  return (
    <Suspense fallback={waiting}>
      <Room
        text={text}
        language={language}
        switcher={switcher}
        role={role}
        session={session}
        entrance={entrance}
        guests={guests}
        online={online}
        wishes={wishes}
        onWishes={onWishes}
        onLeave={leave}
      />
    </Suspense>
  );
}

// Whether something has been true for some seconds.
function useLasts(now: boolean, seconds: number): boolean {
  const [lasts, setLasts] = useState(false);
  useEffect(() => {
    setLasts(false);
    if (!now) return;
    const timer = setTimeout(() => setLasts(true), seconds * 1000);
    return () => clearTimeout(timer);
  }, [now, seconds]);
  return lasts;
}
