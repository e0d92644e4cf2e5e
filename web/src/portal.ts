// The join service, as the page sees it.
export type Role = "teacher" | "pupil";
export type Ticket = { token: string; url: string; role: Role };
export type Refusal = "wrongCode" | "badName" | "tooMany" | "lockedOut" | "unreachable";
export type Written = "sent" | "tooFast" | "failed";
export type Action = "mute-all" | "remove" | "lock" | "hand";

const refusals: Record<number, Refusal> = { 403: "wrongCode", 422: "badName", 423: "lockedOut", 429: "tooMany" };

async function post(path: string, body: unknown, token?: string): Promise<Response> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  return fetch(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(body), cache: "no-store" });
}

export async function askToJoin(code: string, name: string): Promise<Ticket | Refusal> {
  try {
    const answer = await post("join", { code, name });
    if (answer.ok) return (await answer.json()) as Ticket;
    return refusals[answer.status] ?? "unreachable";
  } catch {
    return "unreachable";
  }
}

// The teacher's powers and raised hands: the service and the media server check the token, whatever this page shows.
export async function act(action: Action, body: unknown, token: string): Promise<boolean> {
  try {
    return (await post(action, body, token)).ok;
  } catch {
    return false;
  }
}

// A message to everybody in the class; it is shown when the service sends it back.
export async function write(text: string, token: string): Promise<Written> {
  try {
    const answer = await post("chat", { text }, token);
    if (answer.ok) return "sent";
    return answer.status === 429 ? "tooFast" : "failed";
  } catch {
    return "failed";
  }
}
