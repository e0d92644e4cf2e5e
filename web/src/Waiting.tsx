import { type ReactNode, useEffect, useRef } from "react";
import { Brand } from "./Brand";
import type { WaitReason } from "./session";
import type { Texts } from "./texts";
import { useStaysAwake } from "./useStaysAwake";

type Props = { text: Texts; switcher: ReactNode; why: WaitReason | null; online: boolean; onLeave: () => void };

// Before the class: what one waits for, and that nothing has to be done. Without a reason the connection is being made.
export function Waiting({ text, switcher, why, online, onLeave }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  useStaysAwake();
  useEffect(() => heading.current?.focus(), []);
  const title = why === "teacher" ? text.waitTeacher : why === "admission" ? text.waitAdmission : text.joining;
  const hint = why === "teacher" ? text.waitTeacherHint : why === "admission" ? text.waitAdmissionHint : "";
  useEffect(() => {
    if (why) document.title = `${title} – ${text.title}`;
    return () => void (document.title = text.title);
  }, [why, title, text.title]);
  return (
    <div className="door">
      <Brand title={text.title} switcher={switcher} />
      <main className="goodbye">
        <div className="card wait" data-testid={why ? "waiting" : "connecting"} data-why={why}>
          <span className="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          <div role="status">
            <h1 ref={heading} tabIndex={-1}>
              {title}
            </h1>
            {hint && <p>{hint}</p>}
            {why && !online && <p className="hint">{text.reconnecting}</p>}
          </div>
          <button type="button" className="second" data-testid="stop-waiting" onClick={onLeave}>
            {text.leave}
          </button>
        </div>
      </main>
    </div>
  );
}
