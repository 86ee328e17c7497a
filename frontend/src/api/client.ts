/** The API client: types from the service's OpenAPI document, problems (RFC 9457) as one kind of error. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Problem = Pick<Schemas["Problem"], "type" | "title" | "status" | "detail"> &
  Partial<Pick<Schemas["Problem"], "field" | "mend">>;

/** The service answered with a problem. */
export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** Nothing answered: the network or the service is down. */
export class Unreachable extends Error {}

let csrfToken: string | null = null;
export const rememberCsrf = (token: string | null | undefined) => {
  csrfToken = token ?? null;
};

export const api = createClient<paths>({ baseUrl: globalThis.location?.origin ?? "", credentials: "same-origin" });
api.use({
  onRequest({ request }) {
    if (request.method === "GET") return;
    if (csrfToken) request.headers.set("X-CSRF-Token", csrfToken);
    if (request.method === "POST" && !request.headers.has("Idempotency-Key"))
      request.headers.set("Idempotency-Key", crypto.randomUUID());
  },
});

/** The answer's body; throws ApiError or Unreachable. */
export async function take<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let answer: { data?: T; error?: unknown; response: Response };
  try {
    answer = await call;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Unreachable();
  }
  if (answer.response.ok) return answer.data as T;
  throw new ApiError(problemOf(answer.error, answer.response));
}

function problemOf(error: unknown, response: Response): Problem {
  if (typeof error === "object" && error !== null && "detail" in error) return error as Problem;
  const title = response.statusText || String(response.status);
  return { type: "/problems/unknown", title, status: response.status, detail: title };
}

/** Whether asking again may help. */
export function worthRetrying(count: number, error: Error): boolean {
  if (count >= 2) return false;
  return error instanceof Unreachable || (error instanceof ApiError && [429, 502, 503].includes(error.problem.status));
}
