import type { Participant } from "livekit-client";
import type { ReactNode } from "react";
import { Icon } from "./Icon";
import { Name, RoleBadge } from "./Name";
import { PanelFrame } from "./PanelFrame";
import { isolated, type Texts } from "./texts";

type Props = {
  text: Texts;
  people: Participant[];
  teacher: boolean;
  // The waiting room, which teachers see above the list.
  above?: ReactNode;
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

export function People({ text, people, teacher, above, onClose, onRemove, onLowerHand }: Props) {
  return (
    <PanelFrame text={text} id="people" title={text.people} onClose={onClose}>
      <div className="scroll" tabIndex={0} role="group" aria-labelledby="title-people">
        {above}
        {above && <h3>{text.inClass}</h3>}
        <ul className="people">
          {[...people].sort(order).map((person) => {
            const name = person.name ?? "";
            return (
              <li key={person.identity} data-testid="person">
                <span className="who">
                  <Name name={name} text={text} me={person.isLocal} />
                  <RoleBadge role={person.attributes.role} text={text} />
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
                  <button
                    type="button"
                    className="plain"
                    data-testid="lower-hand"
                    aria-label={text.lowerHand(isolated(name))}
                    title={text.lowerHand(isolated(name))}
                    onClick={() => onLowerHand(person.identity)}
                  >
                    <Icon name="hand" off />
                  </button>
                )}
                {teacher && !person.isLocal && (
                  <button
                    type="button"
                    className="plain"
                    data-testid="remove"
                    aria-label={text.remove(isolated(name))}
                    title={text.remove(isolated(name))}
                    onClick={() => onRemove(person.identity, name)}
                  >
                    <Icon name="remove" />
                  </button>
                )}
              </li>
            );
          })}
        </ul>
      </div>
    </PanelFrame>
  );
}
