// What happens in the class: shown for a while, and read out once by screen readers.
import { useCallback, useEffect, useRef, useState } from "react";
import { isolated, type Language, type Texts } from "./texts";

// `about` is the message that the notice quotes: the notice disappears with it.
export type Notice = { text: string; urgent?: boolean; about?: string };

const SHOWN_SECONDS = 9;
const GATHERED_SECONDS = 1.2;
const NAMED = 2;

function useShown(seconds: number): [Notice | null, (next: Notice | null | ((now: Notice | null) => Notice | null)) => void] {
  const [notice, setNotice] = useState<Notice | null>(null);
  useEffect(() => {
    if (!notice) return;
    const timer = setTimeout(() => setNotice(null), seconds * 1000);
    return () => clearTimeout(timer);
  }, [notice, seconds]);
  return [notice, setNotice];
}

type Notices = { notice: Notice | null; urgent: Notice | null; say: (notice: Notice) => void; retract: (message: string) => void };

// The last notice and the last urgent one, which do not replace each other.
export function useNotices(): Notices {
  const [notice, setNotice] = useShown(SHOWN_SECONDS);
  const [urgent, setUrgent] = useShown(2 * SHOWN_SECONDS);
  const say = useCallback((next: Notice) => (next.urgent ? setUrgent(next) : setNotice(next)), [setNotice, setUrgent]);
  const retract = useCallback((message: string) => setNotice((now) => (now?.about === message ? null : now)), [setNotice]);
  return { notice, urgent, say, retract };
}

// Thirty pupils who come in together are one notice.
export function useGathered(say: (names: string[]) => void): (name: string) => void {
  const latest = useRef(say);
  latest.current = say;
  const names = useRef<string[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return useCallback((name: string) => {
    names.current.push(name);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      latest.current(names.current);
      names.current = [];
    }, GATHERED_SECONDS * 1000);
  }, []);
}

export function listed(names: string[], language: Language, text: Texts): string {
  const named = (names.length > NAMED + 1 ? names.slice(0, NAMED) : names).map(isolated);
  const more = names.length - named.length;
  return new Intl.ListFormat(language).format(more ? [...named, text.others(more)] : named);
}

// What was just chosen, until the server confirms it: a switch does not jump back in between. `choose` sends the choice.
export function useChoice<Value>(confirmed: Value, choose: (value: Value) => Promise<boolean>): [Value, (value: Value) => void] {
  const [chosen, setChosen] = useState<Value | null>(null);
  useEffect(() => setChosen(null), [confirmed]);
  const change = (value: Value) => {
    setChosen(value);
    void choose(value).then((done) => done || setChosen(null));
  };
  return [chosen ?? confirmed, change];
}

// A value that changes often, at most once in some seconds: for texts that screen readers read out.
export function useCalm<Value>(value: Value, seconds: number): Value {
  const [shown, setShown] = useState(value);
  const last = useRef(0);
  useEffect(() => {
    const show = () => {
      last.current = Date.now();
      setShown(value);
    };
    const timer = setTimeout(show, Math.max(GATHERED_SECONDS * 1000, last.current + seconds * 1000 - Date.now()));
    return () => clearTimeout(timer);
  }, [value, seconds]);
  return shown;
}
