import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { cdataElement, readXml } from "./xml.ts";

const refused = (source: string, message: RegExp) =>
  assert.throws(
    () => readXml(source),
    { name: "VerificationError", code: "invalid_payload", message },
    source,
  );

describe("the XML of WeChat", () => {
  test("text, CDATA, the five entities, empty elements, and lists inside an element", () => {
    const source = `<?xml version="1.0" encoding="UTF-8"?>
      <xml><A><![CDATA[a < b && c]]></A><B>1 &lt; 2 &amp;amp; &quot;&apos;&gt;</B><C/><D></D>
      <E><Count>2</Count><item><Md5>x</Md5></item><item><Md5>y</Md5></item></E></xml>\n`;
    assert.deepEqual(readXml(source), {
      A: "a < b && c",
      B: "1 < 2 &amp; \"'>",
      C: "",
      D: "",
      E: { Count: "2", item: [{ Md5: "x" }, { Md5: "y" }] },
    });
    assert.deepEqual(readXml("<xml/>"), {});
  });
  test("what reads files or grows without end is not there at all", () => {
    refused('<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><A>&a;</A></xml>', /DOCTYPE/);
    refused("<xml><!DOCTYPE a><A>1</A></xml>", /DOCTYPE/);
    for (const text of ["&a;", "&#65;", "&#x41;", "&", "&amp", "&constructor;"]) {
      refused(`<xml><A>${text}</A></xml>`, /entity/);
    }
  });
  test("no comment, instruction, attribute, other encoding, or mixture of text and elements", () => {
    refused("<xml><!-- --><A>1</A></xml>", /comments/);
    refused("<xml><?php ?></xml>", /element was expected/);
    refused('<xml><A b="1">1</A></xml>', /attributes/);
    refused('<?xml version="1.0" encoding="GBK"?><xml/>', /<\?/);
    refused("<xml><A>text<B>1</B></A></xml>", /beside elements/);
    refused("<xml>text</xml>", /holds text/);
  });
  test("two of the same name in the root are refused: another reader might take the other", () => {
    refused("<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>", /Encrypt is there twice/);
  });
  test("it has an end, and only one root", () => {
    for (const source of [
      "",
      "<xml>",
      "<xml><A>1</xml>",
      "<xml><A>1</A>",
      "<xml><A><![CDATA[1</A></xml>",
      "<xml></yml>",
    ]) {
      refused(source, /at character \d+/);
    }
    refused("<xml/><xml/>", /behind the root/);
  });
  test("eight deep and no deeper; a megabyte of either does not take long", () => {
    const nested = (depth: number) => `${"<a>".repeat(depth)}${"</a>".repeat(depth)}`;
    readXml(nested(8));
    refused(nested(9), /8 deep/);
    refused(nested(200_000), /8 deep/);
    readXml(`<xml><A>${"<b/>".repeat(250_000)}</A></xml>`);
    refused(`<xml>${" ".repeat(1_000_000)}`, /./);
  });
  test("names of objects are names like any other", () => {
    const read = readXml("<xml><__proto__>1</__proto__><constructor>2</constructor></xml>");
    assert.deepEqual(Object.keys(read), ["__proto__", "constructor"]);
    assert.equal(Object.getPrototypeOf(read), Object.prototype);
  });
  test("whatever text is written into CDATA is read from it", () => {
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom("]", ">", "<![CDATA[", "&", "x")).map((all) => all.join("")),
    );
    fc.assert(
      fc.property(text, (value) => {
        assert.equal(readXml(`<xml>${cdataElement("A", value)}</xml>`).A, value);
      }),
    );
  });
});
