import { type FormEvent, memo, useEffect, useMemo, useRef, useState } from "react";
import { Icon } from "./Icon";
import type { Message } from "./messages";
import { RoleBadge } from "./Name";
import { useChoice } from "./notices";
import { PanelFrame } from "./PanelFrame";
import { CHAT_MODES, type ChatMode } from "./roomState";
import { isolated, type Language, type Texts } from "./texts";

export type Written = "sent" | "tooFast" | "failed";

type Props = {
  text: Texts;
  language: Language;
  messages: Message[];
  me: string;
  teacher: boolean;
  mode: ChatMode;
  // Why one cannot write now, if so.
  closed: string | null;
  write: (message: string) => Promise<Written>;
  onMode: (mode: ChatMode) => Promise<boolean>;
  onDelete: (message: Message) => void;
  onClose: () => void;
};

export function Chat({ text, language, messages, me, teacher, mode, closed, write, onMode, onDelete, onClose }: Props) {
  const [draft, setDraft] = useState("");
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<Written>("sent");
  const list = useRef<HTMLDivElement>(null);
  const last = messages.at(-1)?.id;
  useEffect(() => {
    if (list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [last]);
  const clock = useMemo(() => new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }), [language]);
  const deletes = useRef(onDelete);
  deletes.current = onDelete;
  const remove = useMemo(
    () =>
      teacher
        ? (message: Message) => {
            // The button that has the focus disappears with the message.
            list.current?.focus();
            deletes.current(message);
          }
        : undefined,
    [teacher],
  );

  async function submit(event: FormEvent) {
    event.preventDefault();
    const message = draft.trim();
    if (!message || busy || closed) return;
    setBusy(true);
    const written = await write(message);
    setBusy(false);
    setResult(written);
    // What was typed in the meantime stays.
    if (written === "sent") setDraft((now) => (now === draft ? "" : now));
  }

  return (
    <PanelFrame text={text} id="chat" title={text.chat} onClose={onClose}>
      {teacher && <Modes text={text} mode={mode} onMode={onMode} />}
      {messages.length === 0 && <p className="hint">{text.noMessages}</p>}
      {/* Focusable, so that it can be scrolled by keyboard. */}
      <div ref={list} className="log" role="log" aria-labelledby="title-chat" tabIndex={0}>
        <ol className="messages">
          {messages.map((message) => (
            <Line key={message.id} text={text} clock={clock} message={message} own={message.identity === me} onDelete={remove} />
          ))}
        </ol>
      </div>
      <p role="alert" className="problem" data-testid="chat-problem">
        {result !== "sent" && text[result]}
      </p>
      {closed ? (
        <p role="status" className="hint closed" data-testid="chat-closed">
          {closed}
        </p>
      ) : (
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
      )}
    </PanelFrame>
  );
}

// Who may write, as the teacher sets it.
function Modes({ text, mode, onMode }: { text: Texts; mode: ChatMode; onMode: (mode: ChatMode) => Promise<boolean> }) {
  const [chosen, choose] = useChoice(mode, onMode);
  const labels: Record<ChatMode, string> = { all: text.chatAll, teacher: text.chatTeacher, off: text.chatOff };
  return (
    <fieldset className="modes">
      <legend>{text.chatMode}</legend>
      <div className="segments">
        {CHAT_MODES.map((one) => (
          <label key={one}>
            <input type="radio" name="chat-mode" data-testid={`chat-mode-${one}`} checked={chosen === one} onChange={() => choose(one)} />
            <span>{labels[one]}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

type LineProps = { text: Texts; clock: Intl.DateTimeFormat; message: Message; own: boolean; onDelete?: (message: Message) => void };

// Drawn once: hundreds of them may be in the list while more arrive.
const Line = memo(function Line({ text, clock, message, own, onDelete }: LineProps) {
  return (
    <li data-testid="chat-message" className={own ? "own" : undefined}>
      <div className="from">
        <b>
          <bdi>{message.name}</bdi>
        </b>
        <RoleBadge role={message.role} text={text} />
        <time dateTime={new Date(message.at).toISOString()}>{clock.format(message.at)}</time>
        {onDelete && (
          <button
            type="button"
            className="plain delete"
            data-testid="delete-message"
            aria-label={text.deleteMessage(isolated(message.name))}
            title={text.deleteMessage(isolated(message.name))}
            onClick={() => onDelete(message)}
          >
            <Icon name="bin" />
          </button>
        )}
      </div>
      <p className="said" dir="auto">
        {message.text}
      </p>
    </li>
  );
});
