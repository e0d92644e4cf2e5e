import { type FormEvent, type ReactNode, useState } from "react";
import { askToJoin, type Refusal, type Ticket } from "./portal";
import type { Texts } from "./texts";

export type Wishes = { camera: boolean; microphone: boolean };
type Props = { text: Texts; switcher: ReactNode; onTicket: (ticket: Ticket, wishes: Wishes) => void };

// The code stands behind the # of the link, which no browser sends to a server.
const codeOfLink = () => decodeURIComponent(location.hash.slice(1));

export function Join({ text, switcher, onTicket }: Props) {
  const [code, setCode] = useState(codeOfLink);
  const [name, setName] = useState("");
  const [wishes, setWishes] = useState<Wishes>({ camera: true, microphone: true });
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setRefusal(null);
    const answer = await askToJoin(code, name);
    setBusy(false);
    if (typeof answer === "string") setRefusal(answer);
    else onTicket(answer, wishes);
  }

  const wish = (key: keyof Wishes, label: string) => (
    <label className="choice">
      <input type="checkbox" checked={wishes[key]} onChange={(e) => setWishes({ ...wishes, [key]: e.target.checked })} />
      {label}
    </label>
  );

  return (
    <main className="card">
      <header>{switcher}</header>
      <h1>{text.welcome}</h1>
      <form onSubmit={submit}>
        <label htmlFor="code">{text.code}</label>
        <input
          id="code"
          className="code"
          value={code}
          onChange={(e) => setCode(e.target.value)}
          required
          autoComplete="off"
          autoCapitalize="characters"
          spellCheck={false}
          aria-describedby="code-hint"
          autoFocus={!code}
        />
        <p id="code-hint" className="hint">
          {text.codeHint}
        </p>
        <label htmlFor="name">{text.name}</label>
        <input
          id="name"
          value={name}
          onChange={(e) => setName(e.target.value)}
          required
          maxLength={40}
          autoComplete="off"
          aria-describedby="name-hint"
          autoFocus={!!code}
        />
        <p id="name-hint" className="hint">
          {text.nameHint}
        </p>
        <div className="choices">
          {wish("camera", text.withCamera)}
          {wish("microphone", text.withMicrophone)}
        </div>
        <p role="alert" className="problem">
          {refusal && text[refusal]}
        </p>
        <button id="join" type="submit" className="main" disabled={busy}>
          {busy ? text.joining : text.join}
        </button>
      </form>
      <p className="hint">{text.privacy}</p>
    </main>
  );
}
