import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { after, describe, test } from "node:test";
import { createResolver } from "./resolver.ts";

/** By name: IPv4 addresses with a time to live in seconds, an error code of RFC 1035, or silence. */
type Zone = Record<string, { ipv4: readonly string[]; ttl: number } | { rcode: number } | "silent">;

const sockets: Socket[] = [];
after(() => {
  for (const socket of sockets) socket.close();
});

/** A name server on loopback: answers A questions from the zone, AAAA questions with nothing or the same error. */
async function openNameServer(zone: Zone): Promise<{ address: string; questions: string[] }> {
  const questions: string[] = [];
  const socket = createSocket("udp4");
  sockets.push(socket);
  socket.on("message", (question, { port, address }) => {
    const { name, type, end } = readQuestion(question);
    questions.push(`${type === 1 ? "A" : "AAAA"} ${name}`);
    const known = zone[name] ?? { rcode: 3 };
    if (known === "silent") return;
    const records = "ipv4" in known && type === 1 ? known.ipv4 : [];
    const head = Buffer.from(question.subarray(0, 12));
    head.writeUInt16BE(0x8180 | ("rcode" in known ? known.rcode : 0), 2);
    head.writeUInt16BE(records.length, 6);
    head.fill(0, 8, 12);
    const ttl = "ttl" in known ? known.ttl : 0;
    const parts = records.map((ipv4) => {
      const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...ipv4.split(".").map(Number)]);
      record.writeUInt32BE(ttl, 6);
      return record;
    });
    socket.send(Buffer.concat([head, question.subarray(12, end), ...parts]), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { address: `127.0.0.1:${socket.address().port}`, questions };
}

function readQuestion(question: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
    labels.push(question.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: question.readUInt16BE(at + 1), end: at + 5 };
}

describe("the resolver", () => {
  test("asks for both families, and again only when the time to live is over", async () => {
    const server = await openNameServer({
      "kept.example.com": { ipv4: ["93.184.215.14", "93.184.215.15"], ttl: 300 },
      "fleeting.example.com": { ipv4: ["93.184.215.16"], ttl: 0 },
    });
    const resolve = createResolver({ servers: [server.address] });
    for (let i = 0; i < 3; i++) {
      const addresses = await resolve("kept.example.com", { system: false });
      assert.deepEqual([...addresses].sort(), ["93.184.215.14", "93.184.215.15"]);
    }
    assert.deepEqual(server.questions.sort(), ["A kept.example.com", "AAAA kept.example.com"]);
    for (let i = 0; i < 2; i++) await resolve("fleeting.example.com", { system: false });
    assert.equal(server.questions.length, 6);
  });

  test("asks once for many who wait for the same name", async () => {
    const server = await openNameServer({ "busy.example.com": { ipv4: ["93.184.215.14"], ttl: 0 } });
    const resolve = createResolver({ servers: [server.address] });
    await Promise.all(Array.from({ length: 50 }, () => resolve("busy.example.com", { system: false })));
    assert.equal(server.questions.length, 2);
  });

  test("rejects a name that does not exist, and one whose server fails or is silent, and asks again next time", async () => {
    const server = await openNameServer({
      "broken.example.com": { rcode: 2 },
      "silent.example.com": "silent",
    });
    const resolve = createResolver({ servers: [server.address], questionMs: 20, questionsMax: 1 });
    await assert.rejects(resolve("none.example.com", { system: false }), { code: "ENOTFOUND" });
    await assert.rejects(resolve("broken.example.com", { system: false }), { code: "ESERVFAIL" });
    await assert.rejects(resolve("silent.example.com", { system: false }), { code: "ETIMEOUT" });
    const asked = server.questions.length;
    await assert.rejects(resolve("none.example.com", { system: false }));
    assert.ok(server.questions.length > asked);
  });

  test("asks the operating system for a name that only it may know", async () => {
    const server = await openNameServer({});
    const resolve = createResolver({ servers: [server.address] });
    const addresses = await resolve("localhost", { system: true });
    assert.ok(addresses.includes("127.0.0.1") || addresses.includes("::1"));
    assert.equal(server.questions.length, 0);
  });
});
