import { useEffect, useState } from "react";
import { Attendance, loadRoom } from "./Attendance";
import { Brand } from "./Brand";
import { firstWishes } from "./devices";
import { type Entry, Join } from "./Join";
import { dropPlace, keepPlace, keptPlace, type Place } from "./place";
import type { OverReason } from "./session";
import { type Language, preferred, type Texts, texts } from "./texts";

export type Goodbye = "bye" | OverReason;

const goodbyes: Record<Goodbye, keyof Texts> = {
  bye: "bye",
  removed: "removed",
  refused: "refused",
  locked: "lockedMeanwhile",
  ended: "ended",
  full: "full",
  elsewhere: "elsewhere",
  lost: "lost",
};

// The code is behind the # of the link, which no browser sends to a server.
function codeOfLink(): string {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
}

export function App() {
  const [language, setLanguage] = useState<Language>(() => preferred(navigator.languages));
  const [place, setPlace] = useState<Place | null>(keptPlace);
  const [entry, setEntry] = useState<Entry>(() => ({ code: codeOfLink(), name: "", wishes: place?.wishes ?? firstWishes }));
  const [goodbye, setGoodbye] = useState<Goodbye | null>(null);
  const text: Texts = texts[language];

  useEffect(() => {
    document.documentElement.lang = language;
    document.title = text.title;
  }, [language, text]);
  useEffect(() => void loadRoom(), []);
  useEffect(() => {
    const another = () => setEntry((now) => ({ ...now, code: codeOfLink() || now.code }));
    addEventListener("hashchange", another);
    return () => removeEventListener("hashchange", another);
  }, []);
  useEffect(() => {
    if (place) keepPlace({ ...place, wishes: entry.wishes });
    else dropPlace();
  }, [place, entry.wishes]);

  const other: Language = language === "fr" ? "en" : "fr";
  const switcher = (
    <button type="button" className="plain" lang={other} aria-label={text.languageLabel} data-testid="language" onClick={() => setLanguage(other)}>
      {text.language}
    </button>
  );

  if (place) {
    return (
      <Attendance
        text={text}
        language={language}
        switcher={switcher}
        ticket={place.ticket}
        role={place.role}
        handback={place.handback}
        wishes={entry.wishes}
        onWishes={(change) => setEntry((now) => ({ ...now, wishes: { ...now.wishes, ...change } }))}
        onHandback={(handback) => setPlace((now) => now && { ...now, handback })}
        onEnd={(why) => {
          setPlace(null);
          setGoodbye(why);
        }}
      />
    );
  }
  if (goodbye) {
    return (
      <div className="door">
        <Brand title={text.title} switcher={switcher} />
        <main className="goodbye">
          <div role="status">
            <h1 data-testid="goodbye" data-why={goodbye}>
              {text[goodbyes[goodbye]] as string}
            </h1>
          </div>
          <button type="button" className="main" autoFocus data-testid="again" onClick={() => setGoodbye(null)}>
            {text.again}
          </button>
        </main>
      </div>
    );
  }
  return (
    <Join
      text={text}
      switcher={switcher}
      entry={entry}
      onEntry={setEntry}
      onTicket={(ticket) => setPlace({ ...ticket, link: location.hash, wishes: entry.wishes })}
    />
  );
}
