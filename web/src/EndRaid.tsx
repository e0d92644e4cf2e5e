import type { Participant } from "livekit-client";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { Name } from "./Name";
import type { Texts } from "./texts";

type Props = { text: Texts; people: Participant[]; onEnd: (keep: string[]) => void; onClose: () => void };

// The teacher's answer to an intrusion: who is not ticked goes to the waiting room.
export function EndRaid({ text, people, onEnd, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [kept, setKept] = useState<ReadonlySet<string>>(new Set());
  const pupils = people.filter((person) => person.attributes.role !== "teacher" && !person.isLocal);
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);

  function keep(identity: string, wanted: boolean) {
    const next = new Set(kept);
    if (wanted) next.add(identity);
    else next.delete(identity);
    setKept(next);
  }
  function submit(event: FormEvent) {
    event.preventDefault();
    onEnd(pupils.map((person) => person.identity).filter((identity) => kept.has(identity)));
    dialog.current?.close();
  }

  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="title-raid" data-testid="raid-dialog" onClose={onClose}>
      <form onSubmit={submit}>
        <h2 id="title-raid">{text.raidLong}</h2>
        <p>{text.raidExplains}</p>
        {pupils.length > 0 && (
          <fieldset>
            <legend>{text.raidKeep}</legend>
            {pupils.length > 2 && (
              <label className="choice all">
                <input
                  type="checkbox"
                  data-testid="keep-all"
                  checked={pupils.every((person) => kept.has(person.identity))}
                  onChange={(e) => setKept(new Set(e.target.checked ? pupils.map((person) => person.identity) : []))}
                />
                {text.raidAll}
              </label>
            )}
            <ul className="people">
              {pupils.map((person) => (
                <li key={person.identity}>
                  <label className="choice">
                    <input type="checkbox" data-testid="keep" checked={kept.has(person.identity)} onChange={(e) => keep(person.identity, e.target.checked)} />
                    <Name name={person.name ?? ""} />
                  </label>
                </li>
              ))}
            </ul>
          </fieldset>
        )}
        <div className="choices-row">
          <button type="button" className="second" data-testid="raid-cancel" onClick={() => dialog.current?.close()}>
            {text.cancel}
          </button>
          <button type="submit" className="main danger" data-testid="raid-confirm">
            {text.raidConfirm(pupils.length - pupils.filter((person) => kept.has(person.identity)).length)}
          </button>
        </div>
      </form>
    </dialog>
  );
}
