/** /console/session: signing in with an API key, and out. The cookie is the browser's, the csrfToken the page's. */
import { z } from "zod";
import { PosthornError } from "../../base/errors.ts";
import { parseInput } from "../../domain/input.ts";
import { KEY_ROLES, type Key } from "../../domain/key.ts";
import type { Session } from "../../domain/session.ts";
import type { Engine } from "../../engine/engine.ts";
import { CONSOLE, NO_SESSION_COOKIE, sessionCookie, sessionTokenOf } from "./browser.ts";
import { keyView, viewKey } from "./keys.ts";
import { iso, json, type Route, route, timeView } from "./route.ts";
import { SignInLimit } from "./sign-in-limit.ts";

const signInSchema = z.strictObject({ key: z.string().min(1).max(512).describe("An API key, `phk_...`") });

const sessionView = z
  .object({
    csrfToken: z.string().describe("Goes with every unsafe request, in the header `x-csrf-token`"),
    key: keyView,
    expiresAt: timeView,
  })
  .meta({ id: "Session" });

function viewSession(session: Session, key: Key, csrfToken: string): z.input<typeof sessionView> {
  return { csrfToken, key: viewKey(key), expiresAt: iso(session.expiresAtMs) };
}

export function sessionRoutes({ sessions }: Pick<Engine, "sessions">): Route[] {
  const shared = { path: `${CONSOLE}/session`, tag: "Sessions", door: "console" } as const;
  const limit = new SignInLimit();
  return [
    route({
      ...shared,
      method: "POST",
      summary: "Sign a browser in with an API key; any session that it has ends",
      access: "open",
      body: { schema: signInSchema, required: true },
      answers: [{ status: 201, description: "Signed in; the cookie is set", schema: sessionView }],
      async handle(input) {
        const { key: secret } = parseInput(signInSchema, input.json());
        limit.begin(input.address);
        try {
          const opened = await sessions.open(secret, sessionTokenOf(input.headers.cookie));
          const { session, token, csrfToken, key } = opened;
          const seconds = Math.max(0, Math.floor((session.expiresAtMs - Date.now()) / 1000));
          const headers = { "set-cookie": sessionCookie(token, seconds) };
          limit.succeeded(input.address);
          return json(201, viewSession(session, key, csrfToken), headers);
        } catch (error) {
          const failed = error instanceof PosthornError && error.code === "unauthorized";
          if (!failed) limit.succeeded(input.address);
          throw error;
        }
      },
    }),
    route({
      ...shared,
      method: "GET",
      summary: "Who is signed in, with a new csrfToken",
      access: KEY_ROLES,
      scope: "caller",
      answers: [{ status: 200, description: "The session", schema: sessionView }],
      handle(input) {
        const { session, key } = signedIn(input);
        return json(200, viewSession(session, key, sessions.csrfToken(session)));
      },
    }),
    route({
      ...shared,
      method: "DELETE",
      summary: "Sign out",
      access: KEY_ROLES,
      scope: "caller",
      answers: [{ status: 204, description: "Signed out; the cookie is removed" }],
      async handle(input) {
        await sessions.close(signedIn(input).session.id);
        return { status: 204, body: null, headers: { "set-cookie": NO_SESSION_COOKIE } };
      },
    }),
  ];
}

function signedIn({ session, key }: { readonly session: Session | null; readonly key: Key | null }) {
  if (session === null || key === null)
    throw new Error("a route of the console was called without a session");
  return { session, key };
}
