import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { memberText, replaceMember } from "./json-member.ts";

describe("members of JSON as text", () => {
  const json =
    '{ "a" : {"b":[1,{"x":"}"}]}, "b":"a,b:\\"c\\\\", "n": 9007199254740993 , "a\\u0062":1e2,"e":"" }';
  test("nothing of them is lost, and those further down are not meant", () => {
    assert.equal(memberText(json, "a"), '{"b":[1,{"x":"}"}]}');
    assert.equal(memberText(json, "b"), '"a,b:\\"c\\\\"');
    assert.equal(memberText(json, "n"), "9007199254740993");
    assert.equal(memberText(json, "ab"), "1e2");
    assert.equal(memberText(json, "e"), '""');
    assert.equal(memberText(json, "x"), undefined);
    assert.equal(memberText("{}", "x"), undefined);
  });
  test("the last of the same name counts, as for JSON.parse", () => {
    assert.equal(memberText('{"a":1,"a":2}', "a"), "2");
  });
  test("one is replaced, the rest stays byte for byte", () => {
    assert.equal(replaceMember('{ "a": [1] ,"n":1.0 }', "a", "2"), '{ "a": 2 ,"n":1.0 }');
    assert.equal(replaceMember('{"a":1}', "b", "2"), '{"a":1}');
  });
  test("for any object it finds what JSON.parse finds", () => {
    const objects = fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 });
    fc.assert(
      fc.property(objects, fc.nat(), fc.nat({ max: 2 }), (object, pick, indent) => {
        const text = JSON.stringify(object, null, indent);
        const keys = Object.keys(JSON.parse(text) as object);
        const name = keys[pick % keys.length] ?? "";
        assert.deepEqual(JSON.parse(memberText(text, name) ?? "null"), JSON.parse(text)[name]);
        assert.deepEqual(JSON.parse(replaceMember(text, name, '"new"')), {
          ...JSON.parse(text),
          [name]: "new",
        });
      }),
    );
  });
});
