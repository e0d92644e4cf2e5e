// What happens in the class, said once: shown for a while, and read out by screen readers.
import { useCallback, useEffect, useRef, useState } from "react";
import type { Language, Texts } from "./texts";

export type Notice = { text: string; urgent?: boolean; doing?: { label: string; act: () => void } };

const SHOWN_SECONDS = 9;
const GATHERED_SECONDS = 1.2;
const NAMED = 2;

function useShown(seconds: number): [Notice | null, (next: Notice | null | ((now: Notice | null) => Notice | null)) => void] {
  const [notice, setNotice] = useState<Notice | null>(null);
  useEffect(() => {
    if (!notice) return;
    const timer = setTimeout(() => setNotice(null), (notice.doing ? 2 : 1) * seconds * 1000);
    return () => clearTimeout(timer);
  }, [notice, seconds]);
  return [notice, setNotice];
}

// What was said last, what was last urgent, and how to say more: one does not wipe out the other, and what is offered stays.
export function useNotices(): [Notice | null, Notice | null, (notice: Notice | null) => void] {
  const [notice, setNotice] = useShown(SHOWN_SECONDS);
  const [urgent, setUrgent] = useShown(2 * SHOWN_SECONDS);
  const say = useCallback(
    (next: Notice | null) => {
      if (next?.urgent) setUrgent(next);
      else setNotice((now) => next && { doing: now?.doing, ...next });
    },
    [setNotice, setUrgent],
  );
  return [notice, urgent, say];
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
  const named = names.length > NAMED + 1 ? names.slice(0, NAMED) : names;
  const more = names.length - named.length;
  return new Intl.ListFormat(language).format(more ? [...named, text.others(more)] : named);
}
