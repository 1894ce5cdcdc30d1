// npm run bench:receiver [-- verify,memory,sqlite,postgres,redis]: what verifying costs, and what a dedupe store costs as it grows.
// Verifying: requests of a 1 KiB body per second on one core, for every scheme with an HMAC. Stores: `once` for one new key on a store
// with 10^6 marks against one with 10^3, in alternating pairs of windows. Each figure is a median with its spread. A command of its own:
// it fills stores with millions of marks, and takes about 2 minutes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import pg from "pg";
import { createClient } from "redis";
import { startPostgres } from "../../posthorn/test/postgres-server.ts";
import {
  type DedupeStore,
  generateStandardSecret,
  memoryDedupe,
  type SchemeName,
  schemeNamed,
} from "../src/index.ts";
import { postgresDedupe } from "../src/postgres.ts";
import { redisDedupe } from "../src/redis.ts";
import { sqliteDedupe } from "../src/sqlite.ts";
import { signedParts } from "../src/testing/testing.ts";
import { startRedis, whyNoRedis } from "./redis-server.ts";

const WINDOWS = 9;
const WINDOW_MS = 200;
const MARKS = { few: 1_000, many: 1_000_000 } as const;
const FILL = 1000;

const HMAC_SCHEMES = [
  "standard",
  "svix",
  "gitlab-signing",
  "github",
  "bitbucket",
  "meta",
  "websub",
  "linear",
  "shopify",
  "square",
  "stripe",
  "slack",
  "zoom",
  "twilio",
] as const satisfies readonly SchemeName[];

function verifying(): void {
  console.log("scheme: verifications per second of a 1 KiB body, median (least to most of 9 windows)");
  const data = { note: "x".repeat(900), webhookTimestamp: Date.now(), data: {}, object: {} };
  for (const name of HMAC_SCHEMES) {
    const scheme = schemeNamed(name as string);
    const secret = /^(standard|svix|gitlab-signing)$/.test(name)
      ? generateStandardSecret()
      : "0123456789abcdef0123456789abcdef";
    const request = signedParts(name, secret, { type: "order.created", data });
    const verify = scheme.verifier([scheme.parseSecret(secret)]);
    const clock = { nowSeconds: Math.floor(Date.now() / 1000), toleranceSeconds: 300 };
    const rates = Array.from({ length: WINDOWS + 1 }, () => perSecond(() => verify(request, clock)));
    console.log(
      `  ${name.padEnd(16)} ${spread(rates.slice(1), (rate) => Math.round(rate).toLocaleString("en"))}`,
    );
  }
}

function perSecond(work: () => unknown): number {
  const startMs = performance.now();
  let times = 0;
  for (;;) {
    for (let repeat = 0; repeat < 100; repeat += 1) work();
    times += 100;
    const elapsedMs = performance.now() - startMs;
    if (elapsedMs >= WINDOW_MS) return (times * 1000) / elapsedMs;
  }
}

interface Place {
  open(name: string): DedupeStore<unknown>;
  close(): Promise<void>;
}

const PLACES: Readonly<Record<string, () => Promise<Place>>> = {
  memory: async () => ({
    open: () => memoryDedupe({ entriesMax: 2 * MARKS.many }),
    close: async () => {},
  }),
  sqlite: async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "posthorn-bench-receiver-"));
    const open: DatabaseSync[] = [];
    return {
      open(name) {
        const database = new DatabaseSync(path.join(folder, `${name}.db`));
        open.push(database);
        return sqliteDedupe(database);
      },
      async close() {
        for (const database of open) database.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
  postgres: async () => {
    const server = await startPostgres();
    const pool = new pg.Pool({ connectionString: server.url });
    return {
      open: (name) => postgresDedupe(pool, { table: `marks_${name}` }),
      async close() {
        await pool.end();
        await server.destroy();
      },
    };
  },
  redis: async () => {
    const why = whyNoRedis();
    if (why !== false) throw new Error(why);
    const server = await startRedis();
    const client = createClient({ url: server.url });
    await client.connect();
    return {
      open: (name) => redisDedupe(client, { prefix: `${name}:` }),
      async close() {
        client.destroy();
        await server.destroy();
      },
    };
  },
};

async function growing(name: string, place: Place): Promise<void> {
  const few = await filled(place, "few");
  const many = await filled(place, "many");
  const pairs: { few: number; many: number }[] = [];
  for (let pair = 0; pair <= WINDOWS; pair += 1) {
    pairs.push({ few: await costUs(few, `few${pair}`), many: await costUs(many, `many${pair}`) });
  }
  const counted = pairs.slice(1);
  const ratio = spread(
    counted.map((pair) => pair.many / pair.few),
    (value) => value.toFixed(2),
  );
  const [fewUs, manyUs] = (["few", "many"] as const).map((size) =>
    median(counted.map((pair) => pair[size])).toFixed(1),
  );
  console.log(`  ${name.padEnd(10)} ${fewUs} us with 10^3 marks, ${manyUs} us with 10^6: ratio ${ratio}`);
  await Promise.all([few.close(), many.close()]);
}

async function filled(place: Place, size: keyof typeof MARKS): Promise<DedupeStore<unknown>> {
  const store = place.open(size);
  for (let first = 0; first < MARKS[size]; first += FILL) {
    const keys = Array.from({ length: FILL }, (_, index) => `shop:evt_${first + index}`);
    await store.once(keys, async () => {});
  }
  return store;
}

/** Per call, one after the other, at most 300 calls, so that the small store stays small. */
async function costUs(store: DedupeStore<unknown>, name: string): Promise<number> {
  const startMs = performance.now();
  let calls = 0;
  do {
    await store.once([`shop:new_${name}_${calls}`], async () => {});
    calls += 1;
  } while (calls < 300 && performance.now() - startMs < 2 * WINDOW_MS);
  return ((performance.now() - startMs) * 1000) / calls;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

function spread(values: readonly number[], shown: (value: number) => string): string {
  return `${shown(median(values))} (${shown(Math.min(...values))} to ${shown(Math.max(...values))})`;
}

const wanted = process.argv[2]?.split(",") ?? ["verify", ...Object.keys(PLACES)];
for (const name of wanted) {
  const makePlace = PLACES[name];
  if (name === "verify") verifying();
  else if (makePlace === undefined)
    throw new Error(`there is no ${name}: verify, ${Object.keys(PLACES).join(", ")}`);
}
const stores = wanted.filter((name) => name !== "verify");
if (stores.length > 0) console.log("store: one event marked, median of 9 alternating pairs");
for (const name of stores) {
  const place = await (PLACES[name] as () => Promise<Place>)();
  try {
    await growing(name, place);
  } finally {
    await place.close();
  }
}
