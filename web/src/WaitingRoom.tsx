import { Icon } from "./Icon";
import { Name } from "./Name";
import { useChoice } from "./notices";
import type { Guest } from "./session";
import { isolated, type Texts } from "./texts";

type Props = {
  text: Texts;
  on: boolean;
  guests: Guest[];
  onSwitch: (on: boolean) => Promise<boolean>;
  onAdmit: (guest: Guest) => void;
  onAdmitAll: () => void;
  onRefuse: (guest: Guest) => void;
};

// The teacher's view of the waiting room: its switch, and who waits, the earliest first.
export function WaitingRoom({ text, on, guests, onSwitch, onAdmit, onAdmitAll, onRefuse }: Props) {
  const [chosen, choose] = useChoice(on, onSwitch);
  return (
    <section className="waiting-room" aria-labelledby="title-waiting">
      <label className="choice">
        <input type="checkbox" role="switch" data-testid="waiting-switch" checked={chosen} onChange={(e) => choose(e.target.checked)} aria-describedby="waiting-hint" />
        <b id="title-waiting">{text.waitingRoom}</b>
      </label>
      <p id="waiting-hint" className="hint">
        {chosen ? text.waitingRoomOn : text.waitingRoomOff}
      </p>
      {guests.length > 0 && (
        <>
          {guests.length > 1 && (
            <button type="button" className="main small" data-testid="admit-all" onClick={onAdmitAll}>
              {text.admitAll}
            </button>
          )}
          <ul className="people">
            {guests.map((guest) => (
              <li key={guest.identity} data-testid="guest">
                <span className="who">
                  <Name name={guest.name} />
                </span>
                <button type="button" className="second small" data-testid="admit" aria-label={text.admit(isolated(guest.name))} onClick={() => onAdmit(guest)}>
                  {text.admitShort}
                </button>
                <button type="button" className="plain" data-testid="refuse" aria-label={text.refuse(isolated(guest.name))} title={text.refuse(isolated(guest.name))} onClick={() => onRefuse(guest)}>
                  <Icon name="close" />
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
