/**
 * Names to addresses, without the system's resolver where possible: getaddrinfo runs on libuv's four threads, so that a
 * few slow names would hold up every other name and every file. c-ares waits on sockets instead.
 */
import { lookup, Resolver as NameServers } from "node:dns/promises";

/**
 * All addresses of a name, A and AAAA, in no promised order; never empty. Rejects when there are none.
 * `system`: a name of a private form, which may stand in the hosts file or mDNS only: ask the operating system.
 */
export type Resolver = (name: string, options: { system: boolean }) => Promise<readonly string[]>;

export interface ResolverOptions {
  /** Name servers as `address` or `address:port`, in place of the system's. */
  servers?: readonly string[];
  /** One question to one name server, in milliseconds. */
  questionMs?: number;
  /** How often a name server that does not answer is asked. */
  questionsMax?: number;
  /** An answer is used again for its time to live, but never longer than this. */
  cacheMsMax?: number;
  namesMax?: number;
}

interface Answer {
  readonly addresses: readonly string[];
  /** In seconds; the least of all records. */
  readonly ttl: number;
}

/** Of libuv's four threads, for names that only the operating system knows. */
const SYSTEM_LOOKUPS_MAX = 2;
/** The operating system gives no time to live. */
const SYSTEM_TTL = 5;

export function createResolver({
  servers,
  questionMs = 1300,
  questionsMax = 3,
  cacheMsMax = 30_000,
  namesMax = 10_000,
}: ResolverOptions = {}): Resolver {
  const nameServers = new NameServers({ timeout: questionMs, tries: questionsMax });
  if (servers !== undefined) nameServers.setServers(servers);
  const answers = new Map<string, { addresses: readonly string[]; untilMs: number }>();
  const asked = new Map<string, Promise<readonly string[]>>();

  async function ask(name: string, system: boolean): Promise<readonly string[]> {
    const { addresses, ttl } = system ? await askSystem(name) : await askServers(nameServers, name);
    answers.delete(name);
    answers.set(name, { addresses, untilMs: performance.now() + Math.min(ttl * 1000, cacheMsMax) });
    if (answers.size > namesMax) answers.delete(answers.keys().next().value ?? "");
    return addresses;
  }

  return (name, { system }) => {
    const answer = answers.get(name);
    if (answer !== undefined && answer.untilMs > performance.now()) return Promise.resolve(answer.addresses);
    let question = asked.get(name);
    if (question === undefined) {
      question = ask(name, system).finally(() => asked.delete(name));
      asked.set(name, question);
    }
    return question;
  };
}

/** One family is enough: many name servers answer questions for the other one with an error, or never. */
async function askServers(nameServers: NameServers, name: string): Promise<Answer> {
  const [ipv4, ipv6] = await Promise.allSettled([
    nameServers.resolve4(name, { ttl: true }),
    nameServers.resolve6(name, { ttl: true }),
  ]);
  const records = [ipv6, ipv4].flatMap((result) => (result.status === "fulfilled" ? result.value : []));
  if (records.length === 0)
    throw ipv4.status === "rejected" ? ipv4.reason : new Error(`no address of ${name}`);
  return {
    addresses: records.map(({ address }) => address),
    ttl: records.reduce((least, record) => Math.min(least, record.ttl), Number.POSITIVE_INFINITY),
  };
}

let systemLookups = 0;
const waiting: (() => void)[] = [];

async function askSystem(name: string): Promise<Answer> {
  if (systemLookups >= SYSTEM_LOOKUPS_MAX) await new Promise<void>((resolve) => waiting.push(resolve));
  systemLookups++;
  try {
    const found = await lookup(name, { all: true });
    if (found.length === 0) throw new Error(`no address of ${name}`);
    return { addresses: found.map(({ address }) => address), ttl: SYSTEM_TTL };
  } finally {
    systemLookups--;
    waiting.shift()?.();
  }
}
