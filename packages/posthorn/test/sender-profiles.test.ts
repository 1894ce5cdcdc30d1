// Endpoints that are sent to in the form of other senders: each request is taken by the very scheme that a receiver has of it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import {
  type Answer,
  type AnyScheme,
  type IncomingRequest,
  schemeNamed,
  type Verified,
} from "@posthorn/receiver";
import { PROFILES, type ProfileName } from "../src/domain/scheme.ts";
import { openPosthorn, type Posthorn } from "../src/index.ts";

const PLAIN: Answer = { status: 200, headers: {}, body: "" };
/** What JSON.parse and JSON.stringify would change. */
const DATA = '{"2":"ä]]>&=+ <b>","1":{"n":9007199254740993,"d":1.0 },"list":[]}';

type Received = IncomingRequest & { readonly url: string };

function now() {
  return { nowSeconds: Math.floor(Date.now() / 1000), toleranceSeconds: 300 };
}

function verified(scheme: AnyScheme, secret: string, request: Received): Verified {
  return scheme.verifier([scheme.parseSecret(secret)])(request, now());
}

describe("sender profiles, received", () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), "posthorn-profiles-"));
  /** By path: what is answered. */
  const answers = new Map<string, (request: Received) => Answer>();
  const receiver = createServer(async (incoming, outgoing) => {
    const url = `http://${incoming.headers.host}${incoming.url}`;
    const request = {
      method: incoming.method ?? "",
      url,
      headers: incoming.headers as Record<string, string>,
      body: await buffer(incoming),
    };
    const answer = answers.get(new URL(url).pathname)?.(request) ?? PLAIN;
    outgoing.writeHead(answer.status, { ...answer.headers }).end(answer.body);
  });
  let posthorn: Posthorn;
  let origin: string;
  let apps = 0;
  before(async () => {
    await once(receiver.listen(0, "127.0.0.1"), "listening");
    origin = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    posthorn = await openPosthorn({
      dataDir,
      allowNetworks: ["127.0.0.0/8"],
      allowPorts: "all",
      diskReserveBytes: 0,
    });
  });
  after(async () => {
    await posthorn.close();
    receiver.close();
    rmSync(dataDir, { recursive: true });
  });

  async function appWith(settings: object = {}): Promise<string> {
    apps += 1;
    return (await posthorn.apps.create({ uid: `app${apps}`, name: "an app", ...settings })).id;
  }

  /** @param answer of its receiver, which is told the secret */
  async function endpointOf(
    app: string,
    scheme: ProfileName,
    answer: (request: Received, secret: string) => Answer,
    settings: object = {},
  ): Promise<string> {
    const at = `/${app}/${scheme}`;
    let secret = "";
    answers.set(at, (request) => answer(request, secret));
    const made = await posthorn.endpoints.create(app, {
      url: `${origin}${at}?kept=%20a`,
      scheme,
      status: "paused",
      retrySchedule: [0.01],
      ...settings,
    });
    secret = await secretOf(app, made.id);
    await posthorn.endpoints.act(app, made.id, "resume");
    return made.id;
  }

  async function secretOf(app: string, endpoint: string): Promise<string> {
    const { secret, publicKey } = await posthorn.endpoints.secret(app, endpoint);
    return secret ?? publicKey ?? "";
  }

  /** Publishes one event; resolves with its id once so many of its deliveries ended. */
  async function published(app: string, count: number): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let ended = 0;
    const stop = posthorn.feed.subscribe((entry) => {
      if (entry.appId !== app) return;
      if (entry.kind === "attempt" && typeof entry.next !== "string") return;
      ended += 1;
      if (ended === count) resolve();
    });
    const { id } = await posthorn.publish({ app, type: "order.created", dataJson: DATA });
    await promise;
    stop();
    return id;
  }

  async function outcomes(event: string) {
    const { data } = await posthorn.deliveries.list({ event });
    return Promise.all(
      data.map(async ({ id, state, endpointId }) => {
        const { attempts } = await posthorn.deliveries.get(id);
        return { endpointId, state, outcomes: attempts.map(({ outcome }) => outcome) };
      }),
    );
  }

  test("each is verified, opened and understood, and delivered when it is acknowledged as its sender wants", async () => {
    const app = await appWith();
    const seen = new Map<ProfileName, { readonly request: Received; readonly verified: Verified }>();
    for (const name of PROFILES) {
      await endpointOf(app, name, (request, secret) => {
        const found = verified(schemeNamed(name), secret, request);
        seen.set(name, { request, verified: found });
        return (found.kind === "event" ? found.acknowledgement?.() : found.answer) ?? PLAIN;
      });
    }
    const event = await published(app, PROFILES.length);
    for (const { state, outcomes: tried } of await outcomes(event)) {
      assert.equal(state, "delivered", JSON.stringify(tried));
      assert.equal(tried.length, 1);
    }
    for (const name of PROFILES) {
      const { request, verified: found } = seen.get(name) ?? {};
      assert.ok(request !== undefined && found?.kind === "event", name);
      const lines = (header: string) =>
        [request.headers as Record<string, string>].map((all) => all[header] ?? "");
      const { id, type, data } = schemeNamed(name).describe(found.payload, lines);
      const inner = name === "slack" ? (data as { data: unknown }).data : data;
      assert.deepEqual([id, type, inner], [event, "order.created", JSON.parse(DATA)], name);
      assert.match(request.url, /\?kept=%20a(&|$)/);
      assert.equal(lines("webhook-id")[0], event);
      assert.match(lines("user-agent")[0] ?? "", /^Posthorn\//);
      // Byte for byte, where nothing had to be escaped for its surroundings.
      if (!["wechat", "wecom", "alipay"].includes(name))
        assert.ok(Buffer.from(found.payload).includes(DATA), name);
    }
  });

  test("a 2xx that is not what the sender insists on is an attempt that failed, and says so", async () => {
    const app = await appWith();
    const wanting = ["wechat", "wecom", "dingtalk", "alipay"] as const;
    const wrong = ["ok", '{"encrypt":"AAAA"}', '{"encrypt":1}', "\u0000{", "SUCCESS", "success!"];
    const asked = new Map<string, number>();
    for (const [nth, name] of [...wanting, "github" as const].entries()) {
      await endpointOf(app, name, (request, secret) => {
        const found = verified(schemeNamed(name), secret, request);
        const before = asked.get(name) ?? 0;
        asked.set(name, before + 1);
        if (before === 0) return { ...PLAIN, body: wrong[nth] ?? "" };
        return (found.kind === "event" ? found.acknowledgement?.() : null) ?? PLAIN;
      });
    }
    const all = await outcomes(await published(app, wanting.length + 1));
    const tried = all.map((each) => JSON.stringify(each.outcomes.map(({ kind }) => kind))).toSorted();
    const twice = '["rejected","succeeded"]';
    assert.deepEqual(tried, [twice, twice, twice, twice, '["succeeded"]']);
    for (const { state, outcomes: each } of all) {
      assert.equal(state, "delivered");
      if (each.length === 1) continue;
      assert.deepEqual(each[0], {
        kind: "rejected",
        status: 200,
        cause: "unacknowledged",
        retryAfterMs: null,
        control: null,
      });
    }
  });

  test("a rotation overlaps where a request can hold both signatures, and else counts at once", async () => {
    const app = await appWith();
    const requests = new Map<string, Received>();
    const rotations: { readonly name: ProfileName; readonly before: string; readonly after: string }[] = [];
    const given = "a-secret-that-is-given";
    for (const name of ["stripe", "svix", "github", "wechat", "alipay"] as const) {
      const id = await endpointOf(app, name, (request) => {
        requests.set(name, request);
        return name === "alipay" ? { ...PLAIN, body: "success" } : PLAIN;
      });
      const rotate = (input: object) => posthorn.endpoints.rotateSecret(app, id, input);
      if (name === "github") {
        const refusal = { code: "invalid_field", pointer: "/overlapSeconds" };
        await assert.rejects(rotate({ overlapSeconds: 60 }), refusal);
      }
      const before = await secretOf(app, id);
      const { secret, publicKey } = await rotate(name === "github" ? { secret: given } : {});
      const after = await secretOf(app, id);
      assert.equal(after, secret ?? publicKey);
      rotations.push({ name, before, after });
    }
    await published(app, rotations.length);
    for (const { name, before, after } of rotations) {
      const request = requests.get(name);
      assert.ok(request, name);
      const verifiedWith = (secret: string) => verified(schemeNamed(name), secret, request);
      assert.equal(verifiedWith(after).kind, "event", name);
      if (name === "stripe" || name === "svix") assert.equal(verifiedWith(before).kind, "event", name);
      else assert.throws(() => verifiedWith(before), { code: "no_matching_signature" }, name);
      if (name === "github") assert.equal(after, given);
      if (name !== "wechat") continue;
      const [old, anew] = [JSON.parse(before), JSON.parse(after)];
      assert.equal(anew.receiveId, old.receiveId);
      assert.ok(anew.token !== old.token && anew.encodingAESKey !== old.encodingAESKey);
    }
  });
});
