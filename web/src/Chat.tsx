import { useChat } from "@livekit/components-react";
import { type FormEvent, useEffect, useRef, useState } from "react";
import type { Texts } from "./texts";

export function Chat({ text }: { text: Texts }) {
  const { chatMessages, send, isSending } = useChat();
  const [draft, setDraft] = useState("");
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => {
    // In braces: browsers have begun to return a promise here, and an effect may not.
    void end.current?.scrollIntoView({ block: "end" });
  }, [chatMessages.length]);

  async function submit(event: FormEvent) {
    event.preventDefault();
    const message = draft.trim();
    if (!message) return;
    await send(message);
    setDraft("");
  }

  return (
    <section className="panel" aria-labelledby="chat-title">
      <h2 id="chat-title">{text.chat}</h2>
      <ol className="messages" role="log" aria-labelledby="chat-title" tabIndex={0}>
        {chatMessages.length === 0 && <li className="hint">{text.noMessages}</li>}
        {chatMessages.map((message) => (
          <li key={message.id ?? message.timestamp} data-testid="chat-message">
            <b>{message.from?.name}</b> {message.message}
          </li>
        ))}
        <li ref={end} aria-hidden="true" className="end" />
      </ol>
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
        <button type="submit" data-testid="chat-send" className="main" disabled={isSending}>
          {text.send}
        </button>
      </form>
    </section>
  );
}
