import type { ReactNode } from "react";
import { Icon } from "./Icon";
import type { Texts } from "./texts";

type Props = { text: Texts; id: string; title: string; onClose: () => void; children: ReactNode };

export function PanelFrame({ text, id, title, onClose, children }: Props) {
  return (
    <section className="panel" id={`panel-${id}`} aria-labelledby={`title-${id}`}>
      <header>
        <h2 id={`title-${id}`}>{title}</h2>
        <button type="button" className="plain" data-testid="panel-close" aria-label={text.close} onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </section>
  );
}
