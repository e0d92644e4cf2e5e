import type { ReactNode } from "react";

// The head of the pages before and after a class.
export function Brand({ title, switcher }: { title: string; switcher: ReactNode }) {
  return (
    <header>
      <p className="brand">
        <img src="/icon.svg" alt="" width="28" height="28" />
        {title}
      </p>
      {switcher}
    </header>
  );
}
