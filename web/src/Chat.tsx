import { type FormEvent, memo, useEffect, useMemo, useRef, useState } from "react";
import { Icon } from "./Icon";
import type { Message } from "./messages";
import { PanelFrame } from "./PanelFrame";
import type { Written } from "./portal";
import type { Language, Texts } from "./texts";

type Props = {
  text: Texts;
  language: Language;
  messages: Message[];
  me: string;
  write: (message: string) => Promise<Written>;
  onClose: () => void;
};

export function Chat({ text, language, messages, me, write, onClose }: Props) {
  const [draft, setDraft] = useState("");
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<Written>("sent");
  const list = useRef<HTMLDivElement>(null);
  const last = messages.at(-1)?.id;
  useEffect(() => {
    if (list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [last]);
  const clock = useMemo(() => new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }), [language]);

  async function submit(event: FormEvent) {
    event.preventDefault();
    const message = draft.trim();
    if (!message || busy) return;
    setBusy(true);
    const written = await write(message);
    setBusy(false);
    setResult(written);
    // What was typed in the meantime stays.
    if (written === "sent") setDraft((now) => (now === draft ? "" : now));
  }

  return (
    <PanelFrame text={text} id="chat" title={text.chat} onClose={onClose}>
      {messages.length === 0 && <p className="hint">{text.noMessages}</p>}
      {/* Reached by keyboard so that it can be scrolled. */}
      <div ref={list} className="log" role="log" aria-labelledby="title-chat" tabIndex={0}>
        <ol className="messages">
          {messages.map((message) => (
            <Line key={message.id} text={text} clock={clock} message={message} own={message.identity === me} />
          ))}
        </ol>
      </div>
      <p role="alert" className="problem" data-testid="chat-problem">
        {result !== "sent" && text[result]}
      </p>
      <form onSubmit={submit} className="write">
        <label htmlFor="message" className="unseen">
          {text.message}
        </label>
        <input
          id="message"
          data-testid="chat-input"
          value={draft}
          onChange={(e) => setDraft(e.target.value)}
          placeholder={text.message}
          maxLength={1000}
          autoComplete="off"
          autoFocus
        />
        <button type="submit" data-testid="chat-send" className="main" aria-label={text.send} title={text.send}>
          <Icon name="send" />
        </button>
      </form>
    </PanelFrame>
  );
}

// Drawn once: hundreds of them may be in the list while more arrive.
const Line = memo(function Line({ text, clock, message, own }: { text: Texts; clock: Intl.DateTimeFormat; message: Message; own: boolean }) {
  return (
    <li data-testid="chat-message" className={own ? "own" : undefined}>
      <p className="from">
        <b>{message.name}</b>
        {message.role === "teacher" && <em className="role">{text.teacher}</em>}
        <time dateTime={new Date(message.at).toISOString()}>{clock.format(message.at)}</time>
      </p>
      <p className="said">{message.text}</p>
    </li>
  );
});
