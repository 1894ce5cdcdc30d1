import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseExact } from "./exact-json.ts";
import { compileFilter, type FilterEvent, FilterSyntaxError, type FilterVerdict } from "./filter.ts";

const DATA = `{
  "total": 12950, "price": 12.5, "whole": 12.0, "n": 7, "negative": -5, "big": 9007199254740993, "huge": 1e400,
  "name": "Ada", "emoji": "a😀b", "nothing": null, "paid": true, "tags": ["a", "b"], "when": "2026-01-01T10:00:00Z",
  "items": [{ "sku": "S1", "qty": 2 }, { "sku": "S2" }],
  "nested": { "a": { "b": [1, 2, { "c": 3 }] } }, "__proto__": { "x": 1 }, "constructor": 4
}`;

function event(data = DATA, changes: Partial<FilterEvent> = {}): FilterEvent {
  return {
    id: "evt_1",
    type: "order.created",
    timestamp: "2026-01-01T00:00:00Z",
    channels: ["eu", "vip"],
    data: () => parseExact(data),
    ...changes,
  };
}

function verdict(source: string): FilterVerdict {
  return compileFilter(source).matches(event());
}

function refusal(source: string): FilterSyntaxError {
  try {
    compileFilter(source);
  } catch (error) {
    assert.ok(error instanceof FilterSyntaxError, `${source}: ${error}`);
    assert.equal(error.code, "invalid_filter");
    assert.equal(error.pointer, "/filter");
    return error;
  }
  assert.fail(`accepted: ${source}`);
}

const MATCHES: Readonly<Record<string, readonly string[]>> = {
  "the event itself": [
    'event.type == "order.created" && event.id.startsWith("evt_")',
    '"vip" in event.channels && event.channels.exists(c, c == "eu")',
    "timestamp(event.timestamp) < timestamp(event.data.when)",
    "timestamp(event.data.when).getHours() == 10",
    "!has(event.orderingKey)",
  ],
  "whole numbers keep every digit, and have + and %": [
    "event.data.big == 9007199254740993 && event.data.big != 9007199254740992",
    "event.data.big + 1 == 9007199254740994",
    "event.data.n % 2 == 1 && -event.data.negative == 5",
    "event.data.n == 7u && event.data.n in [1, 7]",
  ],
  "a number is the same number with and without a fraction": [
    "event.data.whole == 12 && event.data.n == 7.0 && 7.0 == event.data.n && 1 == 1.0",
    "event.data.price > 12 && event.data.total > 12949.5 && event.data.n < 7.5",
    "event.data.price * 2 == 25 && event.data.price * 2 == 25.0 && 2 * event.data.price == 25",
    "event.data.n / 2.0 == 3.5 && event.data.n + 1.5 == 8.5 && event.data.n - 0.5 == 6.5",
    "event.data.huge > event.data.big",
  ],
  "text, lists, maps and null": [
    'event.data.name.contains("d") && event.data.name.endsWith("a") && event.data.name.size() == 3',
    'event.data.emoji.size() == 3 && size("") == 0 && event.data.name + "!" == "Ada!"',
    'event.data.name.matches("^A[a-z]+$") && !event.data.name.matches("x")',
    'event.data.tags == ["a", "b"] && event.data.tags + ["c"] == ["a", "b", "c"] && event.data.tags[1] == "b"',
    'event.data.tags.join(",") == "a,b" && "a,b".split(",") == event.data.tags && size(event.data.tags) == 2',
    'event.data.nested == {"a": {"b": [1, 2, {"c": 3}]}} && "a" in event.data.nested',
    "event.data.nothing == null && event.data.paid",
    'event.data.name != 1 && event.data.name in ["Ada", 1] && !("zz" in event.data.tags)',
    "type(event.data.n) == int && type(event.data.price) == double && type(event.data.tags) == list",
    'event.data["__proto__"].x == 1 && event.data.constructor == 4',
  ],
  macros: [
    "event.data.items.exists(i, i.qty > 1)",
    "event.data.items.exists(i, has(i.qty) && i.qty > 1)",
    "event.data.items.filter(i, has(i.qty)).size() == 1",
    'event.data.items.map(i, i.sku).exists(s, s == "S2")',
    'event.data.tags.all(t, t < "c") && event.data.tags.exists_one(t, t == "a")',
    'event.data.nested.all(key, key == "a")',
    "cel.bind(n, event.data.n, n > 1 && n < 10)",
  ],
  "missing fields asked for with care": [
    'event.data.missing == 1 || event.type == "order.created"',
    "!has(event.data.missing) && has(event.data.nested.a)",
    "event.data.?missing.orValue(3) == 3 && !event.data.?missing.?deeper.hasValue()",
    "event.data.nested.?a.?b[?0].orValue(0) == 1",
  ],
};

describe("a filter matches", () => {
  for (const [what, sources] of Object.entries(MATCHES)) {
    test(what, () => {
      for (const source of sources) assert.deepEqual(verdict(source), { kind: "match" }, source);
    });
  }

  test("an ordering key when the event has one", () => {
    const filter = compileFilter('event.orderingKey == "k1"');
    assert.equal(filter.matches(event(DATA, { orderingKey: "k1" })).kind, "match");
    assert.equal(filter.matches(event()).kind, "no_match");
  });

  test("events one after the other, each for itself", () => {
    const filter = compileFilter("event.data.l.all(x, x > 1)");
    for (const [data, kind] of [
      ['{"l":[2,3]}', "match"],
      ['{"l":[1]}', "no_match"],
      ['{"l":["x"]}', "error"],
      ['{"l":[]}', "match"],
    ] as const) {
      assert.equal(filter.matches(event(data)).kind, kind, data);
    }
  });
});

describe("a filter that looks at nothing in the data", () => {
  test("does not have it read", () => {
    const unread = event(DATA, { data: () => assert.fail("the data was read") });
    assert.equal(compileFilter('event.type == "order.created"').matches(unread).kind, "match");
  });
});

describe("a missing field is no match", () => {
  for (const source of [
    "event.data.missing == 1",
    "event.data.missing != 1",
    "!(event.data.missing == 1)",
    "event.data.nothing.x == 1",
    "event.data.name.x == 1",
    "event.data.a.b.c > 3",
    'event.data.items[5].sku == "S1"',
    "event.data.items.all(i, i.qty > 1)",
    "event.data.items.exists(i, i.price > 1)",
    "event.data.items.map(i, i.price).size() > 0",
    "event.data.?missing.value() == 1",
    "event.data.toString == 1",
  ]) {
    test(source, () => assert.deepEqual(verdict(source), { kind: "no_match" }));
  }
});

describe("what goes wrong at run time is told", () => {
  const FAILURES: Readonly<Record<string, RegExp>> = {
    "1 / (event.data.n - 7) > 0": /division by zero/,
    "event.data.name > 1": /no such overload: string > int/,
    "event.data.n": /gave int, not true or false/,
    "event.data.nested.size() > 1 ? event.data.tags : event.data.tags": /gave a list/,
    'event.data.n.matches("7")': /matches\(\) needs a text, not int/,
    "size(event.data.n) == 1": /size\(\) needs a text, list or map, not int/,
    '"a" in event.data.name': /in needs a list or a map on its right, not string/,
    "event.data.tags < 3": /no such overload: list/,
    "event.data.big * 9007199254740993 > 0": /integer overflow/,
    'timestamp(event.data.name) > timestamp("2026-01-01T00:00:00Z")': /timestamp/,
  };
  for (const [source, message] of Object.entries(FAILURES)) {
    test(source, () => {
      const result = verdict(source);
      assert.equal(result.kind, "error", JSON.stringify(result));
      assert.match(result.kind === "error" ? result.message : "", message);
    });
  }

  test("data that cannot be read is an error, not a crash", () => {
    const broken = event(DATA, {
      data: () => {
        throw new Error("gone");
      },
    });
    assert.deepEqual(compileFilter("event.data.n == 7").matches(broken).kind, "error");
  });
});

describe("what is refused when it is set", () => {
  const REFUSED: Readonly<Record<string, readonly [why: RegExp, position: number]>> = {
    "event.data.n +": [/Unexpected token/, 14],
    "event.data.n = 7": [/Unexpected character/, 13],
    "order.total > 5": [/Unknown variable: order/, 0],
    "event.typo == 1": [/No such key: typo/, 6],
    "event.type == 1": [/no such overload: string == int/, 0],
    "event.type": [/it gives string, not true or false/, 0],
    "size(event.channels)": [/it gives int/, 0],
    "event.data.l.all(x, event.data.m.all(y, x == y))": [/all\(\) stands inside all\(\)/, 32],
    "event.data.l.exists(x, [x].filter(y, y > 1).size() > 0)": [/filter\(\) stands inside exists\(\)/, 26],
    "cel.bind(a, event.data.n, cel.bind(b, a + a, b > 1))": [/bind\(\) stands inside bind\(\)/, 29],
    "event.data.s.matches(event.data.p)": [/must be a string literal/, 21],
    'event.data.s.matches("a" + "b")': [/must be a string literal/, 21],
    'event.data.s.matches("(?=a)")': [/not one of RE2/, 21],
    'event.data.s.matches("(a")': [/not one of RE2/, 21],
    'event.data.s.matches("(a)\\\\1")': [/not one of RE2/, 21],
    'event.data.s.matches("(ab?){499}")': [/instructions, more than 500/, 21],
    [`event.data.s.matches("${"a".repeat(100)}{1000}")`]: [/repeats too much/, 21],
    'matches(event.data.s, "a")': [/is called as text.matches/, 0],
    'bytes("a") == b"a"': [/no function bytes\(\)/, 0],
    'timestamp(event.timestamp).getHours("Europe/Berlin") == 1': [/counts in UTC/, 26],
  };
  for (const [source, [why, position]] of Object.entries(REFUSED)) {
    test(source.slice(0, 80), () => {
      const error = refusal(source);
      assert.match(error.message, why);
      assert.equal(error.position, position, error.message);
    });
  }

  test("over 1,000 nodes, over 4,096 characters, nested too deeply, too many patterns", () => {
    compileFilter(Array(166).fill("event.data.n == 7").join("||"));
    assert.match(refusal(Array(167).fill("event.data.n == 7").join("||")).message, /more than 1,000 nodes/);
    assert.match(refusal(`event.type == "${"a".repeat(4096)}"`).message, /longer than 4096/);
    refusal(`${"(".repeat(1000)}true${")".repeat(1000)}`);
    const patterns = (count: number) => Array(count).fill('event.id.matches("a")').join("||");
    compileFilter(patterns(10));
    assert.match(refusal(patterns(11)).message, /more than 10 times/);
  });
});
