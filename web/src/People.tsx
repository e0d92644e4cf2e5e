import type { Participant } from "livekit-client";
import { Icon } from "./Icon";
import type { Texts } from "./texts";

type Props = { text: Texts; people: Participant[]; teacher: boolean; onRemove: (identity: string) => void };

export function People({ text, people, teacher, onRemove }: Props) {
  return (
    <section className="panel" aria-labelledby="people-title">
      <h2 id="people-title">{text.people}</h2>
      <ul className="people">
        {people.map((person) => {
          const name = person.name ?? "";
          return (
            <li key={person.identity} data-testid="person">
              <span className="who">
                {person.isLocal ? text.me(name) : name}
                {person.attributes.role === "teacher" && <em>{text.teacher}</em>}
              </span>
              {!person.isMicrophoneEnabled && (
                <span className="quiet">
                  <Icon name="microphone" off />
                  <span className="unseen">{text.microphoneIsOff}</span>
                </span>
              )}
              {teacher && !person.isLocal && (
                <button type="button" className="plain" data-testid="remove" aria-label={text.remove(name)} onClick={() => onRemove(person.identity)}>
                  <Icon name="remove" />
                </button>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
