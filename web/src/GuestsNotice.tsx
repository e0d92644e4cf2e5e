import { useEffect } from "react";
import { Icon } from "./Icon";
import { listed, useCalm } from "./notices";
import type { Guest } from "./session";
import type { Language, Texts } from "./texts";

type Props = { text: Texts; language: Language; guests: Guest[]; onAdmitAll: () => void; onSee: () => void };

const SECONDS = 4;

// Who waits, as one notice for any number of arrivals: it stays as long as somebody waits, and covers nothing.
export function GuestsNotice({ text, language, guests, onAdmitAll, onSee }: Props) {
  const names = guests.map((guest) => guest.name);
  const said = useCalm(names.length ? text.waits(listed(names, language, text), names.length) : "", SECONDS);
  const shown = names.length > 0 && said !== "";
  useEffect(() => {
    // Seen from another tab.
    if (names.length) document.title = `(${names.length}) ${text.title}`;
    return () => void (document.title = text.title);
  }, [names.length, text.title]);
  return (
    <>
      <div role="status" className="notice lasting" data-testid="guests">
        {shown && (
          <>
            <Icon name="door" />
            <span>{said}</span>
          </>
        )}
      </div>
      {shown && (
        <span className="choices-row">
          <button type="button" className="main" data-testid="notice-admit-all" onClick={onAdmitAll}>
            {names.length === 1 ? text.admitShort : text.admitAll}
          </button>
          <button type="button" className="second" data-testid="notice-see" onClick={onSee}>
            {text.seeGuests}
          </button>
        </span>
      )}
    </>
  );
}
