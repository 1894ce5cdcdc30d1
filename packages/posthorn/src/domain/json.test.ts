import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { scanJson } from "./json.ts";
import { type JsonErrorCode, JsonScanError } from "./json-error.ts";

const LIMITS = { depthMax: 64 };

function bytesOf(text: string): Buffer {
  return Buffer.from(text, "utf8");
}

function refusal(body: string | Uint8Array, limits: Parameters<typeof scanJson>[1] = LIMITS): JsonScanError {
  try {
    scanJson(typeof body === "string" ? bytesOf(body) : body, limits);
  } catch (error) {
    assert.ok(error instanceof JsonScanError, String(error));
    return error;
  }
  assert.fail(`accepted: ${String(body).slice(0, 100)}`);
}

function accepts(body: Uint8Array): boolean {
  try {
    scanJson(body, { depthMax: 1000 });
    return true;
  } catch (error) {
    assert.ok(error instanceof JsonScanError, String(error));
    return false;
  }
}

describe("what a scan tells", () => {
  test("where each member of an object lies, byte for byte, white space trimmed", () => {
    const text =
      ' { "type" : "order.created" ,\n"data":{"2":1,"1":2,"n":9007199254740993,"d":1.0,"e":1e2} } ';
    const { kind, start, end, members } = scanJson(bytesOf(text), LIMITS);
    assert.equal(kind, "object");
    assert.equal(text.slice(start, end), text.trim());
    const data = members?.get("data");
    assert.equal(data?.kind, "object");
    assert.equal(text.slice(data?.start, data?.end), '{"2":1,"1":2,"n":9007199254740993,"d":1.0,"e":1e2}');
    assert.equal(members?.get("type")?.kind, "string");
  });

  test("a batch is scanned once: its elements come with their members", () => {
    const text = '[{"a":[1,2]},7, {"b":null} ,[{"c":1}]]';
    const { elements } = scanJson(bytesOf(text), { ...LIMITS, elementsMax: 4 });
    const shown = elements?.map(({ kind, start, end, members }) => [
      kind,
      text.slice(start, end),
      members && [...members.keys()],
    ]);
    assert.deepEqual(shown, [
      ["object", '{"a":[1,2]}', ["a"]],
      ["number", "7", null],
      ["object", '{"b":null}', ["b"]],
      ["array", '[{"c":1}]', null],
    ]);
  });

  test("a batch with too many elements is refused, and no element is kept when none was asked for", () => {
    const error = refusal("[1,2,3]", { ...LIMITS, elementsMax: 2 });
    assert.equal(error.code, "batch_too_large");
    assert.equal(error.pointer, "/2");
    assert.equal(scanJson(bytesOf("[1,2,3]"), LIMITS).elements, null);
  });

  test("keys are known by what they mean, not by how they are escaped", () => {
    const { members } = scanJson(bytesOf('{"\\u0064ata":1,"__proto__":2,"caf\u00e9":3}'), LIMITS);
    assert.deepEqual([...(members?.keys() ?? [])], ["data", "__proto__", "café"]);
  });

  test("other roots have a span too", () => {
    for (const [text, kind] of [
      [' "x" ', "string"],
      ["-1.5e3", "number"],
      ["true", "boolean"],
      ["null", "null"],
      ["[]", "array"],
    ] as const) {
      const scan = scanJson(bytesOf(text), LIMITS);
      assert.deepEqual(
        [scan.kind, text.slice(scan.start, scan.end), scan.members],
        [kind, text.trim(), null],
      );
    }
  });
});

describe("what a scan refuses", () => {
  const REFUSED: [name: string, body: string, code: JsonErrorCode, pointer: string, offset: number][] = [
    ["an empty body", "", "invalid_json", "", 0],
    ["a trailing comma", '{"a":[1,]}', "invalid_json", "/a/1", 8],
    ["a missing brace", '{"a":{"b":1}', "invalid_json", "/a", 12],
    ["single quotes", "{'a':1}", "invalid_json", "", 1],
    ["a leading zero", '{"a":01}', "invalid_json", "/a", 6],
    ["text after the end", '{"a":1} x', "invalid_json", "", 8],
    ["a raw line break in a string", '["a\nb"]', "invalid_json", "/0", 3],
    ["an unknown escape", '["\\x41"]', "invalid_json", "/0", 2],
    ["three hex digits", '["\\u12g4"]', "invalid_json", "/0", 2],
    ["a byte order mark", "\ufeff{}", "invalid_json", "", 0],
    ["a key twice", '{"a":1,"b":2,"a":3}', "duplicate_key", "/a", 13],
    ["a key twice, escaped differently", '{"x":{"a/b":1,"\\u0061\\/b":3}}', "duplicate_key", "/x/a~1b", 14],
    ["a key twice in an element", '[{},{"a":1,"a":1}]', "duplicate_key", "/1/a", 11],
    ["too many levels", `{"a":${"[".repeat(64)}`, "too_deep", `/a${"/0".repeat(63)}`, 68],
  ];
  for (const [name, body, code, pointer, offset] of REFUSED) {
    test(`${name}: ${code}`, () => {
      const error = refusal(body);
      assert.deepEqual([error.code, error.pointer, error.offset], [code, pointer, offset], error.message);
      assert.ok(error.message.includes(String(offset)));
    });
  }

  test("64 levels pass, in objects and arrays together", () => {
    scanJson(bytesOf(`${'{"a":['.repeat(32)}${"]}".repeat(32)}`), LIMITS);
  });

  test("100,000 levels are too deep, not a stack overflow", () => {
    assert.equal(refusal("[".repeat(100_000)).code, "too_deep");
    assert.equal(refusal('{"a":'.repeat(100_000)).code, "too_deep");
  });

  test("a key twice among very many, first and last", () => {
    const members = Array.from({ length: 40 }, (_, index) => `"k${index}":${index}`).join(",");
    assert.equal(scanJson(bytesOf(`{"x":{${members}}}`), LIMITS).kind, "object");
    for (const again of ["k0", "k15", "k16", "k39", "\\u006b39"]) {
      assert.equal(refusal(`{"x":{${members},"${again}":0}}`).code, "duplicate_key");
    }
  });

  test("the same key in different objects is no duplicate", () => {
    scanJson(bytesOf('{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}'), LIMITS);
  });

  test("keys with equal hashes are told apart", () => {
    scanJson(bytesOf('{"x":{"Aa":1,"BB":2,"C#":3}}'), LIMITS);
    assert.equal(refusal('{"x":{"Aa":1,"BB":2,"Aa":3}}').code, "duplicate_key");
  });

  test("bytes that are not UTF-8, and says where", () => {
    const bad: [number[], number][] = [
      [[0x22, 0xff, 0x22], 1],
      [[0x22, 0xc3, 0x22], 1],
      [[0x22, 0xef, 0xbf, 0xbd, 0xed, 0xa0, 0x80, 0x22], 4],
      [[0x22, 0x61, 0xc0, 0xaf, 0x22], 2],
    ];
    for (const [bytes, offset] of bad) {
      const error = refusal(Uint8Array.from(bytes));
      assert.deepEqual([error.code, error.offset], ["invalid_utf8", offset]);
    }
  });

  test("a very long key does not make a very long error", () => {
    assert.ok(refusal(`{"${"k".repeat(100_000)}":[}`).message.length < 400);
  });
});

describe("what passes", () => {
  test("numbers of any size and lone surrogates in escapes: they are sent as they came", () => {
    for (const text of ["1e400", "-0", "9".repeat(5000), '"\\ud83d"', '{"\\udc00":1,"\\ufffd":2}']) {
      assert.ok(accepts(bytesOf(text)), text);
    }
  });

  test("exactly what JSON.parse takes, over texts cut, joined and changed at random", () => {
    const change = fc.record({
      at: fc.nat(),
      cut: fc.nat(3),
      put: fc.constantFrom(
        "",
        ",",
        ":",
        '"',
        "[",
        "]",
        "{",
        "}",
        "\\",
        "0",
        "-",
        ".",
        "e",
        "\\u00",
        "tru",
        " ",
        "\u0001",
        "é",
      ),
    });
    fc.assert(
      fc.property(fc.json({ depthSize: "medium" }), fc.array(change, { maxLength: 3 }), (json, changes) => {
        let text = json;
        for (const { at, cut, put } of changes) {
          const position = at % (text.length + 1);
          text = text.slice(0, position) + put + text.slice(position + cut);
        }
        let valid = true;
        try {
          JSON.parse(text);
        } catch {
          valid = false;
        }
        const bytes = bytesOf(text);
        try {
          scanJson(bytes, { depthMax: 1000 });
          assert.ok(valid, `accepted ${text}`);
        } catch (error) {
          assert.ok(error instanceof JsonScanError, String(error));
          if (error.code === "duplicate_key") return;
          assert.ok(!valid, `refused ${text}: ${error}`);
          assert.equal(error.code, "invalid_json");
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("every member's span is the member's JSON", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue()), (object) => {
        const bytes = bytesOf(JSON.stringify(object, null, 1));
        const { members } = scanJson(bytes, { depthMax: 1000 });
        const read = new Map(
          [...(members ?? [])].map(([key, { start, end }]) => [
            key,
            JSON.parse(bytes.toString("utf8", start, end)),
          ]),
        );
        assert.deepEqual(read, new Map(Object.entries(JSON.parse(bytes.toString()))));
      }),
      { numRuns: 300 },
    );
  });
});
