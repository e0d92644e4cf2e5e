import { Icon } from "./Icon";
import type { Role } from "./portal";
import type { Texts } from "./texts";

// A name, isolated in its direction, so that a right-to-left name does not reorder what is beside it.
export function Name({ name, text, me = false }: { name: string; text?: Texts; me?: boolean }) {
  return (
    <>
      <bdi className="name">{name}</bdi>
      {me && text && <span className="me"> {text.you}</span>}
    </>
  );
}

// The role of a teacher: an icon on a coloured ground, which no name can imitate.
export function RoleBadge({ role, text }: { role: Role | string | undefined; text: Texts }) {
  if (role !== "teacher") return null;
  return (
    <span className="role" data-testid="role">
      <Icon name="teacher" />
      <span>{text.teacher}</span>
    </span>
  );
}
