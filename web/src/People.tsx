import type { Participant } from "livekit-client";
import { Icon } from "./Icon";
import { PanelFrame } from "./PanelFrame";
import type { Texts } from "./texts";

type Props = {
  text: Texts;
  people: Participant[];
  teacher: boolean;
  onClose: () => void;
  onRemove: (identity: string, name: string) => void;
  onLowerHand: (identity: string) => void;
};

// Raised hands first, the earliest on top; then teachers; then by name.
function order(a: Participant, b: Participant): number {
  const hand = (person: Participant) => Number(person.attributes.hand) || Number.POSITIVE_INFINITY;
  if (hand(a) !== hand(b)) return hand(a) - hand(b);
  const rank = (person: Participant) => (person.attributes.role === "teacher" ? 0 : 1);
  return rank(a) - rank(b) || (a.name ?? "").localeCompare(b.name ?? "") || a.identity.localeCompare(b.identity);
}

export function People({ text, people, teacher, onClose, onRemove, onLowerHand }: Props) {
  return (
    <PanelFrame text={text} id="people" title={text.people} onClose={onClose}>
      <ul className="people">
        {[...people].sort(order).map((person) => {
          const name = person.name ?? "";
          return (
            <li key={person.identity} data-testid="person">
              <span className="who">
                {person.isLocal ? text.me(name) : name}
                {person.attributes.role === "teacher" && <em className="role">{text.teacher}</em>}
              </span>
              {person.attributes.hand && (
                <span className="hand" data-testid="raised">
                  <Icon name="hand" />
                  <span className="unseen">{text.handIsUp}</span>
                </span>
              )}
              {!person.isMicrophoneEnabled && (
                <span className="quiet">
                  <Icon name="microphone" off />
                  <span className="unseen">{text.microphoneIsOff}</span>
                </span>
              )}
              {teacher && person.attributes.hand && (
                <button type="button" className="plain" data-testid="lower-hand" aria-label={text.lowerHand(name)} title={text.lowerHand(name)} onClick={() => onLowerHand(person.identity)}>
                  <Icon name="hand" off />
                </button>
              )}
              {teacher && !person.isLocal && (
                <button type="button" className="plain" data-testid="remove" aria-label={text.remove(name)} title={text.remove(name)} onClick={() => onRemove(person.identity, name)}>
                  <Icon name="remove" />
                </button>
              )}
            </li>
          );
        })}
      </ul>
    </PanelFrame>
  );
}
