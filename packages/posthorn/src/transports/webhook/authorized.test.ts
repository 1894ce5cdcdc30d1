import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { answer, type RawReceiver, type RawRequest } from "../../../test/raw-receiver.ts";
import { closeAll, createTransport, openReceiver, shipment } from "../../../test/webhook-sender.ts";
import type { OAuth2Client, Receipt, Shipment, ShipmentAccess } from "../transport.ts";
import { sendAuthorized } from "./authorized.ts";
import type { AccessTokens } from "./oauth2.ts";
import type { WebhookTransport } from "./webhook-transport.ts";

after(closeAll);

const SECRET = "tr0mbone-secret";
let accesses = 0;

function accessTo(tokens: RawReceiver | string, facts: Partial<OAuth2Client> = {}): ShipmentAccess {
  const oauth2: OAuth2Client = {
    tokenUrl: typeof tokens === "string" ? tokens : tokens.url,
    clientId: "shop",
    clientSecret: SECRET,
    scope: null,
    audience: null,
    clientAuthentication: "basic",
    ...facts,
  };
  return { id: `access-${++accesses}`, tls: null, oauth2 };
}

/** A token endpoint: the tokens are token-1, token-2, ... */
function openTokens(expiresIn = 3600): Promise<RawReceiver> {
  return openReceiver({
    onRequest(socket, _, nth) {
      const granted = { access_token: `token-${nth}`, token_type: "Bearer", expires_in: expiresIn };
      socket.write(answer(200, { "content-type": "application/json" }, JSON.stringify(granted)));
    },
  });
}

function tokenOf({ head }: RawRequest): string {
  return /^authorization: (.*)$/m.exec(head)?.[1]?.trim() ?? "";
}

/** A receiver that answers each request as it is told, by its token. */
function openGuarded(statusFor: (token: string) => number): Promise<RawReceiver> {
  return openReceiver({
    onRequest: (socket, request) => socket.write(answer(statusFor(tokenOf(request)))),
  });
}

function ship(
  own: WebhookTransport,
  url: string,
  access: ShipmentAccess,
  facts: Partial<Shipment> = {},
): Promise<Receipt> {
  return own.ship(shipment(url, { access, ...facts }));
}

describe("a receiver that wants an access token", () => {
  test("gets it on every request, and the token endpoint is asked once for many", async () => {
    const [tokens, receiver, own] = [await openTokens(), await openGuarded(() => 200), createTransport()];
    const access = accessTo(tokens);
    const receipts = await Promise.all(Array.from({ length: 20 }, () => ship(own, receiver.url, access)));
    assert.ok(receipts.every(({ outcome }) => outcome.kind === "succeeded"));
    await ship(own, receiver.url, access, { headers: { authorization: "Basic abc" } });
    assert.deepEqual([...new Set(receiver.requests.map(tokenOf))], ["Bearer token-1"]);
    assert.equal(tokens.requests.length, 1);
    assert.match(tokens.requests[0]?.head ?? "", /^POST \/hooks HTTP\/1\.1\r\n/);
    assert.equal(tokenOf(tokens.requests[0] as RawRequest), `Basic ${btoa(`shop:${SECRET}`)}`);
    assert.equal(tokens.requests[0]?.body.toString(), "grant_type=client_credentials");
  });

  test("that answers 401 gets a new one once, and the second answer counts", async () => {
    const [tokens, own] = [await openTokens(), createTransport()];
    const receiver = await openGuarded((token) => (token === "Bearer token-1" ? 401 : 202));
    const access = accessTo(tokens);
    const { outcome } = await ship(own, receiver.url, access);
    assert.deepEqual(outcome, { kind: "succeeded", status: 202, control: null });
    assert.deepEqual(receiver.requests.map(tokenOf), ["Bearer token-1", "Bearer token-2"]);
    await ship(own, receiver.url, access);
    assert.equal(tokens.requests.length, 2);
  });

  test("that always answers 401 is left at that after the second", async () => {
    const [tokens, receiver, own] = [await openTokens(), await openGuarded(() => 401), createTransport()];
    const { outcome } = await ship(own, receiver.url, accessTo(tokens));
    assert.deepEqual(outcome, { kind: "rejected", status: 401, retryAfterMs: null, control: null });
    assert.equal(receiver.requests.length, 2);
    assert.equal(tokens.requests.length, 2);
  });

  test("that answers 401 to twenty events makes two questions for a token, and one try for each event but the first", async () => {
    const [tokens, receiver, own] = [await openTokens(), await openGuarded(() => 401), createTransport()];
    const access = accessTo(tokens);
    for (let i = 0; i < 20; i++) {
      const { outcome } = await ship(own, receiver.url, access);
      assert.ok(outcome.kind === "rejected" && outcome.status === 401);
    }
    assert.equal(tokens.requests.length, 2);
    assert.equal(receiver.requests.length, 21);
  });

  test("gets a token for questions as well", async () => {
    const [tokens, own] = [await openTokens(), createTransport()];
    const receiver = await openGuarded((token) => (token === "Bearer token-1" ? 401 : 204));
    const question = {
      method: "OPTIONS",
      url: receiver.url,
      headers: {},
      body: null,
      timeoutMs: 2000,
    } as const;
    const { outcome } = await own.ask({ ...question, access: accessTo(tokens) });
    assert.equal(outcome.kind, "succeeded");
    assert.deepEqual(receiver.requests.map(tokenOf), ["Bearer token-1", "Bearer token-2"]);
  });

  test("keeps to one deadline for tokens and both tries", async () => {
    const [tokens, own] = [await openTokens(), createTransport()];
    const receiver = await openReceiver({
      onRequest: (socket, _, nth) => void (nth === 1 && socket.write(answer(401))),
    });
    const { outcome, durationMs } = await ship(own, receiver.url, accessTo(tokens), { timeoutMs: 150 });
    assert.deepEqual(outcome, { kind: "timed_out", phase: "response" });
    assert.ok(durationMs >= 145 && durationMs < 850, `${durationMs} ms`);
  });
});

test("each try has what is left of the time", async () => {
  const access = accessTo("http://127.0.0.1:1/");
  const tokens: AccessTokens = {
    async tokenFor() {
      await setTimeout(20);
      return { kind: "granted", token: "t", lifeMs: 1000 };
    },
    drop: () => true,
  };
  const given: number[] = [];
  const refusal = { kind: "rejected", status: 401, retryAfterMs: null, control: null } as const;
  await sendAuthorized(tokens, access, access.oauth2 as OAuth2Client, 1000, async (_, timeoutMs) => {
    given.push(timeoutMs);
    await setTimeout(20);
    return { receipt: { outcome: refusal, durationMs: 0, responseBody: null }, headers: undefined };
  });
  const [first = 0, second = 0] = given;
  assert.ok(first <= 981 && second <= first - 38, given.join(", "));
});

describe("without a token", () => {
  async function failing(
    onRequest: (socket: Socket) => void,
    timeoutMs = 2000,
  ): Promise<{
    detail: string;
    receiver: RawReceiver;
    tokens: RawReceiver;
    own: WebhookTransport;
    again: () => Promise<Receipt>;
  }> {
    const [tokens, receiver, own] = [
      await openReceiver({ onRequest }),
      await openGuarded(() => 200),
      createTransport(),
    ];
    const access = accessTo(tokens);
    const again = (): Promise<Receipt> => ship(own, receiver.url, access, { timeoutMs });
    const { outcome } = await again();
    assert.ok(outcome.kind === "unreachable" && outcome.cause === "authorization", JSON.stringify(outcome));
    assert.equal(receiver.requests.length, 0);
    return { detail: outcome.detail, receiver, tokens, own, again };
  }

  test("nothing is sent, and the reason names status and error code, but no secret", async () => {
    const body = JSON.stringify({ error: "invalid_client", error_description: `not ${SECRET}` });
    const { detail } = await failing((socket) => socket.write(answer(400, {}, body)));
    assert.equal(detail, "No access token: the token endpoint answered 400 (invalid_client).");
  });

  test("a token endpoint that fails is not asked again at once", async () => {
    const { again, tokens } = await failing((socket) => socket.write(answer(503)));
    for (let i = 0; i < 5; i++) await again();
    assert.equal(tokens.requests.length, 1);
  });

  test("a redirect of the token endpoint is not followed", async () => {
    const trap = await openTokens();
    const { detail } = await failing((socket) => socket.write(answer(307, { location: trap.url })));
    assert.match(detail, /answered 307/);
    assert.equal(trap.connections, 0);
  });

  test("a token endpoint that says nothing ends at the attempt's deadline", async () => {
    const { detail } = await failing(() => {}, 60);
    assert.match(detail, /did not answer/);
  });

  test("a token endpoint that nobody was reached at is told by that cause, and the receiver is not asked", async () => {
    const [receiver, own] = [await openGuarded(() => 200), createTransport()];
    const causes: string[] = [];
    for (const tokenUrl of ["http://169.254.169.254/token", "http://127.0.0.1:1/token"]) {
      const { outcome } = await ship(own, receiver.url, accessTo(tokenUrl));
      causes.push(outcome.kind === "unreachable" ? outcome.cause : outcome.kind);
    }
    assert.deepEqual(causes, ["address_refused", "connection_refused"]);
    assert.equal(receiver.connections, 0);
  });
});
