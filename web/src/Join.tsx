import { type FormEvent, type ReactNode, useRef, useState } from "react";
import { Brand } from "./Brand";
import type { Wishes } from "./devices";
import { Preview } from "./Preview";
import { askToJoin, type Refusal, type Ticket } from "./portal";
import type { Texts } from "./texts";

// What was entered into the form: kept in memory only, to come back after a lost connection.
export type Entry = { code: string; name: string; wishes: Wishes };
type Props = { text: Texts; switcher: ReactNode; entry: Entry; onEntry: (entry: Entry) => void; onTicket: (ticket: Ticket) => void };

export function Join({ text, switcher, entry, onEntry, onTicket }: Props) {
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const code = useRef<HTMLInputElement>(null);
  const name = useRef<HTMLInputElement>(null);

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setRefusal(null);
    const answer = await askToJoin(entry.code, entry.name);
    if (typeof answer !== "string") return onTicket(answer);
    setBusy(false);
    setRefusal(answer);
    if (answer === "wrongCode") code.current?.focus();
    if (answer === "badName") name.current?.focus();
  }

  return (
    <div className="door">
      <Brand title={text.title} switcher={switcher} />
      <main>
        <h1>{text.welcome}</h1>
        <form onSubmit={submit} className="card" aria-busy={busy}>
          <div className="fields">
            <div className="field">
              <label htmlFor="code">{text.code}</label>
              <input
                id="code"
                ref={code}
                className="code"
                value={entry.code}
                onChange={(e) => onEntry({ ...entry, code: e.target.value })}
                required
                maxLength={80}
                autoComplete="off"
                autoCapitalize="characters"
                spellCheck={false}
                aria-describedby="code-hint problem"
                aria-invalid={refusal === "wrongCode"}
                autoFocus={!entry.code}
              />
              <p id="code-hint" className="hint">
                {text.codeHint}
              </p>
            </div>
            <div className="field">
              <label htmlFor="name">{text.name}</label>
              <input
                id="name"
                ref={name}
                value={entry.name}
                onChange={(e) => onEntry({ ...entry, name: e.target.value })}
                required
                maxLength={40}
                autoComplete="off"
                aria-describedby="name-hint problem"
                aria-invalid={refusal === "badName"}
                autoFocus={!!entry.code}
              />
              <p id="name-hint" className="hint">
                {text.nameHint}
              </p>
            </div>
          </div>
          <Preview text={text} wishes={entry.wishes} onWishes={(wishes) => onEntry({ ...entry, wishes })} />
          <div className="enter">
            <p role="alert" id="problem" className="problem" data-testid="problem">
              {refusal && text[refusal]}
            </p>
            <button id="join" type="submit" className="main">
              {busy ? text.joining : text.join}
            </button>
          </div>
        </form>
        <p className="hint promise">{text.privacy}</p>
      </main>
    </div>
  );
}
