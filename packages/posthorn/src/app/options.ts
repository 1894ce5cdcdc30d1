/** Every option of the server in one table. The name in posthorn.json is the key here; flag and variable follow from it. */
import { z } from "zod";
import { HSTS_SECONDS, HTTP_LIMITS } from "../api/rest/server.ts";
import { DEFAULTS, LIMITS } from "../domain/defaults.ts";
import { NODE_ROLES } from "../domain/node.ts";
import { OWNERSHIP_POLICIES } from "../domain/ownership.ts";
import { ENGINE_DEFAULTS } from "../engine/options.ts";
import { isProxyUrl } from "../transports/webhook/proxy.ts";
import {
  bytes,
  choice,
  choices,
  confidentialText,
  durationMs,
  flag,
  list,
  type Option,
  ports,
  secret,
  text,
  wholeNumber,
} from "./option-kinds.ts";

const MIB = 1024 * 1024;

/** What both the server and the library have. */
export const ENGINE_OPTIONS = {
  dataDir: text(
    "./posthorn-data",
    "Where everything is kept; on PostgreSQL only key files that the environment does not give. Made, for its owner alone, when it is not there.",
    z.string().min(1),
  ),
  store: confidentialText(
    "sqlite:",
    "The store. `sqlite:` keeps everything in the data directory. `postgres://user:password@host:5432/database` is shared by as many nodes as wanted; give one with a password by the variable.",
    z
      .string()
      .regex(
        /^(sqlite:$|postgres(ql)?:\/\/)/,
        "must be `sqlite:` or begin with `postgres://` or `postgresql://`",
      ),
  ),
  roles: choices(
    NODE_ROLES,
    "What this node does. Without `api` it answers only `/healthz`, `/readyz` and `/metrics`; without `dispatch` it sends nothing and leaves the background duties to others; `sources` does nothing yet.",
  ),
  nodeName: text(
    "",
    "What this node is called in `posthorn nodes`; the machine's name unless given.",
    z.string().max(100),
  ),
  cluster: text(
    "posthorn",
    "PostgreSQL: the name of the cluster. A node that was given another one is refused.",
    z.string().min(1).max(100),
  ),
  databaseConnectionsMax: wholeNumber(
    12,
    { min: 11, max: 1000 },
    "PostgreSQL: how many connections this node may have.",
  ),
  masterKey: secret(
    "Seals secrets at rest: 32 bytes in base64 or hex. Without it, one is generated and kept in `<data dir>/master.key`.",
  ),
  oldMasterKeys: secret(
    "Former master keys, with commas between: they open what was sealed under them, until `posthorn keys rotate-master` has sealed everything anew.",
  ),
  allowNetworks: list(
    "Networks (CIDR) that endpoints may reach although they are not public, like `10.0.0.0/8`.",
  ),
  allowPorts: ports("Ports that endpoints may have besides 80, 443, 8080 and 8443."),
  allowHosts: list("Names that endpoints may have whatever addresses they resolve to."),
  allowSelf: flag(false, "Endpoints may lead to this server itself."),
  outboundProxy: confidentialText(
    "",
    "Every delivery goes through this proxy (CONNECT), or not at all: `http://` or `https://`, with user and password if it wants them; give one with a password by the variable. It resolves the names. `HTTP_PROXY` and its like are ignored.",
    z.string().refine((url) => url === "" || isProxyUrl(url), {
      error: "must be the URL of a proxy, like `http://proxy.example.com:3128`",
    }),
  ),
  ownershipCheck: choice(
    OWNERSHIP_POLICIES,
    ENGINE_DEFAULTS.ownershipCheck,
    "How endpoints prove that they want their events before they get any: `challenge` sends a value that must come back, `cloudevents` is the handshake of CloudEvents. An app may have it otherwise.",
  ),
  originName: text(
    ENGINE_DEFAULTS.originName,
    "The DNS name that `cloudevents` checks and deliveries are sent in the name of; the host of the public URL unless given.",
    z.string().regex(/^([A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*)?$/, "must be a DNS name"),
  ),
  requestRatePerMinute: wholeNumber(
    ENGINE_DEFAULTS.requestRatePerMinute,
    { min: 0, max: 1_000_000 },
    "Requests per minute that `cloudevents` checks ask for; 0 asks for no rate.",
  ),
  ownershipEveryMs: durationMs(
    ENGINE_DEFAULTS.ownershipEveryMs,
    "How often endpoints that have not proved it are looked for, to be asked again.",
  ),
  strictTypes: flag(ENGINE_DEFAULTS.strictTypes, "Refuse event types that are not in the catalogue."),
  payloadBytesMax: bytes(
    ENGINE_DEFAULTS.payloadBytesMax,
    { min: 1024, max: LIMITS.batchBytesMax },
    "The largest payload of one event.",
  ),
  hopsMax: wholeNumber(
    ENGINE_DEFAULTS.hopsMax,
    { min: 0, max: 254 },
    "Through how many webhooks an event may have come; one more is taken for a loop and refused.",
  ),
  diskReserveBytes: bytes(
    256 * MIB,
    { min: 0, max: Number.MAX_SAFE_INTEGER },
    "With less free space than this, publishing answers 503: what is left is for settling deliveries.",
  ),
  inFlightMax: wholeNumber(
    ENGINE_DEFAULTS.inFlightMax,
    { min: 1, max: 65_536 },
    "Attempts under way at one time.",
  ),
  connectTimeoutMs: durationMs(
    DEFAULTS.connectTimeoutMs,
    "For the name, TCP and TLS of one attempt together.",
  ),
  overloadDelayMs: durationMs(ENGINE_DEFAULTS.overloadDelayMs, "The least delay after a 429 or a timeout."),
  breakerProbeEveryMs: durationMs(
    ENGINE_DEFAULTS.breakerProbeEveryMs,
    "How often an endpoint with an open breaker gets one due delivery to try.",
  ),
  disableAfterFailingMs: durationMs(
    ENGINE_DEFAULTS.disableAfterFailingMs,
    "An endpoint all of whose attempts failed for so long is disabled.",
  ),
  disableAttemptsMin: wholeNumber(
    ENGINE_DEFAULTS.disableAttemptsMin,
    { min: 1, max: 1_000_000 },
    "... and so many attempts they must have been.",
  ),
  idempotencyMs: durationMs(DEFAULTS.idempotencyMs, "How long a uid or an Idempotency-Key is remembered."),
  pollMs: durationMs(ENGINE_DEFAULTS.pollMs, "How often due work is looked for when nothing announces it."),
  heartbeatMs: durationMs(ENGINE_DEFAULTS.heartbeatMs, "How often this node says that it lives."),
  deadAfterMs: durationMs(
    10_000,
    "PostgreSQL: after how much silence the other nodes give one up and take over what it held.",
  ),
  figuresEveryMs: durationMs(ENGINE_DEFAULTS.figuresEveryMs, "How often figures are written."),
  pruneEveryMs: durationMs(ENGINE_DEFAULTS.pruneEveryMs, "How often what is past its retention is deleted."),
  expireEveryMs: durationMs(
    ENGINE_DEFAULTS.expireEveryMs,
    "How often deliveries past their deadline are looked for.",
  ),
  stopGraceMs: durationMs(
    ENGINE_DEFAULTS.stopGraceMs,
    "On stop: how long attempts under way may take beyond the longest timeout.",
  ),
  publicUrl: text(
    "",
    "Where this server is found from outside, like `https://hooks.example.com`: for browsers when a proxy before it does not say so, and for callbacks of ownership checks, which need https.",
    z.string().regex(/^(https?:\/\/[^/?#@\s]+\/?)?$/, "must be like `https://hooks.example.com`: no path"),
  ),
  sessionMs: durationMs(
    ENGINE_DEFAULTS.sessionMs,
    "How long a browser stays signed in to the console, whatever is done meanwhile.",
  ),
} as const satisfies Readonly<Record<string, Option<never> | Option<unknown>>>;

/** What the server has besides. */
export const SERVER_OPTIONS = {
  host: text(
    "127.0.0.1",
    "The address to listen on. `0.0.0.0` is every one of this machine.",
    z.string().min(1),
  ),
  port: wholeNumber(8071, { min: 0, max: 65_535 }, "The port to listen on; 0 takes a free one."),
  tlsCert: text(
    "",
    "HTTPS: a PEM file with the server's certificate, then those up to its authority. Followed when it changes.",
    z.string(),
  ),
  tlsKey: text(
    "",
    "HTTPS: the PEM file with the certificate's private key, without a passphrase.",
    z.string(),
  ),
  hstsSeconds: wholeNumber(
    HSTS_SECONDS,
    { min: 0, max: 10 * HSTS_SECONDS },
    "`Strict-Transport-Security` on answers over HTTPS: for how long browsers use nothing else; 0 leaves it out.",
  ),
  trustedProxies: list(
    "Networks (CIDR) of proxies before this server, like `10.0.0.0/8`: only from them do `X-Forwarded-For`, `-Proto` and `-Host` count.",
  ),
  adminKey: secret(
    "The first admin key: `phk_` and at least 20 letters, digits, `_` or `-`. Without it, one is generated at the first start, printed once and kept in `<data dir>/admin.key`.",
  ),
  metricsOpen: flag(false, "`/metrics` without a key."),
  requestTimeoutMs: durationMs(HTTP_LIMITS.requestTimeoutMs, "For a whole request to arrive, body included."),
  requestLog: flag(false, "A log line for each request."),
  logLevel: choice(["debug", "info", "warn", "error", "silent"], "info", "What is logged, to stderr."),
  logFormat: choice(
    ["auto", "json", "text"],
    "auto",
    "`auto`: text on a terminal, else one JSON object a line.",
  ),
} as const satisfies Readonly<Record<string, Option<never> | Option<unknown>>>;

export const CONFIG_OPTIONS = { ...SERVER_OPTIONS, ...ENGINE_OPTIONS };

export type OptionName = keyof typeof CONFIG_OPTIONS;
type ValuesOf<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends Option<infer Value> ? Value : never;
};
export type EngineConfig = ValuesOf<typeof ENGINE_OPTIONS>;
export type Config = ValuesOf<typeof CONFIG_OPTIONS>;

export const OPTION_NAMES = Object.keys(CONFIG_OPTIONS) as OptionName[];

/** `dataDir` is `--data-dir`; undefined for a secret. */
export function flagOf(name: OptionName): string | undefined {
  return CONFIG_OPTIONS[name].secret ? undefined : `--${kebab(name)}`;
}

/** `dataDir` is `POSTHORN_DATA_DIR`. */
export function variableOf(name: OptionName): string {
  return `POSTHORN_${kebab(name).replaceAll("-", "_").toUpperCase()}`;
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The table of docs/configuration.md. */
export function configurationTable(): string {
  const rows = OPTION_NAMES.map((name) => {
    const { doc, form, fallback } = CONFIG_OPTIONS[name];
    const flagText = flagOf(name);
    return `| ${flagText === undefined ? "" : `\`${flagText}\``} | \`${variableOf(name)}\` | ${flagText === undefined ? "" : `\`${name}\``} | ${form} | ${shown(fallback)} | ${doc} |`;
  });
  return [
    "| flag | variable | `posthorn.json` | value | default | meaning |",
    "|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

function shown(fallback: unknown): string {
  if (fallback === undefined || fallback === "") return "";
  if (!Array.isArray(fallback)) return `\`${String(fallback)}\``;
  return fallback.length === 0 ? "none" : `\`${fallback.join(",")}\``;
}
