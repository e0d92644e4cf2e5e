import { lazy, Suspense, useEffect, useState } from "react";
import { Join, type Wishes } from "./Join";
import type { Ticket } from "./portal";
import { preferred, type Language, type Texts, texts } from "./texts";

// The media client is large: it is fetched while people fill in the form.
const loadRoom = () => import("./Room");
const Room = lazy(loadRoom);

export type Goodbye = "bye" | "removed" | "ended" | "lost";
type Visit = { ticket: Ticket; wishes: Wishes };

export function App() {
  const [language, setLanguage] = useState<Language>(() => preferred(navigator.languages));
  const [visit, setVisit] = useState<Visit | null>(null);
  const [goodbye, setGoodbye] = useState<Goodbye | null>(null);
  const text: Texts = texts[language];

  useEffect(() => {
    document.documentElement.lang = language;
    document.title = text.title;
  }, [language, text]);
  useEffect(() => void loadRoom(), []);

  const other: Language = language === "fr" ? "en" : "fr";
  const switcher = (
    <button type="button" className="plain" lang={other} aria-label={text.languageLabel} data-testid="language" onClick={() => setLanguage(other)}>
      {text.language}
    </button>
  );

  if (visit) {
    return (
      <Suspense fallback={<p role="status" className="waiting">{text.joining}</p>}>
        <Room
          text={text}
          switcher={switcher}
          ticket={visit.ticket}
          wishes={visit.wishes}
          onEnd={(why) => {
            setVisit(null);
            setGoodbye(why);
          }}
        />
      </Suspense>
    );
  }
  if (goodbye) {
    return (
      <main className="card">
        <header>{switcher}</header>
        <h1>{text.title}</h1>
        <p role="status">{text[goodbye]}</p>
        <button type="button" className="main" autoFocus onClick={() => setGoodbye(null)}>
          {text.again}
        </button>
      </main>
    );
  }
  return <Join text={text} switcher={switcher} onTicket={(ticket, wishes) => setVisit({ ticket, wishes })} />;
}
