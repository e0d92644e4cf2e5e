import type { ReceivedChatMessage } from "@livekit/components-react";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { Icon } from "./Icon";
import { PanelFrame } from "./PanelFrame";
import type { Language, Texts } from "./texts";

type Props = {
  text: Texts;
  language: Language;
  messages: ReceivedChatMessage[];
  send: (message: string) => Promise<unknown>;
  isSending: boolean;
  onClose: () => void;
};

export function Chat({ text, language, messages, send, isSending, onClose }: Props) {
  const [draft, setDraft] = useState("");
  const [failed, setFailed] = useState(false);
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [messages.length]);
  const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });

  async function submit(event: FormEvent) {
    event.preventDefault();
    const message = draft.trim();
    if (!message || isSending) return;
    try {
      await send(message);
      setDraft("");
      setFailed(false);
    } catch {
      setFailed(true);
    }
  }

  return (
    <PanelFrame text={text} id="chat" title={text.chat} onClose={onClose}>
      {messages.length === 0 && <p className="hint">{text.noMessages}</p>}
      {/* Reached by keyboard so that it can be scrolled. */}
      <div ref={list} className="log" role="log" aria-labelledby="title-chat" tabIndex={0}>
        <ol className="messages">
        {messages.map((message) => (
          <li key={message.id} data-testid="chat-message" className={message.from?.isLocal ? "own" : undefined}>
            <p className="from">
              <b>{message.from?.name}</b>
              {message.from?.attributes.role === "teacher" && <em className="role">{text.teacher}</em>}
              <time dateTime={new Date(message.timestamp).toISOString()}>{clock.format(message.timestamp)}</time>
            </p>
            <p className="said">{message.message}</p>
          </li>
        ))}
        </ol>
      </div>
      <p role="alert" className="problem">
        {failed && text.failed}
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
