// Requests to the join service before the class; everything later goes through its WebSocket (session.ts).
export type Role = "teacher" | "pupil";
export type Ticket = { ticket: string; role: Role };
export type Refusal = "wrongCode" | "badName" | "tooMany" | "lockedOut" | "full" | "unreachable";

const refusals: Record<string, Refusal> = { wrong_code: "wrongCode", bad_name: "badName", locked: "lockedOut", too_many: "tooMany", full: "full" };

// Exchange a class code and a name for a ticket: the right to wait and, once admitted, to enter.
export async function askToJoin(code: string, name: string): Promise<Ticket | Refusal> {
  try {
    const answer = await fetch("/api/join", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code, name }),
      cache: "no-store",
    });
    const found = (await answer.json()) as Ticket & { error?: string };
    return answer.ok ? { ticket: found.ticket, role: found.role } : (refusals[found.error ?? ""] ?? "unreachable");
  } catch {
    return "unreachable";
  }
}
