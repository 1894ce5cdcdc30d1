/** Filters made to be slow, on events of 1 MiB made for them: each ends, and soon, because of the budget. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseExact } from "./exact-json.ts";
import { compileFilter, type FilterEvent } from "./filter.ts";

const MEBIBYTE = 1024 * 1024;
const LIMIT_MS = 5;

/** The same every time; few different letters, so that searches and patterns meet their worst case. */
function noise(length: number, letters = "ab"): string {
  let seed = 1;
  let text = "";
  for (let index = 0; index < length; index += 1) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    text += letters[Math.floor(seed / 65_536) % letters.length];
  }
  return text;
}

function eventWith(data: unknown): FilterEvent {
  const json = typeof data === "string" ? data : JSON.stringify(data);
  assert.ok(json.length <= MEBIBYTE, `${json.length}`);
  const parsed = parseExact(json);
  return { id: "evt_1", type: "a.b", timestamp: "2026-01-01T00:00:00Z", channels: [], data: () => parsed };
}

function range<Value>(length: number, make: (index: number) => Value): Value[] {
  return Array.from({ length }, (_, index) => make(index));
}

function repeat(source: string, count: number, operator = "||"): string {
  return Array(count).fill(source).join(operator);
}

const EVENTS = {
  text: eventWith({ s: "a".repeat(MEBIBYTE - 100) }),
  wideText: eventWith({ s: "é日".repeat(MEBIBYTE / 4) }),
  halves: eventWith({ s: `${"a".repeat(MEBIBYTE / 2 - 100)}`, t: `${"a".repeat(MEBIBYTE / 2 - 100)}` }),
  noise: eventWith({ s: noise(MEBIBYTE - 2000), short: noise(160), middle: noise(1300) }),
  numbers: eventWith({ l: range(100_000, (index) => index) }),
  longNumbers: eventWith(`{"l":[${range(9000, () => "9".repeat(100)).join(",")}]}`),
  objects: eventWith({ l: range(25_000, (index) => ({ sku: `S-${index}`, price: index })) }),
  texts: eventWith({ l: range(80_000, (index) => `s${index}`) }),
  keys: eventWith({ m: Object.fromEntries(range(70_000, (index) => [`k${index}`, 1])) }),
  deep: eventWith(`{"l":[${range(8000, () => "[".repeat(60) + "]".repeat(60)).join(",")}]}`),
} as const;

const HOSTILE: Readonly<Record<keyof typeof EVENTS, readonly string[]>> = {
  text: [
    repeat('event.data.s.contains("aab")', 30),
    repeat('event.data.s.contains("aaaaaaaab")', 30),
    `event.data.s.contains("${"a".repeat(1500)}b${"a".repeat(1500)}")`,
    `(${repeat("event.data.s", 200, "+")}).size() < 0`,
    repeat('(event.data.s + event.data.s).startsWith("b")', 60),
    repeat("event.data.s.startsWith(event.data.s)", 90, "&&"),
    repeat('(event.data.s + "x") in event.data', 90),
    repeat('event.data.s.split("") == []', 50),
    repeat("event.data.s.size() < 0", 100),
    'event.data.s.matches("(a+)+$")',
    'event.data.s.matches("^(a|aa)+b$")',
    "double(event.data.s) > 1.0",
    'duration(event.data.s) > duration("1s")',
    `duration("${"1".repeat(3000)}") > duration("1s")`,
  ],
  wideText: [
    repeat('event.data.s.upperAscii() == "b"', 90),
    repeat("event.data.s.size() < 0", 100),
    repeat('event.data.s.contains("日日日")', 90),
  ],
  halves: [
    'event.data.s.contains(event.data.t + "b")',
    repeat('event.data.s + "b" == event.data.t + "a"', 80),
    repeat("event.data.s < event.data.t", 120),
  ],
  noise: [
    'event.data.s.matches("(a|b)*a(a|b){12}$")',
    'event.data.middle.matches("(a|b)*a(a|b){12}$")',
    repeat('event.data.short.matches("(a|b)*a(a|b){20}$")', 10),
    'event.data.short.matches("(a|b)*a(a|b){100}$")',
    'event.data.short.matches("(a?b?){70}c?$")',
  ],
  numbers: [
    "event.data.l.all(x, x >= 0)",
    "event.data.l.exists(x, x < 0)",
    "event.data.l.exists_one(x, x == 5)",
    "event.data.l.map(x, x * 2).size() > 5",
    "event.data.l.filter(x, x % 2 == 0).size() > 5",
    repeat("event.data.l.all(x, x >= 0)", 40, "||"),
    "event.data.l.exists(x, -1 in event.data.l)",
    "event.data.l.map(x, event.data.l + event.data.l).size() > 1",
    "event.data.l.exists(x, x.missing == 1)",
    repeat("event.data.l.exists(x, x.missing == 1)", 20),
    "event.data.l.exists(x, 1 / 0 > x)",
    repeat("-1 in event.data.l", 80),
    repeat("event.data.l", 200, "+").concat(" == []"),
    repeat("event.data.missing == 1", 150),
  ],
  longNumbers: ["event.data.l.exists(x, x * x > 1)", 'event.data.l.exists(x, string(x) == "z")'],
  objects: [
    "event.data.l.exists(i, i.missing > 1)",
    'event.data.l.exists(i, i == {"sku": "a", "price": 1})',
    "event.data.l == event.data.l.map(i, i)",
    'event.data.l.exists(i, i.sku.matches("^S-x[0-9]+$"))',
  ],
  texts: [
    `event.data.l.join("${"a".repeat(100)}").size() < 0`,
    'event.data.l.map(x, x + x + x).join(",").size() < 0',
    'event.data.l.exists(x, duration(x) > duration("1s"))',
    'event.data.l.exists(x, x.upperAscii() == "X")',
  ],
  keys: [
    'event.data.m.exists(k, k == "z")',
    repeat("event.data.m == {}", 100),
    repeat("event.data.m.all(k, false)", 80),
    repeat("event.data.m == event.data.m.map(k, k)", 50),
  ],
  deep: [repeat("event.data.l == event.data.l + []", 50), "event.data.l.exists(x, x == [[[[[[[1]]]]]]])"],
};

/** How much slower this machine is just now than the one on which the limit was set: 1 or more. */
function slowness(): number {
  const start = process.threadCpuUsage();
  let sum = 0n;
  for (let index = 0; index < 200_000; index += 1) sum += BigInt(index) % 7n;
  assert.ok(sum > 0n);
  return Math.max(1, cpuMs(start) / 12);
}

function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(since);
  return (user + system) / 1000;
}

describe("hostile filters on an event of 1 MiB", () => {
  for (const [name, sources] of Object.entries(HOSTILE)) {
    for (const source of sources) {
      test(`${name}: ${source.slice(0, 100)}`, () => {
        const filter = compileFilter(source);
        const event = EVENTS[name as keyof typeof EVENTS];
        // The processor time of this thread, the best of a few: the work it takes, without the neighbours' share.
        let best = Number.POSITIVE_INFINITY;
        for (let run = 0; run < 8 && best > 1; run += 1) {
          const start = process.threadCpuUsage();
          filter.matches(event);
          best = Math.min(best, cpuMs(start));
        }
        assert.ok(best < LIMIT_MS * slowness(), `${best.toFixed(1)} ms`);
      });
    }
  }

  test("one that ran out of steps says so, and `true ||` does not hide it", () => {
    for (const source of [
      "event.data.l.all(x, x >= 0)",
      "event.data.l.all(x, x >= 0) || true",
      "event.data.l.exists(x, x == -1 || true || x.missing) && event.data.l.all(x, x >= 0)",
    ]) {
      const verdict = compileFilter(source).matches(EVENTS.numbers);
      assert.equal(verdict.kind, "error", source);
      assert.match(verdict.kind === "error" ? verdict.message : "", /more than 40000 steps/);
    }
  });

  test("and the next filter has its own steps", () => {
    compileFilter("event.data.l.all(x, x >= 0)").matches(EVENTS.numbers);
    assert.equal(compileFilter("event.data.l.exists(x, x == 3000)").matches(EVENTS.numbers).kind, "match");
  });
});

describe("honest filters on an event of 1 MiB", () => {
  test("find what they look for", () => {
    const honest: [keyof typeof EVENTS, string][] = [
      ["numbers", "size(event.data.l) == 100000 && event.data.l[99999] == 99999"],
      ["numbers", "event.data.l.exists(x, x == 2000)"],
      ["numbers", "30000 in event.data.l"],
      ["keys", '"k69999" in event.data.m && event.data.m.k5 == 1'],
      ["noise", 'event.data.s.startsWith("b") || event.data.s.size() > 1000'],
      ["noise", 'event.data.middle.matches("(?i)AAB")'],
      ["text", 'event.data.s.contains("aaaaaaaa")'],
    ];
    for (const [name, source] of honest) {
      assert.deepEqual(compileFilter(source).matches(EVENTS[name]), { kind: "match" }, source);
    }
  });

  test("a common filter takes about a microsecond", () => {
    const filter = compileFilter(
      'event.data.total > 100 && event.type.startsWith("order.") && "eu" in event.channels',
    );
    const event: FilterEvent = { ...eventWith({ total: 129 }), type: "order.created", channels: ["eu"] };
    for (let index = 0; index < 2000; index += 1) filter.matches(event);
    const start = process.threadCpuUsage();
    for (let index = 0; index < 2000; index += 1) assert.equal(filter.matches(event).kind, "match");
    assert.ok(cpuMs(start) < 20 * slowness(), `${cpuMs(start)} ms for 2,000`);
  });
});
