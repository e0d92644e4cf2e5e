import { lazy, Suspense, useEffect, useState } from "react";
import { Brand } from "./Brand";
import { firstWishes } from "./devices";
import { type Entry, Join } from "./Join";
import type { Ticket } from "./portal";
import { type Language, preferred, type Texts, texts } from "./texts";

// The media client is large: it is fetched while people fill in the form.
const loadRoom = () => import("./Room");
const Room = lazy(loadRoom);

export type Goodbye = "bye" | "removed" | "ended" | "lost" | "elsewhere";

// The code stands behind the # of the link, which no browser sends to a server.
function codeOfLink(): string {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
}

export function App() {
  const [language, setLanguage] = useState<Language>(() => preferred(navigator.languages));
  const [entry, setEntry] = useState<Entry>(() => ({ code: codeOfLink(), name: "", wishes: firstWishes }));
  const [ticket, setTicket] = useState<Ticket | null>(null);
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

  const other: Language = language === "fr" ? "en" : "fr";
  const switcher = (
    <button type="button" className="plain" lang={other} aria-label={text.languageLabel} data-testid="language" onClick={() => setLanguage(other)}>
      {text.language}
    </button>
  );

  if (ticket) {
    return (
      <Suspense
        fallback={
          <p role="status" className="waiting">
            {text.joining}
          </p>
        }
      >
        <Room
          text={text}
          language={language}
          switcher={switcher}
          ticket={ticket}
          wishes={entry.wishes}
          onWishes={(wishes) => setEntry((now) => ({ ...now, wishes }))}
          onEnd={(why) => {
            setTicket(null);
            setGoodbye(why);
          }}
        />
      </Suspense>
    );
  }
  if (goodbye) {
    return (
      <div className="door">
        <Brand title={text.title} switcher={switcher} />
        <main className="goodbye">
          <div role="status">
            <h1 data-testid="goodbye" data-why={goodbye}>
              {text[goodbye]}
            </h1>
          </div>
          <button type="button" className="main" autoFocus data-testid="again" onClick={() => setGoodbye(null)}>
            {text.again}
          </button>
        </main>
      </div>
    );
  }
  return <Join text={text} switcher={switcher} entry={entry} onEntry={setEntry} onTicket={setTicket} />;
}
